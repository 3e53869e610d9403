"""Long-term colour: a slow equaliser that takes the output's mean envelope to the reference's.

What the decoder draws is right on average over voices, and a little between voices for one voice; how the
reference sounds on average is known exactly. Voiced and unvoiced sound are held apart. A slow gain keeps
the output as loud as the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano.envelope import NEPER_PER_DB
from seedvc_live.engines.nano.synthesis import BANDS, BINS, band_interpolation

Array = npt.NDArray[np.float32]

STRENGTH = 0.8
"""Share of the difference that is taken away."""
_PRIOR = 100.0
"""Points (1 s) by which the first correction is drawn to none."""
_MEMORY = 3000.0
"""Points after which older output fades."""
_MOST = 2.0
"""Largest correction, nepers."""
_MOST_GAIN = 0.7
"""Largest gain, nepers (6 dB)."""


@lru_cache
def _band_shares() -> Array:
    """Share of the spectrum that each band stands for, (BANDS,)."""
    return np.asarray(band_interpolation().sum(1) / BINS, np.float32)


@dataclass(frozen=True)
class Colour:
    """Sums of the uncorrected output's shapes: voiced and unvoiced, (2, BANDS), and how many points, (2,)."""

    sums: Array
    counts: Array
    power: npt.NDArray[np.float64]
    """Sums of the source's and the output's power over speech, and the number of points, (3,) float64."""

    @classmethod
    def empty(cls) -> Colour:
        """Of a stream that has not begun."""
        return cls(np.zeros((2, BANDS), np.float32), np.zeros(2, np.float32), np.zeros(3, np.float64))

    def updated(self, envelopes: Array, level: Array, voicing: Array, speech: npt.NDArray[np.bool_]) -> Colour:
        """With further points: log envelopes (n, 2, BANDS), level (dB), voicing, whether there is speech."""
        voiced = voicing >= 0.5
        noise = envelopes[:, 1]
        shapes = np.where(voiced[:, None], 0.5 * np.logaddexp(2 * envelopes[:, 0], 2 * noise), noise)
        shapes = shapes - level[:, None] * NEPER_PER_DB
        sums, counts = self.sums.copy(), self.counts.copy()
        for row, chosen in enumerate((speech & voiced, speech & ~voiced)):
            keep = min(1.0, _MEMORY / max(1.0, float(counts[row])))
            sums[row] = keep * sums[row] + shapes[chosen].sum(0)
            counts[row] = keep * counts[row] + chosen.sum()
        return replace(self, sums=sums, counts=counts)

    def correction(self, target: Array, voicing: Array) -> Array:
        """Log gains at points.

        Args:
            target: the reference's mean shapes, voiced and unvoiced, (2, BANDS).
            voicing: 0 … 1 at n points.

        Returns:
            shape (n, BANDS).
        """
        counts = self.counts[:, None]
        difference = (target - self.sums / np.maximum(counts, 1)) * (counts / (counts + _PRIOR)) * STRENGTH
        padded = np.pad(difference, ((0, 0), (1, 1)), mode="edge")
        smooth = np.clip((padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4, -_MOST, _MOST)
        weight = voicing[:, None]
        return np.asarray(weight * smooth[0] + (1 - weight) * smooth[1], np.float32)

    def heard(self, envelopes: Array, level: Array, voicing: Array, speech: npt.NDArray[np.bool_]) -> Colour:
        """As `updated`, for the power of corrected envelopes."""
        bands = np.exp(2 * envelopes) @ _band_shares()
        output = (voicing * bands[:, 0] + bands[:, 1])[speech].astype(np.float64)
        source = 10 ** (level[speech].astype(np.float64) / 10)
        keep = min(1.0, _MEMORY / max(1.0, float(self.power[2])))
        return replace(self, power=keep * self.power + np.array([source.sum(), output.sum(), len(source)]))

    def gain(self) -> np.float32:
        """Log gain that makes the output as loud as the source."""
        if self.power[2] < 1:
            return np.float32(0)
        source, output, count = self.power
        prior = _PRIOR / 2 * source / count
        return np.float32(np.clip(0.5 * np.log((source + prior) / (output + prior)), -_MOST_GAIN, _MOST_GAIN))

    def pack(self) -> dict[str, npt.NDArray[Any]]:
        """As arrays, for a stream's state."""
        return {"colour": self.sums, "colour_counts": self.counts, "power": self.power}

    @classmethod
    def unpack(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Colour:
        """Inverse of `pack`."""
        sums, counts = (np.asarray(arrays[name], np.float32) for name in ("colour", "colour_counts"))
        return cls(sums, counts, np.asarray(arrays["power"], np.float64))
