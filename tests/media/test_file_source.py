"""FileSource: every format, rate and width; counts exact; flat memory; hostile names."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.media.file_source import FileSource
from seedvc_live.media.load import load_audio
from tests.tools.audio import encode, read_all, tone, wav_bytes

TOLERANCE = {"u8": 0.01, "s16": 1e-4, "s24": 1e-6, "s32": 1e-6, "f32": 0.0, "f64": 1e-7}


@pytest.mark.parametrize("kind", list(TOLERANCE))
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_samples_arrive_unchanged(tmp_path: Path, kind: str, channels: int) -> None:
    x = tone(12345, 22050)
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(np.stack([x] * channels, axis=1), 22050, kind))
    source = FileSource(path)
    y = read_all(source)
    assert (source.rate, source.file_channels, len(y)) == (22050, channels, 12345)
    assert np.abs(y - x).max() <= TOLERANCE[kind] + 1e-7
    assert source.truncated is None
    assert source.stats.samples == 12345


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("target", [16000, 22050, 44100])
def test_resampled_counts_are_exact(tmp_path: Path, rate: int, target: int) -> None:
    n = round(0.37 * rate) + 1
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(tone(n, rate), rate))
    source = FileSource(path, target)
    y = read_all(source)
    assert source.decoded_samples == n
    assert abs(len(y) - n * target / rate) <= 1
    assert np.abs(y - tone(len(y), target))[200:-200].max() < 2e-3


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "opus", "m4a"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [16000, 48000])
def test_coded_formats(tmp_path: Path, kind: str, channels: int, rate: int) -> None:
    x = tone(rate, rate)
    wav = tmp_path / "a.wav"
    wav.write_bytes(wav_bytes(np.stack([x] * channels, axis=1), rate))
    source = FileSource(encode(wav, tmp_path / f"a.{kind}", kind), 24000)
    y = read_all(source)
    assert source.truncated is None
    if kind != "m4a":  # the AAC decoder makes two channels of one
        assert source.file_channels == channels
    assert source.file_rate is not None
    assert abs(len(y) - source.decoded_samples * 24000 / source.file_rate) <= 1
    # Codecs add or lose a frame or so at the ends (MP3: 1105 samples of decoder delay).
    assert abs(len(y) - 24000) < 0.16 * 24000
    middle = y[6000:16000] * np.hanning(10000)
    assert abs(np.argmax(np.abs(np.fft.rfft(middle))) * 2.4 - 440) < 3
    assert abs(np.sqrt(np.mean(y[6000:16000] ** 2) * 2) - 0.5) < 0.05


def test_mixing_is_a_mean_that_cannot_clip(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    frames = np.stack([np.full(1000, c, np.float32) for c in (1.0, 1.0, 1.0, 1.0, 0.5, -0.3)], axis=1)
    path.write_bytes(wav_bytes(frames, 48000, "f32"))
    assert np.allclose(read_all(FileSource(path)), frames.mean(axis=1), atol=1e-6)


def test_two_channels_stay_two(tmp_path: Path) -> None:
    left, right = tone(3000, 16000), tone(3000, 16000, 700)
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(np.stack([left, right], axis=1), 16000, "f32"))
    assert np.array_equal(read_all(FileSource(path, channels=2)), np.stack([left, right], axis=1))
    path.write_bytes(wav_bytes(left, 16000, "f32"))
    assert np.array_equal(read_all(FileSource(path, channels=2)), np.stack([left, left], axis=1))


@pytest.mark.parametrize(
    "name",
    [
        "with space.wav",
        "qu'o\"te.wav",
        "bang ! filesink location=x.wav",
        "größe-音声.wav",
        "a;b&c$d.wav",
        "-.wav",
    ],
)
def test_hostile_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(wav_bytes(tone(4000, 16000), 16000))
    assert len(load_audio(path)) == 4000
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_ten_minutes_read_slowly_stay_flat_and_whole(tmp_path: Path) -> None:
    rate, minutes = 16000, 10
    n = rate * 60 * minutes
    path = tmp_path / "long.wav"
    path.write_bytes(wav_bytes((np.arange(n) % 1000 / 1000).astype(np.float32), rate))
    source = FileSource(path)
    source.start()
    try:
        assert source.duration == pytest.approx(600, abs=0.01)
        first = source.read_chunk(1.0)
        assert first is not None
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        count, total = len(first), float(first.samples.sum(dtype=np.float64))
        while not source.ended:
            chunk = source.read_chunk(1.0)
            if chunk is not None:
                count += len(chunk)
                total += float(chunk.samples.sum(dtype=np.float64))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    finally:
        source.stop()
    assert count == n
    assert total == pytest.approx(n * 0.4995, rel=1e-4)
    assert grown < 16 * 1024  # kB; the file is 19 MB, its samples 38 MB


def test_a_reader_that_pauses_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    x = tone(40000, 16000)
    path.write_bytes(wav_bytes(x, 16000, "f32"))
    assert np.array_equal(read_all(FileSource(path), pause=0.02), x)


@pytest.mark.parametrize("size", [1, 100, 4801])
def test_very_short_files(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(tone(size, 48000), 48000))
    assert len(load_audio(path, 22050)) == pytest.approx(size * 22050 / 48000, abs=1)


def test_load_audio_stops_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    x = tone(48000, 16000)
    path.write_bytes(wav_bytes(x, 16000, "f32"))
    assert np.array_equal(load_audio(path, max_seconds=1.5).samples, x[:24000])
