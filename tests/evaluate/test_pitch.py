from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.evaluate.pitch import Contour, correlation, voicing_agreement


def contour(log_f0, voiced=True) -> Contour:
    f0 = np.exp(np.asarray(log_f0, np.float64))
    return Contour(f0, np.broadcast_to(np.asarray(voiced, bool), f0.shape).copy())


MELODY = 5 + 0.2 * np.sin(np.arange(100) / 7)


def test_a_transposed_melody_correlates_fully_and_an_inverted_one_negatively() -> None:
    assert correlation(contour(MELODY), contour(MELODY + 0.7)) == pytest.approx(1)
    assert correlation(contour(MELODY), contour(10 - MELODY)) == pytest.approx(-1)


def test_only_frames_voiced_in_both_count() -> None:
    wrong = MELODY.copy()
    wrong[:50] = 9 * np.random.default_rng(0).random(50)
    assert correlation(contour(MELODY), contour(wrong, np.arange(100) >= 50)) == pytest.approx(1)
    assert correlation(contour(MELODY), contour(wrong)) < 0.5


def test_too_little_or_flat_voice_has_no_correlation() -> None:
    assert correlation(contour(MELODY), contour(MELODY, np.arange(100) < 9)) is None
    assert correlation(contour(MELODY), contour(np.full(100, 5.0))) is None
    assert correlation(contour(MELODY), contour([])) is None


def test_contours_of_different_length_are_compared_from_the_beginning() -> None:
    assert correlation(contour(MELODY), contour(MELODY[:60])) == pytest.approx(1)


def test_voicing_agreement_counts_frames() -> None:
    half = np.arange(100) < 50
    assert voicing_agreement(contour(MELODY), contour(MELODY, half)) == pytest.approx(0.5)
    assert voicing_agreement(contour(MELODY, ~half), contour(MELODY, half)) == 0
    assert voicing_agreement(contour([]), contour([])) is None
