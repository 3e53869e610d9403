"""What the field does to a source: whispering, low level, clipping, noise; and what joins must not add."""

from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.engines.base import Voice
from seedvc_live.engines.nano import excitation, grid
from seedvc_live.engines.nano.engine import NanoEngine, NanoSettings
from seedvc_live.evaluate.degrade import degrade
from tests.engines.nano.streams import median_pitch, run

RATE = grid.RATE


def loudness(samples: Samples) -> np.ndarray:
    """dB of 20 ms pieces."""
    pieces = samples[: len(samples) // 480 * 480].reshape(-1, 480)
    return 10 * np.log10((pieces.astype(np.float64) ** 2).mean(1) + 1e-10)


def test_whispering_stays_unvoiced_and_is_heard(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    source = np.tile(degrade(low, "whispered").samples, 3)
    assert median_pitch(engine, low.samples)[1] > 0.25
    assert median_pitch(engine, source)[1] < 0.05
    out, _ = run(engine, voice, source)
    assert median_pitch(engine, out)[1] < 0.05
    last = slice(-len(low), None)
    assert abs(20 * np.log10(out[last].std() / source[last].std())) < 3


def test_loudness_follows_the_source(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    """From moment to moment, also where somebody speaks softer for a while."""
    source = low.samples.copy()
    source[len(source) // 2 :] *= np.float32(0.25)
    out, _ = run(engine, voice, source)
    ours, theirs = loudness(out), loudness(source)
    speech = theirs > theirs.max() - 30
    assert np.corrcoef(ours[speech], theirs[speech])[0, 1] > 0.8
    half = len(theirs) // 2
    first, second = np.arange(len(theirs)) < half, np.arange(len(theirs)) >= half
    drop = [float(np.mean(x[speech & first]) - np.mean(x[speech & second])) for x in (ours, theirs)]
    assert drop[0] == pytest.approx(drop[1], abs=5)
    # Against the conversion of a source that does not get softer: what is said differs from half to half, too.
    even = loudness(run(engine, voice, low.samples)[0])
    assert np.mean((even - ours)[speech & second]) == pytest.approx(20 * np.log10(4), abs=3)
    assert np.abs(np.mean((even - ours)[speech & first])) < 0.5


def test_a_source_30_db_down_is_converted_the_same_30_db_down(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    full, _ = run(engine, voice, low.samples)
    out, _ = run(engine, voice, low.samples * np.float32(10**-1.5))
    assert 20 * np.log10(full[RATE:].std() / out[RATE:].std()) == pytest.approx(30, abs=3)
    loud = loudness(full) > loudness(full).max() - 25
    assert np.corrcoef(loudness(full)[loud], loudness(out)[loud])[0, 1] > 0.9
    assert median_pitch(engine, out * np.float32(10**1.5))[0] == pytest.approx(median_pitch(engine, full)[0], rel=0.1)


def test_hum_is_not_taken_for_speech(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    """Mains hum as loud as the speech fills no pause and hides no voice; neither in a reference."""
    source = np.concatenate([low.samples, np.zeros(RATE, np.float32), low.samples])
    time = np.arange(len(source)) / RATE
    hum = (np.sqrt(2) * low.samples.std() * np.sin(2 * np.pi * 50 * time)).astype(np.float32)
    clean, _ = run(engine, voice, source)
    humming, _ = run(engine, voice, source + hum)
    pause = slice(len(low) + RATE // 2, len(low) + RATE * 9 // 10)
    assert 20 * np.log10(humming[pause].std() / clean.std() + 1e-9) < -50
    speech = loudness(clean) > loudness(clean).max() - 30
    assert np.corrcoef(loudness(clean)[speech], loudness(humming)[speech])[0, 1] > 0.95
    bare, with_hum = (engine.enroll(Pcm(x, RATE)) for x in (low.samples, low.samples + hum[: len(low)]))
    assert np.abs(bare.tensors["colour"] - with_hum.tensors["colour"]).mean() < 0.2


def test_a_clipped_source_is_still_a_voice(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    source = np.clip(low.samples * np.float32(20), -0.9, 0.9)
    assert np.mean(np.abs(source) > 0.89) > 0.05
    out, _ = run(engine, voice, source)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1
    assert median_pitch(engine, out)[0] == pytest.approx(float(np.exp(voice.tensors["register"][0])), rel=0.25)
    # What was clipped is not clipped again into a buzz: hardly a sample at full scale.
    assert np.mean(np.abs(out) > 0.999) < 0.005


@pytest.mark.parametrize("level", [0.0, 1e-5, 1e-4])
def test_what_is_near_silence_is_silent(engine: NanoEngine, voice: Voice, low: Pcm, level: float) -> None:
    """Digital silence and a quiet room, from the start and after speech: below -90 dB, or as quiet as they are."""
    room = excitation.noise(5, 0, 2 * RATE) * np.float32(level)
    for source in (room, np.concatenate([low.samples[:RATE], room])):
        out, _ = run(engine, voice, source)
        rest = out[len(source) - len(room) + RATE // 5 :]
        assert np.sqrt(np.mean(rest**2)) < max(10 ** (-90 / 20), 1.5 * level)


@pytest.mark.parametrize("profile", ["low-latency", "balanced", "quality"])
def test_joins_are_like_any_other_place(engine: NanoEngine, voice: Voice, low: Pcm, profile: str) -> None:
    """Derivatives within 5 samples of joins are spread as those around other multiples of 10 ms are."""
    settings = NanoSettings.parse({"profile": profile})
    size = engine.geometry(settings, voice).block
    out, _ = run(engine, voice, low.samples, settings)
    steep = np.abs(np.diff(out))
    near = {
        at_join: np.concatenate([
            steep[at - 5 : at + 5]
            for at in range(grid.HOP, len(out) - 5, grid.HOP)
            if (at % size == 0) == at_join
        ])
        for at_join in (True, False)
    }  # fmt: skip
    for quantile in (0.5, 0.9, 0.99):
        ours, others = (float(np.quantile(near[kind], quantile)) for kind in (True, False))
        assert ours < 1.6 * others + 1e-4
    assert near[True].max() <= 1.5 * near[False].max()
