"""OpusSink: samples into Opus in RTP packets (RFC 7587), whose time stamps count samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..audio.resample import StreamResampler
from .elements import Gst, audio_caps, caps, make
from .live_sink import MAX_BACKLOG_SECONDS, LiveSink
from .opus_source import OPUS_RATE
from .types import AudioArray

# A skip shorter than this is sent as silence: a receiver's concealment would only colour it.
_SHORT_SKIP_SECONDS = 0.1


@dataclass(frozen=True)
class OpusOptions:
    """How to encode.

    Attributes:
        bitrate: bit/s, 6000..510000.
        frame_ms: 10, 20, 40 or 60.
        payload_type: 96..127 (dynamic) by custom.
        expected_loss_percent: how much loss the in-band FEC is laid out for; 0 turns it off.

        complexity: 0..10; what the encoder may compute. At 5 about two thirds of what it computes at 10.

    Raises:
        ValueError: a value is out of range.
    """

    bitrate: int = 32000
    frame_ms: int = 20
    payload_type: int = 96
    expected_loss_percent: int = 10
    complexity: int = 10

    def __post_init__(self) -> None:
        if not 6000 <= self.bitrate <= 510000:
            raise ValueError(f"bitrate must be 6000..510000 bit/s, got {self.bitrate}")
        if self.frame_ms not in (10, 20, 40, 60):
            raise ValueError(f"frame_ms must be 10, 20, 40 or 60, got {self.frame_ms}")
        if not 0 <= self.payload_type <= 127:
            raise ValueError(f"payload_type must be 0..127, got {self.payload_type}")
        if not 0 <= self.complexity <= 10:
            raise ValueError(f"complexity must be 0..10, got {self.complexity}")
        if not 0 <= self.expected_loss_percent <= 100:
            raise ValueError(f"expected_loss_percent must be 0..100, got {self.expected_loss_percent}")


class OpusSink(LiveSink):
    """Encodes for voice, with in-band FEC. Subclasses push what `_encoding()` makes into the network.

    RTP time stamps count samples: each packet is one frame later than the one before, and after a skip of at
    least 100 ms later by the skip too. (Only the second packet of a stream is 312 samples earlier than that:
    opusenc dates the stream back by its look-ahead there.)
    """

    def __init__(
        self, label: str, rate: int, channels: int, options: OpusOptions, paced: bool, reanchor_seconds: float
    ) -> None:
        if channels not in (1, 2):
            raise ValueError(f"Opus over RTP has 1 or 2 channels, got {channels}")
        super().__init__(label, rate, OPUS_RATE, channels, paced, reanchor_seconds)
        self.options = options
        self._frame = OPUS_RATE * options.frame_ms // 1000
        self._short_skip = round(_SHORT_SKIP_SECONDS * OPUS_RATE)
        self._partial = np.zeros((0, channels), dtype=np.float32)
        self._position = 0  # media time of the next frame pushed, in samples at 48 kHz
        self._base_ns: int | None = None
        self._discont = True
        self._encoder: Any = None

    def _raw_caps(self) -> Any:
        """What is pushed into `_encoding()`."""
        return audio_caps("F32LE", OPUS_RATE, self.channels)

    def _encoding(self) -> list[Any]:
        """New elements from converter to RTP caps, in order, not yet in a pipeline."""
        options = self.options
        self._encoder = make(
            "opusenc",
            audio_type="voice",
            bitrate=options.bitrate,
            bitrate_type="constrained-vbr",
            frame_size=str(options.frame_ms),
            inband_fec=options.expected_loss_percent > 0,
            packet_loss_percentage=options.expected_loss_percent,
            perfect_timestamp=True,
            complexity=options.complexity,
        )
        payloader = make("rtpopuspay", pt=options.payload_type)
        rtp = caps(
            "application/x-rtp",
            media="audio",
            encoding_name="OPUS",
            payload=options.payload_type,
            clock_rate=OPUS_RATE,
        )
        return [make("audioconvert"), self._encoder, payloader, make("capsfilter", caps=rtp)]

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
        if self._pusher.level() > MAX_BACKLOG_SECONDS * OPUS_RATE * 4 * self.channels:
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
