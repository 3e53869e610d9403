"""Framer: cuts a stream of samples into blocks with their context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.base import Geometry


@dataclass(frozen=True, eq=False)
class Frame:
    """A stretch of a stream that is ready to be converted.

    Attributes:
        start: absolute index of the block's first sample.
        samples: shape (geometry.window,); zeros before the stream's begin and after its end.
    """

    start: int
    samples: Samples


class Framer:
    """Cuts a stream into overlapping frames, one per block.

    Block k covers the samples [k·block, (k+1)·block). Its frame is complete, and returned, as soon as its
    lookahead (and crossfade and search) has arrived. Memory is bounded by one frame plus one push.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.received = 0
        """Samples pushed so far."""
        self._start = 0
        # The head is what a first block lacks: its left context.
        self._pending = np.zeros(geometry.left_context, dtype=np.float32)

    @property
    def framed(self) -> int:
        """Samples whose blocks have been returned."""
        return self._start

    def push(self, samples: Samples) -> list[Frame]:
        """Add samples, shape (n,); return the frames they completed, oldest first."""
        self.received += len(samples)
        self._pending = np.concatenate((self._pending, np.asarray(samples, dtype=np.float32)))
        return self._cut()

    def flush(self) -> list[Frame]:
        """End of stream: the frames of all samples not yet returned, completed by silence.

        The last block may reach beyond `received`; whoever joins blocks cuts it there. Calling it again
        returns nothing.
        """
        frames: list[Frame] = []
        while self._start < self.received:
            missing = self.geometry.window - len(self._pending)
            self._pending = np.concatenate((self._pending, np.zeros(max(missing, 0), dtype=np.float32)))
            frames += self._cut(limit=1)
        return frames

    def _cut(self, limit: int | None = None) -> list[Frame]:
        geometry, frames, offset = self.geometry, [], 0
        while len(self._pending) - offset >= geometry.window and (limit is None or len(frames) < limit):
            frames.append(Frame(self._start, self._pending[offset : offset + geometry.window].copy()))
            self._start += geometry.block
            offset += geometry.block
        if offset:
            self._pending = self._pending[offset:].copy()
        return frames
