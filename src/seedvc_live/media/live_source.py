"""LiveSource: what all real-time inputs share: a pull thread, a queue bounded in time, filled gaps."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import numpy as np

from ..audio.resample import StreamResampler
from ..errors import InputError, MediaError
from .bus import BusWatch, failure
from .elements import Gst, seconds_to_ns
from .types import AudioArray, Chunk, SourceStats

_PULL_SECONDS = 0.02


class LiveSource:
    """A pipeline that ends in an appsink, emptied by a thread of its own as soon as anything arrives.

    So no packet waits in GStreamer, and the arrival time of each chunk is honest. The reader's queue is
    bounded in time; when nobody reads, the oldest chunks go, are counted, and are announced as a gap
    before the next one.

    Subclasses build the pipeline and turn each sample of the appsink into audio, at `native_rate`, with
    `_deliver` and `_gap`.
    """

    live = True
    own_thread = True
    """False: `read_chunk` empties the appsink itself. For a reader that never pauses this saves a thread's wake-ups."""

    def __init__(self, label: str, native_rate: int, rate: int, channels: int, max_queue_seconds: float) -> None:
        if rate <= 0 or native_rate <= 0:
            raise ValueError(f"rates must be positive, got {native_rate} Hz, {rate} Hz")
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        self.label = label
        self.rate = rate
        self.channels = channels
        self.native_rate = native_rate
        self._stats = SourceStats()
        self._max_queued = max(1, round(max_queue_seconds * rate))
        self._queue: deque[Chunk] = deque()
        self._queued = 0
        self._pending_gap = 0
        self._age = 0.0  # seconds for which samples have been held back on purpose when they come
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failure: MediaError | None = None
        self._finished = False
        self._pipeline: Any = None
        self._appsink: Any = None
        self._bus: BusWatch | None = None
        self._resampler = StreamResampler(native_rate, rate, channels, method="polyphase")

    # -- for subclasses ----------------------------------------------------------------------------

    def _build(self) -> tuple[Any, Any]:
        """Make (pipeline, appsink); called in `start` and on a restart.

        Raises:
            InputError: the port or device cannot be opened.
        """
        raise AssertionError("LiveSource is a base class")

    def _handle(self, sample: Any) -> None:
        """Take one sample of the appsink; runs in the pull thread."""
        raise AssertionError("LiveSource is a base class")

    def _between(self) -> None:
        """Called in the pull thread after each pull, also when nothing came."""

    def _release(self) -> None:
        """Free what `_build` opened beside the pipeline."""

    def _deliver(self, samples: AudioArray) -> None:
        """Hand over contiguous samples at the native rate."""
        ready = self._resampler.push(samples)
        if len(ready):
            self._enqueue(ready)

    def _gap(self, native_samples: int) -> None:
        """Media time passed without audio, too long to fill: the stream is cut and starts anew."""
        tail = self._resampler.flush()
        if len(tail):
            self._enqueue(tail)
        self._resampler = StreamResampler(self.native_rate, self.rate, self.channels, method="polyphase")
        gap = round(native_samples * self.rate / self.native_rate)
        with self._changed:
            self._pending_gap += gap
            self._stats.discontinuities += 1
            self._stats.gap_samples += gap

    def _scaled(self, native_samples: int) -> int:
        return round(native_samples * self.rate / self.native_rate)

    # -- Source ------------------------------------------------------------------------------------

    def start(self) -> None:
        if self._thread is not None or self._stopping.is_set():
            raise MediaError(f"{self.label}: a source starts only once")
        try:
            self._open()
        except BaseException:
            self.stop()
            raise
        if self.own_thread:
            self._thread = threading.Thread(target=self._run, name=f"pull {self.label}", daemon=True)
            self._thread.start()

    def read_chunk(self, timeout: float) -> Chunk | None:
        if not self.own_thread and not self._queue and not self._finished and not self._pull(timeout):
            self._finished = True
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._queue:
                if self._failure is not None:
                    raise self._failure
                left = deadline - time.monotonic()
                if left <= 0 or self._finished or not self.own_thread:
                    return None
                self._changed.wait(left)
            chunk = self._queue.popleft()
            self._queued -= len(chunk)
            self._stats.samples += len(chunk)
            return chunk

    @property
    def ended(self) -> bool:
        with self._changed:
            return self._finished and not self._queue and self._failure is None

    @property
    def stats(self) -> SourceStats:
        with self._changed:
            return SourceStats(**self._stats.as_dict())

    @property
    def duration(self) -> float | None:
        return None

    @property
    def truncated(self) -> str | None:
        return None

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._close()
        self._release()
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    # -- inside ------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._pipeline, self._appsink = self._build()
        self._bus = BusWatch(self._pipeline)
        outcome = self._pipeline.set_state(Gst.State.PLAYING)
        self._bus.poll()
        self._check_bus()
        if outcome == Gst.StateChangeReturn.FAILURE:
            raise InputError(f"{self.label}: GStreamer could not start it")

    def _close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.set_state(Gst.State.NULL)
            if self._bus is not None:
                self._bus.close()
            self._pipeline = self._appsink = self._bus = None

    def _check_bus(self) -> None:
        if self._bus is not None and self._bus.error is not None:
            raise failure(InputError, self.label, self._bus.error)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set() and self._pull(_PULL_SECONDS):
                pass
            self._enqueue(self._resampler.flush())
        except MediaError as error:
            self._failure = error
        except Exception as error:  # the reader must learn of it; a dead thread tells nobody
            self._failure = InputError(f"{self.label}: {type(error).__name__}: {error}")
            self._failure.__cause__ = error
        finally:
            with self._changed:
                self._finished = True
                self._changed.notify_all()

    def _pull(self, timeout: float) -> bool:
        """Take what the appsink has, waiting for it up to `timeout` seconds; False at the end.

        Raises:
            InputError: the pipeline has failed.
        """
        assert self._bus is not None
        sample = self._appsink.try_pull_sample(seconds_to_ns(timeout))
        if sample is not None:
            self._handle(sample)
        self._bus.poll()
        self._check_bus()  # before the end is looked at: an error ends the stream too
        if sample is None and self._appsink.get_property("eos"):
            return False
        self._between()
        return True

    def _enqueue(self, samples: AudioArray) -> None:
        if len(samples) == 0:
            return
        with self._changed:
            self._queue.append(Chunk(samples, time.monotonic() - self._age, self._pending_gap))
            self._pending_gap = 0
            self._queued += len(samples)
            while self._queued > self._max_queued and len(self._queue) > 1:
                oldest = self._queue.popleft()
                lost = len(oldest)
                self._queued -= lost
                self._stats.overrun_samples += lost
                # Time never slips: what was dropped is announced in front of what follows it.
                follower = self._queue[0]
                self._queue[0] = Chunk(
                    follower.samples, follower.arrival_time, follower.gap_samples + oldest.gap_samples + lost
                )
            self._changed.notify_all()


def silence(n: int, channels: int) -> AudioArray:
    """n samples of silence in the shape for so many channels."""
    return np.zeros(n if channels == 1 else (n, channels), dtype=np.float32)
