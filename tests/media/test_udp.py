"""Raw UDP: datagrams of any size do no harm, and what is sent is what is received."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.errors import InputError
from seedvc_live.media.net_sinks import UdpSink
from seedvc_live.media.udp_source import UdpSource, decode_datagram
from tests.tools.audio import drain, tone


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        yield sock


@given(data=st.binary(max_size=4000), kind=st.sampled_from(["<f4", "<i2"]), channels=st.integers(1, 3))
def test_any_bytes_become_finite_whole_frames(data: bytes, kind: str, channels: int) -> None:
    dtype = np.dtype(kind)
    frames, dropped, bad, over = decode_datagram(data, dtype, channels)
    size = dtype.itemsize * channels
    assert frames.shape == (len(data) // size, channels)
    assert dropped == len(data) % size
    assert np.all(np.isfinite(frames))
    assert np.abs(frames).max(initial=0) <= 4
    raw = np.frombuffer(data[: len(data) - dropped], dtype)
    if kind == "<f4":
        assert bad == np.count_nonzero(~np.isfinite(raw))
        assert over == np.count_nonzero(np.abs(raw[np.isfinite(raw)]) > 4)


def test_odd_empty_and_huge_datagrams_leave_the_stream_aligned(sock: socket.socket) -> None:
    source = UdpSource(0, "127.0.0.1", 22050)
    source.start()
    x = tone(16000, 22050)
    for data in (x[:1].tobytes(), b"", x[:250].tobytes() + b"\7", os.urandom(3), x[:16376].tobytes()[:65504]):
        sock.sendto(data, ("127.0.0.1", source.port))
    got, gaps = drain(source)
    source.stop()
    expected = np.concatenate([x[:1], x[:250], x[: 65504 // 4]])
    assert np.array_equal(got, expected)
    assert gaps == []
    assert source.stats.dropped_bytes == 4
    assert source.stats.packets_received == 5


def test_bad_numbers_are_mended_and_counted(sock: socket.socket) -> None:
    source = UdpSource(0, "127.0.0.1", 22050)
    source.start()
    data = np.array([0.5, np.nan, np.inf, -np.inf, 100.0, -9.0, 1.5], "<f4")
    sock.sendto(data.tobytes(), ("127.0.0.1", source.port))
    got, _ = drain(source)
    source.stop()
    assert got.tolist() == [0.5, 0, 0, 0, 4, -4, 1.5]
    assert (source.stats.nonfinite_samples, source.stats.clipped_samples) == (3, 2)


@pytest.mark.parametrize("sample_format", ["f32le", "s16le"])
@pytest.mark.parametrize("channels", [1, 2])
def test_from_sink_to_source(sample_format: str, channels: int) -> None:
    source = UdpSource(0, "127.0.0.1", 22050, sample_format=sample_format, sender_channels=channels)
    source.start()
    sink = UdpSink("127.0.0.1", source.port, 22050, channels=channels, sample_format=sample_format)
    sink.start()
    x = tone(5000, 22050)
    for at in range(0, 5000, 333):
        part = x[at : at + 333]
        sink.write(part if channels == 1 else np.stack([part] * channels, axis=1))
    sink.skip(100)
    sink.finish()
    got, _ = drain(source)
    source.stop()
    assert len(got) == 5100
    assert np.abs(got[:5000] - x).max() <= 1 / 32768
    assert np.all(got[5000:] == 0)
    assert sink.stats.packets == source.stats.packets_received
    assert sink.stats.bytes == 5100 * channels * (4 if sample_format == "f32le" else 2)


def test_datagrams_are_small_and_whole(sock: socket.socket) -> None:
    sink = UdpSink("127.0.0.1", sock.getsockname()[1], 16000, channels=3)
    sink.start()
    sink.write(np.zeros((1000, 3), np.float32))
    sink.finish()
    sizes: list[int] = []
    while sum(sizes) < 12000:
        sizes.append(len(sock.recv(65536)))
    assert sum(sizes) == 12000
    assert max(sizes) <= 1400
    assert all(size % 12 == 0 for size in sizes)


def test_rates_are_converted(sock: socket.socket) -> None:
    source = UdpSource(0, "127.0.0.1", 22050, sender_rate=16000, sample_format="s16le")
    source.start()
    x = np.rint(tone(16000, 16000) * 32767).astype("<i2")
    for at in range(0, 16000, 320):
        sock.sendto(x[at : at + 320].tobytes(), ("127.0.0.1", source.port))
    got, _ = drain(source)
    source.stop()
    tail, _ = drain(source, quiet=0.0)
    assert abs(len(got) + len(tail) - 22050) <= 1
    assert np.abs(got - tone(len(got), 22050))[200:-200].max() < 1e-3


def test_port_and_arguments() -> None:
    first = UdpSource(0, "127.0.0.1")
    first.start()
    with pytest.raises(InputError, match=f"port {first.port} is in use"):
        UdpSource(first.port, "127.0.0.1").start()
    first.stop()
    for wrong in ({"port": -1}, {"sample_format": "mp3"}, {"rate": 0}, {"sender_channels": 0}):
        with pytest.raises(ValueError, match="must be"):
            UdpSource(**{"port": 5004, **wrong})
    with pytest.raises(ValueError, match="cannot become"):
        UdpSource(5004, channels=2, sender_channels=3)


def test_stopping_wakes_the_reader() -> None:
    import threading

    source = UdpSource(0, "127.0.0.1")
    source.start()
    threading.Timer(0.1, source.stop).start()
    begin = time.monotonic()
    assert source.read_chunk(5.0) is None
    assert time.monotonic() - begin < 3
    assert source.ended
