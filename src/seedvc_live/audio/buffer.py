"""AudioBuffer: a bounded, thread-safe ring of samples between a producer and a consumer."""

from __future__ import annotations

import threading
import time

import numpy as np
import numpy.typing as npt

AudioArray = npt.NDArray[np.float32]


class AudioBuffer:
    """First in, first out; when it is full the *oldest* unread samples make room and are counted.

    No sample is ever read twice, and what is read is always contiguous except where an overrun was counted.

    Args:
        max_size_samples: capacity in samples (frames, with several channels).
        channels: 1 for arrays of shape (n,), more for (n, channels).

    Raises:
        ValueError: capacity or channels below 1.
    """

    def __init__(self, max_size_samples: int = 48000, channels: int = 1) -> None:
        if max_size_samples < 1 or channels < 1:
            raise ValueError(f"an AudioBuffer holds at least 1 sample of 1 channel, got {max_size_samples}, {channels}")
        self.capacity = max_size_samples
        self.channels = channels
        self._ring = np.zeros((max_size_samples, channels), dtype=np.float32)
        # Positions count samples since the beginning; the ring index is the position modulo the capacity. So
        # "full" and "empty" differ, which they do not for two indices that wrap.
        self._read_at = 0
        self._write_at = 0
        self._closed = False
        self._overruns = 0
        self._underruns = 0
        self._changed = threading.Condition()

    # -- state -------------------------------------------------------------------------------------

    def available_samples(self) -> int:
        """Samples written and not yet read."""
        with self._changed:
            return self._write_at - self._read_at

    @property
    def overruns(self) -> int:
        """Samples thrown away unread because the buffer was full."""
        with self._changed:
            return self._overruns

    @property
    def underruns(self) -> int:
        """Samples that were asked for and were not there (in `read_blocking`: not within the timeout)."""
        with self._changed:
            return self._underruns

    @property
    def closed(self) -> bool:
        with self._changed:
            return self._closed

    @property
    def ended(self) -> bool:
        """True once the buffer is closed and everything has been read."""
        with self._changed:
            return self._closed and self._read_at == self._write_at

    def close(self) -> None:
        """Mark the end of the stream. Reads then give what is left, a shorter remainder once, and then
        None.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # -- writing -----------------------------------------------------------------------------------

    def write(self, data: AudioArray) -> int:
        """Append samples, never waiting.

        Returns:
            How many samples were dropped to make room: the oldest unread ones, then the head of `data`.

        Raises:
            ValueError: wrong shape, or the buffer is closed.
        """
        frames = self._frames(data)
        with self._changed:
            self._check_open()
            n = len(frames)
            dropped = max(0, self._write_at - self._read_at + n - self.capacity)
            # Samples that would be overwritten by this very write need not be copied at all.
            skipped = max(0, n - self.capacity)
            self._write_at += skipped
            self._read_at += dropped
            self._put(frames[skipped:])
            self._overruns += dropped
            self._changed.notify_all()
            return dropped

    def write_blocking(self, data: AudioArray, timeout: float | None = None) -> int:
        """Append samples, waiting for room instead of dropping.

        Args:
            data: samples; may be longer than the capacity.
            timeout: seconds in all; None waits as long as it takes.

        Returns:
            How many samples were written, fewer than given only if time ran out.

        Raises:
            ValueError: wrong shape, or the buffer is or becomes closed.
        """
        frames = self._frames(data)
        deadline = None if timeout is None else time.monotonic() + timeout
        written = 0
        with self._changed:
            self._check_open()
            while written < len(frames):
                room = self.capacity - (self._write_at - self._read_at)
                if room == 0:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        break
                    self._changed.wait(left)
                    self._check_open()
                    continue
                part = frames[written : written + room]
                self._put(part)
                written += len(part)
                self._changed.notify_all()
        return written

    # -- reading -----------------------------------------------------------------------------------

    def read(self, n: int) -> AudioArray | None:
        """The next n samples, or None while there are fewer. After `close()`: the shorter remainder once,
        then None.

        Raises:
            ValueError: n is negative or larger than the capacity (it could never be satisfied).
        """
        with self._changed:
            self._check_request(n)
            if not self._satisfiable(n):
                if not self._closed:
                    self._underruns += n - (self._write_at - self._read_at)
                return None
            return self._take(n)

    def read_blocking(self, n: int, timeout: float | None = None) -> AudioArray | None:
        """Like `read`, waiting up to `timeout` seconds (None: as long as it takes) for the n samples or
        the end.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            self._check_request(n)
            while not self._satisfiable(n):
                if self._closed:
                    return None
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    self._underruns += n - (self._write_at - self._read_at)
                    return None
                self._changed.wait(left)
            return self._take(n)

    # -- with the lock held ------------------------------------------------------------------------

    def _frames(self, data: AudioArray) -> AudioArray:
        samples = np.asarray(data, dtype=np.float32)
        if samples.ndim == 1 and self.channels == 1:
            return samples[:, np.newaxis]
        if samples.ndim == 2 and samples.shape[1] == self.channels:
            return samples
        wanted = "(n,)" if self.channels == 1 else f"(n, {self.channels})"
        raise ValueError(f"samples must have shape {wanted}, got {samples.shape}")

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the AudioBuffer is closed")

    def _check_request(self, n: int) -> None:
        if not 0 <= n <= self.capacity:
            raise ValueError(f"n must be 0..{self.capacity} (the capacity), got {n}")

    def _satisfiable(self, n: int) -> bool:
        available = self._write_at - self._read_at
        return available >= n if not self._closed else available > 0

    def _put(self, frames: AudioArray) -> None:
        at = self._write_at % self.capacity
        first = min(len(frames), self.capacity - at)
        self._ring[at : at + first] = frames[:first]
        self._ring[: len(frames) - first] = frames[first:]
        self._write_at += len(frames)

    def _take(self, n: int) -> AudioArray:
        n = min(n, self._write_at - self._read_at)
        at = self._read_at % self.capacity
        first = min(n, self.capacity - at)
        out = np.concatenate([self._ring[at : at + first], self._ring[: n - first]])
        self._read_at += n
        self._changed.notify_all()
        return out[:, 0] if self.channels == 1 else out
