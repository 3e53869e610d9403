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
        self._ahead = 0  # samples that are no longer needed when they arrive
        # The head is what a first block lacks: its left context.
        self._pending = np.zeros(geometry.left_context, dtype=np.float32)

    @property
    def framed(self) -> int:
        """Samples whose blocks have been returned."""
        return self._start

    def push(self, samples: Samples) -> list[Frame]:
        """Add samples, shape (n,); return the frames they completed, oldest first."""
        self.received += len(samples)
        unneeded = min(self._ahead, len(samples))
        self._ahead -= unneeded
        self._pending = np.concatenate((self._pending, np.asarray(samples[unneeded:], dtype=np.float32)))
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

    def force(self) -> Frame:
        """The next frame, though not all of it has arrived: silence stands in for the rest.

        Samples that arrive later still serve as context of the following frames.
        """
        frame = np.zeros(self.geometry.window, dtype=np.float32)
        have = min(len(self._pending), self.geometry.window)
        frame[:have] = self._pending[:have]
        start, self._start = self._start, self._start + self.geometry.block
        self._ahead += max(0, self.geometry.block - len(self._pending))
        self._pending = self._pending[self.geometry.block :].copy()
        return Frame(start, frame)

    def silence(self, samples: int) -> list[Frame]:
        """`samples` of the stream are missing: zeros stand in for them."""
        return self.push(np.zeros(samples, dtype=np.float32))

    def jump(self, samples: int) -> None:
        """`samples` of the stream are missing: blocks begin anew behind them, without context."""
        self.received += samples
        self._start = self.received
        self._ahead = 0
        self._pending = np.zeros(self.geometry.left_context, dtype=np.float32)

    def _cut(self, limit: int | None = None) -> list[Frame]:
        geometry, offset = self.geometry, 0
        frames: list[Frame] = []
        while len(self._pending) - offset >= geometry.window and (limit is None or len(frames) < limit):
            frames.append(Frame(self._start, self._pending[offset : offset + geometry.window].copy()))
            self._start += geometry.block
            offset += geometry.block
        if offset:
            self._pending = self._pending[offset:].copy()
        return frames
