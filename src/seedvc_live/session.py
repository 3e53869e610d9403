"""One running conversion: a source, an engine, a sink. Media and engines meet here and nowhere else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.base import Block, Engine, Settings, Voice, Window
from seedvc_live.errors import InputError, SessionError
from seedvc_live.live.chain import BlockChain, Target
from seedvc_live.live.converter import LiveConverter
from seedvc_live.live.stream import Delay, Job, LiveStream
from seedvc_live.media.types import Sink, Source
from seedvc_live.report import Report

PULL = 0.01
"""Seconds of output time per pull from the play-out."""

_POLL = 0.02
_OFFLINE_STALL = 30.0


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
        waited = 0.0
        while not source.ended and not (cancelled is not None and cancelled.is_set()):
            chunk = source.read_chunk(_POLL)
            if chunk is None:
                waited += _POLL
                if waited > _OFFLINE_STALL:
                    raise SessionError(f"no audio from {report.source} for {_OFFLINE_STALL:.0f} s")
                continue
            waited = 0.0
            report.samples_in += len(chunk)
            _emit(live.push, chunk.samples, sink, report)
            if progress is not None:
                progress(report.samples_in / rate, source.duration)
        if strict and source.truncated:
            raise InputError(f"'{report.source}' breaks off: {source.truncated}")
        _emit(lambda _: live.flush(), np.zeros(0, dtype=np.float32), sink, report)
        sink.finish()
    except BaseException:
        if started:
            sink.abort()
        raise
    finally:
        source.stop()
    if source.truncated:
        report.warnings.append(f"'{report.source}' breaks off: {source.truncated}")
    report.sample_rate = rate
    report.audio_seconds = report.samples_in / rate
    report.blocks = -(-report.samples_in // live.geometry.block)
    report.algorithmic_latency_ms = report.latency_ms = 1000.0 * live.algorithmic_latency
    return report


def _emit(step: Callable[..., object], samples: object, sink: Sink, report: Report) -> None:
    begin = time.perf_counter()
    out = step(samples)
    report.compute_seconds += time.perf_counter() - begin
    assert isinstance(out, np.ndarray)
    if len(out):
        sink.write(out)
        report.samples_out += len(out)


def compute_reserve(engine: Engine, voice: Voice, settings: Settings) -> float:
    """Seconds to reserve for converting one block, measured: half as much again as the slowest of ten."""
    geometry = engine.geometry(settings, voice)
    noise = np.random.default_rng(0).normal(0.0, 0.05, geometry.window).astype(np.float32)
    state, slowest = None, 0.0
    for turn in range(12):
        window = Window(turn * geometry.block, noise, voice, settings, 0, state)
        begin = time.perf_counter()
        state = engine.convert([window])[0].state
        if turn >= 2:  # the first calls also allocate
            slowest = max(slowest, time.perf_counter() - begin)
    return max(0.005, 1.5 * slowest)


class LiveSession:
    """A live conversion on three threads: input, engine, and (the caller's) paced output.

    Between them stands one `LiveStream`, which keeps the delay; this class only gives it the time.
    """

    def __init__(
        self,
        conversion: Conversion,
        source: Source,
        sink: Sink,
        report: Report,
        *,
        playout: float = 0.04,
        overload: Literal["silence", "bypass"] = "silence",
        duration: float | None = None,
        idle_timeout: float | None = None,
        announced: bool = True,
    ) -> None:
        """
        Args:
            source, sink: not started; at the engine's rate.
            report: its figures are filled in by `run`.
            playout: seconds of depth against the network's jitter.
            overload: what is heard when the engine cannot keep up.
            duration: end after so many seconds of input.
            idle_timeout: end after so many seconds without input.
            announced: the source says what is missing; raw UDP cannot.
        """
        engine = conversion.engine
        self._rate = engine.sample_rate
        self._engine = engine
        self._source, self._sink, self._report = source, sink, report
        self._duration, self._idle = duration, idle_timeout
        reserve = compute_reserve(engine, conversion.voice, conversion.settings)
        geometry = engine.geometry(conversion.settings, conversion.voice)
        chain = BlockChain(geometry, Target(conversion.voice, conversion.settings), self._rate, conversion.seed)
        self.delay = Delay(geometry.algorithmic_latency / self._rate, reserve, playout)
        self.stream = LiveStream(chain, self._rate, self.delay, overload=overload, announced=announced)
        self._turn = threading.Condition()
        self._stop = threading.Event()
        self._closing = False
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """End the input now; what has been received is still converted, played and finalised."""
        self._stop.set()

    def run(self) -> Report:
        """Convert until the input's end, `duration`, `idle_timeout` or `stop()`; then finalise the sink.

        Raises:
            MediaError: reading or writing failed.
            SessionError: converting failed.
        """
        threads: list[threading.Thread] = []
        self._sink.start()
        try:
            self._source.start()
            for target in (self._receive, self._convert):
                thread = threading.Thread(target=self._guard, args=(target,), name=target.__name__.strip("_"))
                thread.start()
                threads.append(thread)
            self._play()
            self._sink.finish()
        except BaseException:
            self._sink.abort()
            raise
        finally:
            self._stop.set()
            with self._turn:
                self._closing = True
                self._turn.notify_all()
            for thread in threads:
                thread.join()
            self._source.stop()
        if self._failure is not None:
            raise self._failure
        return self._filled()

    def _guard(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:
            with self._turn:
                self._failure = self._failure or error
                self.stream.finish()
                self._turn.notify_all()

    def _receive(self) -> None:
        """Input thread: source → stream."""
        limit = None if self._duration is None else round(self._duration * self._rate)
        begin = last = time.monotonic()
        position = 0
        while not self._stop.is_set() and not self._source.ended:
            chunk = self._source.read_chunk(_POLL)
            now = time.monotonic()
            if chunk is None:
                if self._idle is not None and now - last > self._idle:
                    break
                continue
            samples, arrival = chunk.samples, chunk.arrival_time
            if limit is not None:
                samples = samples[: limit - position]
            if self._source.live:
                self._deliver(arrival, samples, chunk.gap_samples)
            else:
                # A file is played in real time, as a microphone would.
                step = round(PULL * self._rate)
                for first in range(0, len(samples), step):
                    part = samples[first : first + step]
                    arrival = begin + (position + first + len(part)) / self._rate
                    if self._stop.wait(max(0.0, arrival - time.monotonic())):
                        break
                    self._deliver(arrival, part, 0)
            position += len(samples)
            last = arrival
            if limit is not None and position >= limit:
                break
        with self._turn:
            self.stream.finish()
            self._turn.notify_all()

    def _deliver(self, arrival: float, samples: Samples, gap: int) -> None:
        with self._turn:
            self._report.samples_in += len(samples)
            self.stream.receive(arrival, samples, gap)
            self._turn.notify_all()

    def _convert(self) -> None:
        """Engine thread: jobs → blocks."""
        while True:
            with self._turn:
                job = self._next_job()
                if job is None:
                    return
            begin = time.perf_counter()
            blocks: list[Block] = self._engine.convert(job.plan.windows)
            seconds = time.perf_counter() - begin
            with self._turn:
                self.stream.done(job, blocks, seconds)

    def _next_job(self) -> Job | None:
        """Wait, holding the lock, for a job; None at the end."""
        while not self._closing and not self.stream.finished:
            job = self.stream.take(time.monotonic())
            if job is not None:
                return job
            # The timeout lets overdue blocks be forced while no input comes.
            self._turn.wait(PULL)
        return None

    def _play(self) -> None:
        """Output: one pull per 10 ms of output time, on a fixed grid."""
        count = round(PULL * self._rate)
        due = time.monotonic()
        while True:
            with self._turn:
                emission = self.stream.pull(due, count)
                finished = self.stream.finished
                failed = self._failure is not None
            if len(emission.samples):
                if emission.skip and self._report.samples_out:
                    self._sink.skip(emission.skip)
                self._sink.write(emission.samples)
                self._report.samples_out += len(emission.samples)
            if finished or failed:
                return
            due += count / self._rate
            time.sleep(max(0.0, due - time.monotonic()))

    def _filled(self) -> Report:
        report, stream, played = self._report, self.stream, self.stream.playout.stats
        media = self._source.stats
        report.sample_rate = self._rate
        report.audio_seconds = report.samples_in / self._rate
        report.compute_seconds = stream.stats.compute_seconds
        report.algorithmic_latency_ms = 1000.0 * self.delay.algorithmic
        report.compute_reserve_ms = 1000.0 * self.delay.compute
        report.playout_ms = 1000.0 * self.delay.playout
        report.latency_ms = 1000.0 * self.delay.total
        report.blocks = stream.stats.blocks
        report.late_blocks = played.late_blocks
        report.dropped_blocks = stream.stats.dropped_blocks
        report.received_packets = media.packets_received
        report.lost_packets = media.packets_lost
        report.late_packets = media.packets_late
        concealed = played.concealed + stream.stats.filled + media.concealed_samples + media.filled_samples
        report.concealed_seconds = concealed / self._rate
        report.drift_corrections = played.added + played.dropped
        report.overload_steps = stream.ladder.changes
        if self._source.truncated:
            report.warnings.append(f"'{report.source}' breaks off: {self._source.truncated}")
        return report
