"""HiFT vocoder: harmonic source plus noise, filtered into an inverse STFT (HiFTNet, Li et al. 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seedvc_live.engines.seedvc.weightnorm import NormedConv1d, NormedConvTranspose1d


@dataclass(frozen=True)
class HiftConfig:
    """Sizes of the published vocoder (`hift.pt` of CosyVoice-300M)."""

    n_mels: int = 80
    channels: int = 512
    harmonics: int = 8
    rate: int = 22050
    sine_amplitude: float = 0.1
    noise_amplitude: float = 0.003
    voiced_above: float = 10.0
    upsample_rates: tuple[int, ...] = (8, 8)
    upsample_kernels: tuple[int, ...] = (16, 16)
    n_fft: int = 16
    hop: int = 4
    kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    source_kernels: tuple[int, ...] = (7, 11)
    source_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5))
    slope: float = 0.1
    limit: float = 0.99

    @property
    def mel_hop(self) -> int:
        """Samples per mel frame."""
        return math.prod(self.upsample_rates) * self.hop


class Snake(nn.Module):
    """x + sin²(αx)/α, periodic activation (Ziyin et al. 2020): (B, C, T) → (B, C, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None]
        return torch.addcmul(x, torch.sin(x * alpha).square_(), 1.0 / (alpha + 1e-9))


class ResBlock(nn.Module):
    """Pairs of dilated and plain convolutions with Snake: (B, C, T) → (B, C, T)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        half = kernel // 2
        self.convs1 = nn.ModuleList(
            NormedConv1d(channels, channels, kernel, dilation=d, padding=half * d) for d in dilations
        )
        self.convs2 = nn.ModuleList(NormedConv1d(channels, channels, kernel, padding=half) for _ in dilations)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for act1, conv1, act2, conv2 in parts:
            x = x + conv2(act2(conv1(act1(x))))
        return x


class HarmonicSource(nn.Module):
    """Sum of sines at the pitch's multiples, and noise: pitch at audio rate → excitation."""

    def __init__(self, config: HiftConfig) -> None:
        super().__init__()
        self.config = config
        self.l_linear = nn.Linear(config.harmonics + 1, 1)

    def forward(self, f0: Tensor, phase: Tensor, noise: Tensor) -> Tensor:
        """Excite.

        Args:
            f0: Hz at audio rate, 0 = unvoiced, (B, 1, samples).
            phase: of each harmonic at the start, radians, (B, harmonics + 1, 1).
            noise: standard normal, (B, harmonics + 1, samples).

        Returns:
            (B, 1, samples).
        """
        c = self.config
        multiples = torch.arange(1, c.harmonics + 2, device=f0.device, dtype=f0.dtype)[None, :, None]
        # Summed in float64: a float32 sum drifts audibly within seconds.
        cycles = (f0 * multiples / c.rate).double().cumsum(-1).to(f0.dtype) % 1
        sines = torch.sin(cycles * (2 * math.pi) + phase) * c.sine_amplitude
        voiced = (f0 > c.voiced_above).to(f0.dtype)
        level = voiced * c.noise_amplitude + (1 - voiced) * (c.sine_amplitude / 3)
        mixed = sines * voiced + level * noise
        return torch.tanh(self.l_linear(mixed.transpose(1, 2))).transpose(1, 2)


class PitchPredictor(nn.Module):
    """Pitch from mel: (B, n_mels, T) → (B, T), Hz."""

    def __init__(self, n_mels: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(5):
            layers += [NormedConv1d(n_mels if i == 0 else channels, channels, 3, padding=1), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        return torch.abs(self.classifier(self.condnet(mel).transpose(1, 2)).squeeze(-1))


class Hift(nn.Module):
    """The vocoder: mel → waveform."""

    window: Tensor

    def __init__(self, config: HiftConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or HiftConfig()
        self.m_source = HarmonicSource(c)
        self.conv_pre = NormedConv1d(c.n_mels, c.channels, 7, padding=3)
        widths = [c.channels // 2**i for i in range(len(c.upsample_rates) + 1)]
        self.ups = nn.ModuleList(
            NormedConvTranspose1d(widths[i], widths[i + 1], k, stride=u, padding=(k - u) // 2)
            for i, (u, k) in enumerate(zip(c.upsample_rates, c.upsample_kernels, strict=True))
        )
        self.source_downs = nn.ModuleList()
        self.source_resblocks = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        spectrum = c.n_fft + 2
        for i, width in enumerate(widths[1:]):
            stride = math.prod(c.upsample_rates[i + 1 :])
            kernel, padding = (1, 0) if stride == 1 else (2 * stride, stride // 2)
            self.source_downs.append(nn.Conv1d(spectrum, width, kernel, stride=stride, padding=padding))
            self.source_resblocks.append(ResBlock(width, c.source_kernels[i], c.source_dilations[i]))
            for k, d in zip(c.kernels, c.dilations, strict=True):
                self.resblocks.append(ResBlock(width, k, d))
        self.conv_post = NormedConv1d(widths[-1], spectrum, 7, padding=3)
        self.f0_predictor = PitchPredictor(c.n_mels, c.channels)
        self.register_buffer("window", torch.hann_window(c.n_fft), persistent=False)

    def source(self, f0: Tensor, phase: Tensor, noise: Tensor) -> Tensor:
        """Pitch per mel frame (B, T), Hz → excitation (B, 1, T·hop)."""
        f0_samples = f0.unsqueeze(1).repeat_interleave(self.config.mel_hop, dim=2)
        return self.m_source(f0_samples, phase, noise)

    def draw(self, f0: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Random phase (B, harmonics + 1, 1), the fundamental's 0, and noise (B, harmonics + 1, samples)."""
        batch, frames = f0.shape
        rows = self.config.harmonics + 1
        uniform = torch.rand(batch, rows, 1, generator=generator, device=f0.device)
        phase = uniform * (2 * math.pi) - math.pi
        phase[:, 0] = 0
        samples = frames * self.config.mel_hop
        return phase, torch.randn(batch, rows, samples, generator=generator, device=f0.device)

    def filter(self, mel: Tensor, source: Tensor, heard: tuple[int, int] | None = None) -> Tensor:
        """Mel (B, n_mels, T) and excitation (B, 1, T·hop) → waveform (B, T·hop).

        `heard` are the first and the last + 1 mel frame whose samples are wanted, (B, frames·hop): the last,
        most expensive level computes no more than they need.
        """
        c = self.config
        spectrum = torch.view_as_real(
            torch.stft(source.squeeze(1), c.n_fft, c.hop, c.n_fft, self.window, return_complex=True)
        )
        excitation = torch.cat([spectrum[..., 0], spectrum[..., 1]], dim=1)
        x = self.conv_pre(mel)
        per_level = len(c.kernels)
        last = len(self.ups) - 1
        begin, end = 0, mel.shape[-1]
        for i, up in enumerate(self.ups):
            if i == last and heard is not None:
                frame = math.prod(c.upsample_rates[:i])
                begin, end = max(0, heard[0] - self.last_reach), min(end, heard[1] + self.last_reach)
                x = x[..., begin * frame : end * frame]
                frame *= c.upsample_rates[i]
                excitation = excitation[..., begin * frame : end * frame + 1]
            x = up(F.leaky_relu(x, c.slope))
            if i == last:
                x = F.pad(x, (1, 0), mode="reflect")
            x = x + self.source_resblocks[i](self.source_downs[i](excitation))
            blocks = list(self.resblocks)[i * per_level : (i + 1) * per_level]
            x = sum(block(x) for block in blocks) / per_level
        # The slope here is torch's default, not the configured one: so the weights were trained.
        x = self.conv_post(F.leaky_relu(x))
        bins = c.n_fft // 2 + 1
        magnitude = torch.exp(x[:, :bins]).clamp(max=1e2)
        angle = torch.sin(x[:, bins:])
        wave = torch.istft(torch.polar(magnitude, angle), c.n_fft, c.hop, c.n_fft, self.window)
        wave = wave.clamp(-c.limit, c.limit)
        if heard is None:
            return wave
        return wave[:, (heard[0] - begin) * c.mel_hop : (heard[1] - begin) * c.mel_hop]

    @property
    def last_reach(self) -> int:
        """Mel frames on each side that the last level needs: residual blocks behind the source's own, and the ends."""
        c = self.config
        blocks = [
            max(kernels) // 2 * (sum(dilations[0]) + len(dilations[0]))
            for kernels, dilations in ((c.kernels, c.dilations), (c.source_kernels[-1:], c.source_dilations[-1:]))
        ]
        # One input step of the upsampler, the last convolution's 3, half a window of the inverse STFT.
        steps = sum(blocks) + c.upsample_rates[-1] + 3 + c.n_fft // c.hop + 1
        return math.ceil(steps / math.prod(c.upsample_rates))

    def forward(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        phase: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Vocode.

        Args:
            mel: (B, n_mels, T).
            f0: (B, T), Hz; None predicts it from the mel.
            phase, noise: see `draw`; None draws them.

        Returns:
            (B, T·hop).
        """
        if f0 is None:
            f0 = self.f0_predictor(mel)
        if phase is None or noise is None:
            drawn = self.draw(f0)
            phase = drawn[0] if phase is None else phase
            noise = drawn[1] if noise is None else noise
        return self.filter(mel, self.source(f0, phase, noise))
