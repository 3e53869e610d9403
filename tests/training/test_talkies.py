"""Games' files as this test writes them: lines come out, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile")

import soundfile

from training import corpus, talkies


def _tone(seconds: float, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * 300 * np.arange(round(seconds * talkies.RATE)) / talkies.RATE)


def _eight_bits(samples: np.ndarray) -> bytes:
    return np.round(128 + 127 * samples).astype(np.uint8).tobytes()


def _sky(folder: Path, lines: dict[int, bytes]) -> None:
    index, disk = len(lines).to_bytes(4, "little"), b""
    for number, (key, data) in enumerate(lines.items()):
        entry = bytes(22) + data
        # One with its offset in bytes, the next in paragraphs.
        disk += bytes(-len(disk) % 16)
        offset = len(disk) >> 4 | 1 << 23 if number % 2 else len(disk)
        index += key.to_bytes(2, "little") + offset.to_bytes(3, "little") + len(entry).to_bytes(3, "little")
        disk += entry
    (folder / "sky.dnr").write_bytes(index)
    (folder / "sky.dsk").write_bytes(disk)


def test_sky(tmp_path: Path) -> None:
    tone = _tone(0.5)
    _sky(tmp_path, {17: b"picture", 50_003: _eight_bits(tone), 51_000: _eight_bits(-tone), 59_000: b"music"})
    lines = dict(talkies.sky(tmp_path))
    assert list(lines) == ["sky-50003", "sky-51000"]
    np.testing.assert_allclose(talkies.sky_samples(lines["sky-50003"]), tone, atol=0.012)
    np.testing.assert_allclose(talkies.sky_samples(lines["sky-51000"]), -tone, atol=0.012)


def test_queen(tmp_path: Path) -> None:
    file = io.BytesIO()
    soundfile.write(file, _tone(1.0), talkies.RATE, format="MP3")
    files = {"020001P2.SB": file.getvalue(), "ZOMBIE1.DOG": b"text"}
    at = 15 + 21 * len(files)
    table, data = b"", b""
    for name, content in files.items():
        table += name.encode().ljust(12, b"\0") + b"\1" + (at + len(data)).to_bytes(4, "big")
        table += len(content).to_bytes(4, "big")
        data += content
    (tmp_path / "queen.1c").write_bytes(b"QTBLCEM10\0\0\0\1" + len(files).to_bytes(2, "big") + table + data)
    ((name, entry),) = talkies.queen(tmp_path)
    assert name == "queen-020001P2"
    samples = talkies.queen_samples(entry)
    assert abs(len(samples) - talkies.RATE) < 0.3 * talkies.RATE
    assert np.argmax(np.abs(np.fft.rfft(samples, talkies.RATE))) == pytest.approx(300, abs=2)


def test_drascula(tmp_path: Path) -> None:
    tone = _tone(0.5)
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "12.ALS").write_bytes(bytes(32) + _eight_bits(tone) + bytes(64))
    (tmp_path / "en" / "12.ALG").write_bytes(b"picture")
    ((name, entry),) = talkies.drascula(tmp_path)
    assert name == "drascula-12"
    np.testing.assert_allclose(talkies.drascula_samples(entry), tone, atol=0.012)


def test_trimmed_keeps_the_sound_and_a_tenth_of_a_second_around_it() -> None:
    tone = np.pad(_tone(1.0), (3 * talkies.RATE, 2 * talkies.RATE))
    kept = talkies.trimmed(tone + 0.1)
    assert len(kept) / talkies.RATE == pytest.approx(1.2, abs=0.05)
    assert abs(kept.mean()) < 0.01
    assert len(talkies.trimmed(np.zeros(talkies.RATE, np.float32))) == 0
    assert len(talkies.trimmed(np.zeros(0, np.float32))) == 0


def test_fewer_lines_are_out_of_all_games(tmp_path: Path) -> None:
    for name in ("drascula-1", "drascula-2", "queen-1", "queen-2", "sky-1", "sky-2"):
        (tmp_path / f"{name}.flac").touch()
    assert [clip.name for clip in corpus.acted(tmp_path, 3)] == ["drascula-1", "queen-1", "sky-1"]
    assert len(corpus.acted(tmp_path)) == len(corpus.acted(tmp_path, 9)) == 6
    assert corpus.acted(tmp_path / "none") == []


def test_written_lines_are_the_corpus_of_actors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second or more each; a second run keeps what there is."""
    data = tmp_path / "data"
    data.mkdir()
    _sky(data, {50_001: _eight_bits(_tone(1.5)), 50_002: _eight_bits(_tone(0.4))})
    monkeypatch.setattr(talkies, "GAMES", {"game": talkies.GAMES["beneath-a-steel-sky"]})
    monkeypatch.setattr(talkies, "fetch", lambda package, folder: data)
    for _ in range(2):
        talkies.write(tmp_path / "acted", tmp_path, 1)
    (clip,) = corpus.acted(tmp_path / "acted")
    assert clip.narrow
    assert clip.name == "sky-50001"
    _, heard = corpus.read(clip)
    assert len(heard) == pytest.approx(1.5 * 16000, rel=0.01)
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.03)
