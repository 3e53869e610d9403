"""Ladder: what a session gives up, step by step, when blocks keep coming late."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

_WINDOW = 10
_WINDOW_SECONDS = 1.6
_LATE = 0.3
_HEADROOM = 0.6
_FIRST_WAIT = 30
_LONGEST_WAIT = 400


class Ladder:
    """Steps down when blocks are late repeatedly, and up again when there is headroom.

    A step down is taken when three in ten of the blocks of the last 1.6 s (at least ten) were late. A step up is
    tried after 30 blocks of compute below 0.6 of their length (or without compute); each try that fails doubles
    the wait, so that a machine that is simply too slow does not stutter for ever.
    """

    def __init__(self, steps: Sequence[str], block: float = _WINDOW_SECONDS / _WINDOW) -> None:
        """
        Args:
            steps: names from full quality down; the first is where a session starts.
            block: seconds of a block.
        """
        self._steps = tuple(steps)
        self._recent: deque[bool] = deque(maxlen=max(_WINDOW, round(_WINDOW_SECONDS / block)))
        self._most = round(_LATE * (self._recent.maxlen or _WINDOW))
        self._calm = 0
        self._wait = _FIRST_WAIT
        self._tried = False
        self.position = 0
        self.changes = 0
        """Steps taken so far, down and up."""

    @property
    def step(self) -> str:
        """The step in force."""
        return self._steps[self.position]

    def observe(self, late: bool, load: float) -> bool:
        """One block is over.

        Args:
            late: it missed its slot.
            load: compute seconds over block seconds; 0 where nothing was computed.

        Returns:
            Whether the step changed.
        """
        self._recent.append(late)
        self._calm = self._calm + 1 if not late and load < _HEADROOM else 0
        if sum(self._recent) >= self._most and self.position < len(self._steps) - 1:
            if self._tried:
                self._wait = min(2 * self._wait, _LONGEST_WAIT)
            self._move(+1)
            return True
        if self._tried and self._calm >= 2 * _FIRST_WAIT:
            self._tried, self._wait = False, _FIRST_WAIT
        if self._calm >= self._wait and self.position > 0:
            self._move(-1)
            self._tried = True
            return True
        return False

    def _move(self, by: int) -> None:
        self.position += by
        self.changes += 1
        self._calm = 0
        self._recent.clear()
