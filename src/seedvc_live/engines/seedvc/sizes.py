"""Streaming arithmetic: from settings in seconds to sizes in samples and frames.

`upstream_sizes` computes what the original real-time program computes. `exact_sizes` is what this engine
uses by default; it differs where the original's rounding shifts or stretches time:

- halves are rounded up, not to even (0.25 s stays 0.26 s instead of becoming 0.24 s);
- the frames dropped before the transformer are rounded, not truncated;
- the overlap is capped before the window is sized, so no surplus is squeezed into the chunk;
- no look-ahead is a valid choice;
- the chunk's mel frames cover the chunk, instead of ending short of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from seedvc_live.engines.base import Geometry
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.errors import SettingsError

UNITS_PER_SECOND = 50
"""Content frames per second; every size of a stream is a multiple of one."""

ENCODER_RATE = 16000
ENCODER_HOP = ENCODER_RATE // UNITS_PER_SECOND
ENCODER_WINDOW = 400
MAX_CROSSFADE_UNITS = 4


@dataclass(frozen=True)
class StreamSizes:
    """Sizes of one stream.

    Attributes:
        unit: samples in 20 ms at the stream's rate.
        block, crossfade, left, right: samples; `crossfade` as set, `overlap` as used (at most 80 ms).
        search: samples in which SOLA searches.
        window: samples of the input buffer.
        head, returned, tail: 20 ms units before the returned part, in it, and after it.
        dropped: content frames that the encoder sees and the transformer does not.
        mel_frames: mel frames generated.
        out_start, out_length: part of the vocoder's samples that is returned, at the model's rate.
    """

    unit: int
    block: int
    crossfade: int
    overlap: int
    search: int
    left: int
    right: int
    dropped: int
    mel_frames: int
    hop: int
    model_rate: int
    out_start: int
    out_length: int
    exact: bool

    @property
    def window(self) -> int:
        extra = self.overlap if self.exact else self.crossfade
        return self.left + extra + self.search + self.block + self.right

    @property
    def head(self) -> int:
        return self.left // self.unit

    @property
    def tail(self) -> int:
        return self.right // self.unit

    @property
    def returned(self) -> int:
        return (self.block + self.overlap + self.search) // self.unit

    @property
    def block_16k(self) -> int:
        return ENCODER_HOP * self.block // self.unit

    @property
    def window_16k(self) -> int:
        return ENCODER_HOP * self.window // self.unit

    @property
    def encoder_frames(self) -> int:
        """Frames of an encoder with 400-sample windows every 320 samples, without padding."""
        return (self.window_16k - ENCODER_WINDOW) // ENCODER_HOP + 1

    def geometry(self) -> Geometry:
        """The engine contract's view of it (stream rate = model rate)."""
        return Geometry(
            left_context=self.window - self.block - self.overlap - self.search - self.right,
            block=self.block,
            lookahead=self.right,
            crossfade=self.overlap,
            search=self.search,
            join="sola",
        )


def upstream_sizes(
    block: float,
    crossfade: float,
    context: float,
    dit_context: float,
    lookahead: float,
    *,
    rate: int,
    model_rate: int,
    hop: int,
) -> StreamSizes:
    """The original's sizes for settings in seconds, a stream rate and a model's rate (Hz) and hop.

    Raises:
        SettingsError: the look-ahead rounds to nothing, with which the original returns nothing.
    """
    unit = rate // UNITS_PER_SECOND

    def units(seconds: float) -> int:
        return round(seconds * rate / unit)

    block_units, cross_units, left, right = (units(s) for s in (block, crossfade, context, lookahead))
    if right == 0:
        raise SettingsError("lookahead", "setting 'lookahead': upstream's arithmetic needs at least 0.02 s")
    dropped = int((context - dit_context) * UNITS_PER_SECOND)
    overlap = min(cross_units, MAX_CROSSFADE_UNITS)
    returned = block_units + overlap + 1
    mel_frames = int((left + returned + right - dropped) / UNITS_PER_SECOND * model_rate // hop)
    out = returned * model_rate // UNITS_PER_SECOND
    tail = right * model_rate // UNITS_PER_SECOND
    return StreamSizes(
        unit=unit,
        block=block_units * unit,
        crossfade=cross_units * unit,
        overlap=overlap * unit,
        search=unit,
        left=left * unit,
        right=right * unit,
        dropped=dropped,
        mel_frames=mel_frames,
        hop=hop,
        model_rate=model_rate,
        out_start=mel_frames * hop - out - tail,
        out_length=out,
        exact=False,
    )


def exact_sizes(settings: SeedVCSettings, *, rate: int, hop: int) -> StreamSizes:
    """This engine's sizes for a model of `rate` Hz, a multiple of 50."""
    unit = rate // UNITS_PER_SECOND

    def units(seconds: float, least: int = 0) -> int:
        # A hair more than half: 0.25 s · 50 is 12.499999… as often as 12.5.
        return max(least, math.floor(seconds * UNITS_PER_SECOND + 0.5 + 1e-9))

    block = units(settings.block, 1)
    overlap = min(units(settings.crossfade, 1), MAX_CROSSFADE_UNITS, block)
    left, right = units(settings.context, 1), units(settings.lookahead)
    dropped = left - min(left, units(settings.dit_context, 1))
    returned = block + overlap + 1
    seen = (left + returned + right - dropped) * unit
    return StreamSizes(
        unit=unit,
        block=block * unit,
        crossfade=overlap * unit,
        overlap=overlap * unit,
        search=unit,
        left=left * unit,
        right=right * unit,
        dropped=dropped,
        mel_frames=-(-seen // hop),
        hop=hop,
        model_rate=rate,
        out_start=(left - dropped) * unit,
        out_length=returned * unit,
        exact=True,
    )
