"""The decoder and the synthesiser in torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seedvc_live.engines.nano import frames, grid, synthesis

DILATIONS = (1, 2, 4, 1, 2)
KERNEL = 3
HISTORY = (KERNEL - 1) * (1 + sum(DILATIONS))
"""Steps before a step that its output depends on."""
CONDITION = 192 + 4 * synthesis.BANDS + 3


class GatedBlock(nn.Module):
    """Causal dilated convolution with a gate, scaled and shifted by the speaker (FiLM, Perez et al. 2018)."""

    def __init__(self, width: int, speaker: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(width)
        self.film = nn.Linear(speaker, 2 * width)
        self.conv = nn.Conv1d(width, 2 * width, KERNEL, dilation=dilation)
        self.out = nn.Conv1d(width, width, 1)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, speaker: Tensor, valid: bool) -> Tensor:
        reach = (KERNEL - 1) * self.dilation
        scale, shift = self.film(speaker).unsqueeze(1).chunk(2, dim=-1)
        y = (self.norm(x) * (1 + scale) + shift).transpose(1, 2)
        y = functional.glu(self.conv(y if valid else functional.pad(y, (reach, 0))), dim=1)
        out: Tensor = (x[:, reach:] if valid else x) + self.out(y).transpose(1, 2)
        return out


class Decoder(nn.Module):
    """Rows (batch, steps, WIDTH) and condition (batch, C) → corrections (batch, steps, 2 points, 2, BANDS).

    The last but one axis is harmonic, noise. Causal: row i and the HISTORY rows before it. What is before the first
    row counts as zeros; if `valid`, nothing does, and there are corrections for the rows after the first HISTORY only:
    no layer works for what nobody asks for.
    """

    def __init__(self, width: int = 256, speaker: int = 192) -> None:
        super().__init__()
        self.speaker = nn.Sequential(nn.Dropout(0.1), nn.Linear(CONDITION, speaker), nn.SiLU(), nn.Dropout(0.1))
        self.enter = nn.Conv1d(frames.WIDTH, width, KERNEL)
        self.blocks = nn.ModuleList(GatedBlock(width, speaker, d) for d in DILATIONS)
        self.norm = nn.LayerNorm(width)
        self.film = nn.Linear(speaker, 2 * width)
        self.leave = nn.Linear(width, 4 * synthesis.BANDS)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        with torch.no_grad():
            self.leave.weight.mul_(0.2)
            # Speech is mostly harmonic: start with noise 1 neper below.
            self.leave.bias.view(2, 2, -1)[:, 0].fill_(0.0)
            self.leave.bias.view(2, 2, -1)[:, 1].fill_(-1.0)

    def forward(self, rows: Tensor, condition: Tensor, valid: bool = False) -> Tensor:
        speaker = self.speaker(condition)
        x = rows.transpose(1, 2)
        x = self.enter(x if valid else functional.pad(x, (KERNEL - 1, 0))).transpose(1, 2)
        for block in self.blocks:
            x = block(x, speaker, valid)
        scale, shift = self.film(speaker).unsqueeze(1).chunk(2, dim=-1)
        x = self.leave(functional.silu(self.norm(x) * (1 + scale) + shift))
        out: Tensor = x.view(x.shape[0], -1, 2, 2, synthesis.BANDS)
        return out


class Bottleneck(nn.Module):
    """Mean-removed, scaled content (…, 384) → (…, BOTTLENECK): too narrow to carry the source's voice."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(384, frames.BOTTLENECK)

    def forward(self, content: Tensor) -> Tensor:
        return torch.tanh(self.linear(content) / 3) * 3


class Synthesiser(nn.Module):
    """`synthesis.synthesise` for batches, with gradients to the envelopes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("interpolation", torch.from_numpy(synthesis.band_interpolation()))
        fold = np.full(synthesis.FFT, 0.0, np.float32)
        fold[0] = fold[synthesis.FFT // 2] = 1
        fold[1 : synthesis.FFT // 2] = 2
        self.register_buffer("fold", torch.from_numpy(fold))
        self.register_buffer("dispersion", torch.from_numpy(synthesis.dispersion()))
        self.register_buffer("window", torch.hann_window(synthesis.FRAME))

    def minimum_phase(self, log_envelope: Tensor) -> Tensor:
        cepstrum = torch.fft.irfft(log_envelope @ self.interpolation, synthesis.FFT)
        return torch.exp(torch.fft.rfft(cepstrum * self.fold))

    def spectra(self, excitation: Tensor) -> Tensor:
        cut = excitation.unfold(-1, synthesis.FRAME, grid.HOP) * self.window
        return torch.fft.rfft(cut, synthesis.FFT)

    def forward(self, harmonic: Tensor, noisy: Tensor, pulses: Tensor, noise: Tensor) -> Tensor:
        """Envelopes (batch, n, BANDS), excitations (batch, (n + 1) × HOP) → samples (batch, n × HOP)."""
        spectra = self.spectra(pulses) * self.minimum_phase(harmonic) * self.dispersion
        spectra = spectra + self.spectra(noise) * self.minimum_phase(noisy)
        pieces = torch.fft.irfft(spectra, synthesis.FFT)
        n = pieces.shape[1]
        length = (n - 1) * grid.HOP + synthesis.FFT
        out = functional.fold(pieces.transpose(1, 2), (1, length), (1, synthesis.FFT), stride=(1, grid.HOP))
        samples: Tensor = out[:, 0, 0, : n * grid.HOP]
        return samples
