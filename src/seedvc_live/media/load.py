"""A whole audio file at once: `load_audio` and `save_audio`."""

from __future__ import annotations

import os

import numpy as np

from ..audio.pcm import Pcm
from .file_sink import FileSink
from .file_source import FileSource
from .quantise import SampleFormat


def load_audio(path: str | os.PathLike[str], rate: int | None = None, max_seconds: float | None = None) -> Pcm:
    """Decode a file, mixed to mono.

    Args:
        path: WAV, FLAC, MP3, Ogg Vorbis, Ogg Opus, M4A, or whatever else GStreamer decodes.
        rate: Hz; None keeps the file's own.
        max_seconds: stop reading there; None reads everything.

    Raises:
        InputError: missing, unreadable, empty or not audio.
    """
    source = FileSource(path, rate)
    parts = [np.zeros(0, np.float32)]
    length = 0
    try:
        source.start()
        wanted = None if max_seconds is None else round(max_seconds * source.rate)
        while not source.ended and (wanted is None or length < wanted):
            chunk = source.read_chunk(1.0)
            if chunk is not None:
                parts.append(chunk.samples)
                length += len(chunk)
    finally:
        source.stop()
    return Pcm(np.concatenate(parts)[:wanted], source.rate)


def save_audio(path: str | os.PathLike[str], pcm: Pcm, sample_format: SampleFormat = "s16") -> None:
    """Write a .wav or .flac file; it appears only when it is complete.

    Raises:
        OutputError: unknown extension, or it cannot be written.
    """
    sink = FileSink(path, pcm.rate, sample_format=sample_format)
    try:
        sink.start()
        sink.write(pcm.samples)
        sink.finish()
    finally:
        sink.abort()
