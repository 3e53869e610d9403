"""LiveSink: what all sinks share that send or play at once."""

from __future__ import annotations

import time

import numpy as np

from ..audio.resample import StreamResampler
from .pushing import SinkBase, frames_of
from .types import AudioArray

MAX_BACKLOG_SECONDS = 5.0


class LiveSink(SinkBase):
    """Common to sinks that send or play: media time is counted in samples, and can be paced by the wall
    clock.

    Normally the caller paces (a session's play-out point), and `write` never waits. With `paced=True`,
    `write` itself waits until the audio is due; then a file can be played into the network.

    When writes stop for longer than `reanchor_seconds` without a `skip`, media time jumps to the present.
    """

    live = True

    def __init__(
        self, label: str, rate: int, native_rate: int, channels: int, paced: bool, reanchor_seconds: float
    ) -> None:
        super().__init__(label, rate, channels)
        self.native_rate = native_rate
        self.paced = paced
        self._reanchor = reanchor_seconds
        self._resampler = StreamResampler(rate, native_rate, channels, method="polyphase")
        self._origin: float | None = None  # monotonic time of media time 0
        self._written = 0  # media time, in samples at `rate`

    def write(self, samples: AudioArray) -> None:
        self._running()
        frames = frames_of(np.asarray(samples, dtype=np.float32), self.channels)
        if not self.paced:
            self._write(frames)
            return
        step = max(1, self.rate // 50)
        for at in range(0, len(frames), step):
            if self._origin is not None:
                time.sleep(max(0.0, self._origin + self._written / self.rate - time.monotonic()))
            self._write(frames[at : at + step])

    def skip(self, n: int) -> None:
        self._running()
        if n <= 0:
            return
        self._stats.skipped_samples += n
        self._written += n
        self._advance(n)

    def finish(self, timeout: float = 10.0) -> None:
        if self._done:
            return
        pusher = self._running()
        try:
            self._send(self._resampler.flush())
            self._flush()
            pusher.end(timeout)
        finally:
            self._count()
            self._close()

    def abort(self) -> None:
        self._count()
        self._close()

    def _write(self, frames: AudioArray) -> None:
        now = time.monotonic()
        if self._origin is None:
            self._origin = now
        behind = now - self._origin - self._written / self.rate
        if behind > self._reanchor:
            missing = round(behind * self.rate)
            self._written += missing
            self._advance(missing)
        self._written += len(frames)
        self._stats.samples += len(frames)
        self._send(self._resampler.push(frames))
        self._count()

    def _advance(self, n: int) -> None:
        """Pass over n samples (at `rate`) of media time."""
        shape = n if self.channels == 1 else (n, self.channels)
        self._send(self._resampler.push(np.zeros(shape, dtype=np.float32)))

    def _send(self, samples: AudioArray) -> None:
        raise AssertionError("LiveSink is a base class")

    def _flush(self) -> None:
        """Send what waits for more."""

    def _count(self) -> None:
        """Bring the counters up to date."""
