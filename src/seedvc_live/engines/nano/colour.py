"""Long-term colour: a slow equaliser that takes the output's mean envelope to the reference's.

What the decoder draws is right on average over voices, and a little between voices for one voice; how the
reference sounds on average is known exactly. Voiced and unvoiced sound are held apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano.envelope import NEPER_PER_DB
from seedvc_live.engines.nano.synthesis import BANDS

Array = npt.NDArray[np.float32]

STRENGTH = 0.8
"""Share of the difference that is taken away."""
_PRIOR = 100.0
"""Points (1 s) by which the first correction is drawn to none."""
_MEMORY = 3000.0
"""Points after which older output fades."""
_MOST = 2.0
"""Largest correction, nepers."""


@dataclass(frozen=True)
class Colour:
    """Sums of the uncorrected output's shapes: voiced and unvoiced, (2, BANDS), and how many points, (2,)."""

    sums: Array
    counts: Array

    @classmethod
    def empty(cls) -> Colour:
        """Of a stream that has not begun."""
        return cls(np.zeros((2, BANDS), np.float32), np.zeros(2, np.float32))

    def updated(
        self, envelopes: Array, level: Array, voicing: Array, speech: npt.NDArray[np.bool_]
    ) -> Colour:
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
        return Colour(sums, counts)

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

    def pack(self) -> dict[str, npt.NDArray[Any]]:
        """As arrays, for a stream's state."""
        return {"colour": self.sums, "colour_counts": self.counts}

    @classmethod
    def unpack(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Colour:
        """Inverse of `pack`."""
        return cls(np.asarray(arrays["colour"], np.float32), np.asarray(arrays["colour_counts"], np.float32))
