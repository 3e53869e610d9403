"""The decoder's input rows, one per step, and what its output means."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano.envelope import NEPER_PER_DB
from seedvc_live.engines.nano.pitch import DEFAULT
from seedvc_live.engines.nano.spectrum import CHANGE_BANDS
from seedvc_live.engines.nano.synthesis import BANDS

Array = npt.NDArray[np.float32]

BOTTLENECK = 64
WIDTH = BOTTLENECK + BANDS + 16 + 2 * CHANGE_BANDS
"""Numbers in a row."""
_BAND_CENTRE = -10.0
_GATE, _LOWEST_GATE = -62.0, -80.0
"""Below this level (dB) output is faded out; for soft speech the level is lower, but not below the second."""
_GATE_BELOW_SPEECH = 37.0
"""dB by which it is below the speech then."""
_LOUD = -17.0
"""Speech of this mean level (dB) just fits below full scale."""
_ABOVE_FLOOR, _BELOW_SPEECH = 9.0, 18.0
"""A pause is at most so many dB above the noise floor, and at least so many below the speech."""
_QUIETER = 18.0
"""Most dB taken from a pause."""


def rows(
    narrow_content: Array, matched: Array, level: Array, mean_level: float, bands: Array, changes: Array,
    log_f0: Array, voicing: Array, register: Array,
) -> npt.NDArray[np.float16]:  # fmt: skip
    """Rows of n steps.

    Args:
        narrow_content: content after the bottleneck, shape (n, BOTTLENECK).
        matched: envelope shapes from the reference, shape (n, BANDS).
        level, bands, changes, log_f0, voicing: at points 1 … 2n: (2n,), (2n, 4), (2n, 16), (2n,), (2n,);
            log F0 is the target's.
        mean_level: of the source's speech, dB.
        register: mean and spread of the target's log F0.

    Returns:
        shape (n, WIDTH), float16 so that a stream's memory of them is small, and exact.
    """
    n = len(matched)
    loudness = np.clip((level - mean_level) / 10, -6, 3)
    height = (log_f0 - DEFAULT) * 2 * voicing
    relative = (log_f0 - register[0]) / register[1] * 0.5 * voicing
    columns = [
        loudness[:, None],
        (bands - _BAND_CENTRE) / 15,
        height[:, None],
        relative[:, None],
        voicing[:, None],
    ]
    points = np.concatenate(columns, 1).reshape(n, 16)
    moving = (changes / 8).reshape(n, -1)
    return np.concatenate([narrow_content, matched, points, moving], 1).astype(np.float16)


def base(matched: Array, level: Array) -> Array:
    """Log envelopes before the network's correction, at points.

    Args:
        matched: shapes at the step before the first and at the n steps, shape (n + 1, BANDS).
        level: dB at points 1 … 2n, shape (2n,).

    Returns:
        shape (2n, BANDS): the matched shape, halfway between steps at odd points, at the source's level.
    """
    points = np.stack([(matched[:-1] + matched[1:]) / 2, matched[1:]], 1).reshape(-1, matched.shape[-1])
    return np.asarray(points + level[:, None] * NEPER_PER_DB, np.float32)


def headroom(mean_level: float) -> np.float32:
    """Log gain for a source of this mean level (dB): an overdriven one is louder than speech with its peaks can be."""
    return np.float32(-NEPER_PER_DB * max(0.0, mean_level - _LOUD))


def gate(level: Array, mean_level: float) -> Array:
    """Log gain at points that takes what is near silence to silence; shape of `level` (dB).

    Args:
        mean_level: of the speech, dB.
    """
    edge = min(_GATE, max(_LOWEST_GATE, mean_level - _GATE_BELOW_SPEECH))
    below = np.maximum(0, edge - level)
    return np.where(level <= -90, -40.0, -0.25 * below).astype(np.float32)


def pause(level: Array, floor: float, mean_level: float) -> Array:
    """Log gain at points that takes the source's room from the pauses; shape of `level` (dB).

    Noise drawn anew sounds worse than the noise it stands for. Where the noise is as loud as the speech almost,
    nothing is taken: there a pause cannot be told from a consonant.

    Args:
        floor: level of the noise, dB; mean_level: of the speech.
    """
    below = min(floor + _ABOVE_FLOOR, mean_level - _BELOW_SPEECH) - level
    return np.asarray(-NEPER_PER_DB * np.clip(2 * below, 0, _QUIETER), np.float32)
