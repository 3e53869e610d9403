from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.audio.sola import best_offset, cos2_fade, crossfade
from tests.tools.strategies import signals


@pytest.mark.parametrize("length", [0, 1, 2, 160, 882])
def test_fade_and_its_mirror_sum_to_one(length) -> None:
    fade = cos2_fade(length)
    assert fade.shape == (length,)
    if length > 1:
        np.testing.assert_allclose(fade + fade[::-1], 1.0, atol=1e-6)
        assert fade[0] == 0.0
        assert fade[-1] == 1.0


@given(signals())
def test_equal_signals_cross_without_a_trace(samples) -> None:
    assert np.array_equal(crossfade(samples, samples, cos2_fade(len(samples))), samples)


@given(st.integers(0, 80), st.integers(0, 99))
def test_a_shifted_wave_is_found(shift, seed) -> None:
    wave = np.random.default_rng(seed).standard_normal(400).astype(np.float32)
    tail = wave[shift : shift + 160]
    assert best_offset(wave, tail, 80) == shift


def test_offset_is_that_of_the_written_formula() -> None:
    rng = np.random.default_rng(5)
    new, tail, search = rng.standard_normal(300), rng.standard_normal(120), 90
    scores = [
        np.dot(new[k : k + 120], tail) / np.sqrt(np.dot(new[k : k + 120], new[k : k + 120]) + 1e-8)
        for k in range(search + 1)
    ]
    assert best_offset(new.astype(np.float32), tail.astype(np.float32), search) == int(np.argmax(scores))


@given(signals(), st.integers(0, 50))
def test_agreeing_waves_are_not_shifted(samples, search) -> None:
    size = max(0, len(samples) - search)
    assert best_offset(samples, samples[:size], min(search, len(samples) - size)) == 0
