"""A reference clip as the decoder sees it: who speaks, the long-term spectrum, and a memory to match.

The memory pairs each moment of the reference (key: its content) with the envelope heard there. A source
moment asks for the envelopes of the reference's moments that sound most alike: a nearest-neighbour voice
conversion of envelopes only (the idea: M. Baas et al., "Voice conversion with just nearest neighbors",
Interspeech 2023), which the network then corrects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import envelope

Array = npt.NDArray[np.float32]
Constants = Mapping[str, npt.NDArray[Any]]

PRIOR_STEPS = 50.0
"""Weight, in steps, of the general mean against a stream's or a clip's own content mean."""
ACTIVE_RANGE = 30.0
"""A moment is active when its level is at most this many dB below the loudest."""
ACTIVE_FLOOR = -60.0
"""… and above this, dB re full scale."""
SHARPNESS = 10.0
"""Inverse temperature of the match, on cosines."""
_PRIOR_FRAMES = 15.0
_FLOOR_SHARE = 0.1
"""Share of the moments that are at or below a band's noise floor."""
_FLOOR_FACTOR, _LEAST = 1.5, 0.1
"""Power of the floor that is taken away, in floors; and what is left of a band at least."""
MAX_MEMORY = 1000
"""Moments kept (20 s)."""


def active(level: Array, peak: float) -> npt.NDArray[np.bool_]:
    """Which levels (dB) belong to speech rather than to pauses."""
    return np.asarray((level > peak - ACTIVE_RANGE) & (level > ACTIVE_FLOOR))


def content_mean(constants: Constants, total: Array, count: float) -> Array:
    """Mean content of a speaker from the sum over `count` active steps, drawn to the general mean."""
    prior = constants["content_mean"]
    return np.asarray((PRIOR_STEPS * prior + total) / (PRIOR_STEPS + count), np.float32)


def keys(constants: Constants, content: Array) -> Array:
    """Mean-removed content (…, 384) → unit vectors (…, K) whose products say how alike two moments sound."""
    projected = (content / constants["content_scale"]) @ constants["key_projection"]
    return np.asarray(projected / (np.linalg.norm(projected, axis=-1, keepdims=True) + 1e-6), np.float32)


def match(query: Array, memory_keys: Array, memory_shapes: Array) -> Array:
    """Envelope shapes that the reference has for the queries.

    Args:
        query: shape (n, K); memory_keys: (m, K); memory_shapes: (m, BANDS).

    Returns:
        shape (n, BANDS).
    """
    scores = SHARPNESS * (query @ memory_keys.T)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray((weights / weights.sum(-1, keepdims=True)) @ memory_shapes, np.float32)


def without_noise(shapes: Array, level: Array) -> Array:
    """Shapes (n, BANDS) at levels (n,) in dB, without what each band hardly ever falls below: room and microphone.

    Power subtraction (M. Berouti et al., ICASSP 1979) of a low quantile. Otherwise a voice brings its noise along.
    """
    loud = np.exp(2 * (shapes + level[:, None] * envelope.NEPER_PER_DB))
    floor = np.quantile(loud, _FLOOR_SHARE, axis=0) if len(loud) else 0
    kept = np.maximum(1 - _FLOOR_FACTOR * floor / np.maximum(loud, 1e-12), _LEAST)
    return np.asarray(shapes + 0.5 * np.log(kept), np.float32)


def long_term(shapes: Array, chosen: npt.NDArray[np.bool_], mean: Array, spread: Array) -> Array:
    """Mean and spread of the chosen shapes, drawn to the general ones when there are few; (2 × BANDS,)."""
    rows = shapes[chosen]
    n = len(rows)
    first = (_PRIOR_FRAMES * mean + rows.sum(0)) / (_PRIOR_FRAMES + n)
    square = (_PRIOR_FRAMES * spread**2 + np.square(rows - first).sum(0)) / (_PRIOR_FRAMES + n)
    return np.concatenate([first, np.sqrt(square)]).astype(np.float32)


def describe(
    constants: Constants,
    embedding: Array,
    content: Array,
    shapes: Array,
    level: Array,
    log_f0: Array,
    voicing: Array,
    narrow: bool,
) -> dict[str, Array]:
    """The tensors of a voice.

    Args:
        embedding: of the speaker, shape (192,).
        content, shapes, level, log_f0, voicing: at points 2, 4, … of the clip:
            (n, 384), (n, BANDS), (n,) × 3.
        narrow: the clip has nothing above 8 kHz.

    Returns:
        `condition` (C,), standardised; `keys` (m, K); `shapes` (m, BANDS); `register`, mean and spread of
        log F0 (2,); `colour`, mean shapes of voiced and unvoiced sound (2, BANDS).
    """
    if narrow:
        shapes = envelope.fill_narrow(shapes)
    shapes = without_noise(shapes, level)
    speech = active(level, float(level.max()))
    voiced = speech & (voicing >= 0.5)
    count = int(speech.sum())
    mean = content_mean(constants, content[speech].sum(0), count)
    general = constants["shape_statistics"]
    pitches = log_f0[voiced]
    prior_f0, prior_spread = (float(v) for v in constants["register"])
    n = len(pitches)
    centre = float((2 * prior_f0 + pitches.sum()) / (2 + n)) if n else prior_f0
    spread = float(np.sqrt((25 * prior_spread**2 + np.square(pitches - centre).sum()) / (25 + n)))
    of_voiced = long_term(shapes, voiced, general[0], general[1])
    of_unvoiced = long_term(shapes, speech & ~voiced, general[2], general[3])
    raw = np.concatenate([
        embedding,
        of_voiced,
        of_unvoiced,
        [centre, spread, float(narrow)],
    ])  # fmt: skip
    condition = (raw - constants["condition_mean"]) / constants["condition_scale"]
    chosen = np.flatnonzero(speech)[:MAX_MEMORY] if count else np.arange(min(1, len(content)))
    return {
        "condition": np.clip(condition, -5, 5).astype(np.float32),
        "keys": keys(constants, content[chosen] - mean),
        "shapes": shapes[chosen].astype(np.float32),
        "register": np.array([centre, spread], np.float32),
        "colour": np.stack([of_voiced, of_unvoiced])[:, : shapes.shape[1]].astype(np.float32),
    }
