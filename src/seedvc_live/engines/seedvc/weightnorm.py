"""Weight normalisation (Salimans & Kingma, 2016) with the checkpoints' key names, foldable.

The published files hold `weight_g` and `weight_v`; some are published already folded (`weight`). The
layers here accept either, and `fold()` multiplies the two once, so that no step pays for it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fold_pair(weight_g: Tensor, weight_v: Tensor) -> Tensor:
    """`weight_v` scaled to have norm `weight_g` over all dimensions but the first."""
    dims = tuple(range(1, weight_v.dim()))
    norm = torch.linalg.vector_norm(weight_v, dim=dims, keepdim=True)
    return weight_v * (weight_g / norm)


class _WeightNorm(nn.Module):
    """Mix-in: replaces the parameter `weight` by `weight_g` and `weight_v`."""

    weight_g: nn.Parameter
    weight_v: nn.Parameter

    def _split_weight(self) -> None:
        weight = self.get_parameter("weight").detach()
        del self._parameters["weight"]
        dims = tuple(range(1, weight.dim()))
        self.weight_g = nn.Parameter(torch.linalg.vector_norm(weight, dim=dims, keepdim=True))
        self.weight_v = nn.Parameter(weight.clone())

    @property
    def folded(self) -> bool:
        return "weight" in self._parameters

    def effective_weight(self) -> Tensor:
        if self.folded:
            return self.get_parameter("weight")
        return fold_pair(self.weight_g, self.weight_v)

    def fold(self) -> None:
        """Multiply out; the module's only key is then `weight`. Folding twice does no harm."""
        if self.folded:
            return
        weight = self.effective_weight().detach()
        del self._parameters["weight_g"], self._parameters["weight_v"]
        self.register_parameter("weight", nn.Parameter(weight, requires_grad=False))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        folded_key = prefix + "weight"
        pair = (prefix + "weight_g", prefix + "weight_v")
        if folded_key in state_dict and not any(key in state_dict for key in pair):
            self.fold()
        elif self.folded and all(key in state_dict for key in pair):
            state_dict[folded_key] = fold_pair(*(state_dict.pop(key) for key in pair))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class NormedConv1d(_WeightNorm, nn.Conv1d):
    """`nn.Conv1d` under weight norm: (B, C_in, T) → (B, C_out, T')."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._split_weight()

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.effective_weight(), self.bias)


class NormedConvTranspose1d(_WeightNorm, nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` under weight norm, whose first dimension is the INPUT channel."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._split_weight()

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        stride, padding = self.stride[0], self.padding[0]
        return F.conv_transpose1d(
            x, self.effective_weight(), self.bias, stride, int(padding), dilation=self.dilation[0]
        )


class NormedLinear(_WeightNorm, nn.Linear):
    """`nn.Linear` under weight norm."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._split_weight()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.effective_weight(), self.bias)


def fold_weight_norm(module: nn.Module) -> None:
    """Fold every weight norm below `module`."""
    for child in module.modules():
        if isinstance(child, _WeightNorm):
            child.fold()
