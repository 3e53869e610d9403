"""Pcm: samples and the rate they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""Mono audio, shape (n,), float32, nominally in [-1, 1]."""


@dataclass(frozen=True, eq=False)
class Pcm:
    """Mono audio with its sample rate.

    Attributes:
        samples: shape (n,), float32, nominally in [-1, 1].
        rate: sample rate in Hz.

    Raises:
        ValueError: samples are not one-dimensional, or the rate is not positive.
    """

    samples: Samples
    rate: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"samples must have shape (n,), got {samples.shape}")
        if self.rate <= 0:
            raise ValueError(f"rate must be positive, got {self.rate} Hz")
        object.__setattr__(self, "samples", samples)

    def __len__(self) -> int:
        return int(self.samples.shape[0])

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self) / self.rate

    def head(self, seconds: float) -> Pcm:
        """The first `seconds` of the clip, or all of a shorter one."""
        return Pcm(self.samples[: round(seconds * self.rate)], self.rate)
