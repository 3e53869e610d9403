"""Corrections of low rank on an encoder's matrices: what little can be changed without learning speakers by heart.

E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.whisper import WhisperEncoder

_CORRECTED = ("qkv", "out", "up", "down")
_DROPPED = 0.1
_SLOWER = 0.13
"""Rate of norms and biases, in that of the corrections."""


class Corrected(nn.Module):
    """A linear layer that is kept, but for its bias, and a correction of its weight, which begins as none."""

    def __init__(self, kept: nn.Linear, rank: int) -> None:
        super().__init__()
        self.kept = kept
        self.enter = nn.Parameter(torch.randn(rank, kept.in_features) / kept.in_features**0.5)
        self.leave = nn.Parameter(torch.zeros(kept.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        x, dropped = self.kept(x), functional.dropout(x, _DROPPED, self.training)
        out: Tensor = x + functional.linear(functional.linear(dropped, self.enter), self.leave)
        return out

    def merged(self) -> nn.Linear:
        """One layer that gives the same."""
        layer = deepcopy(self.kept)
        with torch.no_grad():
            layer.weight += self.leave @ self.enter
        return layer


def _layers(encoder: WhisperEncoder) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    for block in encoder.blocks:
        for name in _CORRECTED:
            yield block, name, getattr(block, name)


def correct(encoder: WhisperEncoder, rank: int) -> list[dict[str, object]]:
    """Put corrections on all matrices of the attention blocks, and let only these, norms and biases be trained.

    Returns:
        parameters for the optimiser, in groups for `loop.set_rate`.
    """
    encoder.requires_grad_(False)
    corrections: list[nn.Parameter] = []
    rest = [p for module in encoder.modules() if isinstance(module, nn.LayerNorm) for p in module.parameters()]
    for block, name, layer in _layers(encoder):
        assert isinstance(layer, nn.Linear)
        corrected = Corrected(layer, rank)
        setattr(block, name, corrected)
        corrections += [corrected.enter, corrected.leave]
        rest.append(layer.bias)
    for parameter in rest:
        parameter.requires_grad_(True)
    return [{"params": corrections}, {"params": rest, "slower": _SLOWER}]


def merge(encoder: WhisperEncoder) -> None:
    """Make ordinary layers of corrected ones, in place."""
    for block, name, layer in _layers(encoder):
        assert isinstance(layer, Corrected)
        setattr(block, name, layer.merged())
