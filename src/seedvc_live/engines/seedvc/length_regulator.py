"""Length regulator: content features at 50 Hz → conditions at the mel frame rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class LengthRegulatorConfig:
    """Sizes: `in_channels` of the content encoder, `channels` of the result, pitch bins if conditioned."""

    in_channels: int
    channels: int
    codebook_size: int
    f0_bins: int | None = None


def f0_to_bins(f0: Tensor, n_bins: int) -> Tensor:
    """Pitch in Hz (0 = unvoiced) → bin 1 … n_bins - 1 on the mel scale between 50 and 1100 Hz.

    Unvoiced frames fall into bin 1, as do all pitches of 50 Hz or less. Pitches that round beyond the last
    bin fall into bin 0: so the checkpoint was trained. Same shape, int64.
    """
    low, high = (1127 * math.log(1 + edge / 700) for edge in (50.0, 1100.0))
    mel = 1127 * torch.log(1 + f0 / 700)
    position = (mel - low) * ((n_bins - 2) / (high - low)) + 1
    bins = torch.round(position).long().clamp(min=1)
    return torch.where(bins < n_bins, bins, 0)


class LengthRegulator(nn.Module):
    """Projection, nearest interpolation to the mel's length, four convolutions with one-group norms.

    The norms' statistics cover the whole chunk, padding included, so the result depends on the chunk.
    `embedding` and `mask_token` are in the checkpoints but play no part with continuous features.
    """

    def __init__(self, config: LengthRegulatorConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [nn.Conv1d(channels, channels, 3, padding=1), nn.GroupNorm(1, channels), nn.Mish()]
        layers.append(nn.Conv1d(channels, channels, 1))
        self.model = nn.Sequential(*layers)
        self.embedding = nn.Embedding(config.codebook_size, channels)
        self.mask_token = nn.Parameter(torch.zeros(1, channels))
        self.content_in_proj = nn.Linear(config.in_channels, channels)
        if config.f0_bins is not None:
            self.f0_embedding = nn.Embedding(config.f0_bins, channels)
            self.f0_mask = nn.Parameter(torch.zeros(1, channels))

    def forward(self, x: Tensor, ylens: Tensor, f0: Tensor | None = None, index: Tensor | None = None) -> Tensor:
        """Regulate a batch.

        Args:
            x: content features, (B, T_in, in_channels).
            ylens: wanted lengths in mel frames, (B,); the batch is interpolated to the longest.
            f0: pitch in Hz, (B, T_f0); None uses the learned "no pitch" row where there is one.
            index: (T_out,) or (B, T_out), which feature frame each mel frame takes; None takes nearest
                ones, stretching T_in frames over T_out.

        Returns:
            (B, max(ylens), channels), zero beyond each length.
        """
        frames = int(ylens.max())
        h = self.content_in_proj(x).transpose(1, 2)
        if index is None:
            h = F.interpolate(h, size=frames, mode="nearest")
        else:
            gather = index.expand(h.shape[0], -1)[:, None, :].expand(-1, h.shape[1], -1)
            h = torch.gather(h, 2, gather)
        if self.config.f0_bins is not None:
            if f0 is None:
                h = h + self.f0_mask.unsqueeze(-1)
            else:
                embedded = self.f0_embedding(f0_to_bins(f0, self.config.f0_bins))
                h = h + F.interpolate(embedded.transpose(1, 2), size=frames, mode="nearest")
        out = self.model(h).transpose(1, 2)
        mask = torch.arange(frames, device=x.device) < ylens.to(x.device)[:, None]
        return out * mask.unsqueeze(-1)
