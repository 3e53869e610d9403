"""The transformer through torch.compile; on a GPU its kernels are replayed as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seedvc_live.engines.seedvc.dit import DiT
from seedvc_live.engines.seedvc.transformer import KeyValue, StepPlan

MAX_SHAPES = 8
"""Compiled variants; torch itself gives up on a function after as many. Other shapes run uncompiled."""

Run = Callable[..., tuple[Tensor, list[KeyValue]]]


def compile_transformer(estimator: DiT, **options: Any) -> None:
    """Compile in place, each shape at its first use (see `SeedVCEngine.warm_up`).

    Args:
        options: of torch.compile, instead of those for the estimator's device.
    """
    graphs = estimator.device.type == "cuda"
    transformer = estimator.transformer
    plain: Run = transformer.forward
    chosen = options or {"mode": "reduce-overhead" if graphs else "default"}
    compiled: Run = torch.compile(plain, dynamic=False, **chosen)
    seen: set[tuple[Any, ...]] = set()

    def run(
        x: Tensor,
        row: StepPlan,
        rotary: Tensor,
        mask: Tensor | None,
        keep_from: int = 0,
        past: Sequence[KeyValue] | None = None,
    ) -> tuple[Tensor, list[KeyValue]]:
        shape = (x.shape, mask is None, keep_from, None if past is None else past[0][0].shape)
        if shape not in seen:
            if len(seen) == MAX_SHAPES:
                return plain(x, row, rotary, mask, keep_from, past)
            seen.add(shape)
        if graphs:
            torch.compiler.cudagraph_mark_step_begin()
        hidden, memory = compiled(x, row, rotary, mask, keep_from, past)
        # A graph's next replay writes into the tensors that this one returned.
        return (hidden.clone(), memory) if graphs else (hidden, memory)

    transformer.forward = run  # type: ignore[method-assign]
