"""A source and a sink in memory, for sessions without media."""

from __future__ import annotations

import threading

import numpy as np

from seedvc_live.media.types import AudioArray, Chunk, SinkStats, SourceStats


class ArraySource:
    """Gives an array; a session plays it in real time, as it does a file."""

    live = False
    channels = 1

    def __init__(self, samples: np.ndarray, rate: int) -> None:
        self.rate = rate
        self._chunks = [samples] if len(samples) else []

    def start(self) -> None:
        pass

    def read_chunk(self, timeout: float) -> Chunk | None:
        return Chunk(self._chunks.pop(), 0.0) if self._chunks else None

    @property
    def ended(self) -> bool:
        return not self._chunks

    stats = SourceStats()
    duration = None
    truncated = None

    def stop(self) -> None:
        pass


class ListSink:
    """Keeps what is written."""

    live = True
    channels = 1

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.written: list[AudioArray] = []
        self.skipped = 0
        self.finished = self.aborted = False
        self.begun = threading.Event()

    def start(self) -> None:
        pass

    def write(self, samples: AudioArray) -> None:
        self.written.append(samples.copy())
        self.begun.set()

    def skip(self, n: int) -> None:
        self.skipped += n

    def finish(self, timeout: float = 10.0) -> None:
        self.finished = True

    def abort(self) -> None:
        self.aborted = True

    stats = SinkStats()

    @property
    def samples(self) -> AudioArray:
        return np.concatenate(self.written) if self.written else np.zeros(0, dtype=np.float32)
