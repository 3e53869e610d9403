"""Sounds that are found again after their journey, and how: chirps by correlation, speech by its envelope. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Samples

APART = 0.5
"""Seconds from one chirp to the next."""

LEAST_MATCH = 0.5
"""Correlation below which a peak is chance: chirps of different kinds stay under 0.35, noise under 0.3."""

_SWEEPS = ((500.0, 3500.0, 0.08), (3500.0, 500.0, 0.08), (1000.0, 6000.0, 0.05), (6000.0, 1000.0, 0.05))
"""From Hz, to Hz, seconds. Each kind has its own slope, so that none is taken for another, shifted in time."""

KINDS = len(_SWEEPS)

LONGEST = KINDS * APART - 0.1
"""Greatest delay that can be told, in seconds: after it the next chirp of the same kind may be meant."""

_HOP = 0.005
_SMOOTH = 0.02


def chirp(kind: int, rate: int, level: float = 0.5) -> Samples:
    """A linear sweep under a Hann window. C. E. Cook, Proc. IRE 1960: its autocorrelation is one narrow peak."""
    low, high, seconds = _SWEEPS[kind]
    n = round(seconds * rate)
    t = np.arange(n) / rate
    phase = 2 * np.pi * (low * t + (high - low) * t * t / (2 * seconds))
    return (level * np.sin(phase) * np.hanning(n)).astype(np.float32)


def chirp_train(seconds: float, rate: int) -> Samples:
    """Chirps of all kinds in turn, one every `APART` seconds, for at least `seconds`: whole rounds, so it can loop."""
    rounds = max(1, int(np.ceil(seconds / (KINDS * APART))))
    train = np.zeros(round(rounds * KINDS * APART * rate), np.float32)
    for i in range(rounds * KINDS):
        begin = round((i + 0.25) * APART * rate)
        sweep = chirp(i % KINDS, rate)
        train[begin : begin + len(sweep)] += sweep
    return train


def match(recording: Samples, pattern: Samples) -> npt.NDArray[np.float64]:
    """Normalised cross-correlation: for each lag, 1 is a copy of the pattern at any level, 0 nothing alike.

    Returns:
        Absolute values, shape (len(recording) - len(pattern) + 1,); empty for a recording shorter than the pattern.
    """
    n = len(pattern)
    if len(recording) < n:
        return np.zeros(0)
    x, p = recording.astype(np.float64), pattern.astype(np.float64)
    size = 1 << (len(x) + n - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(x, size) * np.conj(np.fft.rfft(p, size)), size)[: len(x) - n + 1]
    power = np.concatenate([[0.0], np.cumsum(x * x)])
    local = power[n:] - power[:-n]
    # Where it is far quieter than the whole there is only rounding to normalise.
    quiet = local <= 1e-6 * power[-1] * n / len(x) + 1e-12
    scale = np.sqrt(np.where(quiet, 1.0, local) * (p @ p))
    return np.where(quiet, 0.0, np.abs(product) / scale)


@dataclass(frozen=True)
class Pair:
    """A chirp on both ends, in seconds: when it was sent, and when it was heard (None: not found)."""

    sent: float
    heard: float | None


def pair_chirps(
    sent: Samples, heard: Samples, rate: int, heard_seconds: npt.NDArray[np.float64] | None = None
) -> list[Pair]:
    """Each chirp in `sent`, and when it is heard in `heard`.

    Chirps from before `heard` begins, and those so close to its end that they may not be back yet, are left out.

    Args:
        heard_seconds: when each sample of `heard` was to be had, on the axis where sample i of `sent` is at
            i / rate; None: at the same.
    """
    seconds = np.arange(len(heard)) / rate if heard_seconds is None else heard_seconds
    if not len(seconds):
        return []
    # Arrival times jitter by more than a sample; the search needs them to rise.
    rising = np.maximum.accumulate(seconds)
    pairs = []
    for kind in range(KINDS):
        pattern = chirp(kind, rate)
        there, back = match(sent, pattern), match(heard, pattern)
        for begin in _peaks(there, 0.8, round(KINDS * APART * rate / 2)):
            at = begin / rate
            first, last = (int(i) for i in np.searchsorted(rising, [at, at + LONGEST]))
            if at < rising[0] or last >= len(back):
                continue
            window = back[first:last]
            found = first + int(np.argmax(window)) if len(window) and window.max() >= LEAST_MATCH else None
            pairs.append(Pair(at, None if found is None else float(seconds[found])))
    return sorted(pairs, key=lambda pair: pair.sent)


def _peaks(values: npt.NDArray[np.float64], least: float, apart: int) -> list[int]:
    """Greatest values not below `least`, none within `apart` of a greater one."""
    found: list[int] = []
    for index in sorted(np.flatnonzero(values >= least), key=lambda i: -values[i]):
        if all(abs(index - other) >= apart for other in found):
            found.append(int(index))
    return found


def envelope(samples: Samples, rate: int) -> npt.NDArray[np.float64]:
    """Loudness in dB every 5 ms, over 20 ms, not below 50 dB under the loudest.

    It keeps the rhythm of speech, which a change of voice leaves alone, and forgets the voice.
    """
    hop, width = round(_HOP * rate), round(_SMOOTH * rate)
    power = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    centres = np.arange(0, len(samples), hop)
    low, high = np.maximum(centres - width // 2, 0), np.minimum(centres + width // 2, len(samples))
    mean = (power[high] - power[low]) / np.maximum(high - low, 1)
    level = 10 * np.log10(mean + 1e-10)
    floor = float(level.max(initial=-100.0)) - 50
    return np.asarray(np.maximum(level, floor), np.float64)


def envelope_delay(sent: Samples, heard: Samples, rate: int, longest: float = LONGEST) -> tuple[float, float]:
    """Delay of converted speech: the shift at which its loudness goes along best with the source's.

    Returns:
        Seconds (parabola through the highest three points), and the correlation there (1: the same rhythm).

    Raises:
        ValueError: less than 2 s, or silence on either side.
    """
    a, b = envelope(sent, rate), envelope(heard, rate)
    steps = round(longest / _HOP)
    n = min(len(a), len(b)) - steps
    if n < round(2.0 / _HOP):
        raise ValueError(f"{len(sent) / rate:.1f} s of speech are too short for delays up to {longest:.1f} s")
    scores = np.array([_correlation(a[:n], b[lag : lag + n]) for lag in range(steps)])
    best = int(np.argmax(scores))
    if scores[best] <= 0:
        raise ValueError("what was heard has nothing of the rhythm of what was said")
    shift = 0.0
    if 0 < best < steps - 1:
        before, here, after = scores[best - 1 : best + 2]
        bend = before - 2 * here + after
        shift = float(0.5 * (before - after) / bend) if bend < 0 else 0.0
    return (best + shift) * _HOP, float(scores[best])


def _correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0
