"""The time grid of the nano engine: rates, hops, and which instant every frame stands for.

Output samples have 24 kHz, analysis works at 16 kHz. *Points* lie every 10 ms (240 output samples), at
multiples of 10 ms from the stream's begin; *steps* every 20 ms, step i standing for points 2i+1 and 2i+2.
A block starts at an even point.
"""

from __future__ import annotations

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
CONTEXT_POINTS = 80
"""Points of a window before its block (0.8 s)."""
LOOKAHEAD_POINTS = 8
"""Points of a window after its block (80 ms)."""
FIRST_FRAME = 2
"""Point of a window's first spectrum frame: the first even one whose 25 ms lie inside the window."""
