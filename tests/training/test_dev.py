"""What is watched while training: how sure its word errors are."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("yaml")
pytest.importorskip("torch")

from training.dev import standard_error

from seedvc_live.evaluate.intelligibility import Errors

pytestmark = pytest.mark.torch


def test_speakers_alike_leave_no_doubt() -> None:
    assert standard_error([Errors(3, 30)] * 8) == pytest.approx(0, abs=1e-12)


def test_it_is_the_standard_error_of_the_speakers_mean() -> None:
    rates = np.array([0, 10, 20, 30, 0, 10, 20, 30])
    expected = np.std(rates / 100) / np.sqrt(len(rates))
    assert standard_error([Errors(int(rate), 100) for rate in rates], 20_000) == pytest.approx(expected, rel=0.03)
