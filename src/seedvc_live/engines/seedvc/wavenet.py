"""The gated convolution stack (WaveNet, van den Oord et al. 2016) in front of the mel output."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seedvc_live.engines.seedvc.weightnorm import NormedConv1d


@dataclass(frozen=True)
class WaveNetConfig:
    """Sizes of the stack."""

    channels: int
    layers: int = 8
    kernel: int = 5
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Frames on each side that can change an output frame."""
        return sum((self.kernel - 1) * self.dilation**i // 2 for i in range(self.layers))


class _Named(nn.Module):
    """Holds a convolution under the name `conv`, as the checkpoints do."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class ReflectConv1d(nn.Module):
    """A convolution that keeps the length by reflection padding.

    An input no longer than the padding is first extended on the right by zeros, because a reflection
    would reach beyond its other end; what the extension adds is cut off again.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        span = (kernel - 1) * dilation
        self.left = span - span // 2
        self.right = span // 2
        self.conv = _Named(NormedConv1d(channels_in, channels_out, kernel, dilation=dilation))

    def forward(self, x: Tensor, reflection: Tensor | None = None) -> Tensor:
        """(B, C_in, T) → (B, C_out, T).

        `reflection`, (B, left + T + right), says which frame stands at each padded position; it lets
        every sample of a padded batch be reflected at its own end.
        """
        if self.left + self.right == 0:
            return self.conv(x)
        if reflection is not None:
            padded = torch.gather(x, 2, reflection[:, None, :].expand(-1, x.shape[1], -1))
            return self.conv(padded)
        frames = x.shape[-1]
        extra = max(self.left, self.right) - frames + 1
        if extra > 0:
            x = F.pad(x, (0, extra))
        padded = F.pad(x, (self.left, self.right), mode="reflect")
        if extra > 0:
            padded = padded[..., : padded.shape[-1] - extra]
        return self.conv(padded)


class WaveNet(nn.Module):
    """Gated layers with residual and skip connections, conditioned on a vector."""

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        self.cond_layer = ReflectConv1d(c, 2 * c * config.layers, 1)
        self.in_layers = nn.ModuleList(
            ReflectConv1d(c, 2 * c, config.kernel, config.dilation**i) for i in range(config.layers)
        )
        last = config.layers - 1
        self.res_skip_layers = nn.ModuleList(
            ReflectConv1d(c, c if i == last else 2 * c, 1) for i in range(config.layers)
        )

    def condition(self, vector: Tensor) -> Tensor:
        """Project the conditioning vector for all layers: (B, C) → (B, 2·C·layers, 1)."""
        return self.cond_layer(vector.unsqueeze(-1))

    def forward(self, x: Tensor, mask: Tensor | None, condition: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Run the stack.

        Args:
            x: (B, C, T).
            mask: (B, 1, T), 1 inside each sample; None when all samples fill T.
            condition: what `condition` returned, batch size B or 1.
            lengths: (B,), reflect each sample at its own end instead of at T.

        Returns:
            (B, C, T), zero where the mask is.
        """
        channels = self.config.channels
        skips: Tensor | None = None
        for i, (gate, mix) in enumerate(zip(self.in_layers, self.res_skip_layers, strict=True)):
            assert isinstance(gate, ReflectConv1d)
            reflection = None if lengths is None else _reflection(lengths, x.shape[-1], gate)
            g = condition[:, 2 * channels * i : 2 * channels * (i + 1)]
            gated = gate(x, reflection) + g
            acts = torch.tanh(gated[:, :channels]) * torch.sigmoid(gated[:, channels:])
            mixed = mix(acts)
            if i == self.config.layers - 1:
                skip = mixed
            else:
                x = x + mixed[:, :channels]
                if mask is not None:
                    x = x * mask
                skip = mixed[:, channels:]
            skips = skip if skips is None else skips + skip
        assert skips is not None
        return skips if mask is None else skips * mask


def _reflection(lengths: Tensor, frames: int, layer: ReflectConv1d) -> Tensor:
    """Frame at each padded position, reflecting at 0 and at each length: (B, left + frames + right)."""
    position = torch.arange(-layer.left, frames + layer.right, device=lengths.device).abs()[None, :]
    last = (lengths - 1)[:, None]
    reflected = torch.where(position > last, 2 * last - position, position)
    # Far beyond a sample's end the reflection leaves it on the other side; those frames are masked.
    return reflected.clamp(0, frames - 1)
