"""Level meters: peak and rms in dBFS, with the ballistics of a programme meter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Samples

FLOOR_DB = -120.0
"""Reported for digital silence."""


def decibels(amplitude: float) -> float:
    """20·log10(amplitude), dB relative to full scale; `FLOOR_DB` at and below the floor."""
    return max(FLOOR_DB, 20.0 * math.log10(amplitude)) if amplitude > 0.0 else FLOOR_DB


@dataclass(frozen=True)
class Level:
    """A reading, in dBFS (0 dB = full-scale square wave)."""

    rms_db: float
    peak_db: float


class LevelMeter:
    """Running level of a stream.

    The rms is an exponential mean over `window` seconds; the peak holds and falls by `decay` dB/s. A meter
    reads the same for any chunking up to rounding.
    """

    def __init__(self, rate: int, window: float = 0.3, decay: float = 20.0) -> None:
        """
        Args:
            rate: sample rate, Hz.
            window: time constant of the rms, seconds.
            decay: fall of the held peak, dB per second.
        """
        self._pole = math.exp(-1.0 / (window * rate))
        self._fall = 10.0 ** (-decay / 20.0 / rate)
        self._power = 0.0
        self._peak = 0.0
        self._weights: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] = (np.ones(0), np.ones(0))

    def push(self, samples: Samples) -> Level:
        """Add samples, shape (n,), and read the meter."""
        count = len(samples)
        if count:
            if len(self._weights[0]) != count:  # a live stream comes in equal parts
                age = np.arange(count - 1, -1, -1, dtype=np.float64)
                self._weights = self._pole**age, self._fall**age
            weights, falls = self._weights
            values = np.abs(np.asarray(samples, dtype=np.float64))
            self._power = self._power * self._pole**count + (1.0 - self._pole) * float(weights @ (values**2))
            held = self._peak * self._fall**count
            self._peak = max(held, float(np.max(values * falls)))
        return self.level

    @property
    def level(self) -> Level:
        """The current reading."""
        return Level(decibels(math.sqrt(self._power)), decibels(self._peak))
