"""RtpSource: Opus over RTP (RFC 3550, RFC 7587) from one sender, on a time line that never slips."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any

import numpy as np

from .elements import Gst, audio_caps, caps, link, make, new_pipeline
from .live_source import LiveSource, silence
from .sockets import check_port, listen
from .types import SourceStats

OPUS_RATE = 48000
"""RFC 7587: the RTP clock of Opus is 48 kHz whatever was encoded, so a time stamp counts our samples
exactly.
"""

_WRAP = 1 << 32
# A time stamp that jumps back further than this starts a new time line; less is an overlap to trim.
_MAX_BACK = OPUS_RATE
# What is delivered may be this far (10 ms) from the time stamps before it is mended: some senders' stamps
# jitter, and GStreamer's opusenc shortens the first packet by its look-ahead. The distance does not add up.
_SLACK = OPUS_RATE // 100


class _Gate:
    """Looks at each packet before the jitter buffer: one sender only. Runs in udpsrc's thread."""

    def __init__(self, takeover_seconds: float) -> None:
        self.takeover_seconds = takeover_seconds
        self.lock = threading.Lock()
        self.ssrc: int | None = None
        self.last_seen = 0.0
        self.received = 0
        self.rejected = 0
        self.switch_to: int | None = None

    def admit(self, packet: bytes, now: float) -> bool:
        """Whether the packet (its first 12 bytes) belongs to the sender listened to."""
        with self.lock:
            # Version 2; payload types 72-76 are RTCP on the same port (RFC 5761).
            if len(packet) < 12 or packet[0] >> 6 != 2 or 72 <= packet[1] & 0x7F <= 76:
                self.rejected += 1
                return False
            ssrc = int.from_bytes(packet[8:12], "big")
            if self.ssrc is None:
                self.ssrc = ssrc
            if ssrc != self.ssrc:
                # A new sender may take over only from one that has fallen silent.
                if now - self.last_seen >= self.takeover_seconds:
                    self.switch_to = ssrc
                else:
                    self.rejected += 1
                return False
            self.last_seen = now
            self.received += 1
            return True


class _Timeline:
    """Which RTP time stamp each decoded buffer had: the jitter buffer's PTS is the key that survives
    decoding.

    PTS itself is no measure of media time: the jitter buffer bends it to follow the sender's clock.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._stamps: OrderedDict[int, int] = OrderedDict()
        self._last: int | None = None

    def note(self, pts: int, stamp: int) -> None:
        with self.lock:
            if self._last is not None:  # extend the 32-bit time stamp by its shortest way from the last one
                step = (stamp - self._last) % _WRAP
                stamp = self._last + (step if step < _WRAP // 2 else step - _WRAP)
            self._last = stamp
            self._stamps[pts] = stamp
            while len(self._stamps) > 512:
                self._stamps.popitem(last=False)

    def take(self, pts: int) -> int | None:
        with self.lock:
            return self._stamps.pop(pts, None)


class RtpSource(LiveSource):
    """Receives Opus/RTP on a UDP port.

    Lost packets are concealed by the decoder (PLC); what it does not conceal up to `max_fill_seconds` (DTX
    pauses, long bursts) is filled with silence; a longer gap is announced by `Chunk.gap_samples`. Placement
    is by RTP time stamps, so as many samples come out as media time has passed.

    Packets that arrive in order pass without delay; `latency_ms` is how long a missing one is waited for.

    Args:
        port: UDP port; 0 lets the system choose (see `port` after `start()`).
        host: address to listen on.
        rate: target rate in Hz.
        latency_ms: jitter buffer depth.
        inband_fec: recover single losses from the next packet. Costs one more frame of delay.
        takeover_seconds: after so much silence another SSRC is accepted as the sender, restarted.
    """

    def __init__(
        self,
        port: int,
        host: str = "0.0.0.0",
        rate: int = OPUS_RATE,
        *,
        channels: int = 1,
        latency_ms: int = 40,
        inband_fec: bool = False,
        takeover_seconds: float = 1.0,
        max_fill_seconds: float = 2.0,
        max_queue_seconds: float = 2.0,
    ) -> None:
        if not 0 <= latency_ms <= 10000:
            raise ValueError(f"latency_ms must be 0..10000, got {latency_ms}")
        if channels not in (1, 2):
            raise ValueError(f"Opus over RTP has 1 or 2 channels, got {channels}")
        super().__init__(f"RTP port {check_port(port)}", OPUS_RATE, rate, channels, max_queue_seconds)
        self.host = host
        self.port = port
        self.latency_ms = latency_ms
        self.inband_fec = inband_fec
        self._max_fill = round(max_fill_seconds * OPUS_RATE)
        self._socket: Any = None
        self._gate = _Gate(takeover_seconds)
        self._timeline = _Timeline()
        self._jitter: Any = None
        self._decoder: Any = None
        self._probes: list[tuple[Any, int]] = []
        self._past: dict[str, int] = {}  # counters of pipelines before the last restart
        self._position: int | None = None  # RTP time at which the next sample belongs
        self._last_arrival = 0.0
        self._restarted = False
        self._concealed_at_zero = 0

    @property
    def ssrc(self) -> int | None:
        """The sender listened to."""
        return self._gate.ssrc

    @property
    def stats(self) -> SourceStats:
        result = super().stats
        live = self._counters()
        result.packets_lost = live["num-lost"]
        result.packets_late = live["num-late"]
        result.packets_duplicate = live["num-duplicates"]
        result.concealed_samples += self._scaled(live["plc-num-samples"])
        with self._gate.lock:
            result.packets_received = self._gate.received
            result.packets_rejected = self._gate.rejected
        return result

    # -- pipeline ----------------------------------------------------------------------------------

    def _build(self) -> tuple[Any, Any]:
        if self._socket is None:
            self._socket, self.port = listen(self.host, self.port)
            self.label = f"RTP port {self.port}"
        source = make("udpsrc", socket=self._socket, close_socket=False)
        source.set_property(
            "caps", caps("application/x-rtp", media="audio", clock_rate=OPUS_RATE, encoding_name="OPUS")
        )
        jitter = make(
            "rtpjitterbuffer",
            latency=self.latency_ms,
            do_lost=True,
            post_drop_messages=True,
        )
        depay = make("rtpopusdepay")
        decoder = make("opusdec", plc=True, use_inband_fec=self.inband_fec)
        # The decoder itself mixes to this; behind rtpopusdepay it would otherwise make two channels of any
        # stream.
        raw = make("capsfilter", caps=audio_caps("S16LE", OPUS_RATE, self.channels))
        convert = make("audioconvert")
        sink = make("appsink", caps=audio_caps("F32LE", OPUS_RATE, self.channels), sync=False)
        sink.set_property("async", False)
        sink.set_property("enable-last-sample", False)
        pipeline = new_pipeline(source, jitter, depay, decoder, raw, convert, sink)
        link(source, jitter, depay, decoder, raw, convert, sink)

        gate, timeline = self._gate, self._timeline

        def on_packet(_: Any, info: Any) -> Any:
            admitted = gate.admit(info.get_buffer().extract_dup(0, 12), time.monotonic())
            return Gst.PadProbeReturn.OK if admitted else Gst.PadProbeReturn.DROP

        def on_ordered(_: Any, info: Any) -> Any:
            buffer = info.get_buffer()
            timeline.note(buffer.pts, int.from_bytes(buffer.extract_dup(4, 4), "big"))
            return Gst.PadProbeReturn.OK

        inlet, outlet = source.get_static_pad("src"), jitter.get_static_pad("src")
        self._probes = [
            (inlet, inlet.add_probe(Gst.PadProbeType.BUFFER, on_packet)),
            (outlet, outlet.add_probe(Gst.PadProbeType.BUFFER, on_ordered)),
        ]
        self._jitter, self._decoder = jitter, decoder
        return pipeline, sink

    def _release(self) -> None:
        self._past = self._counters()
        self._jitter = self._decoder = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _close(self) -> None:
        for pad, probe in self._probes:
            pad.remove_probe(probe)
        self._probes.clear()
        super()._close()

    def _counters(self) -> dict[str, int]:
        names = {"num-lost": self._jitter, "num-late": self._jitter, "num-duplicates": self._jitter}
        names["plc-num-samples"] = self._decoder
        totals = {}
        for name, element in names.items():
            value = 0
            if element is not None:
                structure = element.get_property("stats")
                known, found = structure.get_uint64(name)
                value = found if known else 0
            totals[name] = self._past.get(name, 0) + value
        return totals

    # -- in the pull thread ------------------------------------------------------------------------

    def _handle(self, sample: Any) -> None:
        buffer = sample.get_buffer()
        data = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), dtype="<f4")
        samples = data if self.channels == 1 else data.reshape(-1, self.channels)
        stamp = self._timeline.take(buffer.pts)
        now = time.monotonic()
        if stamp is not None:
            if self._position is None:
                missing = round((now - self._last_arrival) * OPUS_RATE) - len(samples) if self._restarted else 0
                self._bridge(max(0, missing))
                self._position = stamp
                self._restarted = False
            error = stamp - self._position
            if error < -_MAX_BACK:
                self._gap(0)
                self._position = stamp
            elif error <= -_SLACK:
                samples = samples[-error:]  # already concealed
            elif error >= _SLACK:
                self._bridge(error)
                self._position = stamp
            self._position += len(samples)
        elif self._position is None:
            return
        else:
            self._position += len(samples)
        self._last_arrival = now
        if len(samples):
            self._deliver(samples)

    def _bridge(self, missing: int) -> None:
        """Fill a gap of so many samples, or announce it."""
        if missing > self._max_fill:
            # A time stamp can jump further than time has passed; the reader's clock cannot.
            self._gap(min(missing, round((time.monotonic() - self._last_arrival) * OPUS_RATE)))
        elif missing:
            self._deliver(silence(missing, self.channels))
            with self._changed:
                self._stats.filled_samples += self._scaled(missing)

    def _between(self) -> None:
        if self._gate.switch_to is None:
            return
        # A fresh jitter buffer and decoder on the same socket: nothing of the old sender's state is left,
        # and the packets that arrive meanwhile wait in the kernel.
        self._past = self._counters()
        self._jitter = self._decoder = None
        self._close()
        with self._gate.lock:
            self._gate.ssrc, self._gate.switch_to = self._gate.switch_to, None
            self._gate.last_seen = time.monotonic()
        self._timeline = _Timeline()
        self._position = None
        self._restarted = True
        with self._changed:
            self._stats.restarts += 1
        self._open()
