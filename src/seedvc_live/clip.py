"""Conversion of a whole clip by an engine's own mode for clips, from a source into a sink."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from seedvc_live.audio.pcm import Pcm
from seedvc_live.media.types import Sink, Source
from seedvc_live.offline import Conversion, note_truncation, read_all
from seedvc_live.report import Report


def convert_clip(
    conversion: Conversion,
    source: Source,
    sink: Sink,
    report: Report,
    *,
    length_adjust: float = 1.0,
    strict: bool = False,
    progress: Callable[[float, float | None], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Report:
    """Read all of the source, convert it in one piece, write what comes.

    Args:
        source, sink: not started; at the engine's rate. Both are closed on return.
        report: its figures are filled in.
        length_adjust: duration of the result over that of the source.
        strict, progress, cancelled: see `offline.convert_offline`.

    Raises:
        EngineError: the engine has no mode for clips, or the clip is too short for it.
        MediaError: reading or writing failed; nothing is left under the output's final name.
    """
    rate = conversion.engine.sample_rate
    clip = _read(source, report, rate, cancelled)
    note_truncation(source, report, strict)
    report.samples_in, report.sample_rate, report.audio_seconds = len(clip), rate, clip.seconds
    started = False
    try:
        if len(clip):
            parts = conversion.engine.convert_clip(
                clip, conversion.voice, conversion.settings, seed=conversion.seed, length_adjust=length_adjust
            )
            begin = time.perf_counter()
            for part in parts:
                report.compute_seconds += time.perf_counter() - begin
                if not started:  # an output is begun when there is something to put into it
                    sink.start()
                    started = True
                sink.write(part)
                report.samples_out += len(part)
                report.blocks += 1
                if progress is not None:
                    progress(report.samples_out / rate / length_adjust, clip.seconds)
                if cancelled is not None and cancelled.is_set():
                    break
                begin = time.perf_counter()
        if not started:
            sink.start()
            started = True
        sink.finish()
    except BaseException:
        if started:
            sink.abort()
        raise
    return report


def _read(source: Source, report: Report, rate: int, cancelled: threading.Event | None) -> Pcm:
    try:
        source.start()
        parts = list(read_all(source, report.source, cancelled))
    finally:
        source.stop()
    return Pcm(np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32), rate)
