"""Spectral losses, judged only where the recording has a band."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seedvc_live.engines.nano import grid
from seedvc_live.engines.nano.spectrum import mel_filters

NARROW_LIMIT = 7600.0
"""Hz; above it a 16 kHz recording says nothing."""


class SpectralLoss(nn.Module):
    """Multi-resolution STFT (log magnitude and relative magnitude), plus log-mel.

    R. Yamamoto et al., "Parallel WaveGAN", ICASSP 2020, for the multi-resolution loss.
    """

    def __init__(self, sizes: tuple[int, ...] = (256, 512, 1024, 2048), mel_weight: float = 1.0) -> None:
        super().__init__()
        self.sizes = sizes
        self.mel_weight = mel_weight
        self.register_buffer("mel", torch.from_numpy(mel_filters(grid.RATE, 1024, 80)[0].copy()))
        self.register_buffer("centres", torch.from_numpy(mel_filters(grid.RATE, 1024, 80)[1].copy()))

    @staticmethod
    def _magnitude(samples: Tensor, size: int) -> Tensor:
        window = torch.hann_window(size)
        spectrum = torch.stft(samples, size, size // 4, window=window, center=False, return_complex=True)
        return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-7)

    def forward(self, output: Tensor, target: Tensor, wide: Tensor) -> Tensor:
        """Samples (batch, n) × 2 and whether the target is wide-band (batch,) → scalar."""
        total = output.new_zeros(())
        for size in self.sizes:
            a, b = self._magnitude(output, size), self._magnitude(target, size)
            bins = torch.arange(a.shape[1]) * grid.RATE / size
            mask = (wide[:, None] | (bins < NARROW_LIMIT)[None]).float()[..., None]
            count = mask.sum() * a.shape[2]
            # Compressed floor: what lies 60 dB below the clip's level is not worth the network's effort.
            floor = 1e-3 * b.square().mean(dim=(1, 2), keepdim=True).sqrt() + 1e-4
            total = total + ((torch.log(a + floor) - torch.log(b + floor)).abs() * mask).sum() / count
            total = total + 0.5 * ((a - b).abs() * mask).sum() / ((b * mask).sum() + 1e-3)
            if size == 1024:
                low = (wide[:, None] | (self.centres < NARROW_LIMIT)[None]).float()[..., None]
                difference = torch.log(self.mel @ a + 1e-4) - torch.log(self.mel @ b + 1e-4)
                total = total + self.mel_weight * (difference.abs() * low).sum() / (low.sum() * a.shape[2])
        return total / len(self.sizes)
