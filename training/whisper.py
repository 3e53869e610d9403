"""Whisper's audio encoder in torch, read from a CTranslate2 file.

A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022. Only the encoder,
and any number of frames up to 1500: the position table is cut, not the input padded to 30 s.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read_ctranslate2(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a CTranslate2 `model.bin` (little endian), name → array."""
    tensors: dict[str, np.ndarray] = {}
    with path.open("rb") as file:

        def take(layout: str) -> tuple[int, ...]:
            return struct.unpack("<" + layout, file.read(struct.calcsize("<" + layout)))

        def text() -> str:
            return file.read(take("H")[0]).rstrip(b"\0").decode()

        take("I")
        text()
        take("I")
        for _ in range(take("I")[0]):
            name = text()
            shape = take("I" * take("B")[0])
            kind, size = take("BI")
            tensors[name] = np.frombuffer(file.read(size), _DTYPES[kind]).reshape(shape)
    return tensors


class Block(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, past: Tensor | None = None, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Steps (batch, n, width) → the same, and their keys and values, (2, batch, n, width).

        Args:
            past: keys and values of steps before that are attended to as well, (2, batch, m, width).
            seen: what each step attends to, bool (n, m + n); all, if not given.
        """
        batch, steps, width = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).chunk(3, -1)
        present = torch.stack([k, v])
        if past is not None:
            k, v = torch.cat([past, present], 2).unbind()
        q, k, v = (part.view(batch, -1, self.heads, width // self.heads).transpose(1, 2) for part in (q, k, v))
        scores = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        heard = torch.softmax(scores, dim=-1) @ v
        x = x + self.out(heard.transpose(1, 2).reshape(batch, steps, width))
        return x + self.down(functional.gelu(self.up(self.feed_norm(x)))), present


class WhisperEncoder(nn.Module):
    """Log-mel (batch, 80, frames) → features (batch, ceil(frames / 2), 384), 50 per second."""

    def __init__(self, width: int = 384, layers: int = 4, heads: int = 6) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(80, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(1500, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, mel: Tensor) -> Tensor:
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for block in self.blocks:
            x, _ = block(x)
        features: Tensor = self.norm(x)
        return features


def load_whisper(path: Path) -> WhisperEncoder:
    """The encoder of a CTranslate2 Whisper, float32, in evaluation mode."""
    tensors = read_ctranslate2(path)
    tensors = {name: t.astype(np.float32) for name, t in tensors.items() if name.startswith("encoder/")}
    layers = sum(name.endswith("ffn/linear_0/weight") for name in tensors)
    model = WhisperEncoder(tensors["encoder/conv1/weight"].shape[0], layers)
    state = {
        "positions": tensors["encoder/position_encodings/encodings"],
        "norm.weight": tensors["encoder/layer_norm/gamma"],
        "norm.bias": tensors["encoder/layer_norm/beta"],
    }
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            state[f"{conv}.{part}"] = tensors[f"encoder/{conv}/{part}"]
    linears = {
        "qkv": "self_attention/linear_0",
        "out": "self_attention/linear_1",
        "up": "ffn/linear_0",
        "down": "ffn/linear_1",
    }
    norms = {"attention_norm": "self_attention/layer_norm", "feed_norm": "ffn/layer_norm"}
    for index in range(layers):
        source, target = f"encoder/layer_{index}/", f"blocks.{index}."
        for ours, theirs in linears.items():
            for part in ("weight", "bias"):
                state[f"{target}{ours}.{part}"] = tensors[f"{source}{theirs}/{part}"]
        for ours, theirs in norms.items():
            state[f"{target}{ours}.weight"] = tensors[f"{source}{theirs}/gamma"]
            state[f"{target}{ours}.bias"] = tensors[f"{source}{theirs}/beta"]
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
    return model.eval()
