"""A loss that hears how natural speech sounds: DistillMOS, a predictor of listeners' opinions, with gradients.

B. Stahl and H. Gamper, "Distillation and pruning for scalable self-supervised representation-based speech quality
assessment", ICASSP 2025; its published weights. DNSMOS, which judges the result, has no part in training.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from training import loop

WINDOW, HOP = 320, 160
LENGTH = 122880
"""Samples at 16 kHz that an opinion is formed on (7.68 s)."""
_CHANNELS = (2, 64, 64, 128, 256, 256, 256)
_BINS, _WIDTH = 1024, 200
"""Width of the convolutions' output (channels by what is left of the frequencies), and of the transformer."""


class _Convolutions(nn.Module):
    """Samples (batch, n) → (batch, 1024, n / 320): over the complex spectrogram, magnitudes to the power of 0.3."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        layers: list[nn.Module] = []
        last = len(_CHANNELS) - 2
        for i in range(last + 1):
            stride = (1 if i == 0 else 2, 2 if i == last else 1)
            layers += [nn.Conv2d(_CHANNELS[i], _CHANNELS[i + 1], 3, stride, (0, 1)), nn.LeakyReLU(0.1)]
        self.cnn = nn.Sequential(*layers)

    def forward(self, samples: Tensor) -> Tensor:
        half = (WINDOW - HOP) // 2
        padded = functional.pad(samples[:, None], (half, half), mode="reflect")[:, 0]
        spectrum = torch.stft(padded, WINDOW, HOP, window=self.window, center=False, return_complex=True)
        parts = torch.stack([spectrum.real, spectrum.imag], 1)
        size = parts.square().sum(1, keepdim=True).add(1e-12).sqrt()
        out: Tensor = self.cnn(parts * size**-0.7).flatten(1, 2)
        return out


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(_BINS)
        self.position_encoding = nn.Module()
        self.position_encoding.register_buffer("pe", torch.zeros(1, LENGTH // (2 * HOP), _WIDTH))
        self.linear_proj = nn.Linear(_BINS, _WIDTH)
        layer = nn.TransformerEncoderLayer(_WIDTH, 8, 2 * _WIDTH, dropout=0.0, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, 7, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear_proj(self.norm(x).transpose(1, 2))
        out: Tensor = self.transformer_encoder(x + self.position_encoding.pe)
        return out


class _Pool(nn.Module):
    """Mean over time, weighted by attention."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(_WIDTH, 2 * _WIDTH)
        self.linear2 = nn.Linear(2 * _WIDTH, 1)
        self.linear3 = nn.Linear(_WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.softmax(self.linear2(functional.relu(self.linear1(x))), 1)
        out: Tensor = self.linear3((weights * x).sum(1))
        return out


class _Verdict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm_input = nn.BatchNorm1d(_BINS)
        self.transformer = _Transformer()
        self.norm_trans = nn.BatchNorm1d(_WIDTH)
        self.pool = _Pool()

    def forward(self, x: Tensor) -> Tensor:
        x = self.transformer(self.norm_input(x))
        out: Tensor = torch.sigmoid(self.pool(self.norm_trans(x.transpose(1, 2)).transpose(1, 2)))
        return out


class DistillMos(nn.Module):
    """Samples at 16 kHz (batch, LENGTH), peak at most 1 → mean opinion, 1 to 5, (batch,)."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = _Convolutions()
        self.transformer_pool_attn = _Verdict()

    def forward(self, samples: Tensor) -> Tensor:
        samples = samples / (samples.abs().amax(1, keepdim=True) + 1e-8)
        with loop.half():
            score = self.transformer_pool_attn(self.cnn(samples))
        out: Tensor = 1 + 4 * score.float()[:, 0]
        return out


def load_distillmos(wheels: Path) -> DistillMos:
    """The published network; `wheels` is where the package `distillmos` is unpacked."""
    state = torch.load(wheels / "distillmos" / "weights" / "distill_mos_v7.pt", weights_only=True, map_location="cpu")
    model = DistillMos()
    model.load_state_dict(state["model"])
    return model.eval().requires_grad_(False)


class NaturalnessLoss(nn.Module):
    """How far an opinion of a batch's pieces, heard one after the other, is from the best."""

    def __init__(self, judge: DistillMos) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, samples: Tensor) -> Tensor:
        """Samples at 16 kHz (batch, n), the last ones first where there are too many → scalar."""
        # Jumps of loudness between the pieces are none of the speech's doing.
        level = samples.detach().square().mean(1, keepdim=True).sqrt()
        joined = (samples / (level + 1e-4)).flip(0).flatten()[:LENGTH]
        return (5 - self.judge(functional.pad(joined, (0, LENGTH - len(joined)))[None])).mean()
