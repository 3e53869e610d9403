"""Playout: the one place where converted audio waits, and where time is kept."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.live.conceal import Concealer

_DEADBAND = 0.001
_RESYNC = 0.1
_PER_SAMPLE = 240
"""One sample in so many may be dropped or added: 0.4 %, 7 cents for the length of a pull."""


NOTHING: Samples = np.zeros(0, dtype=np.float32)


@dataclass
class PlayoutStats:
    """Counted since the start, in samples unless said otherwise.

    Attributes:
        played: converted samples emitted.
        concealed: samples emitted in place of missing ones.
        late_blocks: blocks of which at least a part came too late.
        late_samples: converted samples thrown away because their time had passed.
        added, dropped: samples by which the wave was stretched or squeezed against clock drift.
        resyncs: jumps to the right position after a disturbance.
        skipped: stream samples never played because of those.
    """

    played: int = 0
    concealed: int = 0
    late_blocks: int = 0
    late_samples: int = 0
    added: int = 0
    dropped: int = 0
    resyncs: int = 0
    skipped: int = 0


@dataclass(frozen=True, eq=False)
class Emission:
    """What one pull gives.

    Attributes:
        samples: shape (n,), to be played next.
        skip: samples of output time that passed before them without any (the input had paused).
    """

    samples: Samples
    skip: int = 0


class Playout:
    """Emits a stream at an even pace, each sample a fixed time after its capture.

    Blocks come in by `put`, whenever they are ready; `pull` takes out what is due. What is not there when
    it is due is concealed, and thrown away if it comes later: lateness never turns into delay. The wanted
    position is given by the caller's estimate of the sender's clock; small deviations are mended by
    stretching or squeezing the wave by at most 0.4 %, large ones by a jump.
    """

    def __init__(self, rate: int) -> None:
        """
        Args:
            rate: Hz.
        """
        self._rate = rate
        self._blocks: deque[tuple[int, Samples]] = deque()
        self._concealer = Concealer(rate)
        self._owed = 0
        self._holes: deque[tuple[int, int]] = deque()
        self._step = max(1, round(_DEADBAND * rate))
        self._jump = round(_RESYNC * rate)
        self.position: int = 0
        """Stream index of the next sample to emit."""
        self.stats = PlayoutStats()

    @property
    def depth(self) -> int:
        """Samples that wait to be emitted."""
        return sum(len(samples) for _, samples in self._blocks)

    def put(self, start: int, samples: Samples) -> int:
        """Converted samples for the stream indices from `start` on; return how many came too late."""
        late = min(max(self.position - start, 0), len(samples))
        if late:
            self.stats.late_blocks += 1
            self.stats.late_samples += late
        if late < len(samples):
            self._blocks.append((start + late, samples[late:]))
        return late

    def hole(self, start: int, end: int) -> None:
        """The stream has no audio from `start` to `end`: emit nothing there, conceal nothing."""
        self._holes.append((start, end))

    def pull(self, wanted: float, count: int, limit: int) -> Emission:
        """Emit what is due in the next `count` samples of output time.

        Args:
            wanted: stream index that should be emitted first now. Negative: nothing is due yet.
            count: samples of output time.
            limit: samples of input known so far; nothing beyond is emitted, or concealed.

        Returns:
            `count` samples, fewer at the beginning, at a pause and at the end of the stream.
        """
        if self.position == 0 and not self.stats.played and not self.stats.concealed:
            # The beginning is placed to the sample, not to the pull.
            ahead = -round(wanted)
            if ahead >= count:
                return Emission(NOTHING)
            if ahead > 0:
                count, wanted = count - ahead, 0.0
        if self._holes and self.position >= self._holes[0][0]:
            ahead = self._holes[0][1] - round(wanted)
            if ahead >= count:
                self._owed += count
                return Emission(NOTHING)
            self.position = max(self.position, self._holes.popleft()[1])
            if ahead > 0:
                self._owed += ahead
                count, wanted = count - ahead, wanted + ahead
        if self._holes:
            limit = min(limit, self._holes[0][0])
        error = round(wanted) - self.position
        # After a pause the stream goes on at its right place at once: catching up slowly would be delay.
        if error > (self._step if self._owed else self._jump):
            self._skip_to(min(round(wanted), limit))
            error = 0
        elif error < -self._jump:
            # The stream is ahead of its time: wait, as at a pause.
            self._owed += count
            return Emission(NOTHING)
        room = limit - self.position
        if room <= 0:
            self._owed += count
            return Emission(NOTHING)
        samples = self._corrected(count, error, room)
        skip, self._owed = self._owed, max(0, count - len(samples))
        return Emission(samples, skip)

    def _corrected(self, count: int, error: int, room: int) -> Samples:
        change = 0
        if abs(error) > self._step and room > 2 * count:
            most = max(1, count // _PER_SAMPLE)
            change = max(-most, min(most, error))
        if not change:
            return self._take(min(count, room))
        samples = self._take(count + change)
        self.stats.dropped += max(change, 0)
        self.stats.added += max(-change, 0)
        return _stretch(samples, count)

    def _take(self, count: int) -> Samples:
        """The next `count` samples of the stream, concealed where they are missing."""
        out, end = [], self.position + count
        while self.position < end:
            while self._blocks and self._blocks[0][0] + len(self._blocks[0][1]) <= self.position:
                self._blocks.popleft()
            start, block = self._blocks[0] if self._blocks else (end, NOTHING)
            if start > self.position:
                missing = min(start, end) - self.position
                out.append(self._concealer.conceal(missing))
                self.stats.concealed += missing
                self.position += missing
                continue
            first = self.position - start
            part = block[first : first + end - self.position]
            out.append(self._concealer.play(part))
            self.stats.played += len(part)
            self.position += len(part)
        return np.concatenate(out) if out else NOTHING

    def _skip_to(self, position: int) -> None:
        if position > self.position:
            self.stats.resyncs += 1
            self.stats.skipped += position - self.position
            self.position = position


def _stretch(samples: Samples, count: int) -> Samples:
    """Resample to `count` samples by cubic (Catmull-Rom) interpolation; the first sample stays in place."""
    size = len(samples)
    position = np.arange(count) * (size / count)
    index = position.astype(np.int64)
    t = (position - index).astype(np.float32)
    before, a = samples[np.maximum(index - 1, 0)], samples[index]
    b, after = samples[np.minimum(index + 1, size - 1)], samples[np.minimum(index + 2, size - 1)]
    curve = a + 0.5 * t * (b - before + t * (2 * before - 5 * a + 4 * b - after + t * (3 * (a - b) + after - before)))
    return np.asarray(curve, dtype=np.float32)
