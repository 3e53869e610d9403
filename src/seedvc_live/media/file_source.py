"""FileSource: any audio file that GStreamer decodes, sample-exact and with back-pressure."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..audio.resample import StreamResampler
from ..errors import InputError, MediaError
from .bus import BusError, BusWatch, failure
from .container import flac_sample_count, missing_part
from .elements import Gst, audio_caps, caps, link, make, new_pipeline, seconds_to_ns
from .types import AudioArray, Chunk, SourceStats

# A local file that yields nothing for so long never will.
_STALL_SECONDS = 30.0
# One that is known to be cut short is given less: some demuxers then wait for ever for what is missing.
_CUT_STALL_SECONDS = 2.0


class FileSource:
    """Reads a file from its beginning to its end, as fast as it is asked for.

    GStreamer demuxes and decodes; mixing to the asked number of channels (a plain mean, which cannot clip)
    and resampling (soxr) are done here, so every sample the decoder delivers is in the output: round(n *
    rate / file rate) ± 1 of them. Waiting for the reader is by a bounded appsink, so memory stays flat for
    files of any length. Of a container with pictures the first audio track is used, and no video is decoded.

    Args:
        path: the file.
        rate: target rate in Hz; None keeps the file's own (`rate` is then known after `start()`).
        channels: 1 mixes to mono; more repeats a mono file, or is the file's own number.
    """

    live = False

    def __init__(self, path: str | os.PathLike[str], rate: int | None = None, channels: int = 1) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f"rate must be positive, got {rate} Hz")
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        self.path = Path(path)
        self.rate = rate or 0
        self.channels = channels
        self.file_rate: int | None = None
        self.file_channels: int | None = None
        self.decoded_samples = 0
        """Samples (frames) that the decoder delivered, at the file's rate."""
        self._stats = SourceStats()
        self._truncated: str | None = None
        self._duration: float | None = None
        self._ended = False
        self._pipeline: Any = None
        self._appsink: Any = None
        self._bus: BusWatch | None = None
        self._signals: list[tuple[Any, int]] = []
        self._resampler: StreamResampler | None = None
        self._ready: list[Chunk] = []
        self._missing_audio: list[bool] = []  # filled by GStreamer's thread
        self._drained = False
        self._waited = 0.0  # seconds since the decoder's last samples, spent waiting for more

    # -- Source ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the file and decode its first samples.

        Raises:
            InputError: missing, unreadable, empty, not audio, or without a single sample.
        """
        if self._pipeline is not None or self._ended:
            raise MediaError(f"{self._name}: a source starts only once")
        self._check_file()
        try:
            self._build().set_state(Gst.State.PLAYING)
            while not self._ready and not self._drained:
                self._advance(0.1)
        except BaseException:
            self.stop()
            raise

    def read_chunk(self, timeout: float) -> Chunk | None:
        if self._pipeline is None and not self._ready and not self._ended:
            raise MediaError(f"{self._name}: not started")
        deadline = time.monotonic() + timeout
        while not self._ready and not self._drained and self._pipeline is not None:
            left = deadline - time.monotonic()
            self._advance(max(0.0, left))
            if left <= 0:
                break
        if not self._ready:
            if self._drained:
                self._ended = True
            return None
        chunk = self._ready.pop(0)
        self._stats.samples += len(chunk)
        self._ended = self._drained and not self._ready
        return chunk

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def stats(self) -> SourceStats:
        return SourceStats(**self._stats.as_dict())

    @property
    def duration(self) -> float | None:
        # Asked again until there is an answer: some parsers know only after a while.
        if self._duration is None and self._pipeline is not None:
            known, length = self._pipeline.query_duration(Gst.Format.TIME)
            self._duration = length / Gst.SECOND if known and length > 0 else None
        return self._duration

    @property
    def position(self) -> float:
        """Seconds delivered so far."""
        return self._stats.samples / self.rate if self.rate else 0.0

    @property
    def truncated(self) -> str | None:
        return self._truncated

    def stop(self) -> None:
        for thing, signal in self._signals:
            thing.disconnect(signal)
        self._signals.clear()
        if self._pipeline is not None:
            self._pipeline.set_state(Gst.State.NULL)
            if self._bus is not None:
                self._bus.close()
            self._pipeline = self._appsink = self._bus = None

    # -- inside ------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return f"'{self.path}'"

    def _check_file(self) -> None:
        try:
            str(self.path).encode("utf-8")
            info = os.stat(self.path)
            if stat.S_ISDIR(info.st_mode):
                raise InputError(f"{self._name} is a directory, not an audio file")
            if not stat.S_ISREG(info.st_mode):
                raise InputError(f"{self._name} is not a regular file")
            self._truncated = missing_part(self.path)
        except UnicodeEncodeError:
            raise InputError(f"{self._name!a}: the name is not valid UTF-8; rename the file") from None
        except ValueError:  # a NUL character
            raise InputError(f"{str(self.path)!a} is not a file name") from None
        except FileNotFoundError:
            raise InputError(f"{self._name}: no such file") from None
        except PermissionError:
            raise InputError(f"{self._name}: not allowed to read it") from None
        except OSError as error:
            raise InputError(f"{self._name}: cannot read it ({error.strerror})") from None
        if info.st_size == 0:
            raise InputError(f"{self._name} is empty (0 bytes)")

    def _build(self) -> Any:
        source = make("filesrc", location=str(self.path))
        # Streams that are not audio are left alone, their decoders are not even loaded.
        decoder = make("decodebin", caps=caps("audio/x-raw"), expose_all_streams=False)
        convert = make("audioconvert")
        sink = make("appsink", caps=audio_caps(), sync=False, max_buffers=8, drop=False, wait_on_eos=True)
        sink.set_property("enable-last-sample", False)
        self._pipeline = new_pipeline(source, decoder, convert, sink)
        link(source, decoder)
        link(convert, sink)
        inlet = convert.get_static_pad("sink")

        # Closures over pads, not over self: GStreamer's threads may outlive the last use of this object.
        def on_pad(_: Any, pad: Any) -> None:
            described = pad.get_current_caps() or pad.query_caps(None)
            if not inlet.is_linked() and described.get_structure(0).get_name().startswith("audio/"):
                pad.link(inlet)

        flags = self._missing_audio

        def on_complete(_: Any) -> None:
            if not inlet.is_linked():
                flags.append(True)

        self._signals = [
            (decoder, decoder.connect("pad-added", on_pad)),
            (decoder, decoder.connect("no-more-pads", on_complete)),
        ]
        self._appsink = sink
        self._bus = BusWatch(self._pipeline)
        return self._pipeline

    def _advance(self, timeout: float) -> None:
        """Take one buffer from the decoder, or notice the end or an error."""
        assert self._bus is not None
        # In short turns: an error on the bus does not wake a pull.
        begin = time.monotonic()
        sample = self._appsink.try_pull_sample(seconds_to_ns(min(timeout, 0.1)))
        if sample is not None:
            self._waited = 0.0
            self._accept(sample)
            return
        self._waited += time.monotonic() - begin
        self._bus.poll()
        if self._bus.error is not None:
            self._fail(self._bus.error)
        elif self._missing_audio:
            raise InputError(f"{self._name} has no audio track")
        elif self._appsink.get_property("eos"):
            self._drain()
        elif self._waited > (_STALL_SECONDS if self._truncated is None else _CUT_STALL_SECONDS):
            self._stalled()

    def _stalled(self) -> None:
        if self.decoded_samples:
            self._truncated = self._truncated or "the decoder gives no more"
            self._drain()
        elif self._truncated is not None:
            raise InputError(f"{self._name}: nothing can be decoded, {self._truncated}")
        else:
            raise InputError(f"{self._name}: the decoder gives nothing")

    def _fail(self, error: BusError) -> None:
        if self.decoded_samples:
            self._truncated = self._truncated or f"the decoder stopped: {error.text}"
            self._drain()
            return
        if self._truncated is not None:
            raise failure(InputError, f"{self._name}: nothing can be decoded, {self._truncated}", error)
        stream = Gst.stream_error_quark()
        if error.matches(stream, Gst.StreamError.CODEC_NOT_FOUND):
            raise failure(InputError, f"{self._name}: no decoder for it is installed", error)
        if error.matches(Gst.core_error_quark(), Gst.CoreError.MISSING_PLUGIN):
            # What decodebin says when no stream of the container can become audio.
            raise failure(InputError, f"{self._name} has no audio track that can be decoded", error)
        if error.matches(stream, Gst.StreamError.TYPE_NOT_FOUND) or error.matches(stream, Gst.StreamError.WRONG_TYPE):
            raise failure(InputError, f"{self._name} is not an audio file", error)
        raise failure(InputError, f"{self._name}: cannot be decoded", error)

    def _accept(self, sample: Any) -> None:
        structure = sample.get_caps().get_structure(0)
        rate = structure.get_int("rate")[1]
        count = structure.get_int("channels")[1]
        buffer = sample.get_buffer()
        data = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), dtype="<f4").reshape(-1, count)
        if len(data) == 0:
            return
        if rate != self.file_rate:  # at the beginning, and where chained Ogg streams differ
            if self._resampler is not None:
                self._emit(self._resampler.flush())
            self.rate = self.rate or rate
            self.file_rate = rate
            self._resampler = StreamResampler(rate, self.rate, self.channels)
        self.file_channels = count
        finite = np.isfinite(data)
        if not finite.all():
            bad = self.decoded_samples + int(np.argmin(finite.all(axis=1)))
            raise InputError(f"{self._name} has a sample that is not a number at {bad / rate:.3f} s")
        self.decoded_samples += len(data)
        assert self._resampler is not None
        self._emit(self._resampler.push(self._mix(data)))

    def _mix(self, data: AudioArray) -> AudioArray:
        count = data.shape[1]
        if self.channels == 1:
            mono: AudioArray = data[:, 0] if count == 1 else data.mean(axis=1, dtype=np.float32)
            return mono
        if count == self.channels:
            return data
        if count == 1:
            return np.repeat(data, self.channels, axis=1)
        raise InputError(f"{self._name} has {count} channels; {self.channels} were asked for")

    def _drain(self) -> None:
        if self._drained:
            return
        self._drained = True
        if self._resampler is not None:
            self._emit(self._resampler.flush())
        if self.decoded_samples == 0:
            raise InputError(f"{self._name} holds no audio")
        promised = flac_sample_count(self.path)
        if self._truncated is None and promised is not None and self.decoded_samples < promised:
            self._truncated = f"the header announces {promised} samples, {self.decoded_samples} are there"

    def _emit(self, samples: AudioArray) -> None:
        if len(samples):
            self._ready.append(Chunk(samples, time.monotonic()))
