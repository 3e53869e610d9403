"""hypothesis strategies for audio."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from seedvc_live.engines.base import Geometry


@st.composite
def signals(draw: st.DrawFn, max_size: int = 3000) -> np.ndarray:
    """Noise, tones, steps and silence, alone or one after the other; shape (n,), float32."""
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        size = draw(st.integers(0, max_size // 3))
        gain = draw(st.sampled_from([0.0, 1e-6, 1e-3, 0.3, 1.0]))
        kind = draw(st.sampled_from(["noise", "tone", "step"]))
        time = np.arange(size)
        if kind == "noise":
            part = np.random.default_rng(draw(st.integers(0, 9))).uniform(-1, 1, size)
        elif kind == "tone":
            part = np.sin(time * draw(st.floats(0.01, 3.0)))
        else:
            part = np.sign(np.sin(time * draw(st.floats(0.01, 0.5))))
        parts.append(gain * part)
    return np.concatenate(parts or [np.zeros(0)]).astype(np.float32)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any valid geometry of small size."""
    join = draw(st.sampled_from(["none", "cos2", "sola"]))
    block = draw(st.integers(1, 200))
    least = 1 if join == "sola" else 0
    crossfade = 0 if join == "none" else draw(st.integers(least, block))
    return Geometry(
        left_context=draw(st.integers(0, 300)),
        block=block,
        lookahead=draw(st.integers(0, 100)),
        crossfade=crossfade,
        search=draw(st.integers(0, 60)) if join == "sola" else 0,
        join=join,
    )


def chunks(samples: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """Cut `samples` into pieces of the given sizes, in turn, until all are used."""
    pieces, position, turn = [], 0, 0
    while position < len(samples):
        size = sizes[turn % len(sizes)]
        pieces.append(samples[position : position + size])
        position += size
        turn += 1
    return pieces
