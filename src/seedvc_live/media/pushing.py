"""Pushing samples into a pipeline: what all sinks share."""

from __future__ import annotations

import time
from typing import Any

from ..errors import MediaError, OutputError
from .bus import BusWatch, failure
from .elements import Gst, link, make, new_pipeline
from .types import AudioArray, SinkStats


def frames_of(samples: AudioArray, channels: int) -> AudioArray:
    """The samples, checked to have shape (n,) or (n, channels).

    Raises:
        ValueError: another shape.
    """
    if samples.ndim == 1 and channels == 1:
        return samples
    if samples.ndim == 2 and samples.shape[1] == channels:
        return samples if channels > 1 else samples[:, 0]
    wanted = "(n,)" if channels == 1 else f"(n, {channels})"
    raise ValueError(f"samples must have shape {wanted}, got {samples.shape}")


class Pusher:
    """An appsrc, the elements behind it, and their bus.

    Args:
        label: names the sink in messages.
        chain: the elements behind the appsrc, in order.
        source_caps: what will be pushed; None for opaque datagrams.
        is_live: True where data is sent or played at once.
        into: (pipeline, its bus watch) to put them into, which starts and ends without this; None: their own.
    """

    def __init__(
        self,
        label: str,
        chain: list[Any],
        source_caps: Any,
        is_live: bool,
        into: tuple[Any, BusWatch] | None = None,
    ) -> None:
        self.label = label
        self.source = make("appsrc", is_live=is_live, block=False, stream_type="stream", format="time")
        self.source.set_property("emit-signals", False)
        self.source.set_property("max-bytes", 0)
        if source_caps is not None:
            self.source.set_property("caps", source_caps)
        self._guest = into is not None
        if into is None:
            self.pipeline = new_pipeline(self.source, *chain)
            self.bus = BusWatch(self.pipeline)
        else:
            self.pipeline, self.bus = into
            for element in (self.source, *chain):
                self.pipeline.add(element)
        link(self.source, *chain)

    def start(self) -> None:
        """
        Raises:
            OutputError: an element cannot open its file, device or socket.
        """
        outcome = self.pipeline.set_state(Gst.State.PLAYING)
        self.bus.poll()
        self.check()
        if outcome == Gst.StateChangeReturn.FAILURE:
            raise OutputError(f"{self.label}: GStreamer could not start it")

    def check(self) -> None:
        """Raise what the pipeline has reported since the last look."""
        self.bus.poll()
        if self.bus.error is not None:
            raise failure(OutputError, self.label, self.bus.error)

    def level(self) -> int:
        """Bytes pushed and not yet taken."""
        return int(self.source.get_property("current-level-bytes"))

    def wait_for_room(self, max_bytes: int, stall_seconds: float = 30.0) -> None:
        """Wait until at most so many bytes are queued. Not by `appsrc block=true`: that one never wakes on
        an error.
        """
        deadline, seen = time.monotonic() + stall_seconds, -1
        while (level := self.level()) > max_bytes:
            self.check()
            now = time.monotonic()
            if level != seen:
                seen, deadline = level, now + stall_seconds
            elif now > deadline:
                raise OutputError(f"{self.label}: writing has stalled for {stall_seconds:.0f} s")
            time.sleep(0.002)

    def push(self, data: bytes, pts: int | None = None, duration: int | None = None, discont: bool = False) -> None:
        buffer = Gst.Buffer.new_wrapped(data)
        if pts is not None:
            buffer.pts = pts
        if duration is not None:
            buffer.duration = duration
        if discont:
            buffer.set_flags(Gst.BufferFlags.DISCONT)
        if self.source.push_buffer(buffer) != Gst.FlowReturn.OK:
            self.bus.poll(0.2)  # the cause may be a moment behind
            self.check()
            raise OutputError(f"{self.label}: it takes no more audio")

    def end(self, timeout: float) -> None:
        """Send the end of stream and wait until it has reached the last element.

        Raises:
            OutputError: an error came instead, or nothing in time.
        """
        self.source.end_of_stream()
        if not self.bus.wait_for_end(timeout):
            raise OutputError(f"{self.label}: not finished within {timeout:.0f} s")
        self.check()

    def close(self) -> None:
        if self._guest:
            return
        self.pipeline.set_state(Gst.State.NULL)
        self.bus.close()


class SinkBase:
    """State that all sinks keep: idle, running, done."""

    live = False

    def __init__(self, label: str, rate: int, channels: int) -> None:
        if rate <= 0:
            raise ValueError(f"rate must be positive, got {rate} Hz")
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        self.label = label
        self.rate = rate
        self.channels = channels
        self._stats = SinkStats()
        self._pusher: Pusher | None = None
        self._done = False

    @property
    def stats(self) -> SinkStats:
        return SinkStats(**self._stats.as_dict())

    def _running(self) -> Pusher:
        if self._pusher is None:
            state = "finished" if self._done else "not started"
            raise MediaError(f"{self.label}: {state}")
        self._pusher.check()
        return self._pusher

    def _starting(self) -> None:
        if self._pusher is not None or self._done:
            raise MediaError(f"{self.label}: a sink starts only once")

    def _close(self) -> None:
        self._done = True
        if self._pusher is not None:
            self._pusher.close()
            self._pusher = None
