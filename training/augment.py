"""Copies of training sources: degraded (noise, a room, a narrow band, clipping), and whispered.

None of them is one of the evaluation's conditions: noises have any colour, rooms are decaying noise, not images,
whispers are smoothed in another way.
"""

from __future__ import annotations

import numpy as np

from seedvc_live.engines.nano import grid

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
    """Signals (k, n) at 16 kHz whispered: one noise under each one's spectrum, smoothed over a harmonic or two, with
    less of the low frequencies; each as loud as it was."""
    hop = int(rng.integers(64, 161))
    size = 4 * hop
    # Applied twice, it overlaps to a constant.
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    padded = np.pad(signals.astype(np.float64), ((0, 0), (size, 2 * size)))
    breath = rng.normal(size=padded.shape[1])
    pieces = np.lib.stride_tricks.sliding_window_view(np.vstack([padded, breath]), size, axis=1)[:, ::hop] * window
    spectra = np.fft.rfft(pieces)
    power, breath = np.abs(spectra[:-1]) ** 2, spectra[-1]
    # Wide enough that a voice's harmonics merge.
    width = 2 * round(rng.uniform(100, 250) * size / RATE / 2) + 1
    sums = np.cumsum(np.pad(power, ((0, 0), (0, 0), (width // 2 + 1, width // 2)), mode="reflect"), -1)
    envelope = np.sqrt(np.maximum(sums[..., width:] - sums[..., :-width], 0) / width)
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    tilt = (frequency / np.hypot(frequency, rng.uniform(300, 2000))) ** rng.uniform(0.5, 1.5)
    pieces = np.fft.irfft(breath * envelope * tilt, size) * window
    out = np.zeros(padded.shape)
    for index in range(pieces.shape[1]):
        out[:, index * hop : index * hop + size] += pieces[:, index]
    out = out[:, size : size + signals.shape[1]]
    return np.stack([one * (_rms(was) / _rms(one)) for one, was in zip(out, signals, strict=True)]).astype(np.float32)


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
