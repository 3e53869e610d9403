"""Streams of degraded speech, and what Whisper answers to the same speech undisturbed.

What a step should say is asked in windows of about a second, its past and its future in them: a teacher that hears more
than a stream can.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from seedvc_live.engines.nano import encoder, grid, spectrum
from training import augment, corpus, loop
from training.whisper import WhisperEncoder

_STEP = 2 * grid.ANALYSIS_HOP
_WINDOW = 57
"""Steps of the teacher's windows."""
_FROM, _HOP = 30, 8
"""First step that is kept of a window, and steps from one window to the next; two windows are asked for each step.

What Whisper answers depends on where in its window a sound is, by a quarter of its variance from one place to the next:
the mean of two is nearer to what is the same for all."""


class Batch(NamedTuple):
    """Streams: normalised log-mel of degraded speech (batch, 80, 2 × steps + 7), its positions (batch, steps, 384); the
    content wanted (batch, steps, 384); power spectra of degraded speech and of the recording without its noise, at the
    frames that have a gain (batch, 2 × steps, 201); whether a stream's whole band is speech's, so that a mask can learn
    from it (batch,)."""

    mel: Tensor
    positions: Tensor
    content: Tensor
    power: Tensor
    speech: Tensor
    full: Tensor


class Said(NamedTuple):
    """A clip at 16 kHz: as recorded and without its noise, float16 (2, n); its content, float16 (n / 320, 384)."""

    audio: np.ndarray
    content: np.ndarray


@torch.no_grad()
def answers(teacher: WhisperEncoder, samples: np.ndarray) -> np.ndarray:
    """Content of a signal at 16 kHz, (n,) → (n // 320, 384), float16."""
    steps = len(samples) // _STEP
    # The first window's second half of kept steps is the signal's beginning.
    count = -(-steps // _HOP) + 1
    padded = np.pad(samples, ((_FROM + _HOP) * _STEP, (_WINDOW + _HOP) * _STEP))
    frames = 2 * ((count - 1) * _HOP + _WINDOW) - 1
    # Step s lies in the middle of frame 2s, which lies FIRST_FRAME points on.
    power = spectrum.power_frames(
        spectrum.without_rumble(padded), grid.ANALYSIS_HOP, spectrum.FFT, spectrum.FFT, grid.FIRST_FRAME, frames
    )
    views = np.lib.stride_tricks.sliding_window_view(power, 2 * _WINDOW - 1, axis=0)[:: 2 * _HOP].swapaxes(1, 2)
    kept = slice(_FROM, _FROM + 2 * _HOP)
    with loop.half():
        said = torch.cat([
            teacher(torch.from_numpy(spectrum.whisper_mel(views[i : i + 24])))[:, kept] for i in range(0, count, 24)
        ]).float()  # fmt: skip
    mean = (said[:-1, _HOP:] + said[1:, :_HOP]) / 2
    return mean.flatten(0, 1)[:steps].numpy().astype(np.float16)


def said(clip: corpus.Clip, clean: Callable[[corpus.Clip], np.ndarray], teacher: WhisperEncoder, ratio: float) -> Said:
    """A clip, its pitch and formants times `ratio`.

    Args:
        clean: gives a recording at 24 kHz without its noise; asked for neither what a machine spoke nor actors' lines.
    """
    heard = corpus.read(clip)[1]
    speech = heard
    if clip.kind == "recorded":
        speech = np.asarray(soxr.resample(clean(clip), grid.RATE, grid.ANALYSIS_RATE), np.float32)
    audio = np.stack([part[: min(len(heard), len(speech))] for part in (heard, speech)])
    if ratio != 1:
        rate = round(grid.ANALYSIS_RATE * ratio)
        audio = np.stack([np.asarray(soxr.resample(part, rate, grid.ANALYSIS_RATE), np.float32) for part in audio])
    audio = audio[:, : audio.shape[1] // _STEP * _STEP]
    return Said(audio.astype(np.float16), answers(teacher, audio[0]))


def _copies(clip: corpus.Clip, config: dict[str, Any]) -> range:
    """Numbers of a clip's copies; machines speak in voices enough, and actors say enough."""
    return range(1 + config["shifted"] if clip.kind == "recorded" else 1)


def _ratio(clip: corpus.Clip, index: int, config: dict[str, Any]) -> float:
    """Of a copy's pitch and formants. An actor's are moved in every second line, since he says hundreds."""
    rng = np.random.default_rng([index, *clip.name.encode()])
    ratio = float(np.exp(rng.uniform(*np.log(config["perturb"]))))
    moved = rng.random() < 0.5 if clip.kind == "acted" else index > 0
    return ratio if moved else 1.0


def prepare(
    clips: list[corpus.Clip], clean: Callable[[corpus.Clip], np.ndarray], teacher: WhisperEncoder,
    config: dict[str, Any], folder: Path,
) -> None:  # fmt: skip
    """Write what is missing of each clip as it is, and of recordings `config["shifted"]` copies with pitch and formants
    moved."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        for index in _copies(clip, config):
            path = folder / f"{clip.name}.{index}.npz"
            if path.exists():
                continue
            part = path.with_suffix(f".{index}.part")
            with part.open("wb") as file:
                np.savez(file, **said(clip, clean, teacher, _ratio(clip, index, config))._asdict())
            part.rename(path)


class Streams:
    """Clips one after another, in the same noise, room or line.

    Args:
        folder: what `prepare` wrote.
    """

    def __init__(
        self, clips: list[corpus.Clip], folder: Path, config: dict[str, Any], rng: np.random.Generator
    ) -> None:
        self.config, self.rng = config, rng
        self.pools: dict[str, list[Said]] = {}
        for clip in clips:
            for index in _copies(clip, config):
                with np.load(folder / f"{clip.name}.{index}.npz") as file:
                    self.pools.setdefault(clip.kind, []).append(Said(file["audio"], file["content"]))
        self.kinds = sorted(self.pools)
        shares = np.array([config["kinds"][kind] for kind in self.kinds])
        self.shares = shares / shares.sum()

    def _row(self) -> tuple[np.ndarray, np.ndarray, bool]:
        """Degraded, and without its noise, (2, n); the content wanted, (steps, 384); whether its band is whole."""
        rng, config = self.rng, self.config
        kind = self.kinds[rng.choice(len(self.kinds), p=self.shares)]
        pool = self.pools[kind]
        steps = config["steps"]
        # A frame's spectrum, and BEFORE frames, lie before the first step.
        before = encoder.BEFORE // 2 + 1
        parts, content = [], []
        while sum(map(len, content)) < steps + before + 2:
            clip = pool[rng.integers(len(pool))]
            start = 0 if content else int(rng.integers(max(1, len(clip.content) - 50)))
            parts.append(clip.audio[:, start * _STEP :].astype(np.float32))
            content.append(clip.content[start:])
        (heard, speech), said = np.concatenate(parts, 1), np.concatenate(content)
        size = (steps + before + 2) * _STEP
        heard, speech = heard[:size], speech[:size]
        if rng.random() < config["whispered"]:
            heard, speech = augment.whispered(np.stack([heard, speech]), rng)
        bad = augment.degraded(heard, rng) if rng.random() < config["degraded"] else heard
        if rng.random() < config["quiet"]:
            factor = np.float32(10 ** (-rng.uniform(0, 35) / 20))
            bad, speech = bad * factor, speech * factor
        both = spectrum.without_rumble(np.stack([bad, speech]))
        if rng.random() < config["cold"]:
            both[:, : int(rng.integers(size // 4))] = 0
        return both, said[before : before + steps].astype(np.float32), kind != "acted"

    def batch(self) -> Batch:
        """`config["rows"]` streams."""
        steps, hop = self.config["steps"], grid.ANALYSIS_HOP
        rows = [self._row() for _ in range(self.config["rows"])]
        # The first step's number is `before`; its frame lies at point 2 × before + 2, the first one BEFORE before that.
        first = 2 * (encoder.BEFORE // 2 + 1) + 2 - encoder.BEFORE
        count = encoder.BEFORE + 2 * steps - 1 + encoder.AFTER
        power = spectrum.power_frames(np.stack([row[0] for row in rows]), hop, spectrum.FFT, spectrum.FFT, first, count)
        mel = spectrum.log_mel(power[:, 0])
        mel = np.stack([spectrum.normalised(one, encoder.peaks(one)[:, None]).T for one in mel])
        for one in mel:
            if self.rng.random() < self.config["masked"]:
                # As D. Park et al., "SpecAugment", Interspeech 2019: no band may be relied on.
                width = int(self.rng.integers(3, 9))
                low = int(self.rng.integers(0, len(one) - width))
                one[low : low + width] = one[low : low + width].mean()
        positions = np.stack([encoder.positions(int(self.rng.integers(20_000)), steps) for _ in rows])
        power = power[:, :, encoder.BEFORE - 1 : encoder.BEFORE - 1 + 2 * steps]
        full = np.array([row[2] for row in rows])
        arrays = (mel, positions, np.stack([row[1] for row in rows]), power[:, 0], power[:, 1], full)
        return Batch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))
