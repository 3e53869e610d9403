"""The voices store: whole voices or none, also when a process is killed in the middle of writing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from seedvc_live.errors import OutputError, VoiceError, VoiceNotFoundError
from seedvc_live.service.voices import VoiceStore, clean_name, default_folder, is_voice_id

with as_file(files("seedvc_live") / "data" / "reference.flac") as _path:
    REFERENCE = _path


def temporaries(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".")]


def test_a_voice_is_kept_listed_and_removed(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path / "voices")
    assert store.list() == []
    first = store.add(REFERENCE, "Ann")
    second = store.add(REFERENCE)
    assert VoiceStore(tmp_path / "voices").list() == [first, second]
    assert (first.name, second.name) == ("Ann", "voice")
    assert first.seconds == pytest.approx(7.15, abs=0.01)
    assert store.get(first.id) == first
    assert store.reference(first.id).read_bytes() == REFERENCE.read_bytes()
    store.remove(first.id)
    assert store.list() == [second]
    with pytest.raises(VoiceNotFoundError):
        store.get(first.id)
    with pytest.raises(VoiceNotFoundError):
        store.remove(first.id)
    assert temporaries(store.folder) == []


def test_nothing_is_made_before_the_first_voice_and_then_for_its_owner_only(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path / "deep" / "voices")
    assert not (tmp_path / "deep").exists()
    store.add(REFERENCE)
    assert (tmp_path / "deep" / "voices").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "id",
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "a" * 11,
        "A" * 16,
        "a" * 65,
        "abcdefghijkl/..",
        "abcdefghijkl\n",
        "\0" * 16,
        "é" * 16,
    ],
)
def test_what_is_no_id_names_no_voice(tmp_path: Path, id: str) -> None:
    store = VoiceStore(tmp_path)
    outside = tmp_path / "voice.json"
    outside.write_text('{"name": "x", "seconds": 1, "created": ""}')
    assert not is_voice_id(id)
    for call in (store.get, store.remove, store.reference, lambda i: store.tensors(i, "nano", "0" * 16)):
        with pytest.raises(VoiceNotFoundError) as caught:
            call(id)
        assert "\n" not in str(caught.value)
    assert outside.exists()


def test_ids_are_long_random_and_different(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path)
    ids = {store.add(REFERENCE).id for _ in range(50)}
    assert len(ids) == 50
    assert all(is_voice_id(id) and len(id) == 16 for id in ids)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, "voice"),
        ("", "voice"),
        (" \t ", "voice"),
        ("A\nB\x00\x1b[31m", "A B [31m"),
        ("x" * 500, "x" * 80),
        ("Zoë 声", "Zoë 声"),
    ],
)
def test_names_can_be_shown_anywhere(given: str | None, kept: str) -> None:
    assert clean_name(given) == kept


def test_only_flac_is_stored(tmp_path: Path) -> None:
    clip = tmp_path / "clip.flac"
    clip.write_bytes(b"RIFF" + bytes(100))
    store = VoiceStore(tmp_path / "voices")
    with pytest.raises(VoiceError, match="not a FLAC"):
        store.add(clip)
    with pytest.raises(VoiceError, match="cannot read"):
        store.add(tmp_path / "none.flac")
    assert store.list() == []


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not a folder"):
        VoiceStore(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        VoiceStore(Path("/proc/voices")).add(REFERENCE)


def test_damage_from_outside_costs_one_voice(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path)
    good, bad = store.add(REFERENCE), store.add(REFERENCE)
    (tmp_path / bad.id / "voice.json").write_text("{")
    (tmp_path / "somethingelse").write_text("")
    assert store.list() == [good]
    with pytest.raises(VoiceError, match="damaged"):
        store.get(bad.id)
    store.remove(bad.id)
    assert not (tmp_path / bad.id).exists()


def test_tensors_belong_to_a_voice_an_engine_and_its_weights(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path)
    record = store.add(REFERENCE)
    weights = "0123456789abcdef0123"
    assert store.tensors(record.id, "nano", weights) is None
    with store.workspace() as work:
        (work / "voice").write_bytes(b"tensors")
        kept = store.keep_tensors(record.id, "nano", weights, work / "voice")
    assert store.tensors(record.id, "nano", weights) == kept
    assert kept.name == "nano-0123456789abcdef.safetensors"
    assert store.tensors(record.id, "nano", "f" * 16) is None
    assert store.tensors(record.id, "seed-vc", weights) is None
    assert list(store.enrolled(record.id)) == ["nano-0123456789abcdef"]
    with pytest.raises(ValueError, match="plain word"):
        store.tensors(record.id, "../nano", weights)
    with store.workspace() as work:
        (work / "voice").write_bytes(b"tensors")
        store.remove(record.id)
        with pytest.raises(VoiceNotFoundError):
            store.keep_tensors(record.id, "nano", weights, work / "voice")
    assert temporaries(tmp_path) == []


def test_a_living_maker_is_not_swept(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path)
    with store.workspace() as work:
        assert VoiceStore(tmp_path).sweep() == 0
        assert work.is_dir()
    (tmp_path / ".tmp-left").mkdir()
    assert store.sweep() == 1
    assert temporaries(tmp_path) == []


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.delenv("SEEDVC_LIVE_VOICES", raising=False)
    assert default_folder() == Path("/data/seedvc-live/voices")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_folder() == Path.home() / ".local/share/seedvc-live/voices"
    monkeypatch.setenv("SEEDVC_LIVE_VOICES", "/elsewhere")
    assert default_folder() == Path("/elsewhere")


_WRITER = """
import sys
from pathlib import Path
from seedvc_live.service.voices import VoiceStore
store = VoiceStore(sys.argv[1])
print("ready", flush=True)
while True:
    one = store.add(Path(sys.argv[2]), "one")
    with store.workspace() as work:
        (work / "voice").write_bytes(bytes(100_000))
        store.keep_tensors(one.id, "nano", "0" * 16, work / "voice")
    two = store.add(Path(sys.argv[2]), "two")
    store.remove(one.id)
"""


def test_a_kill_at_any_moment_leaves_whole_voices_only(tmp_path: Path) -> None:
    """SIGKILL, at random moments, of a process that does nothing but add, enrol and remove."""
    draw = random.Random(5)
    left = 0
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(REFERENCE)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(draw.uniform(0.0, 0.02))
            process.send_signal(signal.SIGKILL)
            process.wait()
        left += len(temporaries(tmp_path))
        store = VoiceStore(tmp_path)
        assert temporaries(tmp_path) == []
        listed = store.list()
        assert {record.id for record in listed} == set(os.listdir(tmp_path))
        for record in listed:
            home = tmp_path / record.id
            assert json.loads((home / "voice.json").read_text())["name"] in {"one", "two"}
            assert (home / "reference.flac").stat().st_size == REFERENCE.stat().st_size
            for tensors in home.glob("*.safetensors"):
                assert tensors.stat().st_size == 100_000
    assert listed, "the writer never finished a voice: this shows nothing"
    assert left, "no kill came in the middle of anything: this shows nothing"
