"""The judge of naturalness that training listens to."""

from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.engines.nano import excitation

pytestmark = pytest.mark.torch


def test_the_network_is_as_large_as_the_published_one() -> None:
    from training.naturalness import DistillMos

    names = dict(DistillMos().named_parameters())
    assert sum(p.numel() for p in names.values()) == 4_133_226
    assert names["cnn.cnn.0.weight"].shape == (64, 2, 3, 3)
    assert names["transformer_pool_attn.transformer.transformer_encoder.layers.6.linear1.weight"].shape == (400, 200)


def test_an_opinion_has_a_gradient_and_no_loudness() -> None:
    import torch
    from training.naturalness import LENGTH, DistillMos, NaturalnessLoss

    torch.manual_seed(0)
    loss = NaturalnessLoss(DistillMos().eval().requires_grad_(False))
    pieces = np.stack([excitation.noise(i, 0, 17920) for i in range(8)])
    samples = torch.from_numpy(pieces).requires_grad_()
    score = loss(samples)
    assert 0 <= score.item() <= 4
    score.backward()
    assert samples.grad is not None
    # 7.68 s from the last pieces on: of the first ones nothing is heard.
    heard = samples.grad.abs().sum(1) > 0
    assert heard.tolist() == [False] * (8 - -(-LENGTH // 17920)) + [True] * -(-LENGTH // 17920)
    with torch.no_grad():
        # Not even of one piece against the others.
        quiet = loss(samples * torch.linspace(0.1, 1, 8)[:, None])
    assert quiet.item() == pytest.approx(score.item(), abs=0.02)
