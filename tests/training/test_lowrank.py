"""Corrections of low rank: none at first, nothing else is trained, and they merge into ordinary layers."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.torch


def encoder():
    import torch
    from training.whisper import WhisperEncoder

    torch.manual_seed(0)
    return WhisperEncoder(width=48, layers=2, heads=3).eval()


def answer(model) -> np.ndarray:
    import torch

    mel = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 80, 40)).astype(np.float32))
    with torch.no_grad():
        return model(mel).numpy()


def test_corrections_begin_as_none_and_merge_as_they_are() -> None:
    import torch

    from training import lowrank

    model = encoder()
    plain, names = answer(model), set(model.state_dict())
    groups = lowrank.correct(model, 4)
    model.eval()
    np.testing.assert_allclose(answer(model), plain, atol=1e-5)
    with torch.no_grad():
        for parameter in groups[0]["params"]:
            parameter.add_(0.1 * torch.randn_like(parameter))
    corrected = answer(model)
    assert np.abs(corrected - plain).max() > 0.01
    lowrank.merge(model)
    assert set(model.state_dict()) == names
    np.testing.assert_allclose(answer(model), corrected, atol=1e-4)


def test_matrices_themselves_are_not_trained() -> None:
    from training import lowrank

    model = encoder()
    groups = lowrank.correct(model, 4)
    trained = {id(p) for group in groups for p in group["params"]}
    assert trained == {id(p) for p in model.parameters() if p.requires_grad}
    assert not any(
        p.requires_grad for name, p in model.named_parameters() if name.endswith("kept.weight") or "conv" in name
    )
    assert sum(p.numel() for p in groups[0]["params"]) < 0.4 * sum(p.numel() for p in model.blocks.parameters())
