"""Does the melody survive? Correlation of log F0 between source and conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Pcm
from seedvc_live.audio.resample import resample
from seedvc_live.evaluate.extras import require

RATE = 16000
HOP = 256
"""Samples between frames: frame i stands for sample i * HOP."""
_VOICED = 0.5
_FEWEST = 10


@dataclass(frozen=True, eq=False)
class Contour:
    """Pitch over time, one frame every 16 ms.

    Attributes:
        f0: Hz, shape (frames,).
        voiced: shape (frames,), bool.
    """

    f0: npt.NDArray[np.float64]
    voiced: npt.NDArray[np.bool_]

    @property
    def mean_log(self) -> float | None:
        """Mean of the natural log of F0 over voiced frames; None where nothing is voiced."""
        return float(np.log(self.f0[self.voiced]).mean()) if self.voiced.any() else None


class PitchTracker:
    """SwiftF0 (L. Nieradzik, 2025), 50 … 900 Hz, on one core.

    Raises:
        MissingPackageError: swift-f0 is not installed.
    """

    def __init__(self) -> None:
        self._tracker: Any = require("swift_f0").SwiftF0(threads=1, spin=False)

    def track(self, clip: Pcm) -> Contour:
        """Contour of a clip."""
        found = self._tracker.detect(resample(clip, RATE).samples, RATE, fmin=50.0, fmax=900.0)
        return Contour(np.asarray(found.pitch_hz), np.asarray(found.confidence) >= _VOICED)


def correlation(first: Contour, second: Contour) -> float | None:
    """Pearson correlation of log F0 over frames voiced in both; None where fewer than 10 are, or one is flat."""
    frames = min(len(first.f0), len(second.f0))
    both = first.voiced[:frames] & second.voiced[:frames]
    if both.sum() < _FEWEST:
        return None
    x, y = np.log(first.f0[:frames][both]), np.log(second.f0[:frames][both])
    if x.std() < 1e-6 or y.std() < 1e-6:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def voicing_agreement(first: Contour, second: Contour) -> float | None:
    """Share of frames that are voiced in both or in neither; None for empty contours."""
    frames = min(len(first.f0), len(second.f0))
    return float((first.voiced[:frames] == second.voiced[:frames]).mean()) if frames else None
