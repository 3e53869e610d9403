"""LiveStream: one live conversion as a machine of events, without threads and without a clock.

Whoever drives it tells it what time it is: `session.py` with the real one, tests with a virtual one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.base import Block
from seedvc_live.live.arrival import ArrivalClock
from seedvc_live.live.chain import BlockChain, Plan
from seedvc_live.live.framer import Frame, Framer
from seedvc_live.live.overload import Ladder
from seedvc_live.live.playout import NOTHING, Emission, Playout

_LEAST_WAIT = 0.02
_OWED_FOR = 1.0
_LONG_GAP = 1.0
"""Seconds of missing input that are not converted as silence but jumped over."""


@dataclass(frozen=True)
class Delay:
    """The parts of a live stream's delay, in seconds. Together they are its bound.

    Attributes:
        algorithmic: block, lookahead and join, from the geometry.
        compute: reserved for converting a block.
        playout: depth that absorbs the network's jitter.
    """

    algorithmic: float
    compute: float
    playout: float

    @property
    def total(self) -> float:
        """Seconds from a sample's arrival to its emission."""
        return self.algorithmic + self.compute + self.playout


@dataclass(frozen=True, eq=False)
class Job:
    """A frame to convert.

    Attributes:
        plan: its windows (none in bypass).
        deadline: when its first sample is due, seconds of the driver's clock.
        ready: since when it could be converted.
    """

    plan: Plan
    deadline: float
    ready: float = 0.0


@dataclass
class StreamStats:
    """Counted since the start.

    Attributes:
        received: input samples, silence in place of lost ones included.
        filled: samples of silence put in for input lost unannounced.
        late_samples: input thrown away because silence had already been put in its place.
        blocks: blocks converted.
        dropped_blocks: blocks never converted because their time had passed, or soon would.
        forced_blocks: blocks converted before all of their input had come.
        compute_seconds: spent in the engine.
    """

    received: int = 0
    filled: int = 0
    late_samples: int = 0
    blocks: int = 0
    dropped_blocks: int = 0
    forced_blocks: int = 0
    compute_seconds: float = 0.0


class LiveStream:
    """Input samples → jobs → converted blocks → paced output, with a bounded delay.

    Events: `receive` (input came), `finish` (no more will), `take` (a worker asks for a job), `done` (it
    returns the blocks), `pull` (output is due). One job is under way at a time, since a block needs the
    state of the one before it.
    """

    def __init__(
        self,
        chain: BlockChain,
        rate: int,
        delay: Delay,
        *,
        overload: Literal["silence", "bypass"] = "silence",
        announced: bool = True,
    ) -> None:
        """
        Args:
            chain: the stream's conversion; its geometry is that of the stream.
            rate: Hz, of input and output.
            delay: its total is kept from the first sample to the last.
            overload: what is heard when the engine cannot keep up. `bypass` gives the speaker's own voice
                away, so it is never the default.
            announced: the source says what is missing (RTP). If not (raw UDP), input that is overdue by the
                play-out depth is taken as lost.
        """
        self._chain = chain
        self._rate = rate
        self._framer = Framer(chain.geometry)
        self._clock = ArrivalClock(rate) if announced else ArrivalClock(rate, pause=max(delay.playout, _LEAST_WAIT))
        self._owed = 0  # silence put in for what may yet come
        self._owed_since = 0.0
        self._queue: deque[tuple[float, Frame]] = deque()
        self._now = 0.0
        self._busy: Job | None = None
        self._estimate = 0.0
        self._ended = False
        self.delay = delay
        self.playout = Playout(rate)
        self.ladder = Ladder(("full", overload), chain.geometry.block / rate)
        self.stats = StreamStats()

    @property
    def chain(self) -> BlockChain:
        """Voice, settings and bypass are set here; they take effect at the next block."""
        return self._chain

    @property
    def finished(self) -> bool:
        """Whether all there ever will be has been emitted."""
        return self._ended and self.playout.position >= self._framer.received

    def receive(self, now: float, samples: Samples, gap: int = 0) -> None:
        """Input samples, shape (n,), arrived at `now`; `gap` samples are known to be missing before them."""
        self._now = max(self._now, now)
        self._insert(gap)
        samples = self._without_late(now, samples)
        lost = self._clock.missing(now, self._framer.received + len(samples))
        if lost:
            self._insert(lost)
            self._clock.shifted(lost)
            self.stats.filled += lost
            self._owed, self._owed_since = self._owed + lost, now
        self._add(self._framer.push(samples))
        self.stats.received = self._framer.received
        self._clock.arrived(now, self._framer.received)

    def finish(self) -> None:
        """No more input will come: the tail is converted and played."""
        if not self._ended:
            self._ended = True
            self._add(self._framer.flush())

    def take(self, now: float) -> Job | None:
        """The next job for the engine, or None while there is none.

        Frames whose slot has passed, or would have by the time they are converted, are dropped here:
        the queue is bounded in time.
        """
        if self._busy is not None:
            return None
        self._now = max(self._now, now)
        self._force_overdue(now)
        while self._queue:
            ready, frame = self._queue.popleft()
            due = self._due(frame.start)
            end = due + self._chain.geometry.block / self._rate
            if now + self._estimate >= end:
                self._drop(self._in_time(ready, due))
                continue
            if self.ladder.step == "silence":
                self._chain.skip()
                self._settle(late=False, load=0.0)
                continue
            job = Job(self._chain.plan(frame, bypass=self.ladder.step == "bypass"), due, ready)
            if job.plan.windows:
                self._busy = job
                return job
            self._play(job.plan, [])
            self._settle(late=False, load=0.0)
        return None

    def wake_at(self) -> float | None:
        """When an incomplete block is due for conversion, so that `take` is to be asked again; None: never."""
        if self._busy is not None or self._ended or self._clock.offset is None:
            return None
        if self._framer.framed >= self._framer.received:
            return None
        return self._clock.capture(self._framer.framed) + self.delay.algorithmic + self.delay.playout

    def done(self, job: Job, blocks: Sequence[Block], seconds: float, share: float | None = None) -> None:
        """The engine converted `job` in `seconds`; `share`: the job's part of them, when it was in a batch."""
        self._busy = None
        length = self._chain.geometry.block / self._rate
        # A slow block is believed at once, a quick one only by and by.
        self._estimate = max(seconds, 0.9 * self._estimate + 0.1 * seconds)
        self.stats.blocks += 1
        share = seconds if share is None else share
        self.stats.compute_seconds += share
        late = self._play(job.plan, blocks)
        self._settle(late=late > 0 and self._in_time(job.ready, job.deadline), load=share / length)

    def pull(self, now: float, count: int) -> Emission:
        """Emit what is due from `now` on for `count` samples of output time."""
        if self._clock.offset is None:
            return Emission(NOTHING)
        wanted = (now - self.delay.total - self._clock.offset) * self._rate
        return self.playout.pull(wanted, count, self._framer.received)

    def _without_late(self, now: float, samples: Samples) -> Samples:
        """The samples without those whose time has already been given to silence."""
        if now > self._owed_since + _OWED_FOR:
            self._owed = 0
        if not self._owed or self._clock.offset is None:
            return samples
        received = self._framer.received + len(samples)
        early = round((self._clock.offset - now) * self._rate) + received
        late = max(0, min(early, self._owed, len(samples)))
        self._owed -= late
        self.stats.late_samples += late
        return samples[late:]

    def _insert(self, missing: int) -> None:
        """Silence in place of missing input, or a jump where it is long."""
        if missing > _LONG_GAP * self._rate:
            while self._framer.framed < self._framer.received:
                self._add([self._framer.force()])
            self.playout.hole(self._framer.received, self._framer.received + missing)
            self._framer.jump(missing)
        elif missing:
            self._add(self._framer.silence(missing))

    def _force_overdue(self, now: float) -> None:
        """Convert what has waited long enough for the input that would complete it."""
        if self._clock.offset is None or self._ended:
            return
        wait = self.delay.algorithmic + self.delay.playout
        while self._framer.framed < self._framer.received and (now > self._clock.capture(self._framer.framed) + wait):
            self._add([self._framer.force()])
            self.stats.forced_blocks += 1

    def _add(self, frames: Sequence[Frame]) -> None:
        self._queue.extend((self._now, frame) for frame in frames)

    def _due(self, index: int) -> float:
        return self._clock.capture(index) + self.delay.total

    def _play(self, plan: Plan, blocks: Sequence[Block]) -> int:
        samples = self._chain.complete(plan, blocks)
        beyond = plan.frame.start + len(samples) - self._framer.received
        if beyond > 0:
            samples = samples[: len(samples) - beyond]
        return self.playout.put(plan.frame.start, samples)

    def _in_time(self, ready: float, due: float) -> bool:
        """Whether a block could be converted early enough: if not, the network is to blame, not the engine."""
        return ready + self.delay.compute <= due

    def _drop(self, in_time: bool) -> None:
        self._chain.skip()
        self._estimate *= 0.9
        self.stats.dropped_blocks += 1
        if in_time:
            self._settle(late=True, load=1.0)

    def _settle(self, late: bool, load: float) -> None:
        if self.ladder.observe(late, load):
            self._estimate = 0.0
