from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.engines.base import Block, Geometry
from seedvc_live.errors import EngineError
from seedvc_live.live.joiner import Joiner

SOLA = Geometry(left_context=0, block=400, lookahead=0, crossfade=160, search=80, join="sola")


def sine(first: int, count: int, period: float = 253.0) -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(first, first + count) / period).astype(np.float32)


def test_sola_continues_a_wave_whose_phase_jumped() -> None:
    joiner = Joiner(SOLA)
    out = [joiner.accept(Block(0, sine(0, SOLA.converted)))]
    # The second block's wave begins 20 samples too early in its period.
    out.append(joiner.accept(Block(400, sine(400 - 20, SOLA.converted))))
    joined = np.concatenate(out)
    assert joiner.last_offset == 20
    np.testing.assert_allclose(joined, sine(0, 800), atol=1e-3)


def test_blocks_of_silence_are_not_shifted() -> None:
    joiner = Joiner(SOLA)
    for start in (0, 400, 800):
        out = joiner.accept(Block(start, np.zeros(SOLA.converted, dtype=np.float32)))
        assert joiner.last_offset == 0
        assert not out.any()


def test_the_first_block_is_not_faded_in() -> None:
    ones = np.ones(SOLA.converted, dtype=np.float32)
    assert np.array_equal(Joiner(SOLA).accept(Block(0, ones)), ones[:400])


def test_a_block_after_a_missing_one_is_not_blended_with_another_instant() -> None:
    joiner = Joiner(SOLA)
    joiner.accept(Block(0, np.ones(SOLA.converted, dtype=np.float32)))
    out = joiner.accept(Block(800, np.zeros(SOLA.converted, dtype=np.float32)))
    assert not out.any()


def test_a_block_of_the_wrong_length_is_an_error() -> None:
    with pytest.raises(EngineError, match=r"expected \(640,\)"):
        Joiner(SOLA).accept(Block(0, np.zeros(400, dtype=np.float32)))
