"""A loss that hears what is said: Whisper's features of a conversion against those of its source.

The same encoder that the engine hears with (tiny.en); the recogniser that judges has no part in training.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from seedvc_live.engines.nano import grid, spectrum
from training import loop
from training.whisper import WhisperEncoder


class WordsLoss(nn.Module):
    """Angle between mean-removed content, in the space in which the engine matches moments."""

    def __init__(self, encoder: WhisperEncoder, scale: np.ndarray, projection: np.ndarray) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.register_buffer("window", torch.hann_window(spectrum.FFT))
        self.register_buffer(
            "mel", torch.from_numpy(spectrum.mel_filters(grid.ANALYSIS_RATE, spectrum.FFT, 80)[0].copy())
        )
        self.register_buffer("projection", torch.from_numpy(projection / scale[:, None]))

    def keys(self, samples: Tensor) -> Tensor:
        """16 kHz (batch, n) → unit vectors (batch, steps, K)."""
        frames = samples.unfold(-1, spectrum.FFT, grid.ANALYSIS_HOP) * self.window
        spectra = torch.fft.rfft(frames)
        power = spectra.real.square() + spectra.imag.square()
        mel = torch.log10((power @ self.mel.T).clamp(min=1e-10)).transpose(1, 2)
        # As `spectrum.whisper_mel`, without its limit on the gain.
        peak = mel.amax((1, 2), keepdim=True)
        mel = torch.maximum(mel - peak, torch.tensor(-8.0)) + spectrum._PEAK
        with loop.half():
            content = self.encoder((mel + 4) / 4)
        projected = (content.float() - content.float().mean(1, keepdim=True)) @ self.projection
        return nn.functional.normalize(projected, dim=-1)

    def forward(self, output: Tensor, source: Tensor) -> Tensor:
        """Samples (batch, n) × 2 at 16 kHz → scalar. Pauses of the source do not count."""
        with torch.no_grad():
            wanted = self.keys(source)
            frames = source.unfold(-1, spectrum.FFT, 2 * grid.ANALYSIS_HOP).square().mean(-1)
            frames = nn.functional.pad(frames, (0, wanted.shape[1] - frames.shape[1]), mode="replicate")
            speech = (frames > 1e-3 * frames.amax(1, keepdim=True)).float()
        distance = 1 - (self.keys(output) * wanted).sum(-1)
        return (distance * speech).sum() / speech.sum().clamp(min=1)
