"""RtpSink, UdpSink and SpeakerSink: audio that leaves at once."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..audio.resample import StreamResampler
from ..errors import OutputError
from .device_source import configure_device, is_fake_device
from .elements import Gst, audio_caps, caps, make
from .pushing import Pusher, SinkBase, frames_of
from .rtp_source import OPUS_RATE
from .sockets import check_port, resolve
from .types import AudioArray
from .udp_source import RawFormat, check_format

_MAX_DATAGRAM = 1400
_MAX_BACKLOG_SECONDS = 5.0
# A skip shorter than this is sent as silence: a receiver's concealment would only colour it.
_SHORT_SKIP_SECONDS = 0.1


class _LiveSink(SinkBase):
    """Common to sinks that send or play: media time is counted in samples, and can be paced by the wall
    clock.

    Normally the caller paces (a session's play-out point), and `write` never waits. With `paced=True`,
    `write` itself waits until the audio is due; then a file can be played into the network.

    When writes stop for longer than `reanchor_seconds` without a `skip`, media time jumps to the present.
    """

    live = True

    def __init__(
        self, label: str, rate: int, native_rate: int, channels: int, paced: bool, reanchor_seconds: float
    ) -> None:
        super().__init__(label, rate, channels)
        self.native_rate = native_rate
        self.paced = paced
        self._reanchor = reanchor_seconds
        self._resampler = StreamResampler(rate, native_rate, channels, method="polyphase")
        self._origin: float | None = None  # monotonic time of media time 0
        self._written = 0  # media time, in samples at `rate`

    def write(self, samples: AudioArray) -> None:
        self._running()
        frames = frames_of(np.asarray(samples, dtype=np.float32), self.channels)
        if not self.paced:
            self._write(frames)
            return
        step = max(1, self.rate // 50)
        for at in range(0, len(frames), step):
            if self._origin is not None:
                time.sleep(max(0.0, self._origin + self._written / self.rate - time.monotonic()))
            self._write(frames[at : at + step])

    def skip(self, n: int) -> None:
        self._running()
        if n <= 0:
            return
        self._stats.skipped_samples += n
        self._written += n
        self._advance(n)

    def finish(self, timeout: float = 10.0) -> None:
        if self._done:
            return
        pusher = self._running()
        try:
            self._send(self._resampler.flush())
            self._flush()
            pusher.end(timeout)
        finally:
            self._count()
            self._close()

    def abort(self) -> None:
        self._count()
        self._close()

    def _write(self, frames: AudioArray) -> None:
        now = time.monotonic()
        if self._origin is None:
            self._origin = now
        behind = now - self._origin - self._written / self.rate
        if behind > self._reanchor:
            missing = round(behind * self.rate)
            self._written += missing
            self._advance(missing)
        self._written += len(frames)
        self._stats.samples += len(frames)
        self._send(self._resampler.push(frames))
        self._count()

    def _advance(self, n: int) -> None:
        """Pass over n samples (at `rate`) of media time."""
        shape = n if self.channels == 1 else (n, self.channels)
        self._send(self._resampler.push(np.zeros(shape, dtype=np.float32)))

    def _send(self, samples: AudioArray) -> None:
        raise AssertionError("_LiveSink is a base class")

    def _flush(self) -> None:
        """Send what waits for more."""

    def _count(self) -> None:
        """Bring the counters up to date."""


class RtpSink(_LiveSink):
    """Sends Opus over RTP (RFC 7587), tuned for voice, with in-band FEC.

    RTP time stamps count samples: each packet is one frame later than the one before, and after a skip of at
    least 100 ms later by the skip too. (Only the second packet of a stream is 312 samples earlier than that:
    opusenc dates the stream back by its look-ahead there.)

    Args:
        host, port: destination.
        rate: of the samples given to `write`, in Hz.
        bitrate: bit/s, 6000..510000.
        frame_ms: 10, 20, 40 or 60.
        payload_type: 96..127 (dynamic) by custom.
        expected_loss_percent: how much loss the FEC is laid out for; 0 turns it off.
        paced: see `_LiveSink`.
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
        if not 6000 <= bitrate <= 510000:
            raise ValueError(f"bitrate must be 6000..510000 bit/s, got {bitrate}")
        if frame_ms not in (10, 20, 40, 60):
            raise ValueError(f"frame_ms must be 10, 20, 40 or 60, got {frame_ms}")
        if not 0 <= payload_type <= 127:
            raise ValueError(f"payload_type must be 0..127, got {payload_type}")
        if not 0 <= expected_loss_percent <= 100:
            raise ValueError(f"expected_loss_percent must be 0..100, got {expected_loss_percent}")
        if channels not in (1, 2):
            raise ValueError(f"Opus over RTP has 1 or 2 channels, got {channels}")
        label = f"RTP to {host}:{check_port(port)}"
        super().__init__(label, rate, OPUS_RATE, channels, paced, reanchor_seconds)
        self.host, self.port = host, port
        self._settings = (bitrate, frame_ms, payload_type, expected_loss_percent)
        self._frame = OPUS_RATE * frame_ms // 1000
        self._short_skip = round(_SHORT_SKIP_SECONDS * OPUS_RATE)
        self._partial = np.zeros((0, channels), dtype=np.float32)
        self._position = 0  # media time of the next frame pushed, in samples at 48 kHz
        self._base_ns: int | None = None
        self._discont = True
        self._udp: Any = None

    def start(self) -> None:
        self._starting()
        bitrate, frame_ms, payload_type, loss = self._settings
        encoder = make(
            "opusenc",
            audio_type="voice",
            bitrate=bitrate,
            bitrate_type="constrained-vbr",
            frame_size=str(frame_ms),
            inband_fec=loss > 0,
            packet_loss_percentage=loss,
            perfect_timestamp=True,
        )
        payloader = make("rtpopuspay", pt=payload_type)
        self._udp = make("udpsink", host=resolve(self.host, self.port), port=self.port, sync=False)
        self._udp.set_property("async", False)
        rtp = caps(
            "application/x-rtp",
            media="audio",
            encoding_name="OPUS",
            payload=payload_type,
            clock_rate=OPUS_RATE,
        )
        chain = [make("audioconvert"), encoder, payloader, make("capsfilter", caps=rtp), self._udp]
        pusher = Pusher(self.label, chain, audio_caps("F32LE", OPUS_RATE, self.channels), is_live=True)
        self._pusher = pusher
        try:
            pusher.start()
        except BaseException:
            self.abort()
            raise

    def _send(self, samples: AudioArray) -> None:
        # Whole frames only: then the encoder never holds a part of one when media time jumps.
        data = np.concatenate([self._partial, samples.reshape(-1, self.channels)])
        whole = len(data) // self._frame * self._frame
        self._partial = data[whole:]
        for at in range(0, whole, self._frame):
            self._push(data[at : at + self._frame])

    def _push(self, frame: AudioArray) -> None:
        assert self._pusher is not None
        start = self._position
        self._position += len(frame)
        if self._pusher.level() > _MAX_BACKLOG_SECONDS * OPUS_RATE * 4 * self.channels:
            self._stats.dropped_samples += round(len(frame) * self.rate / OPUS_RATE)
            self._discont = True
            return
        if self._base_ns is None:
            running = self._pusher.source.get_current_running_time()
            self._base_ns = running if running != Gst.CLOCK_TIME_NONE else 0
        # From the total count, so that rounding does not add up.
        pts = start * Gst.SECOND // OPUS_RATE
        duration = self._position * Gst.SECOND // OPUS_RATE - pts
        self._pusher.push(frame.tobytes(), self._base_ns + pts, duration, self._discont)
        self._discont = False

    def _advance(self, n: int) -> None:
        native = round(n * OPUS_RATE / self.rate)
        if native < self._short_skip:
            super()._advance(n)
            return
        # What came before ends in silence up to its frame's end; the rest of the skip is a jump in time.
        self._send(self._resampler.flush())
        self._resampler = StreamResampler(self.rate, OPUS_RATE, self.channels, method="polyphase")
        padding = (-len(self._partial)) % self._frame
        self._send(np.zeros((padding, self.channels), dtype=np.float32))
        self._position += native - padding
        self._discont = True

    def _flush(self) -> None:
        padding = (-len(self._partial)) % self._frame
        self._send(np.zeros((padding, self.channels), dtype=np.float32))

    def _count(self) -> None:
        if self._udp is None or self._pusher is None:
            return
        self._stats.bytes = int(self._udp.get_property("bytes-served"))
        self._stats.packets = packets_sent(self._udp)


class UdpSink(_LiveSink):
    """Sends raw interleaved PCM in datagrams of at most 1400 bytes and whole frames.

    Args:
        host, port: destination.
        rate: of the samples given to `write`, in Hz.
        send_rate: rate on the wire in Hz, if another than `rate`.
        sample_format: "f32le" or "s16le".
        paced: see `_LiveSink`.
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
        limit = _MAX_BACKLOG_SECONDS * self.native_rate * self._dtype.itemsize * self.channels
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


class SpeakerSink(_LiveSink):
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
        if self._pusher.level() > _MAX_BACKLOG_SECONDS * self.rate * 4 * self.channels:
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
