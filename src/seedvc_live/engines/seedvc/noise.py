"""Random draws indexed by (seed, absolute position): overlapping windows draw the same for the same instant."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_MEL, _SOURCE, _PHASE = 1, 2, 3
_ORIGIN = 1 << 40  # positions before the stream's begin are negative, counters are not


class Noise(Protocol):
    """What the engine draws."""

    def mel(self, seed: int, first: int, frames: int, bins: int) -> Array:
        """Standard normal, (bins, frames), from absolute mel frame `first` on."""

    def source(self, seed: int, first: int, samples: int, rows: int) -> Array:
        """Standard normal, (rows, samples), from absolute sample `first` on."""

    def phase(self, seed: int, rows: int) -> Array:
        """Start phases of the harmonics, radians, (rows, 1); the fundamental's is 0."""


def _indexed(seed: int, domain: int, first: int, count: int, width: int, group: int) -> Array:
    """Rows `first` … `first + count` of an endless table of normals, (count, width).

    A group of rows shares one counter-based generator (Philox, Salmon et al. 2011).
    """
    begin, end = first + _ORIGIN, first + _ORIGIN + count
    key = np.array([seed & 0xFFFFFFFFFFFFFFFF, domain], dtype=np.uint64)
    parts = []
    for index in range(begin // group, -(-end // group)):
        counter = np.array([0, index, 0, 0], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
        parts.append(generator.standard_normal((group, width), dtype=np.float32))
    rows = np.concatenate(parts)
    skip = begin - begin // group * group
    return rows[skip : skip + count]


class IndexedNoise:
    """The engine's own draws."""

    def mel(self, seed: int, first: int, frames: int, bins: int) -> Array:
        return np.ascontiguousarray(_indexed(seed, _MEL, first, frames, bins, 16).T)

    def source(self, seed: int, first: int, samples: int, rows: int) -> Array:
        return np.ascontiguousarray(_indexed(seed, _SOURCE, first, samples, rows, 4096).T)

    def phase(self, seed: int, rows: int) -> Array:
        key = np.array([seed & 0xFFFFFFFFFFFFFFFF, _PHASE], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        phase = generator.uniform(-np.pi, np.pi, (rows, 1)).astype(np.float32)
        phase[0] = 0
        return phase


class NoNoise:
    """Zeros: makes a run comparable with one whose draws are known to be zero."""

    def mel(self, seed: int, first: int, frames: int, bins: int) -> Array:
        return np.zeros((bins, frames), np.float32)

    def source(self, seed: int, first: int, samples: int, rows: int) -> Array:
        return np.zeros((rows, samples), np.float32)

    def phase(self, seed: int, rows: int) -> Array:
        return np.zeros((rows, 1), np.float32)
