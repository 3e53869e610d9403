"""Joiner: puts converted blocks together into one stream."""

from __future__ import annotations

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.audio.sola import best_offset, cos2_fade, crossfade
from seedvc_live.engines.base import Block, Geometry
from seedvc_live.errors import EngineError


class Joiner:
    """Joins a stream's blocks in order: block in, `geometry.block` samples out.

    Each block's tail (its samples beyond the block) is kept and blended with the head of the next, which
    converts the same instant again. A first block, or one that does not follow the last, starts unfaded.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self._fade = cos2_fade(geometry.crossfade)
        self._tail: Samples | None = None
        self._next = 0
        self.last_offset = 0
        """Where SOLA placed the last block, samples."""

    def accept(self, block: Block) -> Samples:
        """Join one block; return its samples, shape (geometry.block,).

        Raises:
            EngineError: the block has another length than the geometry promises.
        """
        geometry = self.geometry
        if block.samples.shape != (geometry.converted,):
            raise EngineError(
                f"an engine returned a block of shape {block.samples.shape}, expected ({geometry.converted},)"
            )
        samples = np.asarray(block.samples, dtype=np.float32)
        tail = self._tail if block.start == self._next else None
        self.last_offset = 0
        if tail is not None and geometry.crossfade:
            self.last_offset = best_offset(samples, tail, geometry.search)
            samples = samples[self.last_offset :].copy()
            samples[: geometry.crossfade] = crossfade(tail, samples[: geometry.crossfade], self._fade)
        self._tail = samples[geometry.block : geometry.block + geometry.crossfade].copy()
        self._next = block.start + geometry.block
        return samples[: geometry.block]
