"""TestToneSource and MicSource: a generated tone, and the default microphone."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..errors import InputError, MediaError
from .bus import BusWatch, failure
from .elements import Gst, audio_caps, link, make, new_pipeline, seconds_to_ns
from .live_source import LiveSource
from .types import AudioArray, Chunk, SourceStats


def _appsink(rate: int, channels: int, max_buffers: int = 0) -> Any:
    sink = make("appsink", caps=audio_caps("F32LE", rate, channels), sync=False, max_buffers=max_buffers)
    sink.set_property("async", False)
    sink.set_property("enable-last-sample", False)
    return sink


def _samples(sample: Any, channels: int) -> AudioArray:
    buffer = sample.get_buffer()
    data = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), dtype="<f4")
    return data if channels == 1 else data.reshape(-1, channels)


def _tone(frequency: float, volume: float, seconds: float | None, rate: int, is_live: bool) -> Any:
    if not 0 < frequency < rate / 2:
        raise ValueError(f"frequency must be above 0 and below {rate / 2} Hz, got {frequency}")
    # Blocks of 10 ms; the last one is cut by the reader.
    block = max(1, rate // 100)
    count = -1 if seconds is None else -(-round(seconds * rate) // block)
    return make(
        "audiotestsrc",
        wave="sine",
        freq=float(frequency),
        volume=volume,
        is_live=is_live,
        samplesperbuffer=block,
        num_buffers=count,
    )


class TestToneSource:
    """A sine, as fast as it is read (for a real-time one see `LiveToneSource`). Endless unless `seconds`
    is given.
    """

    __test__ = False  # not a test case, whatever pytest thinks of its name
    live = False
    truncated: str | None = None

    def __init__(
        self,
        frequency: float = 440.0,
        rate: int = 22050,
        *,
        channels: int = 1,
        volume: float = 0.8,
        seconds: float | None = None,
    ) -> None:
        self.rate = rate
        self.channels = channels
        self.duration = seconds
        self._left = None if seconds is None else round(seconds * rate)
        self._source = _tone(frequency, volume, seconds, rate, is_live=False)
        self._stats = SourceStats()
        self._pipeline: Any = None
        self._appsink: Any = None
        self._bus: BusWatch | None = None
        self._ended = False

    def start(self) -> None:
        if self._pipeline is not None or self._ended or self._source is None:
            raise MediaError("test tone: a source starts only once")
        self._appsink = _appsink(self.rate, self.channels, max_buffers=8)
        convert = make("audioconvert")
        self._pipeline = new_pipeline(self._source, convert, self._appsink)
        link(self._source, convert, self._appsink)
        self._bus = BusWatch(self._pipeline)
        self._pipeline.set_state(Gst.State.PLAYING)

    def read_chunk(self, timeout: float) -> Chunk | None:
        if self._pipeline is None or self._bus is None or self._ended:
            return None
        sample = self._appsink.try_pull_sample(seconds_to_ns(timeout))
        if sample is None:
            self._bus.poll()
            if self._bus.error is not None:
                raise failure(InputError, "test tone", self._bus.error)
            self._ended = bool(self._appsink.get_property("eos"))
            return None
        samples = _samples(sample, self.channels)
        if self._left is not None:
            samples = samples[: self._left]
            self._left -= len(samples)
            self._ended = self._left == 0
        self._stats.samples += len(samples)
        return Chunk(samples, time.monotonic())

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def stats(self) -> SourceStats:
        return SourceStats(**self._stats.as_dict())

    def stop(self) -> None:
        self._ended = True
        if self._pipeline is not None:
            self._pipeline.set_state(Gst.State.NULL)
            if self._bus is not None:
                self._bus.close()
        self._pipeline = self._appsink = self._bus = self._source = None


class LiveToneSource(LiveSource):
    """A sine in real time, 10 ms at once. Ends after `seconds` if given."""

    def __init__(
        self,
        frequency: float = 440.0,
        rate: int = 22050,
        *,
        channels: int = 1,
        volume: float = 0.8,
        seconds: float | None = None,
        max_queue_seconds: float = 2.0,
    ) -> None:
        super().__init__("test tone", rate, rate, channels, max_queue_seconds)
        self._source = _tone(frequency, volume, seconds, rate, is_live=True)
        self._left = None if seconds is None else round(seconds * rate)

    def _build(self) -> tuple[Any, Any]:
        convert, sink = make("audioconvert"), _appsink(self.rate, self.channels)
        pipeline = new_pipeline(self._source, convert, sink)
        link(self._source, convert, sink)
        self._source = None
        return pipeline, sink

    def _handle(self, sample: Any) -> None:
        samples = _samples(sample, self.channels)
        if self._left is not None:
            samples = samples[: self._left]
            self._left -= len(samples)
        self._deliver(samples)


class MicSource(LiveSource):
    """The default recording device, mixed to `channels` and at `rate` by GStreamer.

    Args:
        buffer_ms: the device's buffer; small for low delay.
    """

    def __init__(
        self, rate: int = 22050, *, channels: int = 1, buffer_ms: int = 40, max_queue_seconds: float = 2.0
    ) -> None:
        super().__init__("microphone", rate, rate, channels, max_queue_seconds)
        self._buffer_us = buffer_ms * 1000
        self._device: Any = None

    def _build(self) -> tuple[Any, Any]:
        source = self._device = make("autoaudiosrc")
        buffer_us = self._buffer_us

        def on_child(_: Any, child: Any, __: str) -> None:
            configure_device(child, buffer_us)

        self._signal = source.connect("child-added", on_child)
        convert, resampler, sink = (
            make("audioconvert"),
            make("audioresample"),
            _appsink(self.rate, self.channels),
        )
        pipeline = new_pipeline(source, convert, resampler, sink)
        link(source, convert, resampler, sink)
        return pipeline, sink

    def _open(self) -> None:
        advice = "no recording device can be opened (is PulseAudio, PipeWire or ALSA set up?)"
        try:
            super()._open()
            assert self._bus is not None
            self._bus.wait_for_end(0.2)  # a device fails within its first period, or not at all
            self._check_bus()
        except InputError as error:
            found = InputError(f"microphone: {advice}")
            found.debug = error.debug
            raise found from error
        if is_fake_device(self._device):
            raise InputError(f"microphone: {advice}")

    def _handle(self, sample: Any) -> None:
        self._deliver(_samples(sample, self.channels))


def is_fake_device(element: Any) -> bool:
    """Whether autoaudiosrc or autoaudiosink fell back to silence because there is no device; it only warns
    of it.
    """
    child = element.get_child_by_index(0)
    return child is None or child.get_name().startswith("fake-")


def configure_device(element: Any, buffer_us: int) -> None:
    """Set an audio device element's buffer (microseconds) and a quarter of it as its period, where it has
    them.
    """
    if element.find_property("buffer-time") is not None:
        element.set_property("buffer-time", buffer_us)
    if element.find_property("latency-time") is not None:
        element.set_property("latency-time", buffer_us // 4)
