"""GStreamerAudioBridge: an input and an output pipeline as two queues of NumPy samples."""

from __future__ import annotations

import time
from collections.abc import Callable
from inspect import signature
from types import TracebackType
from typing import Any

from ..audio.buffer import AudioBuffer
from ..errors import MediaError
from .sinks import FileSink, RtpSink, SpeakerSink, UdpSink
from .sources import FileSource, LiveToneSource, MicSource, RtpSource, TestToneSource, UdpSource
from .types import AudioArray, Sink, Source

_CAPACITY_SECONDS = 60
_MAX_READ_SECONDS = 30


class GStreamerAudioBridge:
    """Moves audio between GStreamer and NumPy.

    ::

        with GStreamerAudioBridge(sample_rate=22050) as bridge:
            bridge.create_input_pipeline("file", input_file="in.wav")
            bridge.create_output_pipeline("file", output_file="out.wav")
            bridge.start()
            while not bridge.ended:
                chunk = bridge.wait_input(4096, timeout=1.0)
                if chunk is not None:
                    bridge.write_output(chunk)

    A file input waits for the reader and never drops. Live inputs keep up to 2 s for a reader that is
    slow, then drop the oldest and count it in `stats`. Short gaps in a network stream arrive as silence of
    the right length. With a file (or no) input, a network or speaker output is paced: `write_output` waits
    until the audio is due.

    Leaving the `with` block finishes the output, also on Ctrl-C; after any other exception an output file is
    thrown away.

    Args:
        sample_rate: of all samples read and written, in Hz.
        channels: 1: arrays of shape (n,); inputs are mixed to mono. 2: arrays of shape (n, 2); a mono file is
            repeated on both.

    Raises:
        ValueError: rate or channels not positive.
    """

    def __init__(self, sample_rate: int = 22050, channels: int = 1) -> None:
        if sample_rate <= 0 or channels <= 0:
            raise ValueError(f"sample_rate and channels must be positive, got {sample_rate}, {channels}")
        self.sample_rate = sample_rate
        self.channels = channels
        self.source: Source | None = None
        self.sink: Sink | None = None
        self.input_buffer = AudioBuffer(_CAPACITY_SECONDS * sample_rate, channels)
        self._started = False
        self._stopped = False

    # -- set-up ------------------------------------------------------------------------------------

    def create_input_pipeline(self, source_type: str = "file", **options: Any) -> None:
        """Choose the input.

        ======  ============================================================================================
        file    input_file
        rtp     port (5004), host to listen on (0.0.0.0), latency_ms (40), inband_fec (False)
        udp     port (5004), host (0.0.0.0), format ("f32le" or "s16le"), rate and channels of the datagrams
        test    frequency (440), seconds (endless), live (False: as fast as it is read), volume (0.8)
        mic     buffer_ms (40)
        ======  ============================================================================================

        Raises:
            ValueError: unknown type or option, or a value out of range.
        """
        self._check_idle()
        makers: dict[str, Callable[..., Source]] = {
            "file": self._file_source,
            "rtp": self._rtp_source,
            "udp": self._udp_source,
            "test": self._test_source,
            "mic": self._mic_source,
        }
        self.source = _call(makers, "source", source_type, options)

    def create_output_pipeline(self, sink_type: str = "file", **options: Any) -> None:
        """Choose the output.

        =============  =====================================================================================
        file           output_file (.wav or .flac), sample_format ("s16", "s24", "f32")
        rtp            host (127.0.0.1), port (5005), bitrate (32000)
        udp            host (127.0.0.1), port (5005), format ("f32le" or "s16le")
        autoaudiosink  buffer_ms (40)
        =============  =====================================================================================

        Raises:
            ValueError: unknown type or option, or a value out of range.
            OutputError: an output file's type is unknown, or its folder is missing or not writable.
        """
        self._check_idle()
        makers: dict[str, Callable[..., Sink]] = {
            "file": self._file_sink,
            "rtp": self._rtp_sink,
            "udp": self._udp_sink,
            "autoaudiosink": self._speaker_sink,
        }
        self.sink = _call(makers, "sink", sink_type, options)

    def start(self) -> None:
        """Open both ends.

        Raises:
            InputError, OutputError: an end cannot be opened; the other is closed again.
            MediaError: nothing was created, or the bridge was started before.
        """
        self._check_idle()
        if self.source is None and self.sink is None:
            raise MediaError("create_input_pipeline or create_output_pipeline comes before start")
        self._started = True
        try:
            if self.source is not None:
                self.source.start()
            if self.sink is not None:
                if isinstance(self.sink, (RtpSink, UdpSink, SpeakerSink)):
                    self.sink.paced = self.source is None or not self.source.live
                self.sink.start()
        except BaseException:
            self._abandon()
            raise

    def stop(self) -> None:
        """Close the input, finish the output (a file is complete afterwards). May be called twice.

        Raises:
            OutputError: the output could not be finished.
        """
        self._stopped = True
        if self.source is not None:
            self.source.stop()
        if self.sink is not None and self._started:
            try:
                self.sink.finish()
            finally:
                self.sink.abort()

    # -- samples -----------------------------------------------------------------------------------

    def read_input(self, num_samples: int) -> AudioArray | None:
        """The next samples, or None while there are not enough yet.

        At the end of the input the shorter remainder comes once; then `ended` is True and None is returned.

        Raises:
            ValueError: more than 30 s at once.
            InputError: the input failed since the last call.
        """
        return self.wait_input(num_samples, 0.0)

    def wait_input(self, num_samples: int, timeout: float) -> AudioArray | None:
        """Like `read_input`, waiting up to `timeout` seconds."""
        if not 0 < num_samples <= _MAX_READ_SECONDS * self.sample_rate:
            raise ValueError(
                f"num_samples must be 1..{_MAX_READ_SECONDS * self.sample_rate} ({_MAX_READ_SECONDS} s), "
                f"got {num_samples}"
            )
        self._fetch(num_samples, timeout)
        buffer = self.input_buffer
        if buffer.available_samples() < num_samples and not buffer.closed:
            return None
        return buffer.read(num_samples)

    def get_input_available(self) -> int:
        """Samples that `read_input` would give now. (Of a file, at most about a second is read ahead.)"""
        self._fetch(self.sample_rate, 0.0)
        return self.input_buffer.available_samples()

    def write_output(self, audio_data: AudioArray) -> None:
        """Append samples, shape (n,) or (n, channels), to the output.

        Raises:
            ValueError: wrong shape.
            OutputError: the output failed since the last call.
        """
        if self.sink is None:
            raise MediaError("create_output_pipeline comes before write_output")
        self.sink.write(audio_data)

    @property
    def ended(self) -> bool:
        """True once all input has been read and none will follow."""
        return self.input_buffer.ended

    @property
    def stats(self) -> dict[str, dict[str, int]]:
        """Counters of both ends: {"input": …, "output": …}; see `SourceStats` and `SinkStats`."""
        return {
            "input": self.source.stats.as_dict() if self.source is not None else {},
            "output": self.sink.stats.as_dict() if self.sink is not None else {},
        }

    # -- context manager ---------------------------------------------------------------------------

    def __enter__(self) -> GStreamerAudioBridge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or not issubclass(kind, Exception):
            self.stop()
        else:
            self._abandon()

    # -- inside ------------------------------------------------------------------------------------

    def _check_idle(self) -> None:
        if self._started or self._stopped:
            raise MediaError("a bridge runs once; make a new one")

    def _abandon(self) -> None:
        self._stopped = True
        if self.source is not None:
            self.source.stop()
        if self.sink is not None:
            self.sink.abort()

    def _fetch(self, wanted: int, timeout: float) -> None:
        """Move chunks into the buffer until `wanted` samples are there: of a file no more than that."""
        if self.source is None:
            raise MediaError("create_input_pipeline comes before read_input")
        if not self._started:
            raise MediaError("start comes before read_input")
        deadline = time.monotonic() + timeout
        buffer = self.input_buffer
        while not buffer.closed:
            enough = buffer.available_samples() >= wanted
            if enough and not self.source.live:
                return
            left = 0.0 if enough else max(0.0, deadline - time.monotonic())
            chunk = self.source.read_chunk(left)
            if chunk is not None:
                buffer.write(chunk.samples)
            elif self.source.ended:
                buffer.close()
            elif enough or time.monotonic() >= deadline:
                return

    def _file_source(self, input_file: str = "input.wav") -> Source:
        return FileSource(input_file, self.sample_rate, self.channels)

    def _rtp_source(
        self, port: int = 5004, host: str = "0.0.0.0", latency_ms: int = 40, inband_fec: bool = False
    ) -> Source:
        return RtpSource(
            port, host, self.sample_rate, channels=self.channels, latency_ms=latency_ms, inband_fec=inband_fec
        )

    def _udp_source(
        self,
        port: int = 5004,
        host: str = "0.0.0.0",
        format: Any = "f32le",
        rate: int | None = None,
        channels: int | None = None,
    ) -> Source:
        return UdpSource(
            port,
            host,
            self.sample_rate,
            channels=self.channels,
            sender_rate=rate,
            sender_channels=channels,
            sample_format=format,
        )

    def _test_source(
        self, frequency: float = 440.0, seconds: float | None = None, live: bool = False, volume: float = 0.8
    ) -> Source:
        if live:
            return LiveToneSource(frequency, self.sample_rate, channels=self.channels, volume=volume, seconds=seconds)
        return TestToneSource(frequency, self.sample_rate, channels=self.channels, volume=volume, seconds=seconds)

    def _mic_source(self, buffer_ms: int = 40) -> Source:
        return MicSource(self.sample_rate, channels=self.channels, buffer_ms=buffer_ms)

    def _file_sink(self, output_file: str = "output.wav", sample_format: Any = "s16") -> Sink:
        return FileSink(output_file, self.sample_rate, channels=self.channels, sample_format=sample_format)

    def _rtp_sink(self, host: str = "127.0.0.1", port: int = 5005, bitrate: int = 32000) -> Sink:
        return RtpSink(host, port, self.sample_rate, channels=self.channels, bitrate=bitrate)

    def _udp_sink(self, host: str = "127.0.0.1", port: int = 5005, format: Any = "f32le") -> Sink:
        return UdpSink(host, port, self.sample_rate, channels=self.channels, sample_format=format)

    def _speaker_sink(self, buffer_ms: int = 40) -> Sink:
        return SpeakerSink(self.sample_rate, channels=self.channels, buffer_ms=buffer_ms)


def _call(makers: dict[str, Callable[..., Any]], what: str, kind: str, options: dict[str, Any]) -> Any:
    """Make the end of that type, turning unknown types and options into ValueErrors that list the known
    ones.
    """
    if kind not in makers:
        raise ValueError(f"unknown {what} type {kind!r}; known: {', '.join(makers)}")
    maker = makers[kind]
    # The maker's arguments are exactly the options.
    known = tuple(signature(maker).parameters)
    for name in options:
        if name not in known:
            raise ValueError(f"{what} '{kind}' has no option {name!r}; known: {', '.join(known)}")
    return maker(**options)
