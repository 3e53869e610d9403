"""What each doubling of the training time brings: `python -m training.doublings --run RUN --corpus CORPUS`.

A run keeps its averaged weights at an eighth, a quarter, half and all of each stage's time. By each, and by the
package's, held-back training speakers are converted as `training.dev` does it, and judged by CAM++, tiny.en and
DistillMOS; DNSMOS and Resemblyzer, which judge in the end, are written beside that, and choose nothing.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path

import numpy as np
import torch
import yaml

from seedvc_live.audio.pcm import Pcm
from seedvc_live.audio.resample import resample
from seedvc_live.engines.nano import grid
from seedvc_live.engines.nano.engine import NanoSettings
from seedvc_live.engines.nano.networks import WEIGHTS
from seedvc_live.evaluate.similarity import cosine
from training.dev import PARTNERS, REFERENCE, Judge, held_back
from training.naturalness import LENGTH, load_distillmos
from training.train import MARKS, mark_name

COLUMNS = (
    "stage", "minutes", "step", "campplus", "words_wrong", "distillmos", "dnsmos", "dnsmos_signal", "resemblyzer",
)  # fmt: skip
_TAKEN_OVER = ("content.onnx", "pitch.onnx", "speaker.onnx")


def kept(run: Path) -> list[tuple[str, Path]]:
    """Stages and checkpoints that a run has, in order of time."""
    stages = (("train", run), ("sharpen", run / "sharpen"))
    names = [*map(mark_name, MARKS), "last.pt"]
    return [(stage, folder / name) for stage, folder in stages for name in names if (folder / name).exists()]


def ends(samples: np.ndarray) -> np.ndarray:
    """The first and the last of a clip's samples, (n,) → (2, LENGTH), as DistillMOS hears no other length.

    A shorter clip is repeated.
    """
    repeated = np.tile(samples, -(-LENGTH // len(samples)))
    return np.stack([repeated[:LENGTH], repeated[-LENGTH:]])


class Listeners:
    """DistillMOS, DNSMOS and Resemblyzer on conversions; `references`: of the voices, each (n,) at 24 kHz."""

    def __init__(self, wheels: Path, references: list[np.ndarray]) -> None:
        from seedvc_live.evaluate.quality import Dnsmos
        from seedvc_live.evaluate.similarity import Resemblyzer

        self.distillmos, self.dnsmos, self.resemblyzer = load_distillmos(wheels), Dnsmos(), Resemblyzer()
        self.references = [self.resemblyzer.embed(Pcm(samples, grid.RATE)) for samples in references]

    @torch.no_grad()
    def scores(self, samples: np.ndarray, voice: int) -> dict[str, float]:
        """Of a conversion, (n,) at 24 kHz, into that voice."""
        clip = Pcm(samples, grid.RATE)
        narrow = resample(clip, grid.ANALYSIS_RATE).samples
        quality = self.dnsmos.score(clip)
        return {
            "distillmos": float(self.distillmos(torch.from_numpy(ends(narrow))).mean()),
            "dnsmos": quality.overall, "dnsmos_signal": quality.signal,
            "resemblyzer": cosine(self.resemblyzer.embed(clip), self.references[voice]),
        }  # fmt: skip


def main() -> None:
    from seedvc_live.evaluate.models import obtain
    from seedvc_live.evaluate.recognise import Recogniser
    from training.export import export_run

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "nano.yaml")
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--run", type=Path, default=Path(__file__).parent / "runs" / "nano")
    parser.add_argument("--out", type=Path, default=Path("nano_doublings.csv"))
    options = parser.parse_args()
    recordings = held_back(options.corpus, yaml.safe_load(options.config.read_text()))
    transcribe = Recogniser("tiny.en", obtain("tiny.en")).transcribe
    listeners = Listeners(options.run / "wheels", [samples[:REFERENCE] for samples in recordings])
    # `Judge.condition` gives the conversions in this order.
    order = [(i + shift) % len(recordings) for i in range(len(recordings)) for shift in PARTNERS[0]]

    def row(stage: str, minutes: float, step: int, judged: dict[str, float], made: list[np.ndarray]) -> None:
        scores = [listeners.scores(samples, voice) for samples, voice in zip(made, order, strict=True)]
        means = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
        found = {"stage": stage, "minutes": round(minutes, 2), "step": step}
        found |= {name: round(value, 4) for name, value in (judged | means).items()}
        writer.writerow(found)
        file.flush()
        print(found, flush=True)

    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        sources = [samples for samples in recordings for _ in PARTNERS[0]]
        judge = Judge(WEIGHTS, recordings, transcribe, NanoSettings())
        floor = [judge.alike(samples, voice) for samples, voice in zip(sources, order, strict=True)]
        row("sources", 0, 0, {"campplus": float(np.mean(floor)), "words_wrong": 0.0}, sources)
        weights = options.run / "marked"
        weights.mkdir(exist_ok=True)
        for name in _TAKEN_OVER:
            shutil.copy(WEIGHTS / name, weights / name)

        def convert(stage: str, minutes: float, step: int, judge: Judge) -> None:
            made: list[np.ndarray] = []
            result = judge.condition("clean", 1, lambda name, samples: made.append(samples))
            row(stage, minutes, step, {"campplus": result["similarity"], "words_wrong": result["words_wrong"]}, made)

        for stage, path in kept(options.run):
            export_run(path.parent, weights, state=path.name)
            state = torch.load(path, weights_only=True)
            convert(stage, state["used"] / 60, state["step"], Judge(weights, recordings, transcribe, NanoSettings()))
        convert("package", 0, 0, judge)


if __name__ == "__main__":
    main()
