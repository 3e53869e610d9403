"""Envelopes of a reference: the shape of the spectrum, loudness removed, at the steps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import grid
from seedvc_live.engines.nano.spectrum import gain_centres, interpolation, mel_filters, power_frames
from seedvc_live.engines.nano.synthesis import BANDS, FFT

Array = npt.NDArray[np.float32]

NEPER_PER_DB = float(np.log(10) / 20)
_SIZE = 600
_REACH = 6.0
"""A band is at most this far (nepers, 52 dB) below its frame's level."""


@lru_cache
def _averaging() -> tuple[Array, int]:
    weights, centres = mel_filters(grid.RATE, FFT, BANDS)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32), int(np.sum(centres <= 7300))


def narrow_bands() -> int:
    """How many bands a 16 kHz recording fills."""
    return _averaging()[1]


@lru_cache
def _gain_interpolation() -> Array:
    """(GAIN_BANDS, BANDS): gains at their bands' centres → at the envelope's, linear in Hz, constant outside."""
    return interpolation(gain_centres(), mel_filters(grid.RATE, FFT, BANDS)[1])


def shapes(samples: Array, level: Array, gain: Array) -> Array:
    """Log density of the speech per band relative to its level, in nepers, at points 2, 4, ….

    Args:
        samples: 24 kHz, shape (n,).
        level: of the speech, dB at points 1, 2, … (an even number of them), as `spectrum.levels` gives.
        gain: dB to take from each band so that speech remains, at the same points, (len(level), GAIN_BANDS).

    Returns:
        shape (len(level) / 2, BANDS). White noise gives 0.
    """
    steps = len(level) // 2
    padded = np.pad(samples, (0, max(0, (steps + 1) * grid.STEP + _SIZE - len(samples))))
    power = power_frames(padded, grid.STEP, _SIZE, FFT, 1, steps)
    window_energy = _SIZE * 3 / 8
    density = power @ _averaging()[0].T / window_energy
    relative = gain[1::2] @ _gain_interpolation() - level[1::2, None]
    shape = 0.5 * np.log(density + 1e-12) + relative * NEPER_PER_DB
    return np.asarray(np.maximum(shape, -_REACH), np.float32)


def fill_narrow(shape: Array) -> Array:
    """Bands that a 16 kHz recording lacks take the mean of the three below them."""
    filled = shape.copy()
    edge = narrow_bands()
    filled[..., edge:] = shape[..., edge - 3 : edge].mean(-1, keepdims=True)
    return filled


def is_narrow(samples: Array) -> bool:
    """Whether 24 kHz audio has nothing above 8.2 kHz (less than -50 dB of what is below)."""
    count = len(samples) // FFT
    if not count:
        return True
    frames = samples[: count * FFT].reshape(count, FFT) * np.hanning(FFT).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=-1)) ** 2
    edge = int(8200 / grid.RATE * FFT)
    return bool(power[:, edge:].sum() < 1e-5 * power.sum())
