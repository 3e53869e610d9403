"""GStreamerAudioBridge: the guide's interface, the ends of streams, errors, and no leaks."""

from __future__ import annotations

import gc
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.errors import InputError, MediaError, OutputError
from seedvc_live.media.bridge import GStreamerAudioBridge
from seedvc_live.media.load import load_audio
from tests.tools.audio import tone, wav_bytes


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "in.wav"
    path.write_bytes(wav_bytes(tone(30000, 22050), 22050))
    return path


def test_file_to_file_in_the_guides_loop(tmp_path: Path, speech: Path) -> None:
    bridge = GStreamerAudioBridge(sample_rate=22050)
    bridge.create_input_pipeline("file", input_file=str(speech))
    bridge.create_output_pipeline("file", output_file=str(tmp_path / "out.wav"))
    bridge.start()
    sizes = []
    deadline = time.monotonic() + 20
    while not bridge.ended and time.monotonic() < deadline:
        chunk = bridge.read_input(4096)
        if chunk is not None:
            sizes.append(len(chunk))
            bridge.write_output(chunk)
    bridge.stop()
    bridge.stop()
    assert sizes == [4096] * 7 + [30000 - 7 * 4096]
    assert bridge.read_input(10) is None
    assert np.array_equal(load_audio(tmp_path / "out.wav").samples, load_audio(speech).samples)
    assert bridge.stats["input"]["samples"] == bridge.stats["output"]["samples"] == 30000


def test_two_channels_pass_through(tmp_path: Path) -> None:
    path, frames = tmp_path / "in.wav", np.stack([tone(5000, 22050), tone(5000, 22050, 900)], axis=1)
    path.write_bytes(wav_bytes(frames, 22050))
    with GStreamerAudioBridge(22050, channels=2) as bridge:
        bridge.create_input_pipeline("file", input_file=path)
        bridge.create_output_pipeline("file", output_file=tmp_path / "out.wav")
        bridge.start()
        while not bridge.ended:
            chunk = bridge.wait_input(1000, 1.0)
            if chunk is not None:
                assert chunk.shape[1] == 2
                bridge.write_output(chunk)
    assert (tmp_path / "out.wav").read_bytes()[44:] == path.read_bytes()[44:]


def test_available_and_the_test_tone() -> None:
    with GStreamerAudioBridge(16000) as bridge:
        bridge.create_input_pipeline("test", frequency=500, seconds=1.01)
        bridge.start()
        first = bridge.wait_input(8000, 2.0)
        assert first is not None
        assert abs(np.argmax(np.abs(np.fft.rfft(first))) * 2 - 500) < 3
        deadline = time.monotonic() + 5
        while bridge.get_input_available() < 8160 and time.monotonic() < deadline:
            pass
        assert bridge.get_input_available() == 8160
        rest = bridge.wait_input(16000, 2.0)
        assert rest is not None
        assert len(rest) == 8160
        assert bridge.ended


def test_live_tone_keeps_real_time() -> None:
    with GStreamerAudioBridge(16000) as bridge:
        bridge.create_input_pipeline("test", live=True, seconds=0.5)
        bridge.start()
        begin = time.monotonic()
        got = bridge.wait_input(8000, 5.0)
        assert got is not None
        assert len(got) == 8000
        assert time.monotonic() - begin > 0.4


@pytest.mark.parametrize("kind", ["rtp", "udp"])
def test_a_file_through_the_network(tmp_path: Path, speech: Path, kind: str) -> None:
    receiver = GStreamerAudioBridge(22050)
    receiver.create_input_pipeline(kind, host="127.0.0.1", port=0)
    receiver.start()
    assert receiver.source is not None
    with GStreamerAudioBridge(22050) as sender:
        sender.create_input_pipeline("file", input_file=speech)
        sender.create_output_pipeline(kind, host="127.0.0.1", port=receiver.source.port)
        sender.start()
        while not sender.ended:
            chunk = sender.wait_input(2000, 1.0)
            if chunk is not None:
                sender.write_output(chunk)
    time.sleep(0.2)
    n = receiver.get_input_available()
    got = receiver.read_input(n)
    receiver.stop()
    assert got is not None
    x = load_audio(speech).samples
    assert abs(len(got) - len(x)) <= 2 * 441 + 50
    if kind == "udp":
        assert np.array_equal(got, x)
    else:
        lag = int(np.argmax(np.correlate(got[5000:15000], x[5000:10000], "valid")))
        a, b = got[5000 + lag : 9000 + lag], x[5000:9000]
        assert np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) > 0.99


def test_unknown_words_are_value_errors(tmp_path: Path) -> None:
    bridge = GStreamerAudioBridge()
    for call, words in (
        (lambda: bridge.create_input_pipeline("tape"), "known: file, rtp, udp, test, mic"),
        (lambda: bridge.create_output_pipeline("tape"), "known: file, rtp, udp, autoaudiosink"),
        (lambda: bridge.create_input_pipeline("file", file="a.wav"), "known: input_file"),
        (lambda: bridge.create_input_pipeline("rtp", port="x"), "port must be"),
        (lambda: bridge.create_output_pipeline("rtp", port=1, bitrate=1), "bitrate must be"),
        (lambda: bridge.create_input_pipeline("test", frequency=-1), "frequency must be"),
        (lambda: GStreamerAudioBridge(0), "must be positive"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_the_order_of_calls(speech: Path) -> None:
    bridge = GStreamerAudioBridge()
    with pytest.raises(MediaError, match="before start"):
        bridge.start()
    with pytest.raises(MediaError, match="before read_input"):
        bridge.read_input(1)
    with pytest.raises(MediaError, match="before write_output"):
        bridge.write_output(np.zeros(1, np.float32))
    bridge.create_input_pipeline("file", input_file=speech)
    bridge.start()
    with pytest.raises(MediaError, match="runs once"):
        bridge.start()
    with pytest.raises(ValueError, match="30 s"):
        bridge.read_input(10**9)
    bridge.stop()


def test_errors_reach_the_caller_and_leave_no_file(tmp_path: Path, speech: Path) -> None:
    bridge = GStreamerAudioBridge()
    bridge.create_input_pipeline("file", input_file=tmp_path / "none.wav")
    bridge.create_output_pipeline("file", output_file=tmp_path / "out.wav")
    with pytest.raises(InputError, match="no such file"):
        bridge.start()
    with pytest.raises(OutputError, match="does not exist"):
        GStreamerAudioBridge().create_output_pipeline("file", output_file=tmp_path / "x" / "out.wav")

    def interrupted(error: BaseException) -> None:
        with GStreamerAudioBridge() as other:
            other.create_input_pipeline("file", input_file=speech)
            other.create_output_pipeline("file", output_file=tmp_path / "out.wav")
            other.start()
            other.write_output(tone(100, 22050))
            raise error

    with pytest.raises(RuntimeError):
        interrupted(RuntimeError())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.wav"]
    with pytest.raises(KeyboardInterrupt):
        interrupted(KeyboardInterrupt())
    assert len(load_audio(tmp_path / "out.wav")) == 100


def test_the_microphone_and_speaker_without_a_device_say_so() -> None:
    """Where there is a device these open; where there is none the error names the matter."""
    for make in ("create_input_pipeline", "create_output_pipeline"):
        bridge = GStreamerAudioBridge()
        getattr(bridge, make)("mic" if "input" in make else "autoaudiosink")
        try:
            bridge.start()
        except (InputError, OutputError) as error:
            text = str(error)
            assert "no recording device" in text or "no playback device" in text
        bridge.stop()


def resources() -> tuple[int, int, int]:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    rss = int(status.split("VmRSS:")[1].split()[0])
    threads = int(status.split("Threads:")[1].split()[0])
    return len(os.listdir("/proc/self/fd")), threads, rss


def test_fifty_cycles_leave_nothing_behind(tmp_path: Path, speech: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

        def cycle(kinds: tuple[str, str]) -> None:
            bridge = GStreamerAudioBridge(22050)
            options = {"file": {"input_file": speech}}.get(kinds[0], {"host": "127.0.0.1", "port": 0})
            bridge.create_input_pipeline(kinds[0], **options)
            target = {"output_file": tmp_path / "out.wav"} if kinds[1] == "file" else {"port": port}
            bridge.create_output_pipeline(kinds[1], **target)
            bridge.start()
            chunk = bridge.wait_input(1000, 0.02)
            bridge.write_output(tone(1000, 22050) if chunk is None else chunk)
            bridge.stop()

        pairs = [("file", "file"), ("rtp", "rtp"), ("udp", "udp"), ("rtp", "file"), ("file", "rtp")]
        for pair in pairs * 6:  # until the allocator's arenas and GLib's thread pool have their size
            cycle(pair)
        before = resources()
        for i in range(50):
            cycle(pairs[i % len(pairs)])
        time.sleep(0.3)
        after = resources()
    assert after[0] <= before[0]
    assert after[1] <= before[1] + 5  # GLib keeps a few idle threads; a leak would be 50
    assert after[2] - before[2] < 6000  # kB
