"""Source-filter synthesis: excitation frames through minimum-phase filters, overlap-added.

Frame k is cut from the excitation by a 20 ms Hann window that starts at point k; its filters stand for
point k + 1, the window's middle. Filters are minimum phase, so nothing sounds before its time
(cepstral folding: A. Oppenheim and R. Schafer, "Discrete-Time Signal Processing"; as a neural vocoder:
Z. Liu et al., "Neural homomorphic vocoder", Interspeech 2020). Pulses are spread a little in time besides: a
pulse of minimum phase buzzes, a glottis closes less abruptly (group delay as in H. Kawahara et al., "Restructuring
speech representations", Speech Communication 1999).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from seedvc_live.engines.nano import grid
from seedvc_live.engines.nano.spectrum import interpolation, mel_filters

Array = npt.NDArray[np.float32]

FFT = 1024
BINS = FFT // 2 + 1
BANDS = 80
"""Mel-spaced bands of an envelope, 0 to 12 kHz."""
FRAME = 2 * grid.HOP
"""Samples of an excitation frame."""
_SPREAD, _SPREAD_UP_TO = 0.003, 3000.0
"""Group delay of pulses at 0 Hz, s; and the frequency, Hz, at which a third of it is left."""
TAIL = FFT - grid.HOP
"""Samples that a block's last frame reaches beyond the block."""


@lru_cache
def band_interpolation() -> Array:
    """Matrix (BANDS, BINS): envelopes at band centres → at FFT bins, linear in Hz, constant outside."""
    centres = mel_filters(grid.RATE, FFT, BANDS)[1]
    return interpolation(centres, np.arange(BINS) * grid.RATE / FFT)


@lru_cache
def _window() -> Array:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)


@lru_cache
def _fold() -> Array:
    fold = np.zeros(FFT, np.float32)
    fold[0] = fold[FFT // 2] = 1
    fold[1 : FFT // 2] = 2
    return fold


@lru_cache
def dispersion() -> npt.NDArray[np.complex64]:
    """All-pass response of the pulses, shape (BINS,)."""
    delay = _SPREAD * np.exp(-np.arange(BINS - 1) * (grid.RATE / FFT) / _SPREAD_UP_TO)
    cycles = np.concatenate([[0.0], np.cumsum(delay) * (grid.RATE / FFT)])
    # Whole cycles at half the rate, where a real response has no other phase.
    cycles *= np.round(cycles[-1]) / cycles[-1]
    return np.asarray(np.exp(-2j * np.pi * cycles), np.complex64)


def minimum_phase(log_envelope: Array) -> npt.NDArray[np.complex64]:
    """Log magnitudes (natural) at band centres (..., BANDS) → complex responses (..., BINS)."""
    cepstrum = np.fft.irfft(log_envelope @ band_interpolation(), FFT, axis=-1)
    log_response = np.fft.rfft(cepstrum * _fold(), FFT, axis=-1)
    # A complex exponential by its parts: numpy has those of real numbers in SIMD.
    size = np.exp(log_response.real, dtype=np.float32)
    response = np.empty(log_response.shape, np.complex64)
    np.multiply(size, np.cos(log_response.imag, dtype=np.float32), out=response.real)
    np.multiply(size, np.sin(log_response.imag, dtype=np.float32), out=response.imag)
    return response


def frame_spectra(excitation: Array) -> npt.NDArray[np.complex64]:
    """Spectra of the frames that start at points 0 … n-1 of `excitation`, shape ((n + 1) × HOP,)."""
    frames = np.lib.stride_tricks.sliding_window_view(excitation, FRAME)[:: grid.HOP]
    return np.fft.rfft(frames * _window(), FFT, axis=-1).astype(np.complex64)


def synthesise(harmonic: Array, noisy: Array, pulse_train: Array, noise: Array, tail: Array) -> tuple[Array, Array]:
    """One stretch of n frames.

    Args:
        harmonic, noisy: log envelopes of the n frames, shape (n, BANDS).
        pulse_train, noise: excitations from the first frame's start, shape ((n + 1) × HOP,).
        tail: what earlier frames still sound, shape (TAIL,).

    Returns:
        samples, shape (n × HOP,), and the tail for what follows, shape (TAIL,).
    """
    n = len(harmonic)
    spectra = frame_spectra(pulse_train) * (minimum_phase(harmonic) * dispersion())
    spectra += frame_spectra(noise) * minimum_phase(noisy)
    pieces = np.fft.irfft(spectra, FFT, axis=-1).astype(np.float32)
    out = np.zeros(n * grid.HOP + TAIL, np.float32)
    out[:TAIL] += tail
    for k in range(n):
        out[k * grid.HOP : k * grid.HOP + FFT] += pieces[k]
    return out[: n * grid.HOP], out[n * grid.HOP :]
