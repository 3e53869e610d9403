"""What training loops share."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.torch


def test_rate_rises_and_falls_to_a_thirtieth() -> None:
    import torch
    from training.loop import set_rate

    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)

    def rate(step: int, share: float) -> float:
        set_rate(optimiser, 0.01, step, share)
        return optimiser.param_groups[0]["lr"]

    assert rate(0, 0.0) == pytest.approx(0.0001)
    assert rate(99, 0.0) == pytest.approx(0.01)
    assert rate(500, 0.5) == pytest.approx(0.005)
    assert rate(999, 1.0) == pytest.approx(0.0003)


def test_average_follows_at_once_and_then_slowly() -> None:
    import torch
    from training.loop import follow

    average, model = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(average.weight)
    torch.nn.init.ones_(model.weight)
    follow(average, model, 1, 0.99)
    assert float(average.weight.detach()) == pytest.approx(1 - 2 / 11)
    before = float(average.weight.detach())
    follow(average, model, 10**6, 0.99)
    assert float(average.weight.detach()) == pytest.approx(before + 0.01 * (1 - before))


def test_checkpoint_is_whole_and_the_curve_has_one_heading(tmp_path: Path) -> None:
    import torch
    from training.loop import add_row, save_checkpoint

    for step in (1, 2):
        save_checkpoint(tmp_path / "last.pt", {"step": step})
        add_row(tmp_path / "curve.csv", ("step",), (step,))
    assert torch.load(tmp_path / "last.pt", weights_only=True) == {"step": 2}
    assert (tmp_path / "curve.csv").read_text().split() == ["step", "1", "2"]
    assert not list(tmp_path.glob("*.part"))
