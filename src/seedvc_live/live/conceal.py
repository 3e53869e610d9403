"""Concealer: what is heard where converted audio is missing."""

from __future__ import annotations

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.audio.sola import cos2_fade, crossfade

_HISTORY = 0.05
_SHORTEST, _LONGEST = 0.0025, 0.015
_HOLD, _FADE = 0.01, 0.05
_RETURN = 0.005


class Concealer:
    """Continues a wave for a few tens of milliseconds, then falls silent.

    The last pitch period is repeated and faded out, as in ITU-T G.711 Appendix I (1999); what comes after
    the gap is faded in. All times in seconds are constants of this module.
    """

    def __init__(self, rate: int) -> None:
        """
        Args:
            rate: Hz.
        """
        self._rate = rate
        self._history = np.zeros(round(_HISTORY * rate), dtype=np.float32)
        self._return = cos2_fade(max(2, round(_RETURN * rate)))
        self._cycle: Samples | None = None
        self._age = 0

    def play(self, samples: Samples) -> Samples:
        """Real samples, shape (n,): return them, faded in if they follow a concealed stretch."""
        if self._cycle is not None and len(samples):
            size = min(len(samples), len(self._return))
            samples = samples.copy()
            samples[:size] = crossfade(self._continue(size), samples[:size], self._return[-size:])
            self._cycle = None
        self._remember(samples)
        return samples

    def conceal(self, count: int) -> Samples:
        """`count` samples in place of missing ones, shape (count,)."""
        if self._cycle is None:
            period = self._period()
            self._cycle = self._history[-period:].copy()
            self._age = 0
        samples = self._continue(count)
        self._remember(samples)
        return samples

    def _continue(self, count: int) -> Samples:
        assert self._cycle is not None
        index = self._age + np.arange(count)
        self._age += count
        seconds = index / self._rate
        gain = np.clip(1.0 - (seconds - _HOLD) / _FADE, 0.0, 1.0)
        return np.asarray(self._cycle[index % len(self._cycle)] * gain, dtype=np.float32)

    def _period(self) -> int:
        """The lag, in samples, at which the recent wave repeats best."""
        shortest, longest = round(_SHORTEST * self._rate), round(_LONGEST * self._rate)
        history = self._history.astype(np.float64)
        size = len(history) - longest
        recent = history[-size:]
        scores = []
        for lag in range(shortest, longest + 1):
            past = history[len(history) - size - lag : len(history) - lag]
            scores.append(float(recent @ past) / float(np.sqrt(past @ past + 1e-9)))
        return shortest + int(np.argmax(scores))

    def _remember(self, samples: Samples) -> None:
        if len(samples):
            self._history = np.concatenate((self._history, samples))[-len(self._history) :]
