"""Discriminators: is a stretch of sound speech as recorded? By log spectrograms at three resolutions.

W. Jang et al., "UnivNet", Interspeech 2021 (spectrograms of several resolutions); least squares: X. Mao et al.,
ICCV 2017; feature matching: K. Kumar et al., "MelGAN", NeurIPS 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seedvc_live.engines.nano import grid
from training.losses import NARROW_LIMIT

FINE = 4000.0
"""Hz; above it groups of four bins are taken together: no ear resolves harmonics there."""
_FLOOR = 3e-3
"""What lies 50 dB below a clip's level is not judged: the rooms of the recordings are none of our business."""
_LEAK = 0.2


class SpectrogramDiscriminator(nn.Module):
    """Samples (batch, n) and whether each has anything above 8 kHz → maps of features, the last the verdict.

    Frequencies are channels: at this length of training, discriminators that slide over frequency as well never got
    beyond chance (about 300 updates in training: 0.50; this one after 400 offline: 0.27), and cost four times as much.
    """

    def __init__(self, size: int, channels: int = 128) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.hann_window(size))
        self.fine = int(FINE / grid.RATE * size)
        coarse = (torch.arange((size // 2 - self.fine) // 4) * 4 + self.fine + 1.5) * grid.RATE / size
        self.register_buffer("hz", torch.cat([torch.arange(self.fine) * grid.RATE / size, coarse]))
        self.layers = nn.ModuleList(
            nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2)
            for inputs, outputs, kernel, stride in (
                (len(self.hz), channels, 3, 1),
                (channels, channels, 5, 2),
                (channels, channels, 5, 2),
                (channels, 1, 3, 1),
            )
        )
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, a=_LEAK)
            nn.init.zeros_(layer.bias)
        # Begin undecided.
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.constant_(self.layers[-1].bias, 0.5)

    def spectrogram(self, samples: Tensor, wide: Tensor) -> Tensor:
        """Log magnitudes (batch, bins, frames), bins coarse above `FINE`, zero where nothing was recorded."""
        # Pre-emphasis: otherwise the floor hides consonants.
        samples = samples[:, 1:] - 0.9 * samples[:, :-1]
        level = samples.detach().square().mean(1).sqrt()
        spectrum: Tensor = torch.stft(
            samples, self.size, self.size // 4, window=self.window, center=False, return_complex=True
        ).transpose(1, 2)
        power = spectrum.real.square() + spectrum.imag.square()
        count = 4 * (len(self.hz) - self.fine)
        coarse = power[..., self.fine : self.fine + count].unflatten(-1, (-1, 4)).mean(-1)
        power = torch.cat([power[..., : self.fine], coarse], -1) / (self.size * 3 / 8)
        floor = (_FLOOR * level + 1e-5).square()[:, None, None]
        log = 0.5 * torch.log((power + floor) / (level.square()[:, None, None] + 1e-8)) * 0.5 + 1
        heard = wide[:, None] | (self.hz < NARROW_LIMIT)[None]
        return (log * heard[:, None].to(log.dtype)).transpose(1, 2)

    def forward(self, samples: Tensor, wide: Tensor) -> list[Tensor]:
        x = self.spectrogram(samples, wide)
        maps = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < len(self.layers) - 1:
                x = functional.leaky_relu(x, _LEAK)
            maps.append(x)
        return maps


class Discriminators(nn.Module):
    """One for each resolution."""

    def __init__(self, sizes: tuple[int, ...] = (384, 1024, 2048)) -> None:
        super().__init__()
        self.parts = nn.ModuleList(SpectrogramDiscriminator(size) for size in sizes)

    def forward(self, samples: Tensor, wide: Tensor) -> list[list[Tensor]]:
        return [part(samples, wide) for part in self.parts]

    def train_loss(self, recorded: Tensor, made: Tensor, recorded_wide: Tensor, made_wide: Tensor) -> Tensor:
        """What the discriminators minimise: 1 for recordings, 0 for what was made."""
        samples = torch.cat([recorded, made.detach()])
        total = samples.new_zeros(())
        for maps in self(samples, torch.cat([recorded_wide, made_wide])):
            verdict = maps[-1]
            total = total + (verdict[: len(recorded)] - 1).square().mean() + verdict[len(recorded) :].square().mean()
        return total / len(self.parts)

    def deceive_loss(self, made: Tensor, recorded: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder minimises: that it is taken for speech, and the distance of features.

        Args:
            made: samples (batch, n), of which the first have a recording of the same moment.
            recorded: samples (at most batch, n).
            wide: of all of `made`.
        """
        with torch.no_grad():
            wanted = self(recorded, wide[: len(recorded)])
        deceive, match = made.new_zeros(()), made.new_zeros(())
        for maps, goals in zip(self(made, wide), wanted, strict=True):
            deceive = deceive + (maps[-1] - 1).square().mean()
            for a, b in zip(maps[:-1], goals[:-1], strict=True):
                match = match + (a[: len(b)] - b).abs().mean() / b.abs().mean()
        return deceive / len(self.parts), match / len(self.parts) / 3
