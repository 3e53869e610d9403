"""What a bad network does to packets: loss, bursts, delay, jitter, doubling, reordering, by a seeded pattern."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import Any

REORDERED_SECONDS = 0.03


@dataclass(frozen=True)
class Impairment:
    """How bad it is.

    Attributes:
        loss: probability of losing a packet.
        burst: packets lost at each loss.
        duplicate, reorder: probabilities; a reordered packet is held for 30 ms.
        delay, jitter: seconds; each packet waits `delay` and a random part of `jitter`.
    """

    loss: float = 0.0
    burst: int = 1
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Impairment:
        """From JSON; unknown names are an error."""
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        return cls(**values)


class LossModel:
    """Decides the fate of packet after packet of one direction."""

    def __init__(self, impairment: Impairment, seed: int) -> None:
        self.impairment = impairment
        self.received = self.dropped = self.duplicated = self.reordered = 0
        self.dropped_at: list[int] = []
        self._random = random.Random(seed)
        self._losing = 0

    def fate(self, touch: bool = True) -> list[float]:
        """Seconds after which each copy of the next packet goes on; empty when it is lost.

        Args:
            touch: False only delays it.
        """
        bad = self.impairment
        index = self.received
        self.received += 1
        # Draw always, so that a packet's fate does not depend on its neighbours'.
        lost, twice, late, spread = (self._random.random() for _ in range(4))
        if touch and self._losing == 0 and lost < bad.loss / bad.burst:
            self._losing = bad.burst
        if self._losing:
            self._losing -= 1
            self.dropped += 1
            self.dropped_at.append(index)
            return []
        wait = bad.delay + spread * bad.jitter
        if touch and late < bad.reorder:
            wait += REORDERED_SECONDS
            self.reordered += 1
        if touch and twice < bad.duplicate:
            self.duplicated += 1
            return [wait, wait]
        return [wait]
