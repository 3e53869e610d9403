from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.errors import SettingsError
from seedvc_live.evaluate.degrade import CONDITIONS, active_rms, degrade, pink_noise, room_response

RATE = 16000


def speechlike(seconds: float = 4.0) -> Pcm:
    """Noise in syllables of 0.2 s with pauses, at a moderate level."""
    n = round(seconds * RATE)
    gate = (np.arange(n) // (RATE // 5)) % 2 == 0
    return Pcm((np.random.default_rng(1).normal(0, 0.05, n) * gate).astype(np.float32), RATE)


def decibels(ratio: float) -> float:
    return 20 * np.log10(ratio)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_length_rate_and_range_stay_and_the_same_seed_gives_the_same_copy(condition) -> None:
    clip = speechlike()
    first, again = degrade(clip, condition, 3), degrade(clip, condition, 3)
    assert len(first) == len(clip)
    assert first.rate == RATE
    assert np.abs(first.samples).max() <= 1
    np.testing.assert_array_equal(first.samples, again.samples)
    assert (condition == "clean") == np.array_equal(first.samples, clip.samples)


def test_noise_lies_ten_decibels_below_the_active_level() -> None:
    clip = speechlike()
    noise = degrade(clip, "noise10", 1).samples - clip.samples
    assert decibels(active_rms(clip.samples) / noise.std()) == pytest.approx(10, abs=0.1)
    assert not np.array_equal(degrade(clip, "noise10", 2).samples - clip.samples, noise)


def test_pauses_do_not_lower_the_active_level() -> None:
    clip = speechlike()
    assert active_rms(clip.samples) == pytest.approx(0.05, rel=0.05)
    assert float(clip.samples.std()) < 0.04


def test_pink_noise_falls_by_three_decibels_an_octave() -> None:
    power = np.abs(np.fft.rfft(pink_noise(1 << 17, RATE, 0))) ** 2
    frequency = np.fft.rfftfreq(1 << 17, 1 / RATE)

    def band(low: float) -> float:
        inside = (frequency >= low) & (frequency < 1.2 * low)
        return 10 * np.log10(power[inside].mean())

    assert band(500) - band(1000) == pytest.approx(3, abs=0.4)
    assert band(1000) - band(4000) == pytest.approx(6, abs=0.4)


def test_quiet_is_thirty_decibels_down() -> None:
    clip = speechlike()
    assert decibels(degrade(clip, "quiet").samples.std() / clip.samples.std()) == pytest.approx(-30, abs=1e-3)


@pytest.mark.parametrize(
    ("frequency", "low", "high"), [(100, -200, -40), (1000, -0.1, 0.1), (3000, -0.1, 0.1), (4200, -200, -40)]
)
def test_the_telephone_passes_its_band_in_time(frequency, low, high) -> None:
    tone = 0.5 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE).astype(np.float32)
    out = degrade(Pcm(tone, RATE), "telephone").samples[2000:-2000]
    inner = tone[2000:-2000]
    assert low <= decibels(out.std() / inner.std()) <= high
    if high > 0:
        np.testing.assert_allclose(out, inner, atol=0.01)


def test_the_room_starts_with_the_direct_sound_and_decays_as_sabine_says() -> None:
    response = room_response(RATE)
    assert response[0] == pytest.approx(1.0, abs=1e-6)
    assert np.abs(response[1:]).max() < 1.0
    energy = np.cumsum(response[::-1] ** 2)[::-1]
    decay = 10 * np.log10(energy / energy[0])
    # Schroeder's backward integral, -5 to -25 dB, extrapolated to -60 dB.
    fifth, twenty_fifth = (int(np.argmax(decay < level)) for level in (-5, -25))
    reverberation = 3 * (twenty_fifth - fifth) / RATE
    assert 0.15 < reverberation < 0.5


def test_the_room_keeps_the_level_and_the_alignment() -> None:
    clip = speechlike()
    wet = degrade(clip, "room").samples
    assert wet.std() == pytest.approx(float(clip.samples.std()), rel=0.01)
    lags = np.fft.irfft(np.fft.rfft(wet) * np.conj(np.fft.rfft(clip.samples)))
    assert int(np.argmax(lags)) == 0


def test_clipping_cuts_off_what_is_twelve_decibels_too_loud_and_keeps_the_level() -> None:
    clip = Pcm((0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)).astype(np.float32), RATE)
    cut = degrade(clip, "clipped").samples
    # A sine cut off at a quarter of its height is all but a square: its crest factor was 3 dB.
    crest = decibels(np.abs(cut).max() / cut.std())
    assert 0 < crest < 0.5
    assert cut.std() == pytest.approx(float(clip.samples.std()), rel=1e-3)


def vowel(pitch: float) -> Pcm:
    """A steady voice with a formant at 2 kHz."""
    time = np.arange(2 * RATE) / RATE
    heights = pitch * np.arange(1, int(RATE / 2 / pitch))
    strength = 1 / (1 + ((heights - 2000) / 300) ** 2)
    waves = np.sin(2 * np.pi * heights[:, None] * time + heights[:, None] ** 2) * strength[:, None]
    return Pcm((0.05 * waves.sum(0)).astype(np.float32), RATE)


def test_a_whisper_has_the_formants_and_no_voice() -> None:
    clip = vowel(160.0)
    out = degrade(clip, "whispered", 2).samples

    def periodic(samples: np.ndarray) -> float:
        one, later = samples[2000:-2000], samples[2100:-1900]
        return float(np.corrcoef(one, later)[0, 1])

    assert periodic(clip.samples) > 0.99
    assert abs(periodic(out)) < 0.1

    power = np.abs(np.fft.rfft(out)) ** 2
    frequency = np.fft.rfftfreq(len(out), 1 / RATE)
    middle = (frequency * power).sum() / power.sum()
    assert middle == pytest.approx(2000, abs=250)
    assert out.std() == pytest.approx(float(clip.samples.std()), rel=1e-3)
    assert not np.array_equal(degrade(clip, "whispered", 3).samples, out)


def test_a_whisper_speaks_and_pauses_when_the_source_does() -> None:
    clip = speechlike()
    out = degrade(clip, "whispered").samples
    ours, theirs = ((x.reshape(-1, 320) ** 2).mean(1) for x in (out, clip.samples))
    middle = slice(5, -5)
    assert np.corrcoef(ours[middle], theirs[middle])[0, 1] > 0.85


def test_an_unknown_condition_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="telephone"):
        degrade(speechlike(), "underwater")


def test_silence_and_nothing_survive() -> None:
    for n in (0, 1, 100, RATE):
        for condition in CONDITIONS:
            out = degrade(Pcm(np.zeros(n, np.float32), RATE), condition)
            assert len(out) == n
            assert np.isfinite(out.samples).all()
