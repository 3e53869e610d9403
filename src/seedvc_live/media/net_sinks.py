"""RtpSink, UdpSink and SpeakerSink: audio that leaves at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import OutputError
from .device_source import configure_device, is_fake_device
from .elements import Gst, audio_caps, make
from .live_sink import MAX_BACKLOG_SECONDS, LiveSink
from .opus_sink import OpusOptions, OpusSink
from .opus_source import OPUS_RATE
from .pushing import Pusher
from .sockets import check_port, resolve
from .types import AudioArray
from .udp_source import RawFormat, check_format

_MAX_DATAGRAM = 1400


class RtpSink(OpusSink):
    """Sends Opus over RTP to one destination. For time stamps see `OpusSink`.

    Args:
        host, port: destination.
        rate: of the samples given to `write`, in Hz.
        bitrate, frame_ms, payload_type, expected_loss_percent: see `OpusOptions`.
        paced: see `LiveSink`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        rate: int = OPUS_RATE,
        *,
        channels: int = 1,
        bitrate: int = 32000,
        frame_ms: int = 20,
        payload_type: int = 96,
        expected_loss_percent: int = 10,
        paced: bool = False,
        reanchor_seconds: float = 0.5,
    ) -> None:
        options = OpusOptions(bitrate, frame_ms, payload_type, expected_loss_percent)
        super().__init__(f"RTP to {host}:{check_port(port)}", rate, channels, options, paced, reanchor_seconds)
        self.host, self.port = host, port
        self._udp: Any = None

    def start(self) -> None:
        self._starting()
        self._udp = make("udpsink", host=resolve(self.host, self.port), port=self.port, sync=False)
        self._udp.set_property("async", False)
        self._pusher = Pusher(self.label, [*self._encoding(), self._udp], self._raw_caps(), is_live=True)
        try:
            self._pusher.start()
        except BaseException:
            self.abort()
            raise

    def _count(self) -> None:
        if self._udp is None or self._pusher is None:
            return
        self._stats.bytes = int(self._udp.get_property("bytes-served"))
        self._stats.packets = packets_sent(self._udp)


class UdpSink(LiveSink):
    """Sends raw interleaved PCM in datagrams of at most 1400 bytes and whole frames.

    Args:
        host, port: destination.
        rate: of the samples given to `write`, in Hz.
        send_rate: rate on the wire in Hz, if another than `rate`.
        sample_format: "f32le" or "s16le".
        paced: see `LiveSink`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        rate: int = 22050,
        *,
        channels: int = 1,
        send_rate: int | None = None,
        sample_format: RawFormat = "f32le",
        paced: bool = False,
        reanchor_seconds: float = 0.5,
    ) -> None:
        self._dtype = check_format(sample_format)
        label = f"UDP to {host}:{check_port(port)}"
        super().__init__(label, rate, send_rate or rate, channels, paced, reanchor_seconds)
        self.host, self.port = host, port
        self._frames_per_datagram = max(1, _MAX_DATAGRAM // (self._dtype.itemsize * channels))
        self._udp: Any = None

    def start(self) -> None:
        self._starting()
        self._udp = make("udpsink", host=resolve(self.host, self.port), port=self.port, sync=False)
        self._udp.set_property("async", False)
        self._pusher = Pusher(self.label, [self._udp], None, is_live=True)
        try:
            self._pusher.start()
        except BaseException:
            self.abort()
            raise

    def _send(self, samples: AudioArray) -> None:
        assert self._pusher is not None
        if self._dtype.kind == "i":
            self._stats.clipped_samples += int(np.count_nonzero(np.abs(samples) > 1.0))
            wire = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
        else:
            wire = samples.astype("<f4")
        limit = MAX_BACKLOG_SECONDS * self.native_rate * self._dtype.itemsize * self.channels
        for at in range(0, len(wire), self._frames_per_datagram):
            part = wire[at : at + self._frames_per_datagram]
            if self._pusher.level() > limit:
                self._stats.dropped_samples += round(len(part) * self.rate / self.native_rate)
            else:
                self._pusher.push(part.tobytes())

    def _count(self) -> None:
        if self._udp is None or self._pusher is None:
            return
        self._stats.bytes = int(self._udp.get_property("bytes-served"))
        self._stats.packets = packets_sent(self._udp)


class SpeakerSink(LiveSink):
    """Plays on the default device.

    Args:
        buffer_ms: the device's buffer; small for low delay.
    """

    def __init__(
        self,
        rate: int = 22050,
        *,
        channels: int = 1,
        buffer_ms: int = 40,
        paced: bool = False,
        reanchor_seconds: float = 0.1,
    ) -> None:
        super().__init__("speaker", rate, rate, channels, paced, reanchor_seconds)
        self._buffer_us = buffer_ms * 1000
        self._position = 0
        self._base_ns: int | None = None
        self._discont = True

    def start(self) -> None:
        self._starting()
        advice = "no playback device can be opened (is PulseAudio, PipeWire or ALSA set up?)"
        device = make("autoaudiosink")
        buffer_us = self._buffer_us

        def on_child(_: Any, child: Any, __: str) -> None:
            configure_device(child, buffer_us)

        device.connect("child-added", on_child)
        chain = [make("audioconvert"), make("audioresample"), device]
        self._pusher = Pusher(self.label, chain, audio_caps("F32LE", self.rate, self.channels), is_live=True)
        try:
            try:
                self._pusher.start()
                self._pusher.bus.wait_for_end(0.2)
                self._pusher.check()
            except OutputError as error:
                found = OutputError(f"speaker: {advice}")
                found.debug = error.debug
                raise found from error
            if is_fake_device(device):
                raise OutputError(f"speaker: {advice}")
        except BaseException:
            self.abort()
            raise

    def _send(self, samples: AudioArray) -> None:
        assert self._pusher is not None
        start = self._position
        self._position += len(samples)
        if len(samples) == 0:
            return
        if self._pusher.level() > MAX_BACKLOG_SECONDS * self.rate * 4 * self.channels:
            self._stats.dropped_samples += len(samples)
            self._discont = True
            return
        if self._base_ns is None:
            running = self._pusher.source.get_current_running_time()
            self._base_ns = running if running != Gst.CLOCK_TIME_NONE else 0
        pts = start * Gst.SECOND // self.rate
        duration = self._position * Gst.SECOND // self.rate - pts
        self._pusher.push(samples.tobytes(), self._base_ns + pts, duration, self._discont)
        self._discont = False

    def _advance(self, n: int) -> None:
        self._position += n
        self._discont = True


def packets_sent(udp: Any) -> int:
    """Datagrams a udpsink has sent to its one destination."""
    found = udp.emit("get-stats", udp.get_property("host"), udp.get_property("port"))
    known, count = found.get_uint64("packets-sent")
    return int(count) if known else 0
