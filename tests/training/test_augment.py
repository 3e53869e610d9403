"""Degraded copies stay where the original is, and differ from it."""

from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.engines.nano import excitation
from training import augment


def bursts() -> np.ndarray:
    samples = excitation.noise(0, 0, 32000) * np.float32(1e-4)
    for at in (6000, 14000, 25000):
        samples[at : at + 1600] += excitation.noise(1, 0, 1600) * np.float32(0.1)
    return samples


@pytest.mark.parametrize("seed", range(12))
def test_copies_are_as_long_as_loud_and_in_place(seed: int) -> None:
    clean = bursts()
    copy = augment.degraded(clean, np.random.default_rng(seed))
    assert copy.dtype == np.float32
    assert len(copy) == len(clean)
    assert np.isfinite(copy).all()
    assert 0.7 < copy.std() / clean.std() < 1.5
    assert np.abs(copy - clean).std() > 0.02 * clean.std()
    np.testing.assert_array_equal(copy, augment.degraded(clean, np.random.default_rng(seed)))
    for at in (6000, 14000, 25000):
        # Onsets do not move: what is before one is softer than what follows.
        assert copy[at : at + 800].std() > 1.3 * copy[at - 1600 : at - 200].std()


@pytest.mark.parametrize("kind", [augment._noisy, augment._room, augment._band, augment._clipped])
def test_each_kind_lets_the_speech_through(kind) -> None:
    clean = bursts().astype(np.float64)
    for seed in range(8):
        copy = kind(clean, np.random.default_rng(seed))
        assert np.corrcoef(copy, clean)[0, 1] > 0.3


def test_noise_can_be_louder() -> None:
    clean = bursts().astype(np.float64)
    for seed in range(6):
        own, louder = (augment._noisy(clean, np.random.default_rng(seed), by) - clean for by in (0.0, 4.0))
        assert 20 * np.log10(louder.std() / own.std()) == pytest.approx(4.0)
