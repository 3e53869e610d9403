"""Scheduler: which jobs of many streams the engine converts next: earliest deadline first, in batches."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")


@dataclass(frozen=True)
class Entry(Generic[K]):
    """A job that waits.

    Attributes:
        key: its stream; a stream has one job under way at a time.
        group: jobs of one group may share a batch (same engine, same geometry).
        deadline: when the result is due, seconds of the driver's clock.
        windows: how many windows the job has.
    """

    key: K
    group: Hashable
    deadline: float
    windows: int = 1


class Scheduler(Generic[K]):
    """Picks the next batch.

    Its head is always the job with the earliest deadline (on one processor that order minimises the
    greatest lateness: J. R. Jackson, 1955). Jobs of the head's group join it, in order of deadline, as long as
    neither the head nor a more urgent job of another group is late because of them, judged by what batches of
    that size have cost so far.
    """

    def __init__(self, most: int = 8) -> None:
        """
        Args:
            most: windows in a batch.

        Raises:
            ValueError: less than 1.
        """
        if most < 1:
            raise ValueError(f"a batch has at least one window, got {most}")
        self._most = most
        self._waiting: dict[K, Entry[K]] = {}
        self._costs: dict[Hashable, dict[int, float]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, entry: Entry[K]) -> None:
        """A job is ready.

        Raises:
            ValueError: its stream has one waiting already.
        """
        if entry.key in self._waiting:
            raise ValueError(f"stream {entry.key!r} has a job waiting already")
        self._waiting[entry.key] = entry

    def discard(self, key: K) -> None:
        """Forget the stream's waiting job, if there is one."""
        self._waiting.pop(key, None)

    def next(self, now: float) -> list[Entry[K]]:
        """Take the next batch out; empty when nothing waits."""
        order = sorted(self._waiting.values(), key=lambda entry: entry.deadline)
        if not order:
            return []
        head = order[0]
        batch, windows = [head], head.windows
        others = [entry for entry in order if entry.group != head.group]
        for entry in order[1:]:
            if entry.group != head.group:
                continue
            end = self._end(now, head.group, windows + entry.windows)
            if windows + entry.windows > self._most or end is None or end > head.deadline:
                break
            if others and others[0].deadline < entry.deadline:
                after = self._end(end, others[0].group, others[0].windows)
                if after is None or after > others[0].deadline:
                    break
            batch.append(entry)
            windows += entry.windows
        for entry in batch:
            del self._waiting[entry.key]
        return batch

    def observe(self, group: Hashable, windows: int, seconds: float) -> None:
        """A batch of that many windows took so long. A slow one is believed at once, a quick one by and by."""
        costs = self._costs.setdefault(group, {})
        costs[windows] = max(seconds, 0.9 * costs.get(windows, 0.0) + 0.1 * seconds)

    def cost(self, group: Hashable, windows: int) -> float | None:
        """Seconds that such a batch is expected to take; None when the group was never seen."""
        costs = self._costs.get(group)
        if not costs:
            return None
        if windows in costs:
            return costs[windows]
        smaller = [size for size in costs if size < windows]
        nearest = max(smaller) if smaller else min(costs)
        return costs[nearest] * max(1.0, windows / nearest)

    def _end(self, now: float, group: Hashable, windows: int) -> float | None:
        seconds = self.cost(group, windows)
        return None if seconds is None else now + seconds
