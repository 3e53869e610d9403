"""The diffusion transformer: velocity of the mel spectrogram at one time of the flow.

A transformer (pre-norm, rotary positions, SwiGLU) with U-ViT skips (Bao et al. 2023) and adaptive norms
(DiT, Peebles & Xie 2023), followed by a wavenet or an MLP head. Everything that does not depend on the
noisy mel is computed apart: what depends on the step's time in `plan`, on the conditions in `condition`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seedvc_live.engines.seedvc.transformer import (
    Block,
    BlockModulation,
    DiTConfig,
    KeyValue,
    Modulation,
    StepPlan,
    Transformer,
    rotary_table,
)
from seedvc_live.engines.seedvc.wavenet import WaveNet
from seedvc_live.engines.seedvc.weightnorm import NormedLinear

HEAD_NORM_EPS = 1e-6
TABLE_LENGTH = 16384


class TimestepEmbedder(nn.Module):
    """Sinusoids of 1000·t through an MLP: (S,) → (S, dim)."""

    freqs: Tensor

    def __init__(self, dim: int, sinusoids: int = 256) -> None:
        super().__init__()
        half = sinusoids // 2
        exponents = -math.log(10000.0) * torch.arange(half, dtype=torch.float32) / half
        self.register_buffer("freqs", torch.exp(exponents))
        self.mlp = nn.Sequential(nn.Linear(sinusoids, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t: Tensor) -> Tensor:
        angles = 1000.0 * t.float()[:, None] * self.freqs[None, :]
        return self.mlp(torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1))


@dataclass(frozen=True)
class Condition:
    """What the merged input projection gives for everything but the noisy mel.

    Attributes:
        frames: (B, T, dim), or (B, 1, dim) where it is the same for all frames.
        style_token: (B, 1, dim), or None.
    """

    frames: Tensor
    style_token: Tensor | None

    def with_null(self, null: Condition, frames: int) -> Condition:
        """The batch of guidance: this batch, then as many rows without any condition."""
        batch = self.frames.shape[0]
        tokens = self.style_token
        if tokens is not None and null.style_token is not None:
            tokens = torch.cat([tokens, null.style_token.expand(batch, -1, -1)])
        return Condition(torch.cat([self.frames, null.frames.expand(batch, frames, -1)]), tokens)


@dataclass(frozen=True)
class PromptMemory:
    """What a prompt leaves behind at one step: keys and values of each block, (B, heads, tokens, head_dim),
    and the transformer's output for the last frames, (B, reach, dim), which the head of the next ones needs.
    """

    layers: list[KeyValue]
    hidden: Tensor
    frames: int

    @classmethod
    def stack(cls, parts: Sequence[PromptMemory]) -> PromptMemory:
        """Memories of several prompts of one length, as one batch."""
        layers = [
            (torch.cat([k for k, _ in layer]), torch.cat([v for _, v in layer]))
            for layer in zip(*(part.layers for part in parts), strict=True)
        ]
        return cls(layers, torch.cat([part.hidden for part in parts]), parts[0].frames)


class FinalLayer(nn.Module):
    """Modulated LayerNorm and projection behind the wavenet."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = NormedLinear(dim, dim)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 2 * dim))

    def modulation(self, embedding: Tensor) -> Modulation:
        """From time embeddings (S, dim); the checkpoints give the shift first."""
        shift, scale = self.adaLN_modulation(embedding).chunk(2, dim=-1)
        return Modulation(1 + scale.unsqueeze(1), shift.unsqueeze(1))

    def forward(self, x: Tensor, modulation: Modulation) -> Tensor:
        """(B, T, dim) → (B, T, dim)."""
        assert modulation.shift is not None
        normed = F.layer_norm(x, x.shape[-1:], eps=HEAD_NORM_EPS)
        return self.linear(normed * modulation.scale + modulation.shift)


class DiT(nn.Module):
    """The velocity estimator.

    `x_embedder`, `cond_embedder`, `content_mask_embedder` and, without the long skip, `skip_linear`
    belong to the checkpoints and are not used.
    """

    input_pos: Tensor
    rotary: Tensor

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.register_buffer("input_pos", torch.arange(TABLE_LENGTH))
        table = rotary_table(TABLE_LENGTH, dim // config.heads)
        self.register_buffer("rotary", table, persistent=False)
        self.transformer = Transformer(config)
        self.x_embedder = NormedLinear(config.n_mels, dim)
        self.cond_embedder = nn.Embedding(config.codebook_size, dim)
        self.cond_projection = nn.Linear(config.content_dim, dim)
        self.t_embedder = TimestepEmbedder(dim)
        self.content_mask_embedder = nn.Embedding(1, dim)
        self.skip_linear = nn.Linear(dim + config.n_mels, dim)
        merged = dim + 2 * config.n_mels
        if config.style_as_token:
            self.style_in = nn.Linear(config.style_dim, dim)
        else:
            merged += config.style_dim
        self.cond_x_merge_linear = nn.Linear(merged, dim)
        if config.head == "wavenet":
            assert config.wavenet is not None
            channels = config.wavenet.channels
            self.t_embedder2 = TimestepEmbedder(channels)
            self.conv1 = nn.Linear(dim, channels)
            self.conv2 = nn.Conv1d(channels, config.n_mels, 1)
            self.wavenet = WaveNet(config.wavenet)
            self.final_layer = FinalLayer(channels)
            self.res_projection = nn.Linear(dim, channels)
        else:
            self.final_mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, config.n_mels))

    @property
    def device(self) -> torch.device:
        return self.input_pos.device

    @property
    def reach(self) -> int:
        """Neighbouring frames that the head needs on each side."""
        return self.config.wavenet.reach if self.config.wavenet is not None else 0

    def plan(self, times: Tensor) -> StepPlan:
        """Precompute for flow times (S,), each in [0, 1]."""
        embedding = self.t_embedder(times)
        condition = embedding.unsqueeze(1)
        inside = None if self.config.time_as_token else condition
        blocks = []
        for block in self.transformer.layers:
            assert isinstance(block, Block)
            norms = (block.attention_norm, block.ffn_norm)
            blocks.append(BlockModulation(*(norm.modulation(inside) for norm in norms)))
        wavenet = head = None
        if self.config.head == "wavenet":
            wavenet = self.wavenet.condition(self.t_embedder2(times).to(self._head_type))
            head = self.final_layer.modulation(embedding)
        return StepPlan(embedding, blocks, self.transformer.norm.modulation(condition), wavenet, head)

    @property
    def _head_type(self) -> torch.dtype:
        bias = self.wavenet.cond_layer.conv.conv.bias
        assert isinstance(bias, Tensor)
        return bias.dtype

    def condition(self, prompt_x: Tensor, style: Tensor, cond: Tensor) -> Condition:
        """Project the conditions.

        Args:
            prompt_x: the reference's mel, zero after it, (B, T, n_mels).
            style: (B, style_dim).
            cond: (B, T, content_dim).
        """
        mels, dim = self.config.n_mels, self.config.dim
        weight = self.cond_x_merge_linear.weight
        projected = self.cond_projection(cond)
        inputs = torch.cat([prompt_x, projected], dim=-1)
        frames = F.linear(inputs, weight[:, mels : 2 * mels + dim], self.cond_x_merge_linear.bias)
        if self.config.style_as_token:
            return Condition(frames, self.style_in(style).unsqueeze(1))
        return Condition(frames + F.linear(style, weight[:, 2 * mels + dim :]).unsqueeze(1), None)

    def null_condition(self) -> Condition:
        """The conditions of guidance's other half: zero BEFORE the projections, so biases remain."""
        c = self.config
        zeros = [torch.zeros(1, 1, size, device=self.device) for size in (c.n_mels, c.content_dim)]
        return self.condition(zeros[0], torch.zeros(1, c.style_dim, device=self.device), zeros[1])

    def merge(self, x: Tensor, condition: Condition) -> Tensor:
        """Noisy mel (B, T, n_mels) and conditions → the transformer's frames (B, T, dim)."""
        return condition.frames + F.linear(x, self.cond_x_merge_linear.weight[:, : self.config.n_mels])

    def prepend(self, frames: Tensor, condition: Condition, row: StepPlan) -> Tensor:
        """Put the tokens in front: time, then style."""
        batch = frames.shape[0]
        parts = []
        if self.config.time_as_token:
            parts.append(row.embedding.unsqueeze(1).expand(batch, -1, -1))
        if condition.style_token is not None:
            parts.append(condition.style_token.expand(batch, -1, -1))
        return torch.cat([*parts, frames], dim=1) if parts else frames

    def velocity(
        self,
        x: Tensor,
        condition: Condition,
        row: StepPlan,
        lengths: Tensor,
        heard_from: int = 0,
        own_ends: bool = True,
    ) -> Tensor:
        """Velocity at one time.

        Args:
            x: noisy mel, (B, T, n_mels).
            condition: of the same batch.
            row: of this step.
            lengths: frames per sample, (B,) or (1,).
            heard_from: frames before this one are not wanted.
            own_ends: the wavenet reflects each sample at its own end, so that a padded sample gives what
                it gives alone; False reflects at T, as the authors' batches do.

        Returns:
            (B, T - heard_from, n_mels).
        """
        frames = x.shape[1]
        tokens = self.config.tokens
        h = self.prepend(self.merge(x, condition), condition, row)
        full = bool((lengths >= frames).all())
        mask = None
        if not full:
            position = torch.arange(frames + tokens, device=x.device)
            mask = (position < (lengths + tokens)[:, None])[:, None, None, :]
        start = max(0, heard_from - self.reach)
        keep_from = start + tokens if start else 0
        out, _ = self.transformer(h, row, self.rotary[: frames + tokens], mask, keep_from)
        out = out if keep_from else out[:, tokens:]
        inside = None if full else lengths - start
        return self.head(out, x[:, start:], row, inside, own_ends)[:, heard_from - start :]

    def remember_prompt(self, condition: Condition, row: StepPlan) -> PromptMemory:
        """Run the prompt alone, its noisy mel being 0, and keep its keys and values.

        Approximate: in the exact computation the prompt attends to the frames behind it too.

        Args:
            condition: of the prompt's frames, (B, P, dim).
            row: of this step.
        """
        batch, frames, _ = condition.frames.shape
        tokens = self.config.tokens
        x = torch.zeros(batch, frames, self.config.n_mels, device=self.device)
        h = self.prepend(self.merge(x, condition), condition, row)
        keep_from = tokens + max(0, frames - self.reach)
        out, memory = self.transformer(h, row, self.rotary[: frames + tokens], None, keep_from)
        # Compiled on a GPU, the transformer reuses the tensors it returns.
        return PromptMemory([(k.clone(), v.clone()) for k, v in memory], out, frames)

    def velocity_after(self, x: Tensor, condition: Condition, row: StepPlan, memory: PromptMemory) -> Tensor:
        """Velocity of the frames behind a remembered prompt, (B, T, n_mels) → (B, T, n_mels)."""
        frames = x.shape[1]
        begin = memory.frames + self.config.tokens
        rotary = self.rotary[begin : begin + frames]
        out, _ = self.transformer(self.merge(x, condition), row, rotary, None, 0, memory.layers)
        known = memory.hidden.shape[1]
        if known:
            out = torch.cat([memory.hidden, out], dim=1)
            x = F.pad(x, (0, 0, known, 0))
        return self.head(out, x, row, None)[:, known:]

    def head(self, hidden: Tensor, x: Tensor, row: StepPlan, lengths: Tensor | None, own_ends: bool = True) -> Tensor:
        """Transformer output (B, T, dim) and noisy mel (B, T, n_mels) → velocity (B, T, n_mels)."""
        if self.config.long_skip:
            hidden = self.skip_linear(torch.cat([hidden, x], dim=-1))
        if self.config.head == "mlp":
            return self.final_mlp(hidden)
        assert row.wavenet is not None
        assert row.head is not None
        mask = None
        if lengths is not None:
            position = torch.arange(hidden.shape[1], device=hidden.device)
            mask = (position < lengths[:, None]).unsqueeze(1).to(self._head_type)
        ends = lengths if own_ends else None
        h = self.conv1(hidden).transpose(1, 2).to(self._head_type)
        h = self.wavenet(h, mask, row.wavenet, ends).float()
        h = h.transpose(1, 2) + self.res_projection(hidden)
        h = self.final_layer(h, row.head)
        return self.conv2(h.transpose(1, 2)).transpose(1, 2)

    def forward(self, x: Tensor, prompt_x: Tensor, x_lens: Tensor, t: Tensor, style: Tensor, cond: Tensor) -> Tensor:
        """The whole estimator in one call, one time per sample.

        Args:
            x, prompt_x: (B, n_mels, T).
            x_lens: (B,) or (1,).
            t: (B,).
            style: (B, style_dim).
            cond: (B, T, content_dim).

        Returns:
            (B, n_mels, T).
        """
        condition = self.condition(prompt_x.transpose(1, 2), style, cond)
        velocity = self.velocity(x.transpose(1, 2), condition, self.plan(t), x_lens, own_ends=False)
        return velocity.transpose(1, 2)
