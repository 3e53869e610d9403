"""Copies of training sources: degraded (noise, a room, a narrow band, clipping), and whispered.

None of them is one of the evaluation's conditions: noises have any colour, rooms are decaying noise, not images,
whispers are smoothed in another way.
"""

from __future__ import annotations

import numpy as np

from seedvc_live.engines.nano import grid
from seedvc_live.evaluate import degrade

RATE = grid.ANALYSIS_RATE


def degraded(samples: np.ndarray, rng: np.random.Generator, louder: float = 0.0) -> np.ndarray:
    """A copy of a 16 kHz signal as a bad microphone, line or room gives it; as long, as loud, in the same place.

    Args:
        louder: dB by which noise is louder than `_noisy` says.
    """
    out = samples.astype(np.float64)
    kind = rng.random()
    if kind < 0.35:
        out = _room(out, rng)
    elif kind < 0.5:
        out = _band(out, rng)
    elif kind < 0.6:
        out = _clipped(out, rng)
    if kind >= 0.5 or rng.random() < 0.5:
        out = _noisy(out, rng, louder)
    return out.astype(np.float32)


def whispered(signals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Signals (k, n) at 16 kHz whispered: the same noise under each one's spectrum, smoothed over a harmonic or two."""
    hop, seed = int(rng.integers(64, 161)), int(rng.integers(1 << 31))
    # Bins on either side of one; wide enough that a voice's harmonics merge.
    reach = round(rng.uniform(100, 250) * 4 * hop / RATE / 2)
    edge, slope = rng.uniform(300, 2000), rng.uniform(0.5, 1.5)

    def smoothed(magnitude: np.ndarray) -> np.ndarray:
        power = np.pad(magnitude**2, ((0, 0), (reach, reach)), mode="reflect")
        return np.sqrt(np.lib.stride_tricks.sliding_window_view(power, 2 * reach + 1, axis=1).mean(-1))

    copies = [degrade.whisper(one.astype(np.float64), RATE, seed, hop, smoothed, edge, slope) for one in signals]
    return np.stack(copies).astype(np.float32)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)) + 1e-9)


def _noisy(samples: np.ndarray, rng: np.random.Generator, louder: float = 0.0) -> np.ndarray:
    """Noise 2 to 22 dB below the speech, its power falling by 0 to 6 dB an octave; a third of it swells and ebbs."""
    spectrum = np.fft.rfft(rng.normal(size=len(samples)))
    frequency = np.maximum(np.fft.rfftfreq(len(samples), 1 / RATE), 60.0)
    noise = np.fft.irfft(spectrum * frequency ** -rng.uniform(0, 1), len(samples))
    if rng.random() < 0.33:
        # A decibel or six, a few times a second at most.
        times = np.arange(0, len(samples) + RATE // 4, RATE // 4)
        swell = np.interp(np.arange(len(samples)), times, rng.normal(size=len(times)) * rng.uniform(1, 6))
        noise *= 10 ** (swell / 20)
    # Speech is louder than its mean while it sounds.
    return samples + noise * (1.4 * _rms(samples) / _rms(noise) * 10 ** ((louder - rng.uniform(2, 22)) / 20))


def _room(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reverberation of 0.15 to 0.6 s, from 6 dB louder than the direct sound, as far from a talker, to 10 dB softer."""
    seconds = rng.uniform(0.15, 0.6)
    time = np.arange(round(seconds * RATE)) / RATE
    tail = rng.normal(size=len(time)) * 10 ** (-3 * time / seconds)
    # The first reflections come a little after the direct sound.
    tail[: round(rng.uniform(0.002, 0.01) * RATE)] = 0
    tail *= 10 ** (rng.uniform(-10, 6) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    size = len(samples) + len(tail)
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size), size)[: len(samples)]
    return wet * (_rms(samples) / _rms(wet))


def _band(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A band from 80-400 to 2800-5000 Hz with edges an eighth of an octave wide."""
    low, high = rng.uniform(80, 400), rng.uniform(2800, 5000)
    size = len(samples) + RATE // 10
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 1.0)
    gain = np.clip(0.5 + 8 * np.log2(frequency / low), 0, 1) * np.clip(0.5 - 8 * np.log2(frequency / high), 0, 1)
    narrow = np.fft.irfft(np.fft.rfft(samples, size) * gain, size)[: len(samples)]
    return narrow * (_rms(samples) / _rms(narrow))


def _clipped(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut off at 1 to 3 times the mean level, and as loud as before."""
    limit = _rms(samples) * rng.uniform(1, 3)
    cut = np.clip(samples, -limit, limit)
    return cut * (_rms(samples) / _rms(cut))
