"""Vocoders behind one interface, synthesising only what is heard plus what can influence it."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from seedvc_live.engines.seedvc.bigvgan import BigVgan
from seedvc_live.engines.seedvc.hift import Hift
from seedvc_live.engines.seedvc.noise import Noise


class Vocoder(Protocol):
    """Mel → waveform."""

    def synthesise(
        self, mel: Tensor, first: int, count: int, noise: Noise, seeds: list[int], starts: list[int]
    ) -> Tensor:
        """Samples [first, first + count) of the waveform.

        Args:
            mel: (B, n_mels, T).
            noise: where random draws come from.
            seeds: one per sample of the batch.
            starts: absolute index of each sample's first waveform sample.

        Returns:
            (B, count).
        """


def _around(first: int, count: int, hop: int, reach: int, frames: int) -> tuple[int, int]:
    """Mel frames that can influence the samples [first, first + count)."""
    return max(0, first // hop - reach), min(frames, -(-(first + count) // hop) + reach)


class HiftVocoder:
    """HiFT: the pitch and the excitation of the whole window, the filter only where it is heard."""

    def __init__(self, network: Hift) -> None:
        self.network = network
        c = network.config
        reach, rate = 4.0, 1
        for up in c.upsample_rates:
            rate *= up
            longest = max(c.kernels) // 2 * (sum(c.dilations[0]) + len(c.dilations[0]))
            reach += (longest + 2) / rate
        self.reach = math.ceil(reach)

    def synthesise(
        self, mel: Tensor, first: int, count: int, noise: Noise, seeds: list[int], starts: list[int]
    ) -> Tensor:
        net, hop = self.network, self.network.config.mel_hop
        rows, frames = net.config.harmonics + 1, mel.shape[-1]
        pairs = list(zip(seeds, starts, strict=True))
        drawn = [torch.from_numpy(noise.source(seed, start, frames * hop, rows)) for seed, start in pairs]
        phases = [torch.from_numpy(noise.phase(seed, rows)) for seed in seeds]
        f0 = net.f0_predictor(mel)
        source = net.source(f0, torch.stack(phases).to(mel.device), torch.stack(drawn).to(mel.device))
        begin, end = _around(first, count, hop, self.reach, frames)
        heard = (first // hop, min(frames, -(-(first + count) // hop)))
        inside = (heard[0] - begin, heard[1] - begin)
        wave = net.filter(mel[..., begin:end], source[..., begin * hop : end * hop], inside)
        return wave[:, first - heard[0] * hop : first - heard[0] * hop + count]


class BigVganVocoder:
    """BigVGAN has no memory and no draws: a slice of the mel gives a slice of the wave."""

    def __init__(self, network: BigVgan) -> None:
        self.network = network
        c = network.config
        reach, rate = 3.0, 1
        for up in c.upsample_rates:
            rate *= up
            dilations = c.resblock_dilation_sizes[0]
            longest = max(c.resblock_kernel_sizes) // 2 * (sum(dilations) + len(dilations))
            # Each smooth activation reaches six taps at twice the rate, up and down again.
            reach += (longest + 2 * len(dilations) * 6 + 2) / rate
        self.reach = math.ceil(reach) + 1

    def synthesise(
        self, mel: Tensor, first: int, count: int, noise: Noise, seeds: list[int], starts: list[int]
    ) -> Tensor:
        hop = self.network.config.mel_hop
        begin, end = _around(first, count, hop, self.reach, mel.shape[-1])
        wave = self.network(mel[..., begin:end]).squeeze(1)
        return wave[:, first - begin * hop : first - begin * hop + count]
