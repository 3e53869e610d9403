"""FileSink: complete or absent; exact samples; every error before or at the call."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.errors import MediaError, OutputError
from seedvc_live.media.file_sink import FileSink
from seedvc_live.media.load import load_audio, save_audio
from tests.tools.audio import tone


@pytest.mark.parametrize(
    ("name", "kind", "step"),
    [
        ("a.wav", "s16", 2**-15),
        ("a.wav", "s24", 2**-23),
        ("a.wav", "f32", 0),
        ("a.flac", "s16", 2**-15),
        ("a.FLAC", "s24", 2**-23),
    ],
)
def test_what_is_written_is_read(tmp_path: Path, name: str, kind: str, step: float) -> None:
    x = tone(44100, 44100)
    sink = FileSink(tmp_path / name, 44100, sample_format=kind)
    sink.start()
    for at in range(0, len(x), 777):
        sink.write(x[at : at + 777])
    sink.skip(500)
    sink.finish()
    got = load_audio(tmp_path / name)
    assert (got.rate, len(got)) == (44100, 44600)
    assert np.abs(got.samples[:44100] - x).max() <= 1.5 * step + 1e-7
    assert np.all(got.samples[44100:] == 0)
    assert sink.stats.samples == 44100
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_header_has_the_length(tmp_path: Path) -> None:
    save_audio(tmp_path / "a.wav", Pcm(tone(1000, 16000), 16000))
    data = (tmp_path / "a.wav").read_bytes()
    assert len(data) == 2044
    assert struct.unpack("<I", data[4:8]) == (2036,)
    assert struct.unpack("<I", data[40:44]) == (2000,)


def test_dither_repeats_whatever_the_writes_and_spares_exact_samples(tmp_path: Path) -> None:
    x = tone(10000, 16000, level=0.01)
    files = []
    for size in (10000, 7, 480):
        sink = FileSink(tmp_path / "a.wav", 16000)
        sink.start()
        for at in range(0, len(x), size):
            sink.write(x[at : at + size])
        sink.finish()
        files.append((tmp_path / "a.wav").read_bytes())
    assert files[0] == files[1] == files[2]
    error = load_audio(tmp_path / "a.wav").samples * 32768 - x * 32768
    assert np.sqrt(np.mean(error**2)) == pytest.approx(0.5, abs=0.05)  # 1/12 + 2/12, squared
    exact = Pcm((np.arange(-500, 500) / 32768).astype(np.float32), 16000)
    save_audio(tmp_path / "b.wav", exact)
    assert np.array_equal(load_audio(tmp_path / "b.wav").samples, exact.samples)


def test_clipping_is_counted(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a.wav", 16000)
    sink.start()
    sink.write(np.array([0.0, 1.5, -2.0, 0.5], np.float32))
    sink.finish()
    assert sink.stats.clipped_samples == 2
    assert np.abs(load_audio(tmp_path / "a.wav").samples - [0, 1, -1, 0.5]).max() < 1e-4


def test_another_rate_and_two_channels(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a.wav", 24000, channels=2, file_rate=16000, sample_format="f32")
    sink.start()
    sink.write(np.stack([tone(24000, 24000), tone(24000, 24000, 700)], axis=1))
    sink.finish()
    got = load_audio(tmp_path / "a.wav")
    assert (got.rate, len(got)) == (16000, 16000)
    expected = (tone(16000, 16000) + tone(16000, 16000, 700)) / 2
    assert np.abs(got.samples - expected)[500:-500].max() < 1e-3


def test_nothing_appears_before_the_end_and_abort_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"what was there before")
    sink = FileSink(path, 16000)
    sink.start()
    sink.write(tone(16000, 16000))
    assert path.read_bytes() == b"what was there before"
    sink.abort()
    assert path.read_bytes() == b"what was there before"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(MediaError, match="finished"):
        sink.write(tone(10, 16000))
    sink.finish()
    sink.abort()


def test_errors_come_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "d.wav").mkdir()
    for path, words in (
        (tmp_path / "none" / "a.wav", "does not exist"),
        (tmp_path / "d.wav", "is a directory"),
        (tmp_path / "a.mp3", r"known are \.wav, \.flac"),
        (tmp_path / "a", "known are"),
    ):
        with pytest.raises(OutputError, match=words):
            FileSink(path, 16000)
    with pytest.raises(ValueError, match="hold"):
        FileSink(tmp_path / "a.flac", 16000, sample_format="f32")
    locked = tmp_path / "locked"
    locked.mkdir(0o555)
    if os.geteuid() != 0:
        with pytest.raises(OutputError, match="not allowed"):
            FileSink(locked / "a.wav", 16000)


def test_a_full_disk_is_reported_at_the_call() -> None:
    if not Path("/dev/full").exists():
        pytest.fail("this test needs /dev/full")
    from seedvc_live.media.elements import audio_caps, make
    from seedvc_live.media.pushing import Pusher

    chain = [make("wavenc"), make("filesink", location="/dev/full")]
    pusher = Pusher("'x.wav'", chain, audio_caps("S16LE", 16000, 1), False)
    pusher.start()

    def fill() -> None:
        for _ in range(200):
            pusher.wait_for_room(100_000, stall_seconds=5)
            pusher.push(bytes(32000))
        pusher.end(5)

    with pytest.raises(OutputError, match=r"'x\.wav': .*space") as caught:
        fill()
    pusher.close()
    assert caught.value.debug


def test_a_folder_removed_meanwhile_is_an_output_error(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    sink = FileSink(folder / "a.wav", 16000)
    sink.start()
    sink.write(tone(100, 16000))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(OutputError, match="cannot be completed"):
        sink.finish()


def test_a_killed_writer_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    program = (
        "import sys, time, numpy as np\n"
        "from seedvc_live.media.file_sink import FileSink\n"
        "sink = FileSink(sys.argv[1], 16000); sink.start()\n"
        "sink.write(np.zeros(160000, np.float32)); print('written', flush=True); time.sleep(60)\n"
    )
    peer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "a.wav")], stdout=subprocess.PIPE)
    assert peer.stdout is not None
    assert peer.stdout.readline() == b"written\n"
    time.sleep(0.1)
    peer.send_signal(signal.SIGKILL)
    peer.wait()
    peer.stdout.close()
    assert not (tmp_path / "a.wav").exists()


def test_no_audio_at_all(tmp_path: Path) -> None:
    save_audio(tmp_path / "a.wav", Pcm(np.zeros(0, np.float32), 16000))
    assert (tmp_path / "a.wav").stat().st_size == 44
    with pytest.raises(OutputError, match="no audio to write"):
        save_audio(tmp_path / "a.flac", Pcm(np.zeros(0, np.float32), 16000))
    assert not (tmp_path / "a.flac").exists()
