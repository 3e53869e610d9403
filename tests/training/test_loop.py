"""What training loops share."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_a_slower_group_goes_by_so_much_of_the_rate() -> None:
    import torch
    from training.loop import set_rate

    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "slower": slower} for slower in (1.0, 0.1)]
    optimiser = torch.optim.SGD(groups, lr=1.0)
    set_rate(optimiser, 0.01, 200, 0.0)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.01, 0.001])


def test_move_goes_a_share_of_the_way() -> None:
    import torch
    from training.loop import move

    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    halfway = (one.weight + other.weight) / 2
    move(one, other, 0.5)
    torch.testing.assert_close(one.weight, halfway)
    move(one, other, 1.0)
    torch.testing.assert_close(one.weight, other.weight)


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


_TOGETHER = """
import sys
from pathlib import Path

import torch

from training.loop import Group

rank = int(sys.argv[1])
group = Group(rank, 2, Path(sys.argv[2]))
model = torch.nn.Linear(2, 1)
torch.nn.init.zeros_(model.weight)
model(torch.tensor([[1.0 + rank, 4.0 * rank]])).sum().backward()
group.mean_gradients(model)
print(model.weight.grad.tolist(), model.bias.grad.tolist(), group.first, group.agreed(7.0 + rank))
group.meet()
"""


def test_processes_that_train_together_have_one_gradient(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    (tmp_path / "runs" / "nano").mkdir(parents=True)
    # A path as a user may write it: relative.
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _TOGETHER, str(rank), "runs/nano/meeting"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0].split("] ") for process in others]
    assert said == [
        ["[[1.5, 2.0]", "[1.0", "True 7.0\n"],
        ["[[1.5, 2.0]", "[1.0", "False 7.0\n"],
    ]


def test_alone_nothing_is_shared() -> None:
    import torch
    from training.loop import ALONE

    model = torch.nn.Linear(1, 1)
    model(torch.ones(1, 1)).sum().backward()
    ALONE.mean_gradients(model)
    assert model.weight.grad is not None
    assert ALONE.agreed(3.0) == 3.0
    ALONE.meet()
