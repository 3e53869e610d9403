"""Each kind of bad input gives one clear line; files cut short are read as far as they go."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.errors import InputError
from seedvc_live.media.file_source import FileSource
from seedvc_live.media.load import load_audio
from tests.tools.audio import encode, read_all, tone, wav_bytes


def error_of(path: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        load_audio(path, 22050)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_directory_empty_and_devices(tmp_path: Path) -> None:
    assert "no such file" in error_of(tmp_path / "none.wav")
    assert "is a directory" in error_of(tmp_path)
    (tmp_path / "e.wav").touch()
    assert "is empty (0 bytes)" in error_of(tmp_path / "e.wav")
    assert "not a regular file" in error_of("/dev/null")
    assert "not a file name" in error_of("a\0b.wav")


def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(tone(100, 16000), 16000))
    path.chmod(0)
    if os.geteuid() == 0:  # root reads everything: become somebody else for the moment
        os.seteuid(65534)
        try:
            message = error_of(path)
        finally:
            os.seteuid(0)
    else:
        message = error_of(path)
    assert "not allowed to read" in message


@pytest.mark.parametrize("content", [b"hello, this is text\n" * 50, bytes(range(256)) * 20, b"RIFF", b"\0" * 5000])
def test_not_audio(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert "a.wav" in error_of(path)


def test_header_without_audio(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(tone(0, 16000), 16000))
    assert "holds no audio" in error_of(path)
    path.write_bytes(wav_bytes(tone(1000, 16000), 16000)[:44])
    assert "holds no audio" in error_of(path)
    wav = tmp_path / "b.wav"
    wav.write_bytes(wav_bytes(tone(16000, 16000), 16000))
    for kind in ("flac", "mp3", "ogg", "opus", "m4a"):
        whole = encode(wav, tmp_path / f"b.{kind}", kind).read_bytes()
        (tmp_path / f"h.{kind}").write_bytes(whole[:90])
        assert f"h.{kind}" in error_of(tmp_path / f"h.{kind}")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, bad: float) -> None:
    x = tone(16000, 16000)
    x[8000] = bad
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(x, 16000, "f32"))
    assert "not a number at 0.500 s" in error_of(path)


@pytest.mark.parametrize("muxer", ["qtmux", "matroskamux"])
def test_pictures_without_sound(tmp_path: Path, muxer: str) -> None:
    path = tmp_path / "v.mp4"
    subprocess.run(
        [
            "gst-launch-1.0",
            "-q",
            "videotestsrc",
            "num-buffers=10",
            "!",
            "video/x-raw,width=64,height=64",
            "!",
            "jpegenc",
            "!",
            muxer,
            "!",
            "filesink",
            f"location={path}",
        ],
        check=True,
        capture_output=True,
    )
    assert "no audio track" in error_of(path)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "opus", "mp3"])
def test_cut_short_is_read_as_far_as_it_goes(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    x = (rng.standard_normal(10 * 16000) * 0.1).astype(np.float32)
    wav = tmp_path / "a.wav"
    wav.write_bytes(wav_bytes(x, 16000))
    path = wav if kind == "wav" else encode(wav, tmp_path / f"a.{kind}", kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    source = FileSource(path, 16000)
    y = read_all(source)
    assert 0.35 * len(x) < len(y) < 0.75 * len(x)
    assert source.truncated is not None
    assert "\n" not in source.truncated


def test_m4a_without_its_index_says_so(tmp_path: Path) -> None:
    wav = tmp_path / "a.wav"
    wav.write_bytes(wav_bytes(tone(48000, 16000), 16000))
    path = encode(wav, tmp_path / "a.m4a", "m4a")
    path.write_bytes(path.read_bytes()[:-2000])
    assert "nothing can be decoded, its 'm" in error_of(path)


def test_damage_in_the_middle_neither_hangs_nor_crashes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    wav = tmp_path / "a.wav"
    wav.write_bytes(wav_bytes((rng.standard_normal(32000) * 0.1).astype(np.float32), 16000))
    for kind in ("flac", "mp3", "ogg", "opus", "m4a"):
        path = encode(wav, tmp_path / f"a.{kind}", kind)
        data = bytearray(path.read_bytes())
        for at in rng.integers(len(data) // 3, len(data), 40):
            data[at] = int(rng.integers(256))
        path.write_bytes(bytes(data))
        try:
            assert len(load_audio(path)) > 0
        except InputError:
            error_of(path)


def test_a_source_starts_once_and_stops_often(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(tone(1000, 16000), 16000))
    source = FileSource(path)
    source.stop()
    source = FileSource(path)
    read_all(source)
    source.stop()
    assert source.stats.samples == 1000
