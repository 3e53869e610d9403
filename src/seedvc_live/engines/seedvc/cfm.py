"""Conditional flow matching (Lipman et al. 2023) with classifier-free guidance: the Euler solver."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seedvc_live.engines.seedvc.dit import DiT, DiTConfig, StepPlan


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
