"""`seedvc-live voices`, and stored voices as references of other commands."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from seedvc_live.service.voices import VoiceStore
from tests.tools.audio import tone, wav_bytes
from tests.tools.peers import command, run_command

CLIPS = Path(__file__).parents[1] / "data" / "clips"
with as_file(files("seedvc_live") / "data" / "reference.flac") as _path:
    REFERENCE = _path


def test_add_list_show_remove(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    where = ("--voices", folder)
    added = run_command("voices", "add", CLIPS / "chromium.webm", "--name", "Ann", "--json", *where)
    assert added.returncode == 0, added.stderr
    voice = json.loads(added.stdout)
    assert voice["name"] == "Ann"
    assert voice["seconds"] == pytest.approx(4.2, abs=0.1)
    second = run_command("voices", "add", CLIPS / "tagged.mp3", "--engine", "nano", *where)
    assert second.returncode == 0, second.stderr
    id = second.stdout.strip()

    listed = json.loads(run_command("voices", "list", "--json", *where).stdout)
    assert listed["folder"] == str(folder)
    assert [entry["id"] for entry in listed["voices"]] == [voice["id"], id]
    assert [entry["name"] for entry in listed["voices"]] == ["Ann", "tagged"]
    assert id in run_command("voices", "list", *where).stdout

    shown = json.loads(run_command("voices", "show", id, "--json", *where).stdout)
    assert Path(shown["reference"]).is_file()
    assert [name.split("-")[0] for name in shown["enrolled"]] == ["nano"]
    assert "tagged" in run_command("voices", "show", id, *where).stdout

    assert run_command("voices", "remove", voice["id"], id, *where).returncode == 0
    assert VoiceStore(folder).list() == []


def test_errors_are_one_line_and_nothing_is_stored(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    (tmp_path / "tone.wav").write_bytes(wav_bytes(tone(32000, 16000), 16000))
    kept = VoiceStore(folder).add(REFERENCE)
    for words, status, says in [
        (("add", tmp_path / "tone.wav"), 1, "no speech"),
        (("add", tmp_path / "none.wav"), 1, "No such file"),
        (("add", tmp_path), 1, "directory"),
        (("show", "../../x"), 1, "no voice"),
        (("remove", "a" * 16, kept.id), 1, "no voice"),
        (("remove",), 2, "ID"),
        (("add",), 2, "CLIP"),
        (("add", tmp_path / "tone.wav", "--engine", "none"), 2, "--engine"),
        (("sing",), 2, "sing"),
    ]:
        done = run_command("voices", *words, *(("--voices", folder) if status == 1 else ()))
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert done.stderr.startswith("seedvc-live: error: ")
        assert done.stderr.count("\n") == 1
        assert says in done.stderr
    assert VoiceStore(folder).list() == [kept]


def test_a_stored_voice_is_a_reference(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path / "voices")
    record = store.add(REFERENCE)
    source = tmp_path / "source.wav"
    source.write_bytes(wav_bytes(tone(16000, 16000), 16000))

    def convert(reference: object, output: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command("convert", source, str(reference), tmp_path / output),
            capture_output=True, text=True, check=False, env={**os.environ, "SEEDVC_LIVE_VOICES": str(store.folder)},
        )  # fmt: skip

    for reference, output in ((REFERENCE, "clip.wav"), (record.id, "stored.wav"), (record.id, "again.wav")):
        done = convert(reference, output)
        assert done.returncode == 0, done.stderr
    assert len(store.enrolled(record.id)) == 1
    assert (tmp_path / "clip.wav").read_bytes() == (tmp_path / "stored.wav").read_bytes()
    assert (tmp_path / "clip.wav").read_bytes() == (tmp_path / "again.wav").read_bytes()
    done = convert("b" * 16, "none.wav")
    assert done.returncode == 1
    assert "no voice" in done.stderr
