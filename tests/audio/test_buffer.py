"""AudioBuffer against a plain list, and between two threads."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seedvc_live.audio.buffer import AudioBuffer

CAPACITY = 13


class BufferMachine(RuleBasedStateMachine):
    """Any sequence of operations does what it does to a list."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = AudioBuffer(CAPACITY)
        self.model: list[float] = []
        self.counter = 0
        self.overruns = self.underruns = 0
        self.closed = False

    def fresh(self, n: int) -> np.ndarray:
        self.counter += n
        return np.arange(self.counter - n, self.counter, dtype=np.float32)

    @precondition(lambda self: not self.closed)
    @rule(n=st.integers(0, 3 * CAPACITY))
    def write(self, n: int) -> None:
        data = self.fresh(n)
        self.model += data.tolist()
        dropped = max(0, len(self.model) - CAPACITY)
        self.model = self.model[dropped:]
        self.overruns += dropped
        assert self.buffer.write(data) == dropped

    @precondition(lambda self: not self.closed)
    @rule(n=st.integers(0, 2 * CAPACITY))
    def write_blocking(self, n: int) -> None:
        data = self.fresh(n)
        fits = min(n, CAPACITY - len(self.model))
        self.model += data[:fits].tolist()
        assert self.buffer.write_blocking(data, timeout=0) == fits

    @rule(n=st.integers(0, CAPACITY), blocking=st.booleans())
    def read(self, n: int, blocking: bool) -> None:
        got = self.buffer.read_blocking(n, timeout=0) if blocking else self.buffer.read(n)
        if len(self.model) >= n and not (self.closed and not self.model):
            expected, self.model = self.model[:n], self.model[n:]
        elif self.closed and self.model:
            expected, self.model = self.model, []
        else:
            assert got is None
            if not self.closed:
                self.underruns += n - len(self.model)
            return
        assert got is not None
        assert got.dtype == np.float32
        assert got.tolist() == expected

    @rule()
    def close(self) -> None:
        self.buffer.close()
        self.closed = True

    @precondition(lambda self: self.closed)
    @rule()
    def write_after_close(self) -> None:
        with pytest.raises(ValueError, match="closed"):
            self.buffer.write(np.zeros(1, np.float32))

    @invariant()
    def same(self) -> None:
        assert self.buffer.available_samples() == len(self.model)
        assert self.buffer.overruns == self.overruns
        assert self.buffer.underruns == self.underruns
        assert self.buffer.ended == (self.closed and not self.model)


TestBuffer = BufferMachine.TestCase
TestBuffer.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_two_threads_lose_and_double_nothing() -> None:
    total, buffer = 200_000, AudioBuffer(1000)
    data = np.arange(total, dtype=np.float32)

    def produce() -> None:
        rng, at = np.random.default_rng(1), 0
        while at < total:
            n = int(rng.integers(1, 3000))
            buffer.write_blocking(data[at : at + n], timeout=10)
            at += n
        buffer.close()

    thread = threading.Thread(target=produce)
    thread.start()
    rng, parts = np.random.default_rng(2), []
    while not buffer.ended:
        part = buffer.read_blocking(int(rng.integers(1, 1000)), timeout=10)
        if part is not None:
            parts.append(part)
    thread.join()
    assert np.array_equal(np.concatenate(parts), data)
    assert buffer.overruns == 0


def test_two_threads_with_overruns_keep_the_order() -> None:
    total, buffer = 100_000, AudioBuffer(500)

    def produce() -> None:
        for at in range(0, total, 100):
            buffer.write(np.arange(at, at + 100, dtype=np.float32))
        buffer.close()

    thread = threading.Thread(target=produce)
    thread.start()
    parts = []
    while not buffer.ended:
        part = buffer.read_blocking(37, timeout=10)
        if part is not None:
            parts.append(part)
    thread.join()
    got = np.concatenate(parts)
    assert np.all(np.diff(got) > 0)
    assert len(got) + buffer.overruns == total


def test_close_wakes_a_waiting_reader_and_writer() -> None:
    empty, full = AudioBuffer(4), AudioBuffer(4)
    full.write(np.zeros(4, np.float32))
    results: list[object] = []

    def write() -> None:
        try:
            full.write_blocking(np.zeros(1, np.float32))
        except ValueError as error:
            results.append(error)

    threads = [threading.Thread(target=lambda: results.append(empty.read_blocking(2)))]
    threads.append(threading.Thread(target=write))
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    empty.close()
    full.close()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert len(results) == 2
    assert None in results


def test_several_channels() -> None:
    buffer = AudioBuffer(5, channels=2)
    frames = np.arange(12, dtype=np.float32).reshape(6, 2)
    assert buffer.write(frames) == 1
    got = buffer.read(5)
    assert got is not None
    assert np.array_equal(got, frames[1:])
    with pytest.raises(ValueError, match="shape"):
        buffer.write(np.zeros(4, np.float32))


def test_what_can_never_be_satisfied_is_refused() -> None:
    buffer = AudioBuffer(8)
    for n in (-1, 9):
        with pytest.raises(ValueError, match="capacity"):
            buffer.read(n)
    for size, channels in ((0, 1), (8, 0)):
        with pytest.raises(ValueError, match="at least"):
            AudioBuffer(size, channels)


def test_reading_gives_a_copy() -> None:
    buffer = AudioBuffer(4)
    buffer.write(np.ones(4, np.float32))
    first = buffer.read(4)
    buffer.write(np.zeros(4, np.float32))
    assert first is not None
    assert first.tolist() == [1, 1, 1, 1]
