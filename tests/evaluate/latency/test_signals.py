from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live import LiveConverter, load_audio, load_engine
from seedvc_live.audio.resample import resample
from seedvc_live.evaluate.latency.signals import (
    APART,
    KINDS,
    LEAST_MATCH,
    LONGEST,
    chirp,
    chirp_train,
    envelope_delay,
    match,
    pair_chirps,
)

RATE = 16000


def delayed(samples: np.ndarray, by: int) -> np.ndarray:
    return np.concatenate([np.zeros(by, np.float32), samples])[: len(samples)]


def test_a_train_holds_whole_rounds_so_that_it_can_loop() -> None:
    train = chirp_train(5.0, RATE)
    assert len(train) == 3 * KINDS * APART * RATE
    assert len(pair_chirps(np.tile(train, 2), np.tile(train, 2), RATE)) >= 5 * KINDS


def test_kinds_are_not_taken_for_each_other_nor_for_noise() -> None:
    noise = np.random.default_rng(0).normal(size=20 * RATE).astype(np.float32)
    for kind in range(KINDS):
        pattern = chirp(kind, RATE)
        assert match(noise, pattern).max() < LEAST_MATCH
        for other in range(KINDS):
            padded = np.pad(chirp(other, RATE), RATE // 2)
            best = match(padded, pattern).max()
            assert best > 0.999 if other == kind else best < LEAST_MATCH, (kind, other, best)


def test_match_is_blind_to_level_and_polarity_and_to_silence() -> None:
    pattern = chirp(0, RATE)
    for gain in (1.0, 0.003, -0.5):
        found = match(np.pad(gain * pattern, (321, 500)), pattern)
        assert int(np.argmax(found)) == 321
        assert found[321] == pytest.approx(1, abs=1e-3)
    assert not match(np.zeros(RATE, np.float32), pattern).any()
    assert match(pattern[:10], pattern).size == 0


@given(st.integers(0, round(LONGEST * RATE) - 1), st.floats(0.001, 2), st.integers(0, 10))
def test_every_chirp_has_the_delay_it_was_given(by, gain, seed) -> None:
    train = chirp_train(8.0, RATE)
    noise = np.random.default_rng(seed).normal(0, 0.02, len(train)).astype(np.float32)
    pairs = pair_chirps(train, gain * (delayed(train, by) + noise), RATE)
    assert len(pairs) >= KINDS
    for pair in pairs:
        assert pair.heard is not None
        assert pair.heard - pair.sent == pytest.approx(by / RATE, abs=1.5 / RATE)


def test_a_chirp_that_is_cut_out_is_missed_and_not_replaced_by_its_neighbour() -> None:
    train = chirp_train(8.0, RATE)
    heard = delayed(train, 1600)
    heard[round(2.1 * RATE) : round(2.4 * RATE)] = 0
    pairs = pair_chirps(train, heard, RATE)
    lost = [pair for pair in pairs if pair.heard is None]
    assert [round(pair.sent, 3) for pair in lost] == [2.125]
    assert len(pairs) > 8


def test_times_of_what_was_heard_may_jitter_and_begin_later() -> None:
    train = chirp_train(8.0, RATE)
    jitter = np.repeat(np.random.default_rng(1).uniform(-0.003, 0.003, len(train) // 320), 320)
    seconds = np.arange(len(train)) / RATE + 0.12 + jitter
    pairs = pair_chirps(train, train[RATE:], RATE, seconds[RATE:])
    assert min(pair.sent for pair in pairs) > 1
    for pair in pairs:
        assert pair.heard is not None
        assert pair.heard - pair.sent == pytest.approx(0.12, abs=0.0035)


def test_nothing_heard_gives_nothing() -> None:
    assert pair_chirps(chirp_train(2.0, RATE), np.zeros(0, np.float32), RATE) == []
    silent = pair_chirps(chirp_train(8.0, RATE), np.zeros(8 * RATE, np.float32), RATE)
    assert silent
    assert all(pair.heard is None for pair in silent)


@pytest.fixture(scope="module")
def data_folder():
    with as_file(files("seedvc_live") / "data") as folder:
        yield folder


@pytest.fixture(scope="module")
def speech(data_folder):
    return load_audio(data_folder / "source.flac")


@pytest.mark.parametrize("by", [0.0, 0.123, 0.4567])
def test_the_envelope_tells_the_delay_of_speech(speech, by) -> None:
    heard = delayed(speech.samples, round(by * speech.rate))
    seconds, correlation = envelope_delay(speech.samples, 0.1 * heard, speech.rate, longest=1.0)
    assert seconds == pytest.approx(by, abs=0.001)
    assert correlation > 0.99


def test_the_envelope_refuses_what_it_cannot_tell(speech) -> None:
    with pytest.raises(ValueError, match="too short"):
        envelope_delay(speech.samples[: 3 * speech.rate], speech.samples[: 3 * speech.rate], speech.rate)
    with pytest.raises(ValueError, match="rhythm"):
        envelope_delay(speech.samples, np.zeros_like(speech.samples), speech.rate)


def test_a_change_of_voice_does_not_move_the_envelope(speech, data_folder) -> None:
    """Output sample i is input sample i, converted: so the envelope's own error is what it says of a file."""
    engine = load_engine("nano")
    live = LiveConverter(engine, engine.enroll(load_audio(data_folder / "reference.flac")))
    source = resample(speech, engine.sample_rate)
    converted = np.concatenate([live.push(source.samples), live.flush()])
    late = delayed(converted, round(0.05 * engine.sample_rate))
    seconds, correlation = envelope_delay(source.samples, late, engine.sample_rate, longest=1.0)
    print(f"envelope of nano's output: {seconds * 1000:.1f} ms, correlation {correlation:.2f}")
    assert seconds == pytest.approx(0.05, abs=0.01)
    assert correlation > 0.7
