"""Log-mel spectrograms: one of the diffusion transformer and its vocoders, one of RMVPE.

Both are (samples) → (bins, frames) with frames = samples / hop; they differ in mel scale, padding and floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Scale = Literal["slaney", "htk"]

_LINEAR_HZ = 200.0 / 3  # Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above
_LOG_START_HZ = 1000.0
_LOG_STEP = math.log(6.4) / 27


def hz_to_mel(hz: npt.NDArray[np.float64], scale: Scale) -> npt.NDArray[np.float64]:
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    above = _LOG_START_HZ / _LINEAR_HZ + np.log(np.maximum(hz, 1e-9) / _LOG_START_HZ) / _LOG_STEP
    return np.where(hz < _LOG_START_HZ, hz / _LINEAR_HZ, above)


def mel_to_hz(mel: npt.NDArray[np.float64], scale: Scale) -> npt.NDArray[np.float64]:
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    knee = _LOG_START_HZ / _LINEAR_HZ
    above = _LOG_START_HZ * np.exp(_LOG_STEP * (mel - knee))
    return np.where(mel < knee, mel * _LINEAR_HZ, above)


def mel_filters(rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float, scale: Scale) -> npt.NDArray[np.float32]:
    """Triangular filters of unit area (Slaney's normalisation).

    Args:
        rate: sample rate, Hz.
        fmin, fmax: outer edges of the first and last filter, Hz.

    Returns:
        shape (n_mels, n_fft // 2 + 1).
    """
    bins = np.fft.rfftfreq(n_fft, 1.0 / rate)
    ends = hz_to_mel(np.array([fmin, fmax], dtype=np.float64), scale)
    edges = mel_to_hz(np.linspace(ends[0], ends[1], n_mels + 2), scale)
    widths = np.diff(edges)
    ramps = edges[:, None] - bins[None, :]
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    area = (2.0 / (edges[2:] - edges[:-2])).astype(np.float32)
    return np.asarray(filters * area[:, None], dtype=np.float32)


@dataclass(frozen=True)
class MelConfig:
    """Settings of a spectrogram. Rates and edges in Hz, sizes in samples; fmax None = half the rate."""

    rate: int
    n_fft: int
    n_mels: int
    hop: int
    win: int
    fmin: float = 0.0
    fmax: float | None = None


class LogMel(nn.Module):
    """The transformer's and vocoders' spectrogram.

    Reflection padding of (n_fft - hop)/2, no centring, magnitude with an epsilon, natural logarithm with
    a floor of 1e-5. Frame i is centred on the middle of its hop: T = samples // hop.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        fmax = config.rate / 2 if config.fmax is None else config.fmax
        filters = mel_filters(config.rate, config.n_fft, config.n_mels, config.fmin, fmax, "slaney")
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """(B, samples) → (B, n_mels, samples // hop)."""
        c = self.config
        pad = (c.n_fft - c.hop) // 2
        padded = F.pad(wave.unsqueeze(1), (pad, pad), mode="reflect").squeeze(1)
        spectrum = torch.stft(padded, c.n_fft, c.hop, c.win, self.window, center=False, return_complex=True)
        magnitude = torch.sqrt(torch.view_as_real(spectrum).square().sum(-1) + 1e-9)
        return torch.log(torch.clamp(torch.matmul(self.filters, magnitude), min=1e-5))


class PitchLogMel(nn.Module):
    """RMVPE's spectrogram: 16 kHz, 128 HTK-spaced bins of 30-8000 Hz, 10 ms hop, centred."""

    window: Tensor
    filters: Tensor

    rate = 16000
    n_fft = 1024
    hop = 160
    n_mels = 128

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filters(self.rate, self.n_fft, self.n_mels, 30.0, 8000.0, "htk")
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """(B, samples at 16 kHz) → (B, 128, samples // 160 + 1)."""
        spectrum = torch.stft(wave, self.n_fft, self.hop, self.n_fft, self.window, center=True, return_complex=True)
        return torch.log(torch.clamp(torch.matmul(self.filters, spectrum.abs()), min=1e-5))
