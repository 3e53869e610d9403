"""What the filters shape: a band-limited pulse train at the pitch, and white noise.

Both have the same flat spectrum on average (unit power at the output rate), so a filter's gain is the
spectral envelope itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import grid

Array = npt.NDArray[np.float32]

_ORIGIN = 1 << 40
"""Keeps the noise's counter positive for instants before a stream's begin."""


def pulses(log_f0: Array, voicing: Array, phase: float) -> tuple[Array, npt.NDArray[np.float64]]:
    """A pulse train: the sum of all harmonics below half the rate, in closed form.

    Args:
        log_f0: natural log of Hz at points 0 … n, shape (n + 1,).
        voicing: amplitude 0 … 1 at the same points.
        phase: of the fundamental at point 0, in cycles.

    Returns:
        samples, shape (n × HOP,), and the phase in cycles at each point, shape (n + 1,), float64.
    """
    n = len(log_f0) - 1
    ramp = np.arange(grid.HOP) / grid.HOP
    start, end = log_f0[:-1, None].astype(np.float64), log_f0[1:, None].astype(np.float64)
    f0 = np.exp(start + (end - start) * ramp).reshape(-1)
    steps = np.cumsum((f0 / grid.RATE).reshape(n, grid.HOP), axis=1)
    # Point by point, so that a block's phases do not depend on where the block began.
    points = np.empty(n + 1)
    points[0] = phase
    for k in range(n):
        points[k + 1] = (points[k] + steps[k, -1]) % 1.0
    cycles = points[:-1, None] + np.concatenate([np.zeros((n, 1)), steps[:, :-1]], axis=1)
    half = np.pi * (cycles.reshape(-1) % 1.0)
    count = np.floor(grid.RATE / 2 / f0)
    sine = np.sin(half)
    near = np.abs(sine) < 1e-6
    kernel = np.where(near, count, 0.5 * np.sin((2 * count + 1) * half) / np.where(near, 1, sine) - 0.5)
    amplitude = (voicing[:-1, None] + (voicing[1:] - voicing[:-1])[:, None] * ramp).reshape(-1)
    return (kernel * np.sqrt(2 / count) * amplitude).astype(np.float32), points


def noise(seed: int, start: int, count: int) -> Array:
    """White noise of unit variance; sample i depends on (seed, start + i) alone. `start` is a multiple of 4.

    Counter-based: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011 (Philox).
    """
    generator = np.random.Philox(key=seed & 0xFFFFFFFFFFFFFFFF)
    generator.advance((start + _ORIGIN) // 4)
    raw = generator.random_raw(count) >> np.uint64(40)
    return ((raw.astype(np.float32) / (1 << 24) - 0.5) * np.float32(12**0.5)).astype(np.float32)
