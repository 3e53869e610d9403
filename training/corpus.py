"""Which recordings train the model, and which speakers must not.

The folder holds `librispeech/` (one utterance per speaker), `heldout.tsv` (never trained on) and
`parallel/` (time-aligned synthetic speech with `meta.jsonl`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from seedvc_live.engines.nano import grid


@dataclass(frozen=True)
class Clip:
    """One recording. Clips of one `group` are the same sentence, sample for sample."""

    name: str
    path: Path
    speaker: str
    group: str
    wide: bool
    """Whether there is anything above 8 kHz."""
    narrow: bool = False
    """Whether there is nothing above 5.5 kHz."""

    @property
    def kind(self) -> str:
        """ "spoken" by a machine, "acted", or "recorded" as most speech is."""
        if self.wide:
            return "spoken"
        return "acted" if self.narrow else "recorded"


def heldout(corpus: Path) -> set[str]:
    """File names that no training may use."""
    if not (corpus / "heldout.tsv").exists():
        return set()
    return {line.split("\t")[0] for line in (corpus / "heldout.tsv").read_text().splitlines()[1:]}


def real(corpus: Path) -> list[Clip]:
    """LibriSpeech without the held-out speakers."""
    never = heldout(corpus)
    speakers = {name.split("-")[0] for name in never}
    return [
        Clip(path.stem, path, path.name.split("-")[0], path.stem, wide=False)
        for path in sorted((corpus / "librispeech").glob("*.flac"))
        if path.name.split("-")[0] not in speakers
    ]


def spoken(folder: Path) -> list[Clip]:
    """Sentences that `training.speak` wrote; a voice is a speaker of its own, blends by their weights."""
    clips = []
    for line in (folder / "meta.jsonl").read_text().splitlines():
        entry = json.loads(line)
        for index, voice in enumerate(entry["voices"]):
            name = f"{entry['id']}_{index}"
            speaker = "+".join(f"{part}:{weight}" for part, weight in sorted(voice.items()))
            path = folder / f"{name}.opus"
            clips.append(Clip(name, path, speaker, entry["id"], wide=True))
    return clips


def parallel(corpus: Path) -> list[Clip]:
    """The synthetic sentences of a corpus, each in several voices."""
    return spoken(corpus / "parallel")


def acted(folder: Path, most: int | None = None) -> list[Clip]:
    """Lines that `training.talkies` wrote, or so many of them, out of all games; who speaks is not known."""
    paths = sorted(folder.glob("*.flac"))
    if most is not None and most < len(paths):
        paths = [paths[i * len(paths) // most] for i in range(most)]
    return [Clip(path.stem, path, path.stem, path.stem, wide=False, narrow=True) for path in paths]


def read(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """The recording at 24 kHz and at 16 kHz, float32."""
    samples, rate = soundfile.read(clip.path, dtype="float32")
    if samples.ndim > 1:
        samples = samples.mean(1)
    return (
        np.asarray(soxr.resample(samples, rate, grid.RATE), np.float32),
        np.asarray(soxr.resample(samples, rate, grid.ANALYSIS_RATE), np.float32),
    )
