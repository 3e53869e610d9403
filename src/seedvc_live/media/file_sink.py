"""FileSink: WAV and FLAC files that appear under their name only when they are complete."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import numpy as np

from ..audio.resample import StreamResampler
from ..errors import OutputError
from .elements import audio_caps, make
from .pushing import Pusher, SinkBase, frames_of
from .quantise import Quantiser, SampleFormat
from .types import AudioArray

_FORMATS: dict[str, tuple[SampleFormat, ...]] = {".wav": ("s16", "s24", "f32"), ".flac": ("s16", "s24")}
_MAX_QUEUED = 1 << 20
_SILENCE_BLOCK = 48000


class FileSink(SinkBase):
    """Writes a file through a temporary one beside it, which takes the final name in `finish()`.

    Args:
        path: the extension chooses the format, .wav or .flac. An existing file is replaced at the end.
        rate: of the samples given to `write`, in Hz.
        channels: 1 for arrays (n,), more for (n, channels).
        sample_format: "s16" (default), "s24", or "f32" (WAV only).
        file_rate: rate of the file in Hz, if another than `rate`.

    Raises:
        OutputError: unknown extension, or the folder is missing or not writable. At once, before anything
            runs.
        ValueError: a sample format that the file type does not have.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rate: int,
        *,
        channels: int = 1,
        sample_format: SampleFormat = "s16",
        file_rate: int | None = None,
    ) -> None:
        self.path = Path(path)
        super().__init__(f"'{self.path}'", rate, channels)
        self.file_rate = file_rate or rate
        self._check_path()
        known = _FORMATS[self.path.suffix.lower()]
        if sample_format not in known:
            raise ValueError(f"{self.path.suffix} files hold {', '.join(known)}, not {sample_format!r}")
        self._quantiser = Quantiser(sample_format)
        self._resampler = StreamResampler(rate, self.file_rate, channels)
        self._temporary: Path | None = None

    def _check_path(self) -> None:
        if self.path.suffix.lower() not in _FORMATS:
            raise OutputError(f"{self.label}: unknown file type; known are {', '.join(_FORMATS)}")
        try:
            self.label.encode("utf-8")
            if self.path.is_dir():
                raise OutputError(f"{self.label} is a directory; name a file in it")
            folder = self.path.parent
            if not folder.is_dir():
                raise OutputError(f"{self.label}: the folder '{folder}' does not exist")
        except UnicodeEncodeError:
            raise OutputError(f"{self.label!a}: the name is not valid UTF-8") from None
        except (OSError, ValueError) as error:
            raise OutputError(f"{self.label!a}: not a usable name ({error})") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"{self.label}: not allowed to write in the folder '{folder}'")

    def start(self) -> None:
        self._starting()
        # A short name of its own: one made from the final name could be too long for the file system.
        self._temporary = self.path.parent / f".seedvc-live-{secrets.token_hex(6)}.part"
        try:
            with self._temporary.open("xb"):
                pass
        except OSError as error:
            raise OutputError(f"{self.label}: cannot write there ({error.strerror})") from None
        encoder = make("wavenc" if self.path.suffix.lower() == ".wav" else "flacenc")
        target = make("filesink", location=str(self._temporary), sync=False)
        try:
            self._pusher = Pusher(
                self.label,
                [encoder, target],
                audio_caps(self._quantiser.gst_format, self.file_rate, self.channels),
                is_live=False,
            )
            self._pusher.start()
        except BaseException:
            self.abort()
            raise

    def write(self, samples: AudioArray) -> None:
        """Append samples; waits while more than 1 MB is queued for the disk."""
        self._running()
        frames = frames_of(np.asarray(samples, dtype=np.float32), self.channels)
        self._stats.samples += len(frames)
        self._put(self._resampler.push(frames))

    def skip(self, n: int) -> None:
        """Append n samples of silence."""
        self._running()
        self._stats.skipped_samples += max(0, n)
        while n > 0:
            part = min(n, _SILENCE_BLOCK)
            shape = part if self.channels == 1 else (part, self.channels)
            self._put(self._resampler.push(np.zeros(shape, dtype=np.float32)))
            n -= part

    def finish(self, timeout: float = 10.0) -> None:
        if self._done:
            return
        pusher = self._running()
        assert self._temporary is not None
        try:
            self._put(self._resampler.flush())
            if self._stats.bytes == 0 and self.path.suffix.lower() == ".flac":
                # flacenc writes 0 bytes then, which no decoder takes for FLAC.
                raise OutputError(f"{self.label}: there is no audio to write")
            pusher.end(timeout)
            self._close()
            with self._temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(self._temporary, self.path)
            self._temporary = None
        except OSError as error:
            self.abort()
            raise OutputError(f"{self.label}: cannot be completed ({error.strerror})") from None
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        self._close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink()
            self._temporary = None

    def _put(self, samples: AudioArray) -> None:
        assert self._pusher is not None
        for at in range(0, len(samples), _SILENCE_BLOCK):
            data = self._quantiser.encode(samples[at : at + _SILENCE_BLOCK])
            self._pusher.wait_for_room(_MAX_QUEUED)
            self._pusher.push(data)
            self._stats.bytes += len(data)
        self._stats.clipped_samples = self._quantiser.clipped
