"""Joining converted blocks: crossfades, and SOLA's search for the best place to join.

SOLA (synchronised overlap-add; Roucos & Wilgus, "High quality time-scale modification for speech",
ICASSP 1985) shifts a block by a few milliseconds so that its wave continues the previous one's.
"""

from __future__ import annotations

import numpy as np

from seedvc_live.audio.pcm import Samples

_FLOOR = 1e-8
"""Energy below which two stretches count as silent and are not aligned."""


def cos2_fade(length: int) -> Samples:
    """Fade-in weights sin²(π/2 · i/(length-1)), shape (length,), from 0 to 1.

    With its mirror image it sums to one, so equal signals pass unchanged.
    """
    if length < 2:
        return np.ones(length, dtype=np.float32)
    phase = np.arange(length, dtype=np.float64) / (length - 1)
    return np.asarray(np.sin(0.5 * np.pi * phase) ** 2, dtype=np.float32)


def crossfade(old: Samples, new: Samples, fade: Samples) -> Samples:
    """Blend `old` into `new` by the fade-in weights `fade`; all of shape (n,).

    Written so that equal inputs come out unchanged to the last bit.
    """
    return np.asarray(old + fade * (new - old), dtype=np.float32)


def best_offset(new: Samples, tail: Samples, search: int) -> int:
    """Offset in [0, search], in samples, at which `new` continues `tail` best.

    Args:
        new: shape (>= len(tail) + search,).
        tail: the previous block's samples beyond its end, shape (n,).
        search: largest offset, in samples.

    Returns:
        The first maximum of Σ new[k+i]·tail[i] / √(Σ new[k+i]² + 1e-8). Zero where the two already agree:
        the normalised correlation of a periodic wave has many equal peaks, and only rounding would
        choose between them.
    """
    size = len(tail)
    head = new[:size]
    if search == 0 or size == 0 or np.array_equal(head, tail):
        return 0
    span = np.asarray(new[: size + search], dtype=np.float64)
    reference = np.asarray(tail, dtype=np.float64)
    product = np.correlate(span, reference, mode="valid")
    squares = np.concatenate(([0.0], np.cumsum(span * span)))
    energy = squares[size:] - squares[:-size]
    return int(np.argmax(product / np.sqrt(np.maximum(energy, 0.0) + _FLOOR)))
