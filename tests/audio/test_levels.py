from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.audio.levels import FLOOR_DB, LevelMeter, decibels
from tests.tools.strategies import chunks, signals


def test_a_full_scale_sine_reads_minus_three_decibels() -> None:
    meter = LevelMeter(16_000)
    level = meter.push(np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000).astype(np.float32))
    assert level.rms_db == pytest.approx(-3.01, abs=0.1)
    assert level.peak_db == pytest.approx(0.0, abs=0.1)


def test_silence_reads_the_floor_and_the_peak_falls_by_20_db_a_second() -> None:
    meter = LevelMeter(16_000)
    assert meter.level.rms_db == FLOOR_DB
    meter.push(np.ones(16_000, dtype=np.float32))
    level = meter.push(np.zeros(16_000, dtype=np.float32))
    assert level.peak_db == pytest.approx(-20.0, abs=0.1)
    assert level.rms_db < -10.0


@given(signals(), st.lists(st.integers(1, 700), min_size=1, max_size=4))
def test_chunking_does_not_change_the_reading(samples, sizes) -> None:
    whole, pieces = LevelMeter(8000), LevelMeter(8000)
    whole.push(samples)
    for piece in chunks(samples, sizes):
        pieces.push(piece)
    assert pieces.level.rms_db == pytest.approx(whole.level.rms_db, abs=1e-3)
    assert pieces.level.peak_db == pytest.approx(whole.level.peak_db, abs=1e-3)


def test_decibels() -> None:
    assert decibels(0.0) == FLOOR_DB
    assert decibels(0.1) == pytest.approx(-20.0)
