"""The classical baseline: WORLD (M. Morise et al., IEICE 2016) with the voice's two means moved.

Pitch: the mean of log F0 becomes the target's. Timbre: the difference of the mean log spectral envelopes of
voiced frames is added to every frame. No learning, no words lost to a network: what any converter must beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Pcm
from seedvc_live.audio.resample import resample
from seedvc_live.evaluate.extras import require
from seedvc_live.evaluate.pitch import HOP, PitchTracker

RATE = 16000
_HOP = RATE // 200
_FLOOR = 1e-16
_WHISPERED = 0.1
"""A whisper has fewer voiced frames, for one that is loud."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Analysis:
    """What WORLD measures every 5 ms.

    Attributes:
        f0: Hz, 0 where unvoiced, shape (frames,).
        envelope: power spectrum, shape (frames, bins).
        aperiodicity: 0 … 1, shape (frames, bins).
    """

    f0: Array
    envelope: Array
    aperiodicity: Array

    def mean_log_f0(self) -> float | None:
        """Mean natural log of F0 over voiced frames; None where there are none."""
        return float(np.log(self.f0[self.f0 > 0]).mean()) if (self.f0 > 0).any() else None

    def mean_log_envelope(self) -> Array:
        """Mean log power spectrum of voiced frames, its own mean removed (level is no part of a voice).

        Of a whisper, in which a frame or two may seem voiced: of all frames within 30 dB of the loudest.
        """
        power, voiced = self.envelope.mean(1), self.f0 > 0
        loud = power >= 1e-3 * power.max()
        chosen = voiced if voiced.sum() > _WHISPERED * loud.sum() else loud
        mean = np.log(np.maximum(self.envelope[chosen], _FLOOR)).mean(0)
        return np.asarray(mean - mean.mean())


def analyse(clip: Pcm, tracker: PitchTracker) -> Analysis:
    """Analyse a clip at 16 kHz: envelope by CheapTrick, aperiodicity by D4C, F0 by SwiftF0.

    With WORLD's own estimators the baseline would be weaker: DIO loses half an octave on a low voice of the
    test pairs, Harvest calls nine frames of ten voiced there.

    Raises:
        MissingPackageError: pyworld is not installed.
    """
    world = require("pyworld")
    pcm = resample(clip, RATE)
    samples = pcm.samples.astype(np.float64)
    contour = tracker.track(pcm)
    times = np.arange(len(samples) // _HOP + 1) * (_HOP / RATE)
    position = times * (RATE / HOP)
    voiced = contour.voiced[np.minimum(np.rint(position).astype(int), len(contour.voiced) - 1)]
    frames = np.flatnonzero(contour.voiced)
    f0 = np.zeros(len(times))
    if len(frames):
        f0 = np.where(voiced, np.exp(np.interp(position, frames, np.log(contour.f0[frames]))), 0.0)
    envelope = world.cheaptrick(samples, f0, times, RATE)
    return Analysis(f0, envelope, world.d4c(samples, f0, times, RATE))


def convert(source: Pcm, reference: Pcm, tracker: PitchTracker) -> Pcm:
    """Source with the reference's mean pitch and mean envelope, at 16 kHz, as long and as loud as the source.

    A whisper stays one.
    """
    world = require("pyworld")
    mine, target = analyse(source, tracker), analyse(reference, tracker)
    own, wanted = mine.mean_log_f0(), target.mean_log_f0()
    interval = wanted - own if own is not None and wanted is not None else 0.0
    moved = np.where(mine.f0 > 0, mine.f0 * np.exp(interval), 0.0)
    # An octave error of the tracker must not be moved out of the synthesiser's range.
    moved = np.where(moved > 0, np.clip(moved, 40.0, 800.0), 0.0)
    envelope = mine.envelope * np.exp(target.mean_log_envelope() - mine.mean_log_envelope())
    out = world.synthesize(moved, np.ascontiguousarray(envelope), mine.aperiodicity, RATE)
    samples = resample(source, RATE).samples
    out = np.pad(out, (0, max(0, len(samples) - len(out))))[: len(samples)]
    level = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)) / max(1e-9, float(np.sqrt(np.mean(out**2)))))
    return Pcm(np.clip(out * level, -1, 1).astype(np.float32), RATE)
