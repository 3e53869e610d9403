"""The curve over doublings of the training time: which checkpoints make it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("torch")

from training.doublings import kept

pytestmark = pytest.mark.torch


def test_stages_follow_each_other_and_time_goes_on(tmp_path: Path) -> None:
    (tmp_path / "sharpen").mkdir()
    for name in ("last.pt", "at_0.5.pt", "at_0.125.pt", "sharpen/at_0.25.pt", "sharpen/curve.csv"):
        (tmp_path / name).touch()
    names = [(stage, path.relative_to(tmp_path).as_posix()) for stage, path in kept(tmp_path)]
    assert names == [
        ("train", "at_0.125.pt"), ("train", "at_0.5.pt"), ("train", "last.pt"), ("sharpen", "sharpen/at_0.25.pt"),
    ]  # fmt: skip


def test_a_run_that_kept_nothing_has_no_curve(tmp_path: Path) -> None:
    assert kept(tmp_path) == []
