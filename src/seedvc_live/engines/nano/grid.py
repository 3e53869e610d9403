"""The time grid of the nano engine: rates, hops, and which instant every frame stands for.

Output samples have 24 kHz, analysis works at 16 kHz. *Points* lie every 10 ms (240 output samples), at
multiples of 10 ms from the stream's begin; *steps* every 20 ms, step i standing for points 2i+1 and 2i+2.
A block starts at an even point.
"""

from __future__ import annotations

from dataclasses import dataclass

RATE = 24000
"""Output rate, Hz."""
HOP = 240
"""Output samples between points (10 ms)."""
STEP = 2 * HOP
"""Output samples in a step (20 ms)."""
ANALYSIS_RATE = 16000
"""Rate of the encoders and of the pitch tracker, Hz."""
ANALYSIS_HOP = 160
"""Analysis samples between points."""
FIRST_FRAME = 2
"""Point of a window's first spectrum frame: the first even one whose 25 ms lie inside the window."""


@dataclass(frozen=True)
class Layout:
    """What a window holds besides its block, in points: even numbers, so that steps stay on the grid.

    Attributes:
        context: before the block.
        lookahead: after the block.
    """

    context: int = 56
    lookahead: int = 8

    def __post_init__(self) -> None:
        if self.context % 2 or self.lookahead % 2 or self.context < FIRST_FRAME + 4 or self.lookahead < FIRST_FRAME + 2:
            raise ValueError(f"no such layout: {self}")

    def block_points(self, points: int) -> int:
        """Points of the block in a window of so many points."""
        return points - self.context - self.lookahead
