"""BigVGAN vocoder (Lee et al. 2023): anti-aliased periodic activations between convolutions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seedvc_live.engines.seedvc.weightnorm import NormedConv1d, NormedConvTranspose1d
from seedvc_live.errors import ModelFileError

TAPS = 12


@dataclass(frozen=True)
class BigVganConfig:
    """What the checkpoint's config.json says of the generator."""

    num_mels: int
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    upsample_initial_channel: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    activation: str = "snakebeta"
    snake_logscale: bool = True
    use_tanh_at_final: bool = True
    use_bias_at_final: bool = True

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> BigVganConfig:
        """Read config.json's fields; those of training are ignored.

        Raises:
            ModelFileError: a field is missing, or names a variant that was never published.
        """
        if str(values.get("resblock", "1")) != "1":
            raise ModelFileError(f"BigVGAN config: resblock {values['resblock']!r} is not supported, only '1'")
        if values.get("activation", "snakebeta") not in ("snake", "snakebeta"):
            raise ModelFileError(f"BigVGAN config: unknown activation {values['activation']!r}")
        try:
            return cls(
                num_mels=int(values["num_mels"]),
                upsample_rates=tuple(values["upsample_rates"]),
                upsample_kernel_sizes=tuple(values["upsample_kernel_sizes"]),
                upsample_initial_channel=int(values["upsample_initial_channel"]),
                resblock_kernel_sizes=tuple(values["resblock_kernel_sizes"]),
                resblock_dilation_sizes=tuple(tuple(d) for d in values["resblock_dilation_sizes"]),
                activation=values.get("activation", "snakebeta"),
                snake_logscale=bool(values.get("snake_logscale", True)),
                use_tanh_at_final=bool(values.get("use_tanh_at_final", True)),
                use_bias_at_final=bool(values.get("use_bias_at_final", True)),
            )
        except KeyError as error:
            raise ModelFileError(f"BigVGAN config: field {error} is missing") from None

    @property
    def mel_hop(self) -> int:
        """Samples per mel frame."""
        return math.prod(self.upsample_rates)


def lowpass(cutoff: float, half_width: float, taps: int) -> Tensor:
    """Kaiser-windowed sinc of unit gain, (1, 1, taps); frequencies in cycles per sample."""
    attenuation = 2.285 * (taps // 2 - 1) * math.pi * 4 * half_width + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation >= 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    window = torch.kaiser_window(taps, periodic=False, beta=beta)
    time = torch.arange(taps) - (taps - 1) / 2
    taps_ = 2 * cutoff * window * torch.sinc(2 * cutoff * time)
    return (taps_ / taps_.sum()).view(1, 1, taps)


class Snake(nn.Module):
    """x + sin²(ax)/b, with b = a or, in SnakeBeta, of its own; stored in log scale or not."""

    def __init__(self, channels: int, own_beta: bool, log_scale: bool) -> None:
        super().__init__()
        start = torch.zeros(channels) if log_scale else torch.ones(channels)
        self.log_scale = log_scale
        self.alpha = nn.Parameter(start)
        if own_beta:
            self.beta = nn.Parameter(start.clone())
        self.own_beta = own_beta

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None]
        beta = self.beta[:, None] if self.own_beta else alpha
        if self.log_scale:
            alpha, beta = torch.exp(alpha), torch.exp(beta)
        return torch.addcmul(x, torch.sin(x * alpha).square_(), 1.0 / (beta + 1e-9))


class Upsample(nn.Module):
    """Twice the rate, by zero stuffing and the stored low-pass: (B, C, T) → (B, C, 2T)."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", lowpass(0.25, 0.3, TAPS))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        edge = TAPS // 2 - 1
        padded = F.pad(x, (edge, edge), mode="replicate")
        taps = self.filter.expand(channels, -1, -1)
        doubled = 2 * F.conv_transpose1d(padded, taps, stride=2, groups=channels)
        cut = 2 * edge + (TAPS - 2) // 2
        return doubled[..., cut : doubled.shape[-1] - cut]


class LowPass(nn.Module):
    """The stored low-pass, keeping every second sample: (B, C, 2T) → (B, C, T)."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", lowpass(0.25, 0.3, TAPS))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        padded = F.pad(x, (TAPS // 2 - 1, TAPS // 2), mode="replicate")
        return F.conv1d(padded, self.filter.expand(channels, -1, -1), stride=2, groups=channels)


class Downsample(nn.Module):
    """Holds the low-pass under the checkpoints' name."""

    def __init__(self) -> None:
        super().__init__()
        self.lowpass = LowPass()

    def forward(self, x: Tensor) -> Tensor:
        return self.lowpass(x)


class SmoothActivation(nn.Module):
    """Snake at twice the rate, so that the harmonics it makes do not alias: (B, C, T) → (B, C, T)."""

    def __init__(self, channels: int, config: BigVganConfig) -> None:
        super().__init__()
        self.act = Snake(channels, config.activation == "snakebeta", config.snake_logscale)
        self.upsample = Upsample()
        self.downsample = Downsample()

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(self.act(self.upsample(x)))


class ResBlock(nn.Module):
    """Pairs of dilated and plain convolutions, a smooth activation before each: (B, C, T) → (B, C, T)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], config: BigVganConfig) -> None:
        super().__init__()
        half = kernel // 2
        self.convs1 = nn.ModuleList(
            NormedConv1d(channels, channels, kernel, dilation=d, padding=half * d) for d in dilations
        )
        self.convs2 = nn.ModuleList(NormedConv1d(channels, channels, kernel, padding=half) for _ in dilations)
        self.activations = nn.ModuleList(SmoothActivation(channels, config) for _ in range(2 * len(dilations)))

    def forward(self, x: Tensor) -> Tensor:
        for i, (conv1, conv2) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            h = conv1(self.activations[2 * i](x))
            x = x + conv2(self.activations[2 * i + 1](h))
        return x


class BigVgan(nn.Module):
    """The vocoder: mel (B, n_mels, T) → waveform (B, 1, T·hop) in [-1, 1]."""

    def __init__(self, config: BigVganConfig) -> None:
        super().__init__()
        c = self.config = config
        self.conv_pre = NormedConv1d(c.num_mels, c.upsample_initial_channel, 7, padding=3)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        width = c.upsample_initial_channel
        for rate, kernel in zip(c.upsample_rates, c.upsample_kernel_sizes, strict=True):
            up = NormedConvTranspose1d(width, width // 2, kernel, stride=rate, padding=(kernel - rate) // 2)
            self.ups.append(nn.ModuleList([up]))
            width //= 2
            for k, d in zip(c.resblock_kernel_sizes, c.resblock_dilation_sizes, strict=True):
                self.resblocks.append(ResBlock(width, k, d, c))
        self.activation_post = SmoothActivation(width, c)
        self.conv_post = NormedConv1d(width, 1, 7, padding=3, bias=c.use_bias_at_final)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        count = len(self.config.resblock_kernel_sizes)
        blocks = list(self.resblocks)
        for i, up in enumerate(self.ups):
            assert isinstance(up, nn.ModuleList)
            x = up[0](x)
            x = sum(block(x) for block in blocks[i * count : (i + 1) * count]) / count
        x = self.conv_post(self.activation_post(x))
        return torch.tanh(x) if self.config.use_tanh_at_final else x.clamp(-1.0, 1.0)
