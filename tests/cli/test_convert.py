"""`seedvc-live convert` as a user calls it, with good and bad input."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from seedvc_live import LiveConverter, load_engine
from seedvc_live.media.sources import FileSource
from tests.tools.peers import command, read_wav, run_command, write_wav

RATE = 16_000


def noise(seconds: float, rate: int = RATE, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(1).uniform(-1, 1, int(seconds * rate))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "source.wav", noise(2.0), RATE)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "reference.wav", noise(2.0), RATE)


def convert(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return run_command("convert", "--engine", "passthrough", *words)


def assert_one_line(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    assert done.returncode == status, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("seedvc-live: error: ")
    for word in words:
        assert word in lines[0], lines[0]


def test_a_report_in_json_and_as_many_samples_as_the_source(source, reference, tmp_path) -> None:
    out = tmp_path / "out.wav"
    done = convert(source, reference, out, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["samples_in"] == report["samples_out"] == 2 * 48_000
    assert {"engine", "model", "source", "reference", "output", "audio_seconds", "compute_seconds"} <= set(report)
    assert {"real_time_factor", "algorithmic_latency_ms", "playout_ms", "blocks", "late_blocks"} <= set(report)
    assert {"lost_packets", "concealed_seconds"} <= set(report)
    samples, rate = read_wav(out)
    assert (len(samples), rate) == (2 * 48_000, 48_000)


@pytest.mark.parametrize("engine", ["passthrough", "nano"])
def test_file_output_equals_the_live_converter(engine, source, reference, tmp_path) -> None:
    """Up to the rounding of the WAV's 16 bits (dithered, so two steps)."""
    out = tmp_path / "out.wav"
    done = run_command("convert", "--engine", engine, "--seed", "3", source, reference, out)
    assert done.returncode == 0, done.stderr
    converter = load_engine(engine)
    media = FileSource(reference)
    media.start()
    clip = []
    while not media.ended:
        chunk = media.read_chunk(1.0)
        if chunk is not None:
            clip.append(chunk.samples)
    media.stop()
    from seedvc_live.audio.pcm import Pcm

    voice = converter.enroll(Pcm(np.concatenate(clip), RATE))
    live = LiveConverter(converter, voice, seed=3)
    pieces = []
    media = FileSource(source, converter.sample_rate)
    media.start()
    while not media.ended:
        chunk = media.read_chunk(1.0)
        if chunk is not None:
            pieces.append(live.push(chunk.samples))
    media.stop()
    expected = np.concatenate([*pieces, live.flush()])
    samples, _ = read_wav(out)
    assert len(samples) == len(expected)
    assert float(np.max(np.abs(samples - np.clip(expected, -1, 1)))) <= 2.5 / 32768


def test_another_rate_is_asked_for(source, reference, tmp_path) -> None:
    out = tmp_path / "out.flac"
    assert convert(source, reference, out, "--rate", "44100").returncode == 0
    media = FileSource(out)
    media.start()
    assert media.file_rate == 44_100
    media.stop()


@pytest.mark.parametrize("name", ["a b.wav", 'it\'s "so"!.wav', "größe-声.wav", "-dash.wav", "50%.wav"])
def test_hostile_names_just_work(name, source, reference, tmp_path) -> None:
    moved = source.rename(tmp_path / name)
    out = tmp_path / f"out {name}"
    done = convert("--", moved, reference, out)
    assert done.returncode == 0, done.stderr
    assert out.exists()


def make_bad(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "directory":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no audio\n" * 50)
    elif kind == "header-only":
        write_wav(path, noise(1.0), RATE)
        path.write_bytes(path.read_bytes()[:40])
    elif kind == "zero-length":
        write_wav(path, np.zeros(0), RATE)
    elif kind == "nan":
        write_float_wav(path, np.where(np.arange(RATE) == 8000, np.nan, 0.1))
    return path


def write_float_wav(path: Path, samples: np.ndarray) -> None:
    data = samples.astype("<f4").tobytes()
    header = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    header += (3).to_bytes(2, "little") + (1).to_bytes(2, "little") + RATE.to_bytes(4, "little")
    header += (4 * RATE).to_bytes(4, "little") + (4).to_bytes(2, "little") + (32).to_bytes(2, "little")
    path.write_bytes(header + b"data" + len(data).to_bytes(4, "little") + data)


@pytest.mark.parametrize("role", ["source", "reference"])
@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "text", "header-only", "zero-length", "nan"])
def test_bad_files_give_one_line_and_leave_nothing(kind, role, source, reference, tmp_path) -> None:
    bad = make_bad(kind, tmp_path)
    out = tmp_path / "out.wav"
    files = (bad, reference) if role == "source" else (source, bad)
    done = convert(*files, out)
    assert_one_line(done, 1, bad.name if kind != "zero-length" or role == "source" else "")
    assert not out.exists()
    assert sorted(os.listdir(tmp_path)) == sorted(
        {"source.wav", "reference.wav"} | ({bad.name} if bad.exists() else set())
    )


@pytest.mark.parametrize(
    ("clip", "words"), [(np.zeros(2 * RATE), ("silent",)), (noise(0.5), ("0.50 s", "at least 1 s"))]
)
def test_references_that_are_no_voice(clip, words, source, tmp_path) -> None:
    bad = write_wav(tmp_path / "bad.wav", clip, RATE)
    out = tmp_path / "out.wav"
    assert_one_line(convert(source, bad, out), 1, *words)
    assert not out.exists()


def test_an_existing_output_survives_a_failure(source, tmp_path) -> None:
    out = write_wav(tmp_path / "out.wav", noise(1.0), RATE)
    before = out.read_bytes()
    assert convert(tmp_path / "missing.wav", source, out).returncode == 1
    assert out.read_bytes() == before


def test_output_same_as_input_is_refused(source, reference, tmp_path) -> None:
    link = tmp_path / "link.wav"
    link.symlink_to(source)
    before = source.read_bytes()
    for output, word in ((source, "source"), (link, "source"), (reference, "reference")):
        assert_one_line(convert(source, reference, output), 1, "same file", word)
    assert source.read_bytes() == before


@pytest.mark.parametrize("target", ["missing/out.wav", "out.mp5", "folder.wav"])
def test_outputs_that_cannot_be_written(target, source, reference, tmp_path) -> None:
    (tmp_path / "folder.wav").mkdir()
    assert_one_line(convert(source, reference, tmp_path / target), 1, target.split("/")[0])


def test_wrong_usage_is_status_two(source, reference, tmp_path) -> None:
    out = tmp_path / "out.wav"
    assert_one_line(run_command("convert", source, reference, out, "--engine", "mega"), 2, "mega", "nano")
    assert_one_line(convert(source, reference, out, "--set", "colour=red"), 2, "colour", "known")
    assert_one_line(convert(source, reference, out, "--block", "99"), 2, "block", "2.0")
    assert_one_line(convert(source, reference, out, "--model", "x"), 1, "model")
    assert_one_line(convert(source, reference), 2, "OUTPUT")
    assert_one_line(convert(source, reference, out, "--loud"), 2, "--loud")
    assert_one_line(run_command("sing"), 2, "sing")
    assert not out.exists()


def test_a_file_cut_short_is_converted_as_far_as_it_goes(source, reference, tmp_path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(source.read_bytes()[: 44 + 2 * RATE])
    out = tmp_path / "out.wav"
    done = convert(cut, reference, out)
    assert done.returncode == 0
    assert "warning" in done.stderr
    assert len(read_wav(out)[0]) == 48_000
    out.unlink()
    assert_one_line(convert(cut, reference, out, "--strict"), 1, "cut.wav")
    assert not out.exists()


def test_traceback_only_when_asked_for(tmp_path) -> None:
    done = convert(tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "c.wav", "--log-level", "debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_interrupting_a_conversion_leaves_a_whole_file(reference, tmp_path) -> None:
    import signal
    import time

    long = write_wav(tmp_path / "long.wav", noise(600.0, 48_000), 48_000)
    out = tmp_path / "out.wav"
    process = subprocess.Popen(
        command("convert", "--engine", "passthrough", long, reference, out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not any(n.startswith(".") or "out" in n for n in os.listdir(tmp_path)):
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode in {0, 130}
    samples, rate = read_wav(out)
    assert rate == 48_000
    assert 0 < len(samples) <= 600 * 48_000
