from __future__ import annotations

from pathlib import Path

import numpy as np

from seedvc_live.audio.pcm import Pcm
from seedvc_live.evaluate.memory import Memory


class Judge:
    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, clip: Pcm) -> dict[str, float]:
        self.asked += 1
        return {"sum": float(clip.samples.sum())}


def clip(value: float, rate: int = 16000) -> Pcm:
    return Pcm(np.full(100, value, np.float32), rate)


def test_the_same_clip_is_judged_once_even_by_another_process(tmp_path: Path) -> None:
    judge = Judge()
    first = Memory(tmp_path).recall("a", clip(0.5), judge)
    assert Memory(tmp_path).recall("a", clip(0.5), judge) == first == {"sum": 50.0}
    assert judge.asked == 1


def test_another_clip_rate_or_judge_is_judged_anew(tmp_path: Path) -> None:
    judge, memory = Judge(), Memory(tmp_path)
    memory.recall("a", clip(0.5), judge)
    memory.recall("a", clip(0.5 + 1e-7), judge)
    memory.recall("a", clip(0.5, 24000), judge)
    memory.recall("a, another version", clip(0.5), judge)
    assert judge.asked == 4


def test_damage_and_a_folder_that_cannot_be_written_only_cost_time(tmp_path: Path) -> None:
    judge = Judge()
    Memory(tmp_path).recall("a", clip(0.5), judge)
    for path in tmp_path.rglob("*.json"):
        path.write_text("{")
    assert Memory(tmp_path).recall("a", clip(0.5), judge) == {"sum": 50.0}
    (tmp_path / "file").touch()
    assert Memory(tmp_path / "file").recall("a", clip(0.5), judge) == {"sum": 50.0}
    assert judge.asked == 3


def test_no_folder_keeps_nothing() -> None:
    judge = Judge()
    for _ in range(2):
        Memory(None).recall("a", clip(0.5), judge)
    assert judge.asked == 2
