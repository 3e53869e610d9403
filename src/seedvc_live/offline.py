"""Offline conversion: a source that waits for its reader into a sink that takes all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.base import Engine, Settings, Voice
from seedvc_live.errors import InputError, SessionError
from seedvc_live.live.converter import LiveConverter
from seedvc_live.media.types import Sink, Source
from seedvc_live.report import Report

_POLL = 0.02
_STALL = 30.0


@dataclass(frozen=True)
class Conversion:
    """What is converted by what."""

    engine: Engine
    voice: Voice
    settings: Settings
    seed: int = 0


def convert_offline(
    conversion: Conversion,
    source: Source,
    sink: Sink,
    report: Report,
    *,
    strict: bool = False,
    progress: Callable[[float, float | None], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Report:
    """Convert a source that waits for its reader into a sink that takes all at once (file to file).

    The same `LiveConverter` as for a live stream does it, so the output is what the stream would give.

    Args:
        source, sink: not started; at the engine's rate. Both are closed on return.
        report: its figures are filled in.
        strict: a source that breaks off is an error, not a warning.
        progress: called with (seconds done, seconds in all if known).
        cancelled: set from elsewhere to stop early; what was converted until then is finalised.

    Raises:
        MediaError: reading or writing failed; nothing is left under the output's final name.
    """
    engine = conversion.engine
    live = LiveConverter(engine, conversion.voice, conversion.settings, seed=conversion.seed)
    rate = engine.sample_rate
    started = False
    try:
        source.start()
        sink.start()
        started = True
        for samples in read_all(source, report.source, cancelled):
            report.samples_in += len(samples)
            _emit(live.push, samples, sink, report)
            if progress is not None:
                progress(report.samples_in / rate, source.duration)
        note_truncation(source, report, strict)
        _emit(lambda _: live.flush(), np.zeros(0, dtype=np.float32), sink, report)
        sink.finish()
    except BaseException:
        if started:
            sink.abort()
        raise
    finally:
        source.stop()
    report.sample_rate = rate
    report.audio_seconds = report.samples_in / rate
    report.blocks = -(-report.samples_in // live.geometry.block)
    report.algorithmic_latency_ms = report.latency_ms = 1000.0 * live.algorithmic_latency
    return report


def read_all(source: Source, name: str, cancelled: threading.Event | None = None) -> Iterator[Samples]:
    """The samples of a started source, piece by piece, until it ends or `cancelled` is set.

    Raises:
        SessionError: nothing came for 30 s.
    """
    waited = 0.0
    while not source.ended and not (cancelled is not None and cancelled.is_set()):
        chunk = source.read_chunk(_POLL)
        if chunk is not None:
            waited = 0.0
            yield chunk.samples
            continue
        waited += _POLL
        if waited > _STALL:
            raise SessionError(f"no audio from {name} for {_STALL:.0f} s")


def note_truncation(source: Source, report: Report, strict: bool) -> None:
    """Warn of a source that broke off.

    Raises:
        InputError: `strict`, and it did.
    """
    if not source.truncated:
        return
    text = f"'{report.source}' breaks off: {source.truncated}"
    if strict:
        raise InputError(text)
    report.warnings.append(text)


def _emit(step: Callable[..., object], samples: object, sink: Sink, report: Report) -> None:
    begin = time.perf_counter()
    out = step(samples)
    report.compute_seconds += time.perf_counter() - begin
    assert isinstance(out, np.ndarray)
    if len(out):
        sink.write(out)
        report.samples_out += len(out)
