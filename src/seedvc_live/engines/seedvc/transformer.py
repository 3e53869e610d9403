"""The transformer inside the diffusion model: pre-norm blocks, rotary positions, SwiGLU, U-ViT skips.

F. Bao et al., "All are Worth Words", CVPR 2023; adaptive norms as in W. Peebles and S. Xie, "Scalable
Diffusion Models with Transformers", ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seedvc_live.engines.seedvc.wavenet import WaveNetConfig

NORM_EPS = 1e-5
ROTARY_BASE = 10000.0
KeyValue = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class DiTConfig:
    """Sizes and variants, as the checkpoints' YAML files name them."""

    dim: int
    heads: int
    depth: int
    n_mels: int
    content_dim: int
    style_dim: int = 192
    time_as_token: bool = False
    style_as_token: bool = False
    long_skip: bool = False
    uvit_skip: bool = True
    codebook_size: int = 1024
    head: Literal["mlp", "wavenet"] = "mlp"
    wavenet: WaveNetConfig | None = None

    @property
    def tokens(self) -> int:
        """Tokens in front of the frames."""
        return int(self.time_as_token) + int(self.style_as_token)

    @property
    def feed_forward(self) -> int:
        return -(-int(8 * self.dim / 3) // 256) * 256


class RMSNorm(nn.Module):
    """x / rms(x) · weight, in float32: (…, dim) → (…, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return normalise(x) * self.weight


def normalise(x: Tensor) -> Tensor:
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPS)


class AdaptiveNorm(nn.Module):
    """RMSNorm, optionally scaled and shifted by a projection of the conditioning vector.

    The scale multiplies as it is: no 1 is added.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project_layer = nn.Linear(dim, 2 * dim)
        self.norm = RMSNorm(dim)

    def modulation(self, condition: Tensor | None) -> Modulation:
        """Scale (with the norm's own weight) and shift for conditions (…, dim)."""
        if condition is None:
            return Modulation(self.norm.weight, None)
        scale, shift = self.project_layer(condition).chunk(2, dim=-1)
        return Modulation(scale * self.norm.weight, shift)

    def forward(self, x: Tensor, modulation: Modulation) -> Tensor:
        """(B, T, dim) → (B, T, dim)."""
        y = normalise(x)
        if modulation.shift is None:
            return y * modulation.scale
        return torch.addcmul(modulation.shift, y, modulation.scale)


class Modulation(NamedTuple):
    """Scale and shift of an adaptive norm, (S, 1, dim) each, or (dim,) and None."""

    scale: Tensor
    shift: Tensor | None

    def row(self, index: int) -> Modulation:
        if self.shift is None:
            return self
        return Modulation(self.scale[index : index + 1], self.shift[index : index + 1])


class Attention(nn.Module):
    """Self-attention with rotary positions on adjacent pairs (RoPE, Su et al. 2021)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.wqkv = nn.Linear(dim, 3 * dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(
        self, x: Tensor, rotary: Tensor, mask: Tensor | None, keep_from: int, past: KeyValue | None
    ) -> tuple[Tensor, KeyValue]:
        """Attend.

        Args:
            x: (B, T, dim), normed.
            rotary: (T, head_dim / 2), complex.
            mask: bool, (B, 1, 1, keys), True where a key counts; None = all.
            keep_from: queries from this token on; the others' results are not wanted.
            past: keys and values that stand before those of `x`, (B, heads, T_past, head_dim).

        Returns:
            (B, T - keep_from, dim), and this input's own keys and values.
        """
        batch, tokens, dim = x.shape
        if keep_from:
            weight = self.wqkv.weight
            q = F.linear(x[:, keep_from:], weight[:dim])
            k, v = F.linear(x, weight[dim:]).chunk(2, dim=-1)
        else:
            q, k, v = self.wqkv(x).chunk(3, dim=-1)
        q = rotate(q.unflatten(-1, (self.heads, -1)), rotary[keep_from:])
        k = rotate(k.unflatten(-1, (self.heads, -1)), rotary)
        own = (k.transpose(1, 2), v.unflatten(-1, (self.heads, -1)).transpose(1, 2))
        keys, values = own
        if past is not None:
            keys, values = (torch.cat(pair, dim=2) for pair in zip(past, own, strict=True))
        out = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, attn_mask=mask)
        return self.wo(out.transpose(1, 2).reshape(batch, tokens - keep_from, dim)), own


def rotary_table(length: int, head_dim: int) -> Tensor:
    """e^(i·position·frequency), (length, head_dim / 2), complex64, from float32 products."""
    exponents = torch.arange(0, head_dim, 2).float() / head_dim
    angles = torch.outer(torch.arange(length).float(), 1.0 / ROTARY_BASE**exponents)
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Rotate adjacent pairs in float32: (B, T, heads, head_dim), same type back."""
    if torch.compiler.is_compiling():  # the compiler has no complex arithmetic
        table = torch.view_as_real(rotary)[:, None]
        cos, sin = table[..., 0], table[..., 1]
        even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).type_as(x)
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotary[:, None, :]).flatten(-2).type_as(x)


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): (B, T, dim) → (B, T, dim)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)).mul_(self.w3(x)))


class Block(nn.Module):
    """Attention and feed-forward, each behind an adaptive norm; every block owns a skip projection."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.attention = Attention(config.dim, config.heads)
        self.feed_forward = FeedForward(config.dim, config.feed_forward)
        self.ffn_norm = AdaptiveNorm(config.dim)
        self.attention_norm = AdaptiveNorm(config.dim)
        if config.uvit_skip:
            self.skip_in_linear = nn.Linear(2 * config.dim, config.dim)

    def forward(
        self,
        x: Tensor,
        modulation: BlockModulation,
        rotary: Tensor,
        mask: Tensor | None,
        skip: Tensor | None = None,
        keep_from: int = 0,
        past: KeyValue | None = None,
    ) -> tuple[Tensor, KeyValue]:
        """(B, T, dim) → (B, T - keep_from, dim), and the block's keys and values."""
        kind = self.attention.wqkv.weight.dtype
        if skip is not None:
            x = self.skip_in_linear(torch.cat([x, skip], dim=-1).to(kind)).float()
        normed = self.attention_norm(x, modulation.attention).to(kind)
        attended, own = self.attention(normed, rotary, mask, keep_from, past)
        x = x[:, keep_from:] + attended
        return x + self.feed_forward(self.ffn_norm(x, modulation.feed_forward).to(kind)), own


class BlockModulation(NamedTuple):
    attention: Modulation
    feed_forward: Modulation

    def row(self, index: int) -> BlockModulation:
        return BlockModulation(self.attention.row(index), self.feed_forward.row(index))


@dataclass(frozen=True)
class StepPlan:
    """All that depends only on the times: tensors with one row per time."""

    embedding: Tensor
    blocks: Sequence[BlockModulation]
    final: Modulation
    wavenet: Tensor | None
    head: Modulation | None

    def row(self, index: int) -> StepPlan:
        """The plan of one step, to be broadcast over a batch."""
        one = slice(index, index + 1)
        return StepPlan(
            self.embedding[one],
            [block.row(index) for block in self.blocks],
            self.final.row(index),
            None if self.wavenet is None else self.wavenet[one],
            None if self.head is None else self.head.row(index),
        )


class Transformer(nn.Module):
    """The blocks and the final norm."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = AdaptiveNorm(config.dim)

    def forward(
        self,
        x: Tensor,
        row: StepPlan,
        rotary: Tensor,
        mask: Tensor | None,
        keep_from: int = 0,
        past: Sequence[KeyValue] | None = None,
    ) -> tuple[Tensor, list[KeyValue]]:
        """(B, T, dim) → (B, T - keep_from, dim), and each block's keys and values.

        Only the last block can leave out tokens: all others' tokens are keys of the next one.
        """
        half, last = self.config.depth // 2, self.config.depth - 1
        skips: list[Tensor] = []
        memory: list[KeyValue] = []
        for i, block in enumerate(self.layers):
            skip = skips.pop() if self.config.uvit_skip and i > half else None
            x, own = block(
                x,
                row.blocks[i],
                rotary,
                mask,
                skip,
                keep_from if i == last else 0,
                None if past is None else past[i],
            )
            memory.append(own)
            if self.config.uvit_skip and i < half:
                skips.append(x)
        return self.norm(x, row.final), memory
