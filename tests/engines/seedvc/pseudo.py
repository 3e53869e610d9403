"""Weights that anyone can generate: the pseudo-weight rule of the conformance vectors."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

AS_BUILT = ("input_pos", "freqs", "filter")


def pseudo_array(name: str, shape: tuple[int, ...], kind: str = "") -> np.ndarray[Any, Any]:
    """The rule's value for a key; `kind` is "hift", "bigvgan" or empty."""
    one, small = np.float32(1), np.float32(0.1)
    seed = zlib.crc32(name.encode("utf-8"))
    v = np.asarray(np.random.RandomState(seed).standard_normal(shape)).astype(np.float32)
    dims = len(shape)
    if name.endswith("weight_g"):
        v = one + small * v
    elif name.endswith("running_var"):
        v = one + small * np.abs(v)
    elif name.endswith("running_mean"):
        v = small * v
    elif kind == "hift" and name.endswith(".alpha"):
        v = one + small * v
    elif dims <= 1 and ("norm" in name.lower() or name.endswith("weight")):
        v = one + np.float32(0.02) * v
    elif dims <= 1:
        v = np.float32(0.02) * v
    else:
        v = v / np.float32(np.sqrt(np.prod(shape[1:])))
    return np.asarray(v * np.float32(_factor(name, kind)), dtype=np.float32)


def _factor(name: str, kind: str) -> float:
    if kind in ("hift", "bigvgan") and name in ("conv_pre.weight_g", "conv_post.weight_g"):
        return 0.3
    if kind == "hift" and name == "f0_predictor.classifier.weight":
        return 300.0
    if kind == "bigvgan" and name.startswith("resblocks.") and name.endswith("weight_g"):
        return 0.7
    return 1.0


def pseudo_state(module: nn.Module, kind: str = "", linear_snake: bool = False) -> dict[str, torch.Tensor]:
    """A state dict of the module's layout, filled by the rule."""
    state = {}
    for name, value in module.state_dict().items():
        if not value.is_floating_point() or name.rsplit(".", 1)[-1] in AS_BUILT:
            state[name] = value.clone()
            continue
        array = pseudo_array(name, tuple(value.shape), kind)
        if linear_snake and name.endswith(".alpha"):
            array = np.float32(1) + np.float32(5) * array
        state[name] = torch.from_numpy(array)
    return state


def fill(module: nn.Module, kind: str = "", linear_snake: bool = False) -> nn.Module:
    """Fill and return the module, in eval mode and without gradients."""
    module.load_state_dict(pseudo_state(module, kind, linear_snake), strict=True)
    return module.eval().requires_grad_(False)


def check_layout(module: nn.Module, keys: Path) -> None:
    """The module has exactly the checkpoint's keys, shapes and types."""
    expected = {k: (tuple(s), d.replace("torch.", "")) for k, s, d in json.loads(keys.read_text())}
    found = {k: (tuple(v.shape), str(v.dtype).replace("torch.", "")) for k, v in module.state_dict().items()}
    assert found == expected


def check_crc(module: nn.Module, path: Path) -> None:
    """The filled weights are the recorded ones, bit for bit.

    `freqs` is left as built: its last bit is the recording machine's exp(), not the rule's.
    """
    expected = json.loads(path.read_text())
    state = module.state_dict()
    assert set(state) == set(expected)
    expected = {name: crc for name, crc in expected.items() if not name.endswith(".freqs")}
    wrong = [
        name
        for name, crc in expected.items()
        if zlib.crc32(np.ascontiguousarray(state[name].numpy()).tobytes()) != int(crc)
    ]
    assert wrong == []
