"""The curve over doublings of the training time: which checkpoints make it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("yaml")
pytest.importorskip("torch")

from training.doublings import ends, kept
from training.naturalness import LENGTH

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


def test_both_ends_of_a_long_clip_are_heard_and_a_short_one_more_than_once() -> None:
    long, short = np.arange(LENGTH + 1000), np.arange(LENGTH // 2 - 1)
    assert ends(long).shape == ends(short).shape == (2, LENGTH)
    assert ends(long)[0, 0] == 0
    assert ends(long)[1, -1] == long[-1]
    assert (np.bincount(ends(short)[0], minlength=len(short)) >= 2).all()
