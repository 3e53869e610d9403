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


def vowel() -> np.ndarray:
    """A second at 150 Hz with formants at 600 and 1800 Hz, between half seconds of silence."""
    time = np.arange(16000) / 16000
    tone = np.zeros(16000)
    for harmonic in range(1, 40):
        frequency = 150.0 * harmonic
        strength = sum(1 / (1 + ((frequency - formant) / 150) ** 2) for formant in (600, 1800))
        tone += strength * np.sin(2 * np.pi * frequency * time + harmonic**2)
    return np.pad(0.1 * tone, 8000).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_a_whisper_keeps_formants_and_pauses_but_no_voice(seed: int) -> None:
    clean = vowel()
    both = augment.whispered(np.stack([clean, 0.5 * clean]), np.random.default_rng(seed))
    assert both.shape == (2, len(clean))
    assert both.dtype == np.float32
    # One noise for both: what differs between them is what differs between the signals.
    np.testing.assert_allclose(both[0], 2 * both[1], rtol=1e-3, atol=1e-5)
    whisper = both[0]
    assert whisper.std() == pytest.approx(clean.std(), rel=0.01)
    assert np.abs(whisper[:6000]).max() < 1e-3
    middle = whisper[8000:24000]
    power = np.abs(np.fft.rfft(middle)) ** 2
    assert power[1700:1900].mean() > 3 * power[1150:1250].mean()
    # At one period's distance a voice is like itself; noise with two formants is little so.
    period = [np.corrcoef(one[:-107], one[107:])[0, 1] for one in (clean[8000:24000], middle)]
    assert period[0] > 0.9
    assert period[1] < 0.4


def test_silence_cannot_be_whispered_but_stays() -> None:
    assert not augment.whispered(np.zeros((2, 8000), np.float32), np.random.default_rng(0)).any()
