"""One running live conversion: a source, an engine, a sink. Media and engines meet here and nowhere else."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from seedvc_live.audio.levels import Level, LevelMeter
from seedvc_live.audio.pcm import Samples
from seedvc_live.engine_thread import EngineThread, Timing, compute_reserve
from seedvc_live.engines.base import Block, Settings, Voice
from seedvc_live.errors import FixedSettingError, SettingsError
from seedvc_live.live.chain import BlockChain, Target
from seedvc_live.live.converter import changed
from seedvc_live.live.stream import Delay, Job, LiveStream
from seedvc_live.media.types import Sink, Source
from seedvc_live.offline import Conversion
from seedvc_live.report import Report

PULL = 0.01
"""Seconds of output time per pull from the play-out."""

_POLL = 0.02
_TIMINGS = 2000


@dataclass(frozen=True)
class Snapshot:
    """What a running session is doing; counters since its start.

    Attributes:
        time: `time.monotonic()` of the snapshot.
        level_in, level_out: of the source at the input and of what is played.
        concealed: seconds heard in place of missing input or late blocks.
        overload_step: "full", or what is heard because the engine cannot keep up.
    """

    time: float
    level_in: Level
    level_out: Level
    delay: Delay
    blocks: int
    late_blocks: int
    dropped_blocks: int
    concealed: float
    received_packets: int
    lost_packets: int
    overload_step: str
    voice: Voice
    settings: Settings
    bypass: bool


class LiveSession:
    """A live conversion on three threads: input, engine, and (the caller's) paced output.

    Between them stands one `LiveStream`, which keeps the delay; this class only gives it the time. Voice,
    per-block settings and bypass may be changed while it runs, from any thread.
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
        bypass: bool = False,
        reserve: float | None = None,
        engine_thread: EngineThread | None = None,
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
            bypass: begin with the source's own voice.
            reserve: seconds of delay for converting a block; None: measured now.
            engine_thread: shared with other sessions; None: one of its own while it runs.
        """
        engine = conversion.engine
        self.engine = engine
        self._rate = engine.sample_rate
        self._source, self._sink, self._report = source, sink, report
        self._duration, self._idle = duration, idle_timeout
        if reserve is None:
            reserve = compute_reserve(engine, conversion.voice, conversion.settings)
        geometry = engine.geometry(conversion.settings, conversion.voice)
        self.group: Hashable = (id(engine), geometry)
        chain = BlockChain(geometry, Target(conversion.voice, conversion.settings, bypass), self._rate, conversion.seed)
        self.delay = Delay(geometry.algorithmic_latency / self._rate, reserve, playout)
        self.stream = LiveStream(chain, self._rate, self.delay, overload=overload, announced=announced)
        self.first_output: float | None = None
        """`time.monotonic()` when the first samples were played."""
        self._level_in, self._level_out = LevelMeter(self._rate), LevelMeter(self._rate)
        self._timings: deque[Timing] = deque(maxlen=_TIMINGS)
        self._engine_thread = engine_thread
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._cancelled = False
        self._failure: BaseException | None = None

    # -- control, from any thread ------------------------------------------------------------------

    def stop(self) -> None:
        """End the input now; what has been received is still converted, played and finalised."""
        self._stop.set()

    def cancel(self) -> None:
        """End at once: nothing more is played, the sink is aborted."""
        self._cancelled = True
        self._stop.set()

    def update(
        self, *, voice: Voice | None = None, settings: Mapping[str, Any] | None = None, bypass: bool | None = None
    ) -> Target:
        """Change what the next block sounds like, without a click or a gap. All of it or nothing.

        Returns:
            What is in force from the next block on.

        Raises:
            SettingsError: a setting is unknown or out of range, or the voice was made by other weights.
            FixedSettingError: a setting (or the voice) needs a new session.
        """
        with self._lock:
            chain = self.stream.chain
            target = chain.target
            if settings:
                target = replace(target, settings=changed(self.engine, target.settings, settings))
            if voice is not None:
                check_voice(self.engine.name, self.engine.weights_hash, voice)
                target = replace(target, voice=voice)
            if self.engine.geometry(target.settings, target.voice) != chain.geometry:
                field = "voice" if voice is not None else "settings"
                raise FixedSettingError(field, "this needs other window sizes: start a new session")
            if bypass is not None:
                target = replace(target, bypass=bypass)
            chain.target = target
            return target

    def snapshot(self) -> Snapshot:
        """A look at the running session."""
        media = self._source.stats
        with self._lock:
            played, stats, target = self.stream.playout.stats, self.stream.stats, self.stream.chain.target
            concealed = played.concealed + stats.filled + media.concealed_samples + media.filled_samples
            return Snapshot(
                time=time.monotonic(),
                level_in=self._level_in.level,
                level_out=self._level_out.level,
                delay=self.delay,
                blocks=stats.blocks,
                late_blocks=played.late_blocks,
                dropped_blocks=stats.dropped_blocks,
                concealed=concealed / self._rate,
                received_packets=media.packets_received,
                lost_packets=media.packets_lost,
                overload_step=self.stream.ladder.step,
                voice=target.voice,
                settings=target.settings,
                bypass=target.bypass,
            )

    def take_timings(self) -> list[Timing]:
        """The blocks converted since the last call (the last 2000)."""
        with self._lock:
            taken = list(self._timings)
            self._timings.clear()
            return taken

    # -- running -----------------------------------------------------------------------------------

    def run(self) -> Report:
        """Convert until the input's end, `duration`, `idle_timeout`, `stop()` or `cancel()`; then finalise the
        sink.

        Raises:
            MediaError: reading or writing failed.
            SessionError: converting failed.
        """
        receiver = threading.Thread(target=self._guard, args=(self._receive,), name="receive")
        own = EngineThread() if self._engine_thread is None else None
        engine_thread = self._engine_thread = self._engine_thread or own
        assert engine_thread is not None
        self._sink.start()
        try:
            self._source.start()
            engine_thread.attach(self)
            receiver.start()
            self._play()
            if self._cancelled:
                self._sink.abort()
            else:
                self._sink.finish()
        except BaseException:
            self._sink.abort()
            raise
        finally:
            self._stop.set()
            engine_thread.detach(self)
            if own is not None:
                own.close()
            if receiver.ident is not None:
                receiver.join()
            self._source.stop()
        if self._failure is not None:
            raise self._failure
        return self._filled()

    def _guard(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:
            self.fail(error)

    # -- the engine thread's client ------------------------------------------------------------------

    def take(self, now: float) -> Job | None:
        with self._lock:
            return None if self._cancelled or self.stream.finished else self.stream.take(now)

    def wake_at(self) -> float | None:
        with self._lock:
            return self.stream.wake_at()

    def done(self, job: Job, blocks: Sequence[Block], timing: Timing) -> None:
        with self._lock:
            self.stream.done(job, blocks, timing.wall, timing.share)
            self._timings.append(timing)

    def fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error
            self.stream.finish()

    # -- input -------------------------------------------------------------------------------------

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
        with self._lock:
            self.stream.finish()
        self._wake()

    def _deliver(self, arrival: float, samples: Samples, gap: int) -> None:
        with self._lock:
            self._report.samples_in += len(samples)
            self._level_in.push(samples)
            self.stream.receive(arrival, samples, gap)
        self._wake()

    def _wake(self) -> None:
        assert self._engine_thread is not None
        self._engine_thread.wake()

    # -- output ------------------------------------------------------------------------------------

    def _play(self) -> None:
        """Output: one pull per 10 ms of output time, on a fixed grid."""
        count = round(PULL * self._rate)
        due = time.monotonic()
        while not self._cancelled:
            with self._lock:
                emission = self.stream.pull(due, count)
                finished = self.stream.finished
                failed = self._failure is not None
                self._level_out.push(emission.samples)
            if len(emission.samples):
                if emission.skip and self._report.samples_out:
                    self._sink.skip(emission.skip)
                self._sink.write(emission.samples)
                if self.first_output is None:
                    self.first_output = time.monotonic()
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


def check_voice(engine: str, weights: str, voice: Voice) -> None:
    """
    Raises:
        SettingsError: the voice was made by another engine or other weights.
    """
    if voice.engine != engine:
        raise SettingsError(
            "voice", f"this voice was made for engine '{voice.engine}', not '{engine}': enroll it again"
        )
    if voice.weights != weights:
        raise SettingsError("voice", f"this voice is for other weights of engine '{engine}': enroll it again")
