"""Live conversion in virtual time: nothing here sleeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedvc_live.engines.passthrough import PassthroughEngine, PassthroughSettings
from tests.tools.peers import lag
from tests.tools.virtual import Run, simulate

RATE = 8000
BLOCK = 0.16


class Settings(PassthroughSettings):
    block: float = BLOCK
    lookahead: float = 0.08
    crossfade: float = 0.01
    join: str = "cos2"  # type: ignore[assignment]


class Engine(PassthroughEngine):
    """Passthrough with the window sizes of a real engine."""

    settings_type = Settings


def speech(seconds: float, seed: int = 1) -> np.ndarray:
    """Noise with the envelope of syllables: every stretch of it is unlike every other."""
    time = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    smooth = np.convolve(noise, np.hanning(9) / 4, mode="same")
    return (0.1 * smooth * (1.1 + np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def engine() -> Engine:
    return Engine(RATE)


def lag_of(run: Run, source: np.ndarray, first: float, last: float) -> float:
    """Delay in seconds of the output between two times against the source, by cross-correlation."""
    timeline = np.zeros(int((run.times[-1] + 1) * RATE))
    for time, samples in zip(run.times, run.output, strict=True):
        begin = round(time * RATE)
        timeline[begin : begin + len(samples)] = samples
    return lag(timeline, source, first, last - first, RATE, 0.5)


def test_samples_in_are_samples_out() -> None:
    source = speech(3.0)
    run = simulate(engine(), source)
    assert np.array_equal(run.samples, source)
    assert run.stream.playout.stats.concealed == 0
    assert run.skipped == 0


def test_the_delay_is_the_stated_one_from_the_first_sample_to_the_last() -> None:
    run = simulate(engine(), speech(3.0), cost=lambda now: 0.015)
    total = run.stream.delay.total
    assert total == pytest.approx(0.25 + 0.02 + 0.04)
    assert max(abs(delay - total) for delay in run.delays) < 0.011  # a pull is 10 ms


@settings(max_examples=25)
@given(st.integers(0, 12_000), st.integers(0, 2**16))
def test_any_length_and_jitter_within_the_depth_loses_nothing(length, seed) -> None:
    source = speech(2.0)[:length]
    shake = np.random.default_rng(seed).uniform(0, 0.035, 200)
    run = simulate(engine(), source, jitter=lambda packet: float(shake[packet]))
    stats = run.stream.playout.stats
    assert stats.played == len(source)
    assert len(run.samples) == len(source) - stats.dropped + stats.added
    assert stats.concealed == 0


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_a_clock_off_by_200_ppm_for_ten_minutes_moves_the_delay_by_less_than_20_ms(ppm) -> None:
    run = simulate(engine(), speech(600.0), ppm=ppm)
    delays = np.array(run.delays)
    assert float(delays.max() - delays.min()) < 0.020
    stats = run.stream.playout.stats
    corrected = stats.dropped - stats.added
    assert corrected == pytest.approx(ppm * 1e-6 * 600 * RATE, rel=0.05)
    assert stats.concealed == 0
    assert stats.resyncs == 0


@pytest.mark.parametrize("overload", ["silence", "bypass"])
def test_an_engine_of_one_and_a_half_times_real_time_never_grows_the_delay(overload) -> None:
    source = speech(120.0)
    run = simulate(engine(), source, cost=lambda now: 1.5 * BLOCK, overload=overload)
    bound = run.stream.delay.total + 0.01
    assert max(run.delays) <= bound
    assert len(run.samples) == len(source)
    assert run.stream.ladder.changes > 0
    assert run.stream.stats.dropped_blocks > 0
    stats = run.stream.playout.stats
    if overload == "bypass":
        assert stats.played > 0.7 * len(source)
    else:
        assert float(np.sqrt(np.mean(run.samples[RATE * 5 :] ** 2))) < 0.01


def test_a_slow_spell_is_concealed_and_the_delay_is_afterwards_what_it_was() -> None:
    source = speech(20.0)
    run = simulate(engine(), source, cost=lambda now: 0.4 if 5.0 < now < 6.0 else 0.01)
    assert run.stream.playout.stats.concealed > 0
    assert run.stream.playout.stats.late_blocks + run.stream.stats.dropped_blocks > 0
    assert len(run.samples) == len(source)
    before, after = lag_of(run, source, 2.0, 4.0), lag_of(run, source, 15.0, 18.0)
    assert after == pytest.approx(before, abs=0.001)
    assert before == pytest.approx(run.stream.delay.total, abs=0.011)


@pytest.mark.parametrize("announced", [True, False], ids=["rtp", "udp"])
@pytest.mark.parametrize("loss", [0.05, 0.2, "bursts"])
def test_loss_shortens_nothing_and_leaves_the_delay(loss, announced) -> None:
    source = speech(20.0)
    draws = np.random.default_rng(3).random(1000)

    def lost(packet: int) -> bool:
        if not 250 <= packet < 700:
            return False
        return packet % 15 < 3 if loss == "bursts" else bool(draws[packet] < loss)

    run = simulate(engine(), source, lost=lost, announced=announced)
    assert abs(len(run.samples) + run.skipped - len(source)) <= 0.04 * RATE
    before, after = lag_of(run, source, 2.0, 4.5), lag_of(run, source, 16.5, 19.0)
    assert after == pytest.approx(before, abs=0.020)


def test_a_pause_of_the_sender_keeps_the_delay_and_is_not_filled_with_output() -> None:
    source = speech(6.0)
    run = simulate(engine(), source, pause=(150, 3.0), announced=False)
    # All that was sent before the pause and after it is heard, nothing in between.
    assert len(run.samples) == pytest.approx(len(source), abs=0.05 * RATE)
    assert run.skipped == pytest.approx(3.0 * RATE, abs=0.05 * RATE)
    shifted = np.concatenate([source[: 3 * RATE], np.zeros(3 * RATE), source[3 * RATE :]])
    before, after = lag_of(run, shifted, 1.0, 3.0), lag_of(run, shifted, 7.0, 8.9)
    assert after == pytest.approx(before, abs=0.005)


def test_packets_held_up_beyond_the_depth_do_not_add_delay() -> None:
    source = speech(12.0)
    run = simulate(engine(), source, jitter=lambda packet: 0.3 if packet == 200 else 0.0)
    before, after = lag_of(run, source, 1.5, 3.5), lag_of(run, source, 8.0, 11.0)
    assert after == pytest.approx(before, abs=0.005)
    # 0.3 s is within the whole delay, so what was held up is converted from what was there and goes on.
    assert run.stream.stats.forced_blocks > 0
    assert run.skipped + len(run.samples) == pytest.approx(len(source), abs=0.02 * RATE)


def test_packets_without_time_stamps_that_are_late_and_not_lost_do_not_add_delay() -> None:
    source = speech(12.0)
    shake = np.random.default_rng(5)
    held = {packet: float(shake.uniform(0.05, 0.15)) for packet in range(150, 400, 25)}
    run = simulate(engine(), source, jitter=lambda packet: held.get(packet, 0.0), announced=False)
    before, after = lag_of(run, source, 1.0, 2.5), lag_of(run, source, 9.0, 11.5)
    assert after == pytest.approx(before, abs=0.005)
    assert run.stream.stats.late_samples > 0
    assert run.skipped + len(run.samples) == pytest.approx(len(source), abs=0.02 * RATE)


def test_the_queue_is_bounded_in_time() -> None:
    longest = 0

    def watch(now: float, stream) -> None:  # type: ignore[no-untyped-def]
        nonlocal longest
        longest = max(longest, len(stream._queue))

    simulate(engine(), speech(60.0), cost=lambda now: 1.5 * BLOCK, events=watch)
    assert longest * BLOCK < 1.0


def test_a_network_that_stalls_is_not_taken_for_an_engine_that_is_too_slow() -> None:
    source = speech(6.0)
    short = PassthroughEngine(RATE)  # blocks of 20 ms: a stall makes dozens of them late
    for stalled in (engine(), short):
        run = simulate(stalled, source, jitter=lambda packet: 0.7 if packet == 100 else 0.0)
        assert run.stream.stats.dropped_blocks > 0
        assert run.stream.ladder.changes == 0
        # It goes on as soon as it can.
        after = lag_of(run, source, 3.5, 5.0)
        assert abs(after - lag_of(run, source, 0.8, 1.6)) < 0.005


def test_a_few_late_blocks_silence_nobody_however_short_blocks_are() -> None:
    short = PassthroughEngine(RATE)
    run = simulate(short, speech(4.0), playout=0.02, cost=lambda now: 0.12 if abs(now - 2.0) < 0.05 else 0.001)
    assert run.stream.playout.stats.late_blocks + run.stream.stats.dropped_blocks >= 3
    assert run.stream.ladder.changes == 0
