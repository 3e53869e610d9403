"""The original real-time program's way to join blocks, and its loop around the engine.

For comparisons only: it starts from silence, fades the first block in, and prefers the first maximum
of the correlation even where the signals already agree.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Samples
from seedvc_live.audio.sola import cos2_fade
from seedvc_live.engines.base import State, Voice, Window
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.settings import SeedVCSettings

_FLOOR = 1e-8


def correlation(samples: Samples, tail: Samples, search: int) -> npt.NDArray[np.float64]:
    """Normalised correlation at offsets 0 … search, shape (search + 1,)."""
    size = len(tail)
    span = samples[: size + search].astype(np.float64)
    energy = np.convolve(span * span, np.ones(size), mode="valid")
    return np.asarray(np.correlate(span, tail.astype(np.float64), mode="valid") / np.sqrt(energy + _FLOOR))


class UpstreamJoiner:
    """SOLA with a zero start: converted samples of one window in, `block` samples out."""

    def __init__(self, block: int, overlap: int, search: int) -> None:
        self.block, self.overlap, self.search = block, overlap, search
        self.fade = cos2_fade(overlap)
        self.tail = np.zeros(overlap, np.float32)
        self.last_offset = 0

    def accept(self, samples: Samples) -> Samples:
        """(block + overlap + search,) → (block,)."""
        self.last_offset = int(np.argmax(correlation(samples, self.tail, self.search)))
        placed = samples[self.last_offset :].copy()
        head = placed[: self.overlap]
        placed[: self.overlap] = head * self.fade + self.tail * (1 - self.fade)
        self.tail = placed[self.block : self.block + self.overlap].copy()
        return placed[: self.block]


class UpstreamStream:
    """The original's loop: blocks of input in, as many samples out, each time at once.

    The first block comes out converted from silence and its lookahead; output lags by the algorithmic
    latency, without compensation.
    """

    def __init__(self, engine: SeedVCEngine, voice: Voice, settings: SeedVCSettings, seed: int = 0) -> None:
        self.engine, self.voice, self.settings, self.seed = engine, voice, settings, seed
        self.geometry = engine.geometry(settings, voice)
        self.joiner = UpstreamJoiner(self.geometry.block, self.geometry.crossfade, self.geometry.search)
        self.buffer = np.zeros(self.geometry.window, np.float32)
        self.state: State | None = None
        self.blocks = 0
        self.last_converted = np.zeros(0, np.float32)

    def push(self, block: Samples) -> Samples:
        """One block of input, (geometry.block,), gives one block of output."""
        size = self.geometry.block
        self.buffer = np.concatenate([self.buffer[size:], block.astype(np.float32)])
        ahead = self.geometry.algorithmic_latency
        start = (self.blocks + 1) * size - ahead
        window = Window(start, self.buffer, self.voice, self.settings, self.seed, self.state)
        converted = self.engine.convert([window])[0]
        self.state, self.blocks = converted.state, self.blocks + 1
        self.last_converted = converted.samples
        return self.joiner.accept(converted.samples)
