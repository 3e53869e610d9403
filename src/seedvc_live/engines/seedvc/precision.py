"""In which floating-point type the transformer multiplies matrices."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from seedvc_live.errors import EngineError

Precision = Literal["float32", "bf16", "fp16"]

_TYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def product_type(precision: str | None, device: torch.device) -> torch.dtype:
    """The type of matrix products; None chooses: float32 on a CPU, half precision on a GPU as the original does.

    Norms, sums, the solver's state and the vocoder are float32 in every case.

    Raises:
        EngineError: there is no such precision.
    """
    if precision is None:
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if precision not in _TYPES:
        raise EngineError(f"unknown precision '{precision}'; there are: {', '.join(get_args(Precision))}")
    return _TYPES[precision]
