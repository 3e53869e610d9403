"""UdpSource: raw PCM in datagrams of any size."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .elements import make, new_pipeline
from .live_source import LiveSource
from .sockets import check_port, listen
from .types import AudioArray

RawFormat = Literal["f32le", "s16le"]
_DTYPES: dict[str, np.dtype[Any]] = {"f32le": np.dtype("<f4"), "s16le": np.dtype("<i2")}
_LIMIT = 4.0  # 12 dB above full scale; anything beyond is not audio


def check_format(sample_format: str) -> np.dtype[Any]:
    """The NumPy type of a raw format.

    Raises:
        ValueError: neither f32le nor s16le.
    """
    if sample_format not in _DTYPES:
        raise ValueError(f"format must be f32le or s16le, got {sample_format!r}")
    return _DTYPES[sample_format]


def decode_datagram(data: bytes, dtype: np.dtype[Any], channels: int) -> tuple[AudioArray, int, int, int]:
    """Whole frames of a datagram as float32, shape (frames, channels), whatever its size.

    A datagram stands for itself: the next may be lost, so a broken sample at its end is dropped, never
    joined to the next one's beginning. Alignment is then never lost.

    Returns:
        (samples, bytes dropped, samples that were NaN or infinite and are 0 now, samples limited to ±4).
    """
    frame = dtype.itemsize * channels
    whole = len(data) // frame * frame
    raw = np.frombuffer(data, dtype=dtype, count=whole // dtype.itemsize).reshape(-1, channels)
    if dtype.kind == "i":
        return raw.astype(np.float32) / np.float32(32768.0), len(data) - whole, 0, 0
    samples = raw.astype(np.float32)
    finite = np.isfinite(samples)
    bad = int(samples.size - np.count_nonzero(finite))
    if bad:
        samples[~finite] = 0.0
    over = int(np.count_nonzero(np.abs(samples) > _LIMIT))
    if over:
        np.clip(samples, -_LIMIT, _LIMIT, out=samples)
    return samples, len(data) - whole, bad, over


class UdpSource(LiveSource):
    """Receives raw interleaved PCM on a UDP port.

    Args:
        port: UDP port; 0 lets the system choose (see `port` after `start()`).
        host: address to listen on.
        rate: target rate in Hz.
        sender_rate: rate of the datagrams' samples in Hz; default: `rate`.
        sender_channels: interleaved channels in the datagrams; they are mixed to mono unless equal to
            `channels`.
        sample_format: "f32le" or "s16le".
    """

    def __init__(
        self,
        port: int,
        host: str = "0.0.0.0",
        rate: int = 22050,
        *,
        channels: int = 1,
        sender_rate: int | None = None,
        sender_channels: int | None = None,
        sample_format: RawFormat = "f32le",
        max_queue_seconds: float = 2.0,
    ) -> None:
        self._dtype = check_format(sample_format)
        self.sender_channels = channels if sender_channels is None else sender_channels
        if not 1 <= self.sender_channels <= 64:
            raise ValueError(f"sender_channels must be 1..64, got {self.sender_channels}")
        if channels not in (1, self.sender_channels):
            raise ValueError(f"{self.sender_channels} channels cannot become {channels}")
        super().__init__(f"UDP port {check_port(port)}", sender_rate or rate, rate, channels, max_queue_seconds)
        self.host = host
        self.port = port
        self._socket: Any = None

    def _build(self) -> tuple[Any, Any]:
        self._socket, self.port = listen(self.host, self.port)
        self.label = f"UDP port {self.port}"
        source = make("udpsrc", socket=self._socket, close_socket=False)
        # No caps and no converter: a datagram of an odd size would make audioconvert stop the pipeline.
        sink = make("appsink", sync=False)
        sink.set_property("async", False)
        sink.set_property("enable-last-sample", False)
        pipeline = new_pipeline(source, sink)
        source.link(sink)
        return pipeline, sink

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _handle(self, sample: Any) -> None:
        buffer = sample.get_buffer()
        data = buffer.extract_dup(0, buffer.get_size())
        frames, dropped, bad, over = decode_datagram(data, self._dtype, self.sender_channels)
        with self._changed:
            self._stats.packets_received += 1
            self._stats.dropped_bytes += dropped
            self._stats.nonfinite_samples += bad
            self._stats.clipped_samples += over
        if len(frames) == 0:
            return
        if self.channels == 1:
            self._deliver(frames[:, 0] if self.sender_channels == 1 else frames.mean(axis=1, dtype=np.float32))
        else:
            self._deliver(frames)
