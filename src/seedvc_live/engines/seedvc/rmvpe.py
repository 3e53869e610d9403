"""RMVPE pitch estimator (Wei et al. 2023): a U-Net over the mel, a recurrent layer, 360 pitch classes."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seedvc_live.engines.seedvc.mel import PitchLogMel

CLASSES = 360
CENTS_PER_CLASS = 20.0
FIRST_CENTS = 1997.3794084376191
REFERENCE_HZ = 10.0
FRAME_MULTIPLE = 32
LEVELS = 5
BLOCKS = 4
WIDTH = 16


class ConvBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and a shortcut: (B, C_in, T, F) → (B, C_out, T, F)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for source in (channels_in, channels_out):
            layers += [
                nn.Conv2d(source, channels_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels_out),
                nn.ReLU(),
            ]
        self.conv = nn.Sequential(*layers)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else None

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + (x if self.shortcut is None else self.shortcut(x))


class Stack(nn.Module):
    """`BLOCKS` blocks at one resolution."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        widths = [channels_in] + [channels_out] * BLOCKS
        self.conv = nn.ModuleList(ConvBlock(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.conv:
            x = block(x)
        return x


class Encoder(nn.Module):
    """Halves time and frequency at each level and keeps what it had before for the decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(1)
        widths = [1] + [WIDTH * 2**i for i in range(LEVELS)]
        self.layers = nn.ModuleList(Stack(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.bn(x)
        kept = []
        for layer in self.layers:
            x = layer(x)
            kept.append(x)
            x = F.avg_pool2d(x, 2)
        return x, kept


class Intermediate(nn.Module):
    """Blocks at the lowest resolution."""

    def __init__(self) -> None:
        super().__init__()
        low, high = WIDTH * 2 ** (LEVELS - 1), WIDTH * 2**LEVELS
        self.layers = nn.ModuleList(Stack(low if i == 0 else high, high) for i in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class DecoderLevel(nn.Module):
    """Doubles time and frequency, then mixes in what the encoder kept."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )
        widths = [2 * channels_out] + [channels_out] * BLOCKS
        self.conv2 = nn.ModuleList(ConvBlock(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        x = torch.cat([self.conv1(x), kept], dim=1)
        for block in self.conv2:
            x = block(x)
        return x


class Decoder(nn.Module):
    """Back to full resolution."""

    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * 2**i for i in range(LEVELS, -1, -1)]
        self.layers = nn.ModuleList(DecoderLevel(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor, kept: list[Tensor]) -> Tensor:
        for layer, level in zip(self.layers, reversed(kept), strict=True):
            x = layer(x, level)
        return x


class UNet(nn.Module):
    """(B, 1, T, 128) → (B, 16, T, 128), T a multiple of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.intermediate = Intermediate()
        self.decoder = Decoder()

    def forward(self, x: Tensor) -> Tensor:
        x, kept = self.encoder(x)
        return self.decoder(self.intermediate(x), kept)


class BiGru(nn.Module):
    """Bidirectional GRU: (B, T, C) → (B, T, 2H)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[0]


class Rmvpe(nn.Module):
    """Salience of 360 pitches, 20 cents apart."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet()
        self.cnn = nn.Conv2d(WIDTH, 3, 3, padding=1)
        self.fc = nn.Sequential(BiGru(3 * PitchLogMel.n_mels, 256), nn.Linear(512, CLASSES), nn.Sigmoid())
        self.mel = PitchLogMel()

    def forward(self, mel: Tensor) -> Tensor:
        """(B, 128, T) → (B, T, 360), in [0, 1]. Frames are padded with 0.0 to a multiple of 32."""
        frames = mel.shape[-1]
        padded = F.pad(mel, (0, -frames % FRAME_MULTIPLE))
        x = self.cnn(self.unet(padded.transpose(1, 2).unsqueeze(1)))
        return self.fc(x.transpose(1, 2).flatten(-2))[:, :frames]

    def pitch(self, wave: Tensor, threshold: float = 0.03) -> npt.NDArray[np.float64]:
        """Pitch of a wave at 16 kHz, (B, samples) → (B, samples // 160 + 1), Hz, 0 = unvoiced."""
        salience = self(self.mel(wave)).float().cpu().numpy()
        return np.stack([decode(row, threshold) for row in salience])


def decode(salience: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.float64]:
    """Salience (T, 360) → pitch (T,), Hz: weighted mean of cents over nine classes around the peak."""
    cents = np.pad(FIRST_CENTS + CENTS_PER_CLASS * np.arange(CLASSES), 4)
    weights = np.pad(salience, ((0, 0), (4, 4)))
    window = salience.argmax(axis=1)[:, None] + np.arange(9)[None, :]
    near = np.take_along_axis(weights, window, axis=1)
    total = near.sum(axis=1)
    mean = (near * cents[window]).sum(axis=1) / np.where(total > 0, total, 1.0)
    voiced = salience.max(axis=1) > threshold
    return np.where(voiced, REFERENCE_HZ * 2.0 ** (mean / 1200.0), 0.0)
