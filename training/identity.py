"""A loss that hears who speaks: CAM++'s features and embedding of the output against the target's.

CAM++ only; Resemblyzer, which judges the result, has no part in training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seedvc_live.engines.nano import spectrum
from seedvc_live.engines.seedvc.campplus import CAMPPlus
from training import loop


class Fbank(nn.Module):
    """Kaldi's log-mel filterbank with gradients: 16 kHz (batch, n) → (batch, frames, 80), mean removed."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(400, periodic=False) ** 0.85)

        def mel(hz: Tensor) -> Tensor:
            return 1127 * torch.log(1 + hz / 700)

        edges = torch.linspace(float(mel(torch.tensor(20.0))), float(mel(torch.tensor(8000.0))), 82)
        bins = mel(torch.arange(257) * 16000 / 512)
        rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
        falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
        self.register_buffer("mel", torch.minimum(rising, falling).clamp(min=0))

    def forward(self, samples: Tensor) -> Tensor:
        frames = samples.unfold(-1, 400, 160)
        frames = frames - frames.mean(-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], -1)
        spectra = torch.fft.rfft((frames - 0.97 * previous) * self.window, 512)
        power = spectra.real.square() + spectra.imag.square()
        bank = torch.log((power @ self.mel.T).clamp(min=1.1920929e-07))
        out: Tensor = bank - bank.mean(1, keepdim=True)
        return out


class IdentityLoss(nn.Module):
    """Distance of frame features, and of the embedding to the target voice's."""

    def __init__(self, encoder: CAMPPlus) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.fbank = Fbank()
        self.register_buffer("taps", torch.from_numpy(spectrum.decimator().copy()))

    def to_analysis_rate(self, samples: Tensor) -> Tensor:
        """`spectrum.to_analysis_rate` with gradients."""
        count = samples.shape[-1] // 3
        parts = []
        for phase, taps in enumerate((self.taps[0::2], self.taps[1::2])):
            first = 2 * phase - len(taps) // 2
            padded = functional.pad(samples, (-first, len(taps) + 3))[:, : 3 * count + len(taps)]
            parts.append(functional.conv1d(padded[:, None], taps[None, None], stride=3)[:, 0, :count])
        return torch.stack(parts, -1).flatten(1)

    def _features(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        bank = self.fbank(self.to_analysis_rate(samples))
        with loop.half():
            x = self.encoder.frames(bank)
            pooled = torch.cat([x.mean(-1), x.float().std(-1)], 1)
            embedding = self.encoder.dense(pooled)
        return x.float(), embedding.float()

    def forward(self, output: Tensor, target: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (batch, n) × 2 at 24 kHz and the voice's embedding (batch, 192) → two scalars."""
        with torch.no_grad():
            wanted, _ = self._features(target)
        features, embedding = self._features(output)
        distance = (features - wanted).abs().mean() / (wanted.abs().mean() + 1e-6)
        return distance, (1 - functional.cosine_similarity(embedding, identity)).mean()

    def angle(self, output: Tensor, identity: Tensor) -> Tensor:
        """As the second of `forward`, where there is no target."""
        return (1 - functional.cosine_similarity(self._features(output)[1], identity)).mean()
