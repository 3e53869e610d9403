"""Properties of a converted stream."""

from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import State, Voice, Window
from seedvc_live.engines.nano import engine as nano
from seedvc_live.engines.nano import excitation, frames, grid, reference, synthesis
from seedvc_live.engines.nano.engine import NanoEngine, NanoSettings
from seedvc_live.engines.nano.profiles import PROFILES, Name
from seedvc_live.errors import EngineError, VoiceError
from seedvc_live.evaluate.degrade import degrade
from tests.engines.nano.streams import median_pitch, run, white_noise, windows, with_state

RATE = grid.RATE

BLOCK = round(PROFILES["balanced"].block * RATE)


@pytest.mark.parametrize("block", [0.08, 0.1, 0.16, 0.24, 0.5])
def test_geometry_is_kept(engine: NanoEngine, voice: Voice, low: Pcm, block: float) -> None:
    settings = NanoSettings(block=block)
    geometry = engine.geometry(settings, voice)
    assert geometry.block % grid.STEP == 0
    assert geometry.algorithmic_latency <= round((block + 0.14) * RATE)
    out, _ = run(engine, voice, low.samples[: RATE + 77], settings)
    assert out.dtype == np.float32
    assert len(out) == RATE + 77
    assert np.isfinite(out).all()
    assert 0.1 < out.std() / low.samples[: RATE + 77].std() < 4


@pytest.mark.parametrize(("profile", "most"), [("low-latency", 0.12), ("balanced", 0.24), ("quality", 0.4)])
def test_latency_of_a_profile_is_within_its_limit(engine: NanoEngine, voice: Voice, profile: Name, most: float) -> None:
    geometry = engine.geometry(NanoSettings(profile=profile), voice)
    assert geometry.algorithmic_latency / RATE <= most
    # A block given explicitly wins; the future stays the profile's.
    other = engine.geometry(NanoSettings(profile=profile, block=0.2), voice)
    assert (other.block, other.lookahead) == (4800, geometry.lookahead)


def test_profiles_wait_longer_one_after_the_other(engine: NanoEngine, voice: Voice) -> None:
    latencies = [engine.geometry(NanoSettings(profile=p), voice).algorithmic_latency for p in PROFILES]
    assert latencies == sorted(set(latencies))
    assert NanoSettings() == NanoSettings(profile="balanced")


def test_profile_and_block_survive_a_dump() -> None:
    for given in ({}, {"profile": "low-latency"}, {"profile": "quality", "block": 0.3}):
        settings = NanoSettings.parse(given)
        assert NanoSettings.parse(settings.model_dump()) == settings
    assert {"profile", "block"} <= NanoSettings.per_session
    schema = NanoSettings.model_json_schema()["properties"]
    assert schema["profile"]["enum"] == list(PROFILES)
    assert "default" not in schema["block"]


@pytest.mark.parametrize("size", [0, 1000, 16 * 24_000])
def test_a_window_of_another_size_is_refused(engine: NanoEngine, voice: Voice, size: int) -> None:
    window = Window(0, np.zeros(size, dtype=np.float32), voice, NanoSettings())
    with pytest.raises(EngineError, match=rf"shape \({size},\)"):
        engine.convert([window])


def test_same_input_same_output(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    first, _ = run(engine, voice, low.samples[:RATE], seed=3)
    again, _ = run(NanoEngine(), voice, low.samples[:RATE], seed=3)
    other, _ = run(engine, voice, low.samples[:RATE], seed=4)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


def test_batch_equals_single(engine: NanoEngine, voice: Voice, low_voice: Voice, low: Pcm, high: Pcm) -> None:
    """Whatever else is in the batch: other voices, blocks, profiles, cold and warm; of one window size too."""
    _, states = run(engine, voice, low.samples[: RATE * 2])
    of_low = windows(engine, voice, low.samples[: RATE * 2], NanoSettings())
    of_high = windows(engine, low_voice, high.samples[:RATE], NanoSettings(profile="low-latency", block=0.18), seed=5)
    of_third = windows(engine, voice, high.samples[:RATE], NanoSettings(profile="quality"), seed=6)
    assert len(of_low[0].samples) == len(of_high[0].samples)
    batch = [with_state(of_low[i], states[i - 1]) for i in (3, 7, 9)] + of_low[2:4] + of_high[1:3] + of_third[1:3]
    together = engine.convert(batch)
    for window, block in zip(batch, together, strict=True):
        alone = engine.convert([window])[0]
        assert block.start == window.start
        difference = np.sqrt(np.mean((alone.samples - block.samples) ** 2))
        assert difference <= 1e-4 * np.sqrt(np.mean(alone.samples**2)) + 1e-9
        assert alone.state is not None
        assert block.state is not None
        assert alone.state.keys() == block.state.keys()


def test_convert_leaves_its_arguments_alone(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    _, states = run(engine, voice, low.samples[:RATE])
    window = with_state(windows(engine, voice, low.samples[:RATE], NanoSettings())[4], states[3])
    assert window.state is not None
    samples, kept = window.samples.copy(), {name: array.copy() for name, array in window.state.items()}
    first = engine.convert([window])[0].samples
    np.testing.assert_array_equal(window.samples, samples)
    for name, array in window.state.items():
        np.testing.assert_array_equal(array, kept[name])
    np.testing.assert_array_equal(first, engine.convert([window])[0].samples)


def test_state_is_small(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    _, states = run(engine, voice, low.samples[: 2 * RATE])
    sizes = [{name: array.nbytes for name, array in state.items()} for state in states]
    # What the encoder remembers of the last 1.3 s, so that it need not hear them again, is most of it.
    assert max(size.pop("past") for size in sizes) <= 384 * 1024
    assert max(sum(size.values()) for size in sizes) <= 16 * 1024


def test_a_window_travels_as_bytes(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    """A state sent to another machine gives the same block there."""
    _, states = run(engine, voice, low.samples[:RATE])
    window = windows(engine, voice, low.samples[:RATE], NanoSettings())[4]
    copied: State = {name: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) for name, a in states[3].items()}
    np.testing.assert_array_equal(
        engine.convert([with_state(window, states[3])])[0].samples,
        NanoEngine().convert([with_state(window, copied)])[0].samples,
    )


def test_silence_stays_silent(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    out, _ = run(engine, voice, np.zeros(2 * RATE, np.float32))
    assert np.abs(out).max() < 1e-5
    after = np.concatenate([low.samples[:RATE], np.zeros(2 * RATE, np.float32)])
    out, _ = run(engine, voice, after)
    assert np.abs(out[round(1.2 * RATE) :]).max() < 1e-5


def test_long_silence_moves_nothing(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    """What is known of the speaker survives a minute of near silence."""
    _, states = run(engine, voice, low.samples[: 2 * RATE])
    before = states[-1]
    quiet = white_noise(1.0, 1e-4)
    window = windows(engine, voice, quiet, NanoSettings())[5]
    state = before
    for _ in range(60 * RATE // BLOCK):
        block = engine.convert([with_state(window, state)])[0]
        assert block.state is not None
        state = block.state
    # The last sum is the noise floor, which is the room's.
    np.testing.assert_array_equal(state["sums"][:-1], before["sums"][:-1])
    np.testing.assert_array_equal(state["content"], before["content"])
    np.testing.assert_array_equal(state["colour"], before["colour"])


def test_output_is_as_loud_as_the_source(engine: NanoEngine, voice: Voice, low_voice: Voice, low: Pcm) -> None:
    for factor in (1.0, 0.05):
        for target in (voice, low_voice):
            source = low.samples * np.float32(factor)
            out, _ = run(engine, target, source)
            assert abs(20 * np.log10(out[24000:].std() / source[24000:].std())) < 3


def test_noise_does_not_get_a_pitch(engine: NanoEngine, voice: Voice) -> None:
    out, states = run(engine, voice, white_noise(2.0, 0.05))
    assert median_pitch(engine, out)[1] < 0.1
    assert all(state["pitch"][1].max() == 0 for state in states[2:])


def test_a_whisper_stays_a_whisper(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    """The spectrum of speech without its pitch: it comes through, as loud, and unvoiced."""
    whispered = degrade(Pcm(low.samples[: 4 * RATE], RATE), "whispered").samples
    out, _ = run(engine, voice, whispered)
    assert np.std(out[RATE:]) == pytest.approx(np.std(whispered[RATE:]), rel=0.5)
    assert median_pitch(engine, out)[1] < 0.1


@pytest.mark.parametrize("profile", PROFILES)
def test_no_clicks_at_joins(engine: NanoEngine, voice: Voice, low: Pcm, profile: Name) -> None:
    """Second differences across joins are like those elsewhere."""
    settings = NanoSettings(profile=profile)
    size = engine.geometry(settings, voice).block
    out, _ = run(engine, voice, low.samples, settings)
    bend = np.abs(np.diff(out, 2))
    joins = np.arange(size, len(out) - 2, size)
    at_joins = np.concatenate([bend[joins - 2 + k] for k in range(3)])
    assert np.sqrt(np.mean(at_joins**2)) < 1.5 * np.sqrt(np.mean(bend**2))
    assert at_joins.max() <= bend.max()
    # A click made on purpose would be seen.
    broken = out.copy()
    for join in joins:
        broken[join : join + size] *= -1 if (join // size) % 2 else 1
    bend = np.abs(np.diff(broken, 2))
    at_joins = np.concatenate([bend[joins - 2 + k] for k in range(3)])
    assert np.sqrt(np.mean(at_joins**2)) > 1.5 * np.sqrt(np.mean(bend**2))


@pytest.mark.parametrize(("profile", "most"), [("low-latency", 3.0), ("balanced", 1.0), ("quality", 1.0)])
def test_pitch_is_read_where_the_whole_stream_is(
    engine: NanoEngine, voice: Voice, low: Pcm, profile: Name, most: float
) -> None:
    """The tracker's frames (16 ms) fall where the whole signal's do, whatever the block; else 5 cents differ."""
    settings = NanoSettings(profile=profile)
    samples = low.samples[: 3 * RATE]
    narrow = nano.spectrum.without_rumble(nano.spectrum.to_analysis_rate(samples[None]))
    whole = nano.pitch.track(engine._pitch, narrow)
    memory, cents = nano.encoder.Memory.empty(), []
    size = round(settings.block * 100)
    for number, window in enumerate(windows(engine, voice, samples, settings)):
        heard = nano.spectrum.without_rumble(nano.spectrum.to_analysis_rate(window.samples[None]))[0]
        measured, memory = nano.analysis.measure(engine._content, engine._pitch, heard, memory, 0, settings.layout)
        at = number * size + np.arange(2, size + 2)
        if at[-1] * grid.ANALYSIS_HOP < narrow.shape[1] - nano.pitch.FRAME:
            f0, voicing = nano.pitch.at_points(whole[0][0], whole[1][0], at)
            both = (measured.voicing[2:] > 0) & (voicing > 0)
            cents.append(np.minimum(1200 / np.log(2) * np.abs(measured.log_f0[2:] - f0)[both], 100))
    assert len(np.concatenate(cents)) > 50
    assert np.concatenate(cents).mean() < most


def test_blocks_join_as_one_long_run(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    """The decoder and the synthesiser, run once over the rows of a whole stream, give the stream's output."""
    samples = low.samples[: 25 * BLOCK]
    streamed, states = run(engine, voice, samples)
    jobs = []
    state: State | None = None
    memory = nano.encoder.Memory.empty()
    for window, after in zip(windows(engine, voice, samples, NanoSettings()), states, strict=True):
        before = nano._BEFORE if state is None else 0
        heard = nano.spectrum.without_rumble(nano.spectrum.to_analysis_rate(window.samples[None]))[0]
        layout = NanoSettings().layout
        measured, memory = nano.analysis.measure(engine._content, engine._pitch, heard, memory, before, layout)
        jobs.append(nano._Job(engine._constants, with_state(window, state), measured, memory))
        state = after
    rows = np.concatenate([jobs[0].rows, *(job.rows[nano.HISTORY :] for job in jobs[1:])]).astype(np.float32)
    correction = engine._decoder.run(
        ["correction"], {"rows": rows[None], "condition": voice.tensors["condition"][None]}
    )[0][0]
    steps = len(correction)
    points = BLOCK // grid.HOP
    level = np.concatenate([jobs[0].level[-points - 4 :], *(job.level for job in jobs[1:])])
    log_f0 = np.concatenate([jobs[0].log_f0[-points - 6 :], *(job.log_f0[2:] for job in jobs[1:])])
    voicing = np.concatenate([jobs[0].voicing[-points - 6 :], *(job.voicing[2:] for job in jobs[1:])])
    matched = rows[nano.HISTORY - 1 :, nano._MATCHED]
    envelopes = np.clip(frames.base(matched, level)[:, None] + correction.reshape(2 * steps, 2, -1), -14, 5)
    # The first block also makes the two steps ahead of it.
    sizes = [points + 4] + [points] * (len(jobs) - 1)
    gains = np.concatenate([
        _gains(job, after, voice, size) for job, after, size in zip(jobs, states, sizes, strict=True)
    ])  # fmt: skip
    envelopes = np.minimum(envelopes + gains[:, None], 5)
    pulses, _ = excitation.pulses(log_f0, voicing, 0.0)
    noise = excitation.noise(0, -2 * grid.STEP, len(pulses))
    whole, _ = synthesis.synthesise(
        envelopes[:, 0], envelopes[:, 1], pulses, noise, np.zeros(synthesis.TAIL, np.float32)
    )
    whole = np.clip(whole[2 * grid.STEP :], -1, 1)
    most = float(np.abs(streamed).max())
    np.testing.assert_allclose(whole, streamed, atol=2e-4 * most)


def _gains(job: nano._Job, after: State, voice: Voice, points: int) -> np.ndarray:
    """Log gains that a block's last points get, (points, BANDS)."""
    colour = nano.Colour.unpack(after)
    level, mean_level = job.level[-points:], job.statistics.mean_level()
    quieter = frames.pause(level, job.statistics.floor, mean_level) + frames.headroom(mean_level)
    quieter += frames.gate(level, mean_level)
    corrections = colour.correction(voice.tensors["colour"], job.voicing[-points - 1 : -1])
    return corrections + colour.gain() + quieter[:, None]


def test_bad_samples_leave_no_trace(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    samples = low.samples[: 2 * RATE].copy()
    samples[RATE // 2 : RATE // 2 + 50] = np.nan
    samples[RATE // 2 + 60] = np.inf
    samples[RATE // 2 + 70] = -1e30
    out, states = run(engine, voice, samples)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1
    assert all(np.isfinite(array).all() for state in states for array in state.values())


def test_pitch_moves_to_the_targets_register(engine: NanoEngine, voice: Voice, low_voice: Voice, low: Pcm) -> None:
    source, _ = median_pitch(engine, low.samples)
    assert source == pytest.approx(111, rel=0.1)
    up, _ = median_pitch(engine, run(engine, voice, low.samples)[0])
    target = float(np.exp(voice.tensors["register"][0]))
    assert target > 250
    assert up == pytest.approx(target, rel=0.2)
    same, _ = median_pitch(engine, run(engine, low_voice, low.samples)[0])
    assert same == pytest.approx(float(np.exp(low_voice.tensors["register"][0])), rel=0.15)


def test_pitch_shift_and_register_settings(engine: NanoEngine, low_voice: Voice, voice: Voice, low: Pcm) -> None:
    plain, _ = median_pitch(engine, run(engine, low_voice, low.samples)[0])
    shifted, _ = median_pitch(engine, run(engine, low_voice, low.samples, NanoSettings(pitch_shift=7))[0])
    assert shifted / plain == pytest.approx(2 ** (7 / 12), rel=0.06)
    kept, _ = median_pitch(engine, run(engine, voice, low.samples, NanoSettings(match_register=False))[0])
    assert kept == pytest.approx(111, rel=0.12)


def test_a_voice_may_change_between_blocks(engine: NanoEngine, voice: Voice, low_voice: Voice, low: Pcm) -> None:
    """Without a click: the phase, the tail and the filters' memory go on."""
    state: State | None = None
    out = []
    for index, window in enumerate(windows(engine, voice, low.samples, NanoSettings())):
        chosen = voice if (index // 4) % 2 else low_voice
        block = engine.convert([nano.Window(window.start, window.samples, chosen, window.settings, 0, state)])[0]
        state = block.state
        out.append(block.samples)
    whole = np.concatenate(out)
    bend = np.abs(np.diff(whole, 2))
    switches = np.arange(4 * BLOCK, len(whole) - 2, 4 * BLOCK)
    assert np.concatenate([bend[switches - 2 + k] for k in range(3)]).max() <= bend.max()


def test_a_lost_state_is_overcome(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    """Starting cold in the middle of speech sounds at once, not only after a while."""
    streamed, _ = run(engine, voice, low.samples)
    window = windows(engine, voice, low.samples, NanoSettings())[10]
    cold = engine.convert([window])[0].samples
    warm = streamed[window.start : window.start + BLOCK]
    assert 0.3 < cold.std() / warm.std() < 3
    assert cold[:240].std() > 0.05 * cold.std()


def test_reference_memory_answers_with_its_own_envelopes() -> None:
    keys = np.eye(4, 8, dtype=np.float32)
    shapes = np.arange(4, dtype=np.float32)[:, None] * np.ones((1, synthesis.BANDS), np.float32)
    answer = reference.match(keys[2:3] * 5, keys, shapes)
    np.testing.assert_allclose(answer, 2.0, atol=1e-6)


def test_whole_utterances_keep_length_voice_and_time(engine: NanoEngine, voice: Voice, low: Pcm) -> None:
    for count in (0, 1, 479, RATE + 77):
        assert len(engine.convert_whole(low.samples[:count], voice, NanoSettings())) == count
    whole = engine.convert_whole(low.samples, voice, NanoSettings(), seed=4)
    np.testing.assert_array_equal(whole, engine.convert_whole(low.samples, voice, NanoSettings(), seed=4))
    streamed, _ = run(engine, voice, low.samples, seed=4)
    assert median_pitch(engine, whole)[0] == pytest.approx(median_pitch(engine, streamed)[0], rel=0.1)

    def loudness(samples: np.ndarray) -> np.ndarray:
        return np.sqrt((samples[: len(samples) // 480 * 480].reshape(-1, 480) ** 2).mean(1))

    # The same speech at the same time, once the stream knows its speaker too.
    assert np.corrcoef(loudness(whole)[50:], loudness(streamed)[50:])[0, 1] > 0.9
    # Loud from the first word on: nothing is still being learnt.
    assert abs(20 * np.log10(whole[:RATE].std() / low.samples[:RATE].std())) < 4


def test_long_audio_is_whole_in_pieces(
    engine: NanoEngine, voice: Voice, low: Pcm, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = engine.convert_whole(low.samples, voice, NanoSettings())
    monkeypatch.setattr(nano, "WHOLE_STEPS", 60)
    cut = engine.convert_whole(low.samples, voice, NanoSettings())
    assert len(cut) == len(once)
    bend = np.abs(np.diff(cut, 2))
    size = -(-len(low.samples) // (3 * grid.STEP)) * grid.STEP
    joins = np.arange(size, len(cut) - 2, size)
    assert np.concatenate([bend[joins - 2 + k] for k in range(3)]).max() <= bend.max()
    with pytest.raises(VoiceError, match="enroll"):
        engine.convert_whole(low.samples, Voice("nano", "0" * 64, voice.tensors), NanoSettings())
