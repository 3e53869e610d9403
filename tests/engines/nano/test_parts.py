"""The signal processing that the engine is made of."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.nano import (
    analysis,
    colour,
    envelope,
    excitation,
    frames,
    grid,
    pitch,
    reference,
    spectrum,
    synthesis,
)
from seedvc_live.engines.nano.engine import NanoEngine
from seedvc_live.engines.nano.networks import WEIGHTS, open_session
from seedvc_live.engines.nano.statistics import Statistics
from seedvc_live.evaluate.degrade import pink_noise
from seedvc_live.media.load import load_audio


@given(st.floats(50, 1000), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_pulses_are_the_sum_of_harmonics(f0: float, phase: float) -> None:
    log_f0 = np.full(3, np.log(f0), np.float32)
    made, phases = excitation.pulses(log_f0, np.ones(3, np.float32), phase)
    f0 = float(np.exp(np.float64(log_f0[0])))
    count = np.floor(grid.RATE / 2 / f0)
    angle = 2 * np.pi * (phase + f0 * np.arange(2 * grid.HOP) / grid.RATE)
    expected = np.sqrt(2 / count) * sum(np.cos(k * angle) for k in range(1, int(count) + 1))
    np.testing.assert_allclose(made, expected, atol=2e-3)
    assert phases[-1] == pytest.approx((phase + 2 * grid.HOP * f0 / grid.RATE) % 1, abs=1e-6)


@given(st.integers(0, 2**60), st.integers(-100, 10**9), st.integers(0, 300), st.integers(1, 500))
@settings(max_examples=40, deadline=None)
def test_noise_depends_on_its_instant_alone(seed: int, start: int, offset: int, count: int) -> None:
    start, offset = start * 4, offset * 4
    whole = excitation.noise(seed, start, offset + count)
    np.testing.assert_array_equal(whole[offset:], excitation.noise(seed, start + offset, count))


def test_noise_is_white_and_of_unit_variance() -> None:
    samples = excitation.noise(1, 0, 1 << 16)
    assert samples.std() == pytest.approx(1, abs=0.01)
    power = np.abs(np.fft.rfft(samples.reshape(64, -1))) ** 2 / 1024
    np.testing.assert_allclose(power.mean(0)[1:].reshape(8, -1).mean(1), 1, atol=0.1)


def test_flat_filters_give_the_excitation_back() -> None:
    noise = excitation.noise(2, 0, 51 * grid.HOP)
    flat, none = np.zeros((50, 80), np.float32), np.full((50, 80), -30, np.float32)
    out, _ = synthesis.synthesise(none, flat, noise * 0, noise, np.zeros(synthesis.TAIL, np.float32))
    np.testing.assert_allclose(out[grid.HOP :], noise[grid.HOP : 50 * grid.HOP], atol=1e-4)


def test_synthesis_in_pieces_is_synthesis_at_once() -> None:
    rng = np.random.default_rng(0)
    curves = rng.normal(size=(2, 32, 80)).astype(np.float32)
    noise, pulses = excitation.noise(2, 0, 33 * grid.HOP), excitation.noise(3, 0, 33 * grid.HOP)
    tail = np.zeros(synthesis.TAIL, np.float32)
    whole, end = synthesis.synthesise(curves[0], curves[1], pulses, noise, tail)
    parts = []
    for a in range(0, 32, 8):
        cut = slice(a * grid.HOP, (a + 9) * grid.HOP)
        out, tail = synthesis.synthesise(curves[0, a : a + 8], curves[1, a : a + 8], pulses[cut], noise[cut], tail)
        parts.append(out)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    np.testing.assert_allclose(tail, end, atol=1e-5)


def test_minimum_phase_has_the_magnitude_and_is_early() -> None:
    curve = np.sin(np.linspace(0, 6, 80)).astype(np.float32)
    response = synthesis.minimum_phase(curve[None])[0]
    np.testing.assert_allclose(np.log(np.abs(response)), curve @ synthesis.band_interpolation(), atol=0.02)
    impulse = np.fft.irfft(response)
    assert np.sum(impulse[:128] ** 2) > 0.99 * np.sum(impulse**2)


@pytest.mark.parametrize("frequency", [100, 1000, 3000, 6000])
def test_resampler_keeps_instants(frequency: float) -> None:
    def tone(rate: int) -> np.ndarray:
        return np.sin(2 * np.pi * frequency * np.arange(rate // 10) / rate).astype(np.float32)

    np.testing.assert_allclose(spectrum.to_analysis_rate(tone(24000))[40:-40], tone(16000)[40:-40], atol=2e-3)


def test_resampler_drops_what_16_khz_cannot_hold() -> None:
    tone = np.sin(2 * np.pi * 9000 * np.arange(2400) / 24000).astype(np.float32)
    assert np.abs(spectrum.to_analysis_rate(tone)[40:-40]).max() < 1e-3


def test_levels_and_shapes_of_white_noise() -> None:
    noise = excitation.noise(0, 0, 24000) * np.float32(0.1)
    narrow = excitation.noise(1, 0, 16000) * np.float32(0.1)
    power = spectrum.power_frames(narrow, 160, 400, 400, 2, 90)
    assert spectrum.levels(power).mean() == pytest.approx(-20, abs=0.5)
    nothing = np.zeros((90, spectrum.GAIN_BANDS), np.float32)
    shapes = envelope.shapes(noise, np.full(90, -20, np.float32), nothing)
    assert shapes.shape == (45, 80)
    # The mean log of a noisy power is below the log of the mean.
    assert np.abs(shapes[:, 20:].mean()) < 0.3
    taken = envelope.shapes(noise, np.full(90, -20, np.float32), nothing - 10)
    np.testing.assert_allclose(shapes - taken, 10 * envelope.NEPER_PER_DB, atol=1e-4)
    assert spectrum.levels(np.zeros((1, 201), np.float32))[0] == pytest.approx(spectrum.LEVEL_FLOOR)


def test_pulses_are_spread_in_time_and_keep_their_spectrum() -> None:
    response = synthesis.dispersion()
    np.testing.assert_allclose(np.abs(response), 1, rtol=1e-5)
    impulse = np.fft.irfft(response, synthesis.FFT)
    # Within 5 ms from the pulse on: nothing before its time, nothing wrapped around.
    assert np.sum(impulse[: grid.HOP // 2] ** 2) > 0.97 * np.sum(impulse**2)
    assert np.abs(impulse).max() < 0.5


def test_mask_takes_what_it_says() -> None:
    power = np.ones((2, 5, 201), np.float32)
    gain = np.zeros((2, 5, spectrum.GAIN_BANDS), np.float32)
    np.testing.assert_allclose(spectrum.masked(power, gain), power, rtol=1e-5)
    np.testing.assert_allclose(spectrum.masked(power, gain - 20), power / 100, rtol=1e-4)


@pytest.mark.parametrize(("colour", "share"), [("pink", 0.65), ("white", 0.75)])
def test_levels_are_those_of_the_speech_in_noise(colour: str, share: float) -> None:
    """With the bundled weights: what is measured through noise is nearer to the undisturbed level than without them."""
    encoder = open_session(WEIGHTS / "content.onnx")
    with as_file(files("seedvc_live") / "data" / "source.flac") as path:
        speech = load_audio(path, rate=grid.ANALYSIS_RATE).samples[: 5 * grid.ANALYSIS_RATE]
    noise = excitation.noise(3, 0, len(speech) // 4 * 4)[: len(speech)]
    if colour == "pink":
        noise = pink_noise(len(speech), grid.ANALYSIS_RATE, 3).astype(np.float32)
    noisy = speech[: len(noise)] + noise * np.float32(0.3 * np.sqrt(np.mean(speech**2)) / noise.std())

    def heard(samples: np.ndarray) -> np.ndarray:
        return analysis.source_whole(encoder, samples).level

    def plain(samples: np.ndarray) -> np.ndarray:
        count = len(samples) // grid.ANALYSIS_HOP // 2 * 2
        hop = grid.ANALYSIS_HOP
        power = spectrum.power_frames(np.pad(samples, 2 * hop), hop, spectrum.FFT, spectrum.FFT, 3, count)
        return spectrum.levels(power)

    truth = np.maximum(plain(speech), -70)
    masked = np.abs(np.maximum(heard(noisy), -70)[: len(truth)] - truth).mean()
    assert masked < share * np.abs(np.maximum(plain(noisy), -70)[: len(truth)] - truth).mean()
    # … and speech without noise is left as it is, where it is loud.
    loud = truth > truth.max() - 20
    assert np.abs(heard(speech)[: len(truth)] - truth)[loud].mean() < 1.0


def test_content_mel_does_not_depend_on_loudness() -> None:
    samples = excitation.noise(0, 0, 16640) * np.hanning(16640).astype(np.float32) * np.float32(0.3)
    power = spectrum.power_frames(samples[None], grid.ANALYSIS_HOP, spectrum.FFT, spectrum.FFT, 2, 101)
    loud, quiet = spectrum.whisper_mel(power), spectrum.whisper_mel(power * np.float32(0.01))
    assert loud.shape == (1, 80, 101)
    np.testing.assert_allclose(loud, quiet, atol=1e-3)


def test_rumble_goes_and_speech_stays() -> None:
    time = np.arange(16000) / 16000

    def gain(hertz: float) -> float:
        tone = np.sin(2 * np.pi * hertz * time).astype(np.float32)
        return float(20 * np.log10(spectrum.without_rumble(tone)[8000:].std() / tone[8000:].std()))

    assert gain(50) < -24
    assert gain(60) < -15
    assert gain(100) == pytest.approx(-0.3, abs=0.05)
    assert gain(1000) == pytest.approx(0, abs=0.01)
    # Whatever was before a window is forgotten long before its block; the end of the window changes nothing in it.
    noise = excitation.noise(0, 0, 16000)
    whole, late = spectrum.without_rumble(noise + 1), spectrum.without_rumble(noise[4000:] + 1)
    np.testing.assert_allclose(late[4000:], whole[8000:], atol=1e-3)
    np.testing.assert_allclose(spectrum.without_rumble(noise[:9000] + 1), whole[:9000], atol=1e-5)
    np.testing.assert_array_equal(
        spectrum.without_rumble(np.stack([noise, 2 * noise]))[0], spectrum.without_rumble(noise)
    )


def test_changes_do_not_depend_on_the_voice_or_the_loudness() -> None:
    """A filter and a gain, as a throat and a microphone have them, leave changes as they were."""
    noise = excitation.noise(0, 0, 16000).astype(np.float64)
    hissing = np.concatenate([noise[:8000] * 0.03, noise[8000:] * 0.3])
    coloured = (0.5 * (hissing + np.append(0, hissing[:-1]))).astype(np.float32)
    made, other = (
        spectrum.changes(spectrum.power_frames(x.astype(np.float32), 160, 400, 400, 2, 95)) for x in (hissing, coloured)
    )
    assert made.shape == (94, spectrum.CHANGE_BANDS)
    assert np.argmax(made.mean(1)) + 3 == pytest.approx(50, abs=1)
    # The filter has next to nothing in the last bands.
    np.testing.assert_allclose(made[:, :12], other[:, :12], atol=0.5)
    assert not spectrum.changes(np.zeros((5, 201), np.float32)).any()


def test_a_reference_does_not_bring_its_noise_along() -> None:
    rng = np.random.default_rng(0)
    voice = rng.normal(-1, 0.3, (200, 80)).astype(np.float32)
    voice[::4] = -6
    level = np.where(np.arange(200) % 4, -20, -60).astype(np.float32)
    # Hiss 35 dB below the speech, in the upper half.
    absolute = np.exp(2 * (voice + level[:, None] * envelope.NEPER_PER_DB))
    hiss = np.where(np.arange(80) >= 40, np.exp(2 * -55 * envelope.NEPER_PER_DB), 0)
    noisy = 0.5 * np.log(absolute + hiss) - level[:, None] * envelope.NEPER_PER_DB
    cleaned = reference.without_noise(noisy.astype(np.float32), level)
    pauses = slice(None, None, 4)
    # Speech stays, and so does a clean recording.
    np.testing.assert_allclose(cleaned[1::4], voice[1::4], atol=0.1)
    np.testing.assert_allclose(reference.without_noise(voice, level)[1::4], voice[1::4], atol=0.1)
    assert (noisy - cleaned)[pauses, 40:].mean() > 1
    assert reference.without_noise(np.zeros((0, 80), np.float32), np.zeros(0, np.float32)).shape == (0, 80)


def test_narrow_recordings_are_recognised() -> None:
    import soxr

    wide = excitation.noise(0, 0, 48000) * np.float32(0.1)
    narrow = soxr.resample(soxr.resample(wide, 24000, 16000), 16000, 24000)
    assert not envelope.is_narrow(wide)
    assert envelope.is_narrow(narrow)
    filled = envelope.fill_narrow(np.arange(80, dtype=np.float32)[None])
    edge = envelope.narrow_bands()
    assert (filled[0, edge:] == edge - 2).all()


def test_pitch_is_bridged_and_silence_has_none() -> None:
    log_f0 = np.log(np.array([100, 100, 1, 1, 200, 200], np.float32))
    confidence = np.array([0.9, 0.9, 0.1, 0.1, 0.9, 0.9], np.float32)
    track, voicing = pitch.at_points(log_f0, confidence, np.array([0, 4, 8]))
    assert np.exp(track[0]) == pytest.approx(100)
    assert 100 < np.exp(track[1]) < 200
    assert voicing.tolist() == [1, 0, 1]
    nothing, none = pitch.at_points(log_f0, confidence * 0, np.array([0, 4]))
    assert np.exp(nothing[0]) == pytest.approx(150)
    assert none.sum() == 0


def test_statistics_count_speech_only_and_survive_packing() -> None:
    rng = np.random.default_rng(0)
    content, level = rng.normal(size=(8, 384)).astype(np.float32), np.full(16, -20, np.float32)
    log_f0, voicing = np.full(16, np.log(200), np.float32), np.ones(16, np.float32)
    first = Statistics.empty().updated(content, level, log_f0, voicing)
    silent = first.updated(content * 9, np.full(16, -90, np.float32), log_f0 + 1, voicing)
    np.testing.assert_array_equal(first.content, silent.content)
    assert silent.mean_level() == first.mean_level()
    again = Statistics.unpack(first.pack())
    assert again.pack()["sums"].tolist() == first.pack()["sums"].tolist()
    for _ in range(40):
        first = first.updated(content, level, log_f0, voicing)
    assert first.register(np.array([5.0, 0.2]))[0] == pytest.approx(np.log(200), abs=0.01)
    assert first.mean_level() == pytest.approx(-20, abs=0.5)


def test_colour_takes_the_mean_towards_the_reference() -> None:
    envelopes = np.zeros((400, 2, 80), np.float32)
    envelopes[:, 1] = -9
    level, voiced = np.zeros(400, np.float32), np.ones(400, np.float32)
    learned = colour.Colour.empty().updated(envelopes, level, voiced, np.ones(400, bool))
    target = np.stack([np.full(80, 1.0), np.full(80, -1.0)]).astype(np.float32)
    gains = learned.correction(target, np.array([1, 0], np.float32))
    np.testing.assert_allclose(gains[0], 400 / 500 * colour.STRENGTH, rtol=1e-3)
    # Nothing unvoiced was heard yet: nothing is corrected there.
    np.testing.assert_allclose(gains[1], 0, atol=1e-6)


@pytest.mark.parametrize("sizes", [(80, 5), (81, 8), (80, 0), (2, 8)])
def test_layouts_keep_to_the_grid(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="layout"):
        grid.Layout(*sizes)


def test_a_voice_that_goes_on_is_voiced_to_the_windows_end(engine: NanoEngine, low: Pcm, high: Pcm) -> None:
    """Where the plain tracker, which cannot see on, calls it unvoiced."""
    plain = mirrored = total = 0
    for clip in (low, high):
        narrow = spectrum.to_analysis_rate(clip.samples[None])
        confidence = pitch.track(engine._pitch, narrow)[1][0]
        for frame in range(20, len(confidence) - 12, 2):
            heard = narrow[:, (frame - 12) * pitch.FRAME : frame * pitch.FRAME + 640]
            truth = confidence[frame] >= 0.5
            plain += (pitch.track(engine._pitch, np.ascontiguousarray(heard))[1][0, 12] >= 0.5) != truth
            mirrored += (pitch.track_window(engine._pitch, heard)[1][0, 12] >= 0.5) != truth
            total += 1
    assert total > 150
    assert plain > 0.05 * total
    assert mirrored < 0.5 * plain


def test_a_window_as_short_as_a_frame_is_tracked(engine: NanoEngine) -> None:
    log_f0, confidence = pitch.track_window(engine._pitch, np.zeros((1, pitch.FRAME + 1), np.float32))
    assert log_f0.shape == confidence.shape == (1, 1)
    assert confidence[0, 0] == 0


def test_a_pause_is_taken_down_and_speech_is_not() -> None:
    """Speech at -20 dB, pauses at -50: the pauses lose 10 dB or more; in noise of -32 dB nothing is lost."""
    for room, lost in ((-50.0, True), (-32.0, False)):
        rng = np.random.default_rng(0)
        level = np.where(np.arange(400) // 50 % 2 == 0, -20.0, room) + rng.normal(0, 0.7, 400)
        level = level.astype(np.float32)
        statistics = Statistics.empty()
        for begin in range(0, 400, 8):
            part = level[begin : begin + 8]
            statistics = statistics.updated(
                np.zeros((4, 384), np.float32), part, np.full(8, 5, np.float32), np.ones(8, np.float32)
            )
        assert statistics.floor == pytest.approx(room, abs=4)
        gain = frames.pause(level, statistics.floor, statistics.mean_level()) / envelope.NEPER_PER_DB
        assert np.all(gain[level > -30] == 0)
        assert np.all(gain >= -18.01)
        assert (gain[level < room + 3].max() < -10) == lost
        assert (gain.min() == 0) == (not lost)


def test_soft_speech_is_not_gated() -> None:
    """Consonants 22 dB below soft speech pass; a room as far below loud speech as they are below soft does not."""
    soft = frames.gate(np.array([-55.0, -77.0, -95.0], np.float32), -55.0) / envelope.NEPER_PER_DB
    assert soft[0] == soft[1] == 0
    assert soft[2] < -300
    loud = frames.gate(np.array([-20.0, -61.0, -77.0], np.float32), -20.0) / envelope.NEPER_PER_DB
    assert loud[0] == loud[1] == 0
    assert loud[2] < -30
    # However soft the speech: what is near silence is silence.
    assert frames.gate(np.array([-86.0], np.float32), -75.0)[0] < -1


def test_digital_silence_is_no_noise_floor() -> None:
    quiet = np.full(8, -40, np.float32), np.full(8, 5, np.float32), np.zeros(8, np.float32)
    before = Statistics.empty().updated(np.zeros((4, 384), np.float32), *quiet)
    assert before.floor == pytest.approx(-40, abs=0.2)
    after = before.updated(np.zeros((4, 384), np.float32), np.full(8, -100, np.float32), *quiet[1:])
    assert after.floor == before.floor
