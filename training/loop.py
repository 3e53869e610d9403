"""What every training loop here does: a rate that rises and falls, averaged weights, checkpoints, a curve."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from torch import nn

_LEAST = 0.03


def half() -> torch.autocast:
    """Arithmetic in bfloat16, where the processor has it: elsewhere it is emulated, ten times slower than float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


def set_rate(optimiser: torch.optim.Optimizer, top: float, step: int, share: float) -> None:
    """Learning rate: 100 steps up, then a cosine down to 3 % of `top`; `share` of the time is used up.

    A group of parameters that has a `slower` goes by that much of it.
    """
    rate = top * min(1.0, (step + 1) / 100) * max(_LEAST, 0.5 + 0.5 * float(np.cos(np.pi * share)))
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("slower", 1.0)


@torch.no_grad()
def move(module: nn.Module, other: nn.Module, share: float) -> None:
    """Take a module's weights this share of the way to another's."""
    for own, its in zip(module.parameters(), other.parameters(), strict=True):
        own.lerp_(its, share)


def follow(average: nn.Module, model: nn.Module, step: int, limit: float) -> None:
    """Move the averaged weights towards the model's; quickly in the first steps, then by 1 - `limit`."""
    decay = min(limit, (1 + step) / (10 + step))
    move(average, model, 1 - decay)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """All of it, or what was there before."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.rename(path)


def add_row(path: Path, heading: Sequence[str], row: Sequence[Any]) -> None:
    """A row of a training curve; the heading first where the file is new."""
    with path.open("a") as file:
        if file.tell() == 0:
            csv.writer(file).writerow(heading)
        csv.writer(file).writerow(row)


class Group:
    """Processes that train one model together, each on examples of its own.

    Args:
        rank: of this process; size: how many there are.
        meeting: a file that all of them can write.
    """

    def __init__(self, rank: int, size: int, meeting: Path | None = None) -> None:
        self.rank, self.size = rank, size
        if size > 1:
            assert meeting is not None
            # An address holds no relative path.
            where = f"file://{meeting.resolve()}"
            torch.distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=size)

    @property
    def first(self) -> bool:
        """Whether this process writes what there is to write."""
        return self.rank == 0

    def meet(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            torch.distributed.barrier()

    def mean_gradients(self, model: nn.Module) -> None:
        """Give each process the mean of all processes' gradients; what had no part in a loss has a gradient of 0.

        What has a part may differ between processes, and what is sent must not.
        """
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.size == 1:
            return
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient) / self.size)

    def agreed(self, value: float) -> float:
        """The first process's value."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64)
        torch.distributed.broadcast(told, 0)
        return float(told)


ALONE = Group(0, 1)
