"""Spectra of a window: Whisper's log-mel, level, broad bands; and the mel scale used for envelopes."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import grid

Array = npt.NDArray[np.float32]

FFT = 400
"""Whisper's analysis window, 25 ms at 16 kHz."""
LEVEL_FLOOR = -100.0
"""Lowest level in dB re full scale."""
BAND_EDGES = (0.0, 1000.0, 2200.0, 4500.0, 8000.0)
"""Edges, in Hz, of the broad bands."""
RUMBLE = 80.0
"""Hz; below it there is no speech, but mains hum, desks and wind."""
_RUMBLE_TAPS = 2048
CHANGE_BANDS = 16
"""Bands in which changes from point to point are followed."""
_CHANGE_FLOOR = -75.0
"""dB re full scale: what changes below it is not heard."""
GAIN_BANDS = 24
"""Mel bands in which noise is taken away."""
MOST_TAKEN = 30.0
"""dB, of a band's power."""
_PEAK = 1.5
"""Where the loudest bin of a window is put, log10 of Whisper's power: its value for normalised speech."""
_MAX_GAIN = 3.5
"""Most that quiet input is raised, log10 of power (35 dB)."""


def mel_from_hz(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Slaney's mel scale: linear to 1 kHz, logarithmic above."""
    f = np.asarray(hz, np.float64)
    return np.where(f < 1000, f * 3 / 200, 15 + 27 * np.log(np.maximum(f, 1e-3) / 1000) / np.log(6.4))


def hz_from_mel(mel: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Inverse of `mel_from_hz`."""
    m = np.asarray(mel, np.float64)
    return np.where(m < 15, m * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (m - 15)))


@lru_cache
def mel_filters(rate: int, fft: int, bands: int) -> tuple[Array, Array]:
    """Triangular filters on the mel scale from 0 Hz to half of `rate`.

    Returns:
        weights, shape (bands, fft // 2 + 1), with Slaney's area normalisation, and centres in Hz, (bands,).
    """
    edges = hz_from_mel(np.linspace(0, float(mel_from_hz(rate / 2)), bands + 2))
    bins = np.arange(fft // 2 + 1) * rate / fft
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    weights = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return weights.astype(np.float32), edges[1:-1].astype(np.float32)


def interpolation(known: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Array:
    """Matrix (known, wanted): values at the one frequencies → at the others, linear in Hz, constant outside."""
    return np.stack([np.interp(wanted, known, row) for row in np.eye(len(known))]).astype(np.float32)


def _hann(length: int) -> Array:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


def power_frames(samples: Array, hop: int, size: int, fft: int, first: int, count: int) -> Array:
    """Power spectra |X|² of Hann frames of `size` samples centred at `hop` × (first … first + count - 1).

    Frames must lie inside `samples`, shape (..., n). Returns shape (..., count, fft // 2 + 1).
    """
    begin = first * hop - size // 2
    last = begin + (count - 1) * hop + size
    if begin < 0 or last > samples.shape[-1]:
        raise ValueError(f"frames reach outside: samples {begin} to {last} of {samples.shape[-1]}")
    frames = np.lib.stride_tricks.sliding_window_view(samples[..., begin:last], size, axis=-1)[..., ::hop, :]
    spectrum = np.fft.rfft(frames * _hann(size), fft, axis=-1)
    power: Array = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return power


def log_mel(power: Array) -> Array:
    """Whisper's log-mel, log10 of power, of power spectra (..., 201); shape (..., 80)."""
    mel = power @ mel_filters(grid.ANALYSIS_RATE, FFT, 80)[0].T
    return np.asarray(np.log10(np.maximum(mel, 1e-10)), np.float32)


def normalised(mel: Array, peak: npt.NDArray[Any]) -> Array:
    """Log-mel with a peak brought to one level, so that loudness does not matter, as Whisper wants it.

    Args:
        mel: log10 of power; peak: broadcast against it.
    """
    shift = np.minimum(_PEAK - peak, _MAX_GAIN)
    mel = np.maximum(mel + shift, peak + shift - 8)
    return np.asarray((mel + 4) / 4, np.float32)


def whisper_mel(power: Array) -> Array:
    """Whisper's log-mel of windows, each brought to one level by its own peak.

    Args:
        power: shape (..., frames, 201).

    Returns:
        shape (..., 80, frames).
    """
    mel = log_mel(power)
    mel = normalised(mel, mel.max(axis=(-2, -1), keepdims=True))
    return np.ascontiguousarray(np.swapaxes(mel, -1, -2))


def levels(power: Array) -> Array:
    """Level of each frame in dB re a full-scale square wave, not below `LEVEL_FLOOR`; shape (..., frames)."""
    window = _hann(FFT)
    energy = (power.sum(-1) * 2 - power[..., 0] - power[..., -1]) / (FFT * float(np.sum(window**2)))
    return np.asarray(10 * np.log10(np.maximum(energy, 10 ** (LEVEL_FLOOR / 10))), np.float32)


def bands(power: Array) -> Array:
    """Share of each broad band in a frame's power, in dB, at least -60; shape (..., frames, 4)."""
    bins = np.arange(power.shape[-1]) * grid.ANALYSIS_RATE / FFT
    total = power.sum(-1) + 1e-9
    parts = [power[..., (bins >= low) & (bins < high)].sum(-1) / total for low, high in pairwise(BAND_EDGES)]
    return np.asarray(10 * np.log10(np.maximum(np.stack(parts, -1), 1e-6)), np.float32)


@lru_cache
def band_means(count: int) -> Array:
    """(201, count): power spectra → mean power of each of so many mel bands, re full scale."""
    filters = mel_filters(grid.ANALYSIS_RATE, FFT, count)[0]
    return np.ascontiguousarray((filters / filters.sum(1, keepdims=True)).T / np.sum(_hann(FFT) ** 2), np.float32)


def changes(power: Array) -> Array:
    """By how many dB each mel band's power differs from the frame before; (..., frames, 201) → (..., frames - 1, 16).

    A mean voice cancels out of it: it says when something happens, finer in time than content, not who speaks.
    """
    level = 10 * np.log10(power @ band_means(CHANGE_BANDS) + 10 ** (_CHANGE_FLOOR / 10))
    return np.asarray(np.clip(np.diff(level, axis=-2), -30, 30), np.float32)


def gain_centres() -> Array:
    """Hz, shape (GAIN_BANDS,)."""
    return mel_filters(grid.ANALYSIS_RATE, FFT, GAIN_BANDS)[1]


@lru_cache
def gain_interpolation() -> Array:
    """(GAIN_BANDS, 201): dB at the bands' centres → at bins, linear in Hz, constant outside."""
    return interpolation(gain_centres(), np.arange(FFT // 2 + 1) * grid.ANALYSIS_RATE / FFT)


def masked(power: Array, gain: Array) -> Array:
    """Power spectra (..., frames, 201) with gains (..., frames, GAIN_BANDS) in dB applied."""
    return np.asarray(power * 10 ** ((gain @ gain_interpolation()) / 10), np.float32)


@lru_cache
def _rumble_filter(rate: int) -> Array:
    """Impulse response of a Butterworth high-pass of sixth order: three second-order sections."""
    response = np.zeros(_RUMBLE_TAPS)
    response[0] = 1
    omega = 2 * np.pi * RUMBLE / rate
    for angle in np.pi * np.array([1, 3, 5]) / 12:
        alpha, cosine = np.sin(omega) * np.cos(angle), np.cos(omega)
        b = np.array([(1 + cosine) / 2, -1 - cosine, (1 + cosine) / 2]) / (1 + alpha)
        a = np.array([-2 * cosine, 1 - alpha]) / (1 + alpha)
        fed = np.convolve(response, b)[:_RUMBLE_TAPS]
        for n in range(_RUMBLE_TAPS):
            past = fed[max(0, n - 2) : n][::-1]
            fed[n] -= past @ a[: len(past)]
        response = fed
    return response.astype(np.float32)


@lru_cache(maxsize=8)
def _rumble_response(rate: int, count: int) -> npt.NDArray[np.complex64]:
    """Of the high-pass, for `count` samples, long enough not to wrap around."""
    # Lengths with small factors only: a power of two may be twice as long.
    step = 1 << max(0, (count + _RUMBLE_TAPS).bit_length() - 5)
    size = -(-(count + _RUMBLE_TAPS) // step) * step
    return np.fft.rfft(_rumble_filter(rate), size).astype(np.complex64)


def without_rumble(samples: Array, rate: int = grid.ANALYSIS_RATE) -> Array:
    """Audio without what is below `RUMBLE`; causal, from silence on; shape (..., n).

    A hum would count as level: pauses would not be pauses, and quiet voices would not be voices.
    """
    count = samples.shape[-1]
    response = _rumble_response(rate, count)
    size = 2 * (len(response) - 1)
    return np.asarray(np.fft.irfft(np.fft.rfft(samples, size) * response, size)[..., :count], np.float32)


@lru_cache
def decimator() -> Array:
    """Low-pass of the 3:2 resampler: Kaiser-windowed sinc at 48 kHz, 97 taps, cut at 7.5 kHz."""
    taps = np.arange(-48, 49)
    cut = 2 * 7500 / 48000
    response = np.sinc(taps * cut) * cut * np.kaiser(97, 8.0)
    return np.asarray(2 * response / response.sum(), np.float32)


_STRETCH = 96
"""Samples at 24 kHz that are resampled by one matrix product."""


@lru_cache
def _resampling() -> Array:
    """Matrix (_STRETCH + 51, 2/3 of _STRETCH): a stretch, 25 samples before it and 26 after → what it is at 16 kHz."""
    taps, outputs = decimator(), _STRETCH * 2 // 3
    matrix = np.zeros((_STRETCH + 51, outputs), np.float32)
    for j in range(outputs):
        # At 48 kHz: input i stands at 2i, output j at 3j.
        near = np.arange(-(-(3 * j - 48) // 2), (3 * j + 48) // 2 + 1)
        matrix[25 + near, j] = taps[48 + 2 * near - 3 * j]
    return matrix


def to_analysis_rate(samples: Array) -> Array:
    """24 kHz → 16 kHz, zeros outside the window; (..., 3n) → (..., 2n). Linear phase: nothing moves in time.

    Sample j of the result stands at 48 kHz index 3j, where input sample i stands at 2i.
    """
    count = samples.shape[-1] // 3
    stretches = -(-3 * count // _STRETCH)
    last = stretches * _STRETCH - samples.shape[-1] + 26
    padded = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(25, last)])
    views = np.lib.stride_tricks.sliding_window_view(padded, _STRETCH + 51, axis=-1)[..., ::_STRETCH, :]
    result = np.ascontiguousarray(views) @ _resampling()
    return np.asarray(result.reshape(*samples.shape[:-1], -1)[..., : 2 * count], np.float32)
