"""Conditional flow matching (Lipman et al. 2023) with classifier-free guidance: the Euler solver."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seedvc_live.engines.seedvc.dit import Condition, DiT, PromptMemory
from seedvc_live.engines.seedvc.transformer import Block, DiTConfig, StepPlan

Memories = list[tuple[PromptMemory, PromptMemory | None]]
"""Per step: what a prompt leaves behind, with its condition and without."""


def schedule(steps: int) -> tuple[Tensor, Tensor]:
    """Times of the velocity evaluations and the step sizes, each (steps,), float32.

    Time is accumulated by adding steps, which is what the checkpoints' authors' solver does.
    """
    span = torch.linspace(0, 1, steps + 1)
    dt = span.diff()
    times = torch.cat([torch.zeros(1), dt[:-1]]).cumsum(0)
    return times, dt


class FlowMatching(nn.Module):
    """Integrates the transformer's velocity from noise (time 0) to a mel spectrogram (time 1)."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.estimator = DiT(config)
        self._plans: dict[int, StepPlan] = {}

    def plan(self, steps: int) -> StepPlan:
        """All that depends on the time of a step and on nothing else; computed once per step count."""
        found = self._plans.get(steps)
        if found is None:
            times = schedule(steps)[0].to(self.estimator.device)
            found = self._plans[steps] = self.estimator.plan(times)
        return found

    def forget_plans(self) -> None:
        """Call after the weights, their type or their device change."""
        self._plans.clear()

    def solve(
        self,
        noise: Tensor,
        prompt: Tensor,
        mu: Tensor,
        style: Tensor,
        lengths: Tensor,
        steps: int,
        cfg_rate: float | Tensor = 0.0,
        prompt_lengths: Tensor | None = None,
    ) -> Tensor:
        """Generate a batch of mel spectrograms.

        Args:
            noise: (B, n_mels, T); not changed.
            prompt: mel of the reference, (B, n_mels, P), P ≤ T.
            mu: conditions of prompt and source, (B, T, content_dim).
            style: speaker embedding, (B, style_dim).
            lengths: frames per sample, prompt included, (B,).
            steps: Euler steps, ≥ 1.
            cfg_rate: guidance; a number, or (B,) numbers all > 0. 0 skips the guidance pass.
            prompt_lengths: (B,) for prompts padded to P; None when all are P long.

        Returns:
            (B, n_mels, T); the prompt's frames are 0.
        """
        batch, _, frames = noise.shape
        size = prompt.shape[-1]
        rates = torch.as_tensor(cfg_rate, dtype=noise.dtype, device=noise.device)
        guided = bool((rates > 0).any())
        x = noise.transpose(1, 2).contiguous()
        prompt_x = torch.zeros_like(x)
        prompt_x[:, :size] = prompt.transpose(1, 2)
        position = torch.arange(frames, device=x.device)
        if prompt_lengths is None:
            prompt_lengths = torch.full((batch,), size, device=x.device)
        in_prompt = (position < prompt_lengths[:, None]).unsqueeze(-1)
        prompt_x = prompt_x * in_prompt
        x = x.masked_fill(in_prompt, 0.0)

        estimator = self.estimator
        static = estimator.condition(prompt_x, style, mu)
        if guided:
            static = static.with_null(estimator.null_condition(), frames)
            lengths = lengths.repeat(2)
            rates = rates.reshape(-1, 1, 1)
        first = int(prompt_lengths.min())
        plan = self.plan(steps)
        dts = schedule(steps)[1]
        for step in range(steps):
            doubled = torch.cat([x, x]) if guided else x
            velocity = estimator.velocity(doubled, static, plan.row(step), lengths, heard_from=first)
            if guided:
                with_condition, without = velocity.chunk(2)
                velocity = (1 + rates) * with_condition - rates * without
            x[:, first:] += dts[step] * velocity
            x = x.masked_fill(in_prompt, 0.0)
        return x.transpose(1, 2)

    def remember(self, prompt: Tensor, condition: Tensor, style: Tensor, steps: int, guided: bool) -> Memories:
        """Run prompts through every step once (see `DiT.remember_prompt`).

        Args:
            prompt: (B, n_mels, P).
            condition: (B, P, content_dim).
            style: (B, style_dim).

        Returns:
            one entry per step: with the condition, and without (None when not guided).
        """
        estimator = self.estimator
        given = estimator.condition(prompt.transpose(1, 2), style, condition)
        null = estimator.null_condition()
        spread = Condition(null.frames.expand(1, prompt.shape[-1], -1), null.style_token)
        plan = self.plan(steps)
        rows = [plan.row(step) for step in range(steps)]
        return [
            (
                estimator.remember_prompt(given, row),
                estimator.remember_prompt(spread, row) if guided else None,
            )
            for row in rows
        ]

    def solve_after(
        self,
        noise: Tensor,
        mu: Tensor,
        style: Tensor,
        memories: Sequence[Memories],
        steps: int,
        cfg_rate: Tensor,
    ) -> Tensor:
        """As `solve`, for the frames behind remembered prompts of one length. Approximate.

        Args:
            noise: (B, n_mels, T).
            mu: (B, T, content_dim).
            style: (B, style_dim).
            memories: one per sample.
            cfg_rate: (B,), all > 0 or all 0.

        Returns:
            (B, n_mels, T).
        """
        estimator = self.estimator
        x = noise.transpose(1, 2).contiguous()
        guided = memories[0][0][1] is not None
        static = estimator.condition(torch.zeros_like(x), style, mu)
        if guided:
            static = static.with_null(estimator.null_condition(), x.shape[1])
        rates = cfg_rate.reshape(-1, 1, 1)
        plan, dts = self.plan(steps), schedule(steps)[1]
        for step in range(steps):
            parts = [memory[step][0] for memory in memories]
            if guided:
                parts += [null for memory in memories if (null := memory[step][1]) is not None]
            doubled = torch.cat([x, x]) if guided else x
            velocity = estimator.velocity_after(doubled, static, plan.row(step), PromptMemory.stack(parts))
            if guided:
                with_condition, without = velocity.chunk(2)
                velocity = (1 + rates) * with_condition - rates * without
            x = x + dts[step] * velocity
        return x.transpose(1, 2)

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Matrix products of the transformer and the wavenet in `dtype`; norms and sums stay float32."""
        for block in self.estimator.transformer.layers:
            assert isinstance(block, Block)
            block.attention.to(dtype)
            block.feed_forward.to(dtype)
            if self.estimator.config.uvit_skip:
                block.skip_in_linear.to(dtype)
        if self.estimator.config.head == "wavenet":
            self.estimator.wavenet.to(dtype)
        self.forget_plans()
