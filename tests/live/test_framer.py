from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.engines.base import Geometry
from seedvc_live.live.framer import Framer
from tests.tools.strategies import chunks, geometries, signals


@given(signals(), geometries(), st.lists(st.integers(1, 999), min_size=1, max_size=5))
def test_every_frame_is_its_stretch_of_the_padded_stream(samples, geometry, sizes) -> None:
    framer = Framer(geometry)
    frames = [frame for piece in chunks(samples, sizes) for frame in framer.push(piece)]
    live = len(frames)
    frames += framer.flush()
    padded = np.concatenate(
        [np.zeros(geometry.left_context), samples, np.zeros(geometry.window + geometry.block)]
    ).astype(np.float32)
    assert [frame.start for frame in frames] == [geometry.block * k for k in range(len(frames))]
    assert len(frames) == -(-len(samples) // geometry.block)
    assert live == max(0, (len(samples) - geometry.algorithmic_latency) // geometry.block + 1)
    for frame in frames:
        assert np.array_equal(frame.samples, padded[frame.start : frame.start + geometry.window])
    assert framer.flush() == []


def test_memory_is_bounded_by_a_window() -> None:
    framer = Framer(Geometry(left_context=1000, block=100, lookahead=50))
    for _ in range(100):
        framer.push(np.zeros(480, dtype=np.float32))
        assert len(framer._pending) < framer.geometry.window
