"""OpusSource: Opus out of RTP packets (RFC 7587), on a time line that never slips."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any

import numpy as np

from .elements import Gst, audio_caps, make
from .live_source import LiveSource, silence
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


class Timeline:
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


class OpusSource(LiveSource):
    """What a jitter buffer gives, decoded and placed by its RTP time stamps.

    Lost packets are concealed by the decoder (PLC); what it does not conceal up to `max_fill_seconds` (DTX
    pauses, long bursts) is filled with silence; a longer gap is announced by `Chunk.gap_samples`. Placement
    is by RTP time stamps, so as many samples come out as media time has passed.

    Subclasses put `_decoding()` behind a jitter buffer that announces losses (`do-lost`), and call `_observe`
    with a pad that its ordered packets pass.
    """

    def __init__(
        self,
        label: str,
        rate: int,
        channels: int,
        inband_fec: bool,
        max_fill_seconds: float = 2.0,
        max_queue_seconds: float = 2.0,
    ) -> None:
        if channels not in (1, 2):
            raise ValueError(f"Opus over RTP has 1 or 2 channels, got {channels}")
        super().__init__(label, OPUS_RATE, rate, channels, max_queue_seconds)
        self.inband_fec = inband_fec
        self._max_fill = round(max_fill_seconds * OPUS_RATE)
        self._timeline = Timeline()
        self._jitter: Any = None
        self._decoder: Any = None
        self._probes: list[tuple[Any, int]] = []
        self._past: dict[str, int] = {}  # counters of pipelines before the last restart
        self._position: int | None = None  # RTP time at which the next sample belongs
        self._last_arrival = 0.0
        self._restarted = False
        self._dated_back = False
        self._packet = OPUS_RATE // 50  # samples in a packet of the sender's

    def decode_fec(self) -> None:
        """Recover single losses from the next packet from now on.

        The decoder then holds each packet back until the next one has come. Chunks are dated back by as much, so
        a reader that keeps its delay takes it out of its play-out's depth, and the delay stays what it was.
        """
        if not self.inband_fec and self._decoder is not None:
            self.inband_fec = self._dated_back = True
            self._decoder.set_property("use-inband-fec", True)

    @property
    def held(self) -> float:
        """Seconds that the decoder holds each packet back, for in-band FEC."""
        if not self.inband_fec:
            return 0.0
        return self._packet / OPUS_RATE

    @property
    def stats(self) -> SourceStats:
        result = super().stats
        live = self._counters()
        result.packets_received = live["num-pushed"] + live["num-late"] + live["num-duplicates"]
        result.packets_lost = live["num-lost"]
        result.packets_late = live["num-late"]
        result.packets_duplicate = live["num-duplicates"]
        result.concealed_samples += self._scaled(live["plc-num-samples"])
        return result

    # -- pipeline ----------------------------------------------------------------------------------

    def _decoding(self) -> list[Any]:
        """New elements from depayloader to appsink, in order, not yet in a pipeline."""
        self._decoder = make("opusdec", plc=True, use_inband_fec=self.inband_fec)
        # The decoder itself mixes to this; behind rtpopusdepay it would otherwise make two channels of any
        # stream.
        raw = make("capsfilter", caps=audio_caps("S16LE", OPUS_RATE, self.channels))
        sink = make("appsink", caps=audio_caps("F32LE", OPUS_RATE, self.channels), sync=False)
        sink.set_property("async", False)
        sink.set_property("enable-last-sample", False)
        return [make("rtpopusdepay"), self._decoder, raw, make("audioconvert"), sink]

    def _observe(self, pad: Any) -> None:
        """Note the time stamps of the ordered packets that pass the pad."""
        timeline = self._timeline

        def on_ordered(_: Any, info: Any) -> Any:
            buffer = info.get_buffer()
            timeline.note(buffer.pts, int.from_bytes(buffer.extract_dup(4, 4), "big"))
            return Gst.PadProbeReturn.OK

        self._probes.append((pad, pad.add_probe(Gst.PadProbeType.BUFFER, on_ordered)))

    def _forget(self) -> None:
        """Remove the probes and let go of the elements; their counters are kept."""
        self._past = self._counters()
        self._jitter = self._decoder = None
        for pad, probe in self._probes:
            pad.remove_probe(probe)
        self._probes.clear()

    def _counters(self) -> dict[str, int]:
        jitter, decoder = self._jitter, self._decoder
        names = dict.fromkeys(("num-pushed", "num-lost", "num-late", "num-duplicates"), jitter)
        names["plc-num-samples"] = decoder
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
        if self._dated_back:
            self._age = self.held
        if stamp is not None:
            self._packet = min(len(data) // self.channels, OPUS_RATE * 120 // 1000)
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
