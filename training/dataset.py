"""Training examples from the feature files."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seedvc_live.engines.nano import envelope, excitation, frames, grid, pitch, reference
from training import corpus

Arrays = dict[str, np.ndarray]
_COPY_SHARE = 0.5
"""Of examples between two voices, whose source is a copy."""


@dataclass
class Entry:
    """One clip in memory."""

    clip: corpus.Clip
    data: Arrays
    copies: list[Arrays]
    """Its perturbed copies, most of them degraded."""
    voices: dict[tuple[int, bool], Arrays]
    """What `describe_span` said of it."""


def _load(path: Path) -> Arrays:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


class Pool:
    """All clips whose features exist; `refresh` picks up what was extracted since."""

    def __init__(self, folder: Path, clips: list[corpus.Clip]) -> None:
        self.folder = folder
        self.waiting = list(clips)
        self.entries: list[Entry] = []
        self.real: list[Entry] = []
        self.synthetic: list[Entry] = []
        self.acted: list[Entry] = []
        """Only heard: what nobody's voice is taken from."""
        self.of_group: dict[str, list[Entry]] = defaultdict(list)
        self.of_speaker: dict[str, list[Entry]] = defaultdict(list)

    def refresh(self) -> None:
        for clip in list(self.waiting):
            path = self.folder / f"{clip.name}.npz"
            if not path.exists():
                continue
            self.waiting.remove(clip)
            data = _load(path)
            # A clip must hold a crop and, but for actors' lines, a reference.
            if len(data["content"]) < (70 if clip.narrow else 90) or (data["confidence"] >= 0.5).sum() < 20:
                continue
            entry = Entry(clip, data, [], {})
            if clip.narrow:
                self.acted.append(entry)
                continue
            self.entries.append(entry)
            (self.synthetic if clip.wide else self.real).append(entry)
            self.of_group[clip.group].append(entry)
            self.of_speaker[clip.speaker].append(entry)
        for entry in [*self.entries, *self.acted]:
            while (path := self.folder / f"{entry.clip.name}.pert{len(entry.copies)}.npz").exists():
                entry.copies.append(_load(path))


def step_pitch(data: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Log F0 and voicing at the steps (points 2, 4, …)."""
    points = 2 * np.arange(1, len(data["content"]) + 1)
    return pitch.at_points(data["pitch"], data["confidence"], points)


def _spoken(entry: Entry) -> np.ndarray:
    """Content of a clip's speech, (n, 384)."""
    level = entry.data["level"][1::2].astype(np.float32)
    return entry.data["content"].astype(np.float32)[reference.active(level, float(level.max()))]


def mean_content(pool: Pool) -> np.ndarray:
    """Of all clips, shape (384,): what a stream's mean is taken to be before anything is heard."""
    return np.mean([_spoken(entry).mean(0) for entry in pool.entries], 0).astype(np.float32)


def measure_constants(pool: Pool, rng: np.random.Generator, size: int = 64) -> Arrays:
    """General means and scales, and the key projection (principal axes of mean-removed content)."""
    removed = []
    for entry in pool.entries:
        content = _spoken(entry)
        removed.append(content[:: max(1, len(content) // 150)] - content.mean(0))
    everything = np.concatenate(removed)
    scale = everything.std(0) + 1e-3
    _, values, axes = np.linalg.svd((everything / scale)[rng.permutation(len(everything))[:12000]], full_matrices=False)
    # Half whitening: strong axes count more, but not as much as their variance.
    projection = axes[:size].T / np.sqrt(values[:size] / values[0])
    constants: Arrays = {
        "content_mean": mean_content(pool),
        "content_scale": scale.astype(np.float32),
        "key_projection": projection.astype(np.float32),
        "register": np.array([pitch.DEFAULT, 0.18], np.float32),
    }
    voiced, unvoiced = [], []
    for entry in pool.entries:
        shapes = entry.data["shapes"].astype(np.float32)
        shapes = shapes if entry.clip.wide else envelope.fill_narrow(shapes)
        level = entry.data["level"][1::2].astype(np.float32)
        speech = reference.active(level, float(level.max()))
        shapes = reference.without_noise(shapes, level)
        is_voiced = step_pitch(entry.data)[1] >= 0.5
        voiced.append(shapes[speech & is_voiced])
        unvoiced.append(shapes[speech & ~is_voiced])
    constants["shape_statistics"] = np.stack([
        np.mean([v.mean(0) for v in voiced if len(v) > 10], 0),
        np.mean([v.std(0) for v in voiced if len(v) > 10], 0),
        np.mean([v.mean(0) for v in unvoiced if len(v) > 10], 0),
        np.mean([v.std(0) for v in unvoiced if len(v) > 10], 0),
    ]).astype(np.float32)  # fmt: skip
    width = 192 + 4 * shapes.shape[1] + 3
    constants["condition_mean"] = np.zeros(width, np.float32)
    constants["condition_scale"] = np.ones(width, np.float32)
    raw = np.stack([
        _described(constants, entry, index, narrow=not entry.clip.wide)["condition"]
        for entry in pool.entries
        for index in range(len(entry.data["spans"]))
    ])  # fmt: skip
    constants["condition_mean"] = raw.mean(0)
    constants["condition_scale"] = raw.std(0) + 0.02
    return constants


def describe_span(constants: Arrays, entry: Entry, index: int, narrow: bool) -> Arrays:
    """The voice that enrolling one of a clip's spans gives; remembered."""
    if (index, narrow) not in entry.voices:
        entry.voices[index, narrow] = _described(constants, entry, index, narrow)
    return entry.voices[index, narrow]


def _described(constants: Arrays, entry: Entry, index: int, narrow: bool) -> Arrays:
    data = entry.data
    begin, end = data["spans"][index]
    log_f0, voicing = step_pitch(data)
    cut = slice(begin, end)
    return reference.describe(
        constants, data["embeddings"][index], data["content"][cut].astype(np.float32),
        data["shapes"][cut].astype(np.float32), data["level"][1::2][cut].astype(np.float32),
        log_f0[cut], voicing[cut], narrow,
    )  # fmt: skip


class Sampler:
    """Random training examples.

    Args:
        steps: of a crop; warm: further steps before it that only fill the decoder's memory.
        shares: of plain real, perturbed real and parallel examples.
        acted: share of the conversions whose source is an actor's line.
    """

    def __init__(
        self, pool: Pool, constants: Arrays, steps: int, warm: int, shares: tuple[float, float, float],
        rng: np.random.Generator, acted: float = 0.0,
    ) -> None:  # fmt: skip
        self.pool, self.constants, self.steps, self.warm = pool, constants, steps, warm
        self.shares, self.rng, self.acted = shares, rng, acted

    def _reference(self, target: Entry) -> tuple[Entry, int, bool]:
        """A clip and span to take the target's voice from: another sentence where there is one."""
        others = [e for e in self.pool.of_speaker[target.clip.speaker] if e is not target]
        same = not others or (self.rng.random() < 0.1)
        entry = target if same else others[self.rng.integers(len(others))]
        return entry, int(self.rng.integers(len(entry.data["spans"]))), same

    def _crop(self, length: int, avoid: tuple[int, int] | None) -> int:
        """First step of a crop of warm + steps, outside the reference where possible."""
        size = self.steps + self.warm
        last = length - size
        places = np.arange(max(1, last + 1))
        if avoid is not None:
            free = places[(places + size <= avoid[0] - 5) | (places + self.warm >= avoid[1] + 5)]
            places = free if len(free) else places
        return int(self.rng.choice(places))

    def _source_statistics(self, source: Arrays, begin: int) -> tuple[np.ndarray, float]:
        """Content mean and level of a stream that has heard a random part of the clip."""
        content, level = source["content"].astype(np.float32), source["level"].astype(np.float32)
        speech = reference.active(level[1::2], float(level.max()))
        if self.rng.random() < 0.35:
            heard = speech.copy()
            heard[min(len(heard), begin + self.warm + self.steps // 2) :] = False
        else:
            heard = speech
        rows = content[heard] if heard.any() else content[:1] * 0
        count = float(len(rows) * self.rng.uniform(0.3, 3)) if heard.any() else 0.0
        mean = reference.content_mean(self.constants, rows.mean(0) * count, count)
        loud = level[1::2][speech].mean() if speech.any() else float(level.max())
        return mean, float(loud + self.rng.normal(0, 1.5))

    def _heard(self, entry: Entry) -> Arrays:
        """What the engine hears of a clip: it, or now and then one of its copies."""
        if entry.copies and self.rng.random() < _COPY_SHARE:
            return entry.copies[self.rng.integers(len(entry.copies))]
        return entry.data

    def example(self) -> Arrays:
        """A moment of somebody's speech, the content of it in another voice, and what the voice said there."""
        kind = self.rng.choice(3, p=self.shares)
        copies = [e for e in self.pool.real if e.copies] if kind == 1 else []
        if kind == 2 and self.pool.synthetic:
            source_entry = self.pool.synthetic[self.rng.integers(len(self.pool.synthetic))]
            group = self.pool.of_group[source_entry.clip.group]
            target = group[self.rng.integers(len(group))]
            source = self._heard(source_entry)
        elif copies:
            target = copies[self.rng.integers(len(copies))]
            source = target.copies[self.rng.integers(len(target.copies))]
        else:
            target = self.pool.real[self.rng.integers(len(self.pool.real))]
            source = target.data
        voice_entry, span, same = self._reference(target)
        narrow = not target.clip.wide or bool(self.rng.random() < 0.5)
        voice = describe_span(self.constants, voice_entry, span, narrow)
        data = target.data
        length = min(len(data["content"]), len(source["content"]))
        avoid = tuple(data["spans"][span]) if same else None
        begin = self._crop(length, avoid)  # type: ignore[arg-type]
        inputs = self._inputs(source, data, voice, begin, length, None)
        return inputs | {
            "wide": np.array(target.clip.wide),
            "identity": voice_entry.data["identities"][span],
        }

    def conversion(self) -> Arrays:
        """A moment of somebody's speech to be said in another's voice; `wav` is the source as
        recorded, whatever is heard of it; there is no target."""

        def anyone() -> Entry:
            pool = self.pool.real if self.rng.random() < 0.75 or not self.pool.synthetic else self.pool.synthetic
            return pool[self.rng.integers(len(pool))]

        source, voice_entry = anyone(), anyone()
        if self.pool.acted and self.rng.random() < self.acted:
            source = self.pool.acted[self.rng.integers(len(self.pool.acted))]
        span = int(self.rng.integers(len(voice_entry.data["spans"])))
        voice = describe_span(self.constants, voice_entry, span, not voice_entry.clip.wide)
        heard = self._heard(source)
        length = min(len(heard["content"]), len(source.data["content"]))
        begin = self._crop(length, None)
        inputs = self._inputs(heard, source.data, voice, begin, length, voice["register"])
        return inputs | {
            "wide": np.array(voice_entry.clip.wide),
            "identity": voice_entry.data["identities"][span],
        }

    def _inputs(
        self, source: Arrays, target: Arrays, voice: Arrays, begin: int, length: int, register: np.ndarray | None
    ) -> Arrays:  # fmt: skip
        """What the decoder and the synthesiser get, and the target's samples.

        Args:
            register: where to move the target's pitch to; None leaves it.
        """
        mean, loud = self._source_statistics(source, begin)
        total = self.steps + self.warm
        index = np.arange(begin, begin + total)
        valid = index < length
        index = np.minimum(index, length - 1)
        content = source["content"][index].astype(np.float32) - mean
        matched = reference.match(reference.keys(self.constants, content), voice["keys"], voice["shapes"])
        points = (2 * index[:, None] + np.arange(2)).reshape(-1)
        level = np.where(np.repeat(valid, 2), source["level"][points].astype(np.float32), -100)
        grid_points = 2 * begin + np.arange(2 * total + 2)
        log_f0, voicing = pitch.at_points(target["pitch"], target["confidence"], grid_points)
        if register is not None:
            heights = target["pitch"][target["confidence"] >= 0.5]
            stretch = float(np.clip(np.sqrt(register[1] / (heights.std() + 0.02)), 0.8, 1.25))
            moved = register[0] + stretch * (log_f0 - heights.mean())
            log_f0 = np.clip(moved, np.log(40.0), np.log(1200.0)).astype(np.float32)
        voicing[1:-1] *= np.repeat(valid, 2)
        rows = frames.rows(
            np.zeros((total, frames.BOTTLENECK), np.float32), matched, level, loud,
            source["bands"][points].astype(np.float32), source["changes"][points].astype(np.float32),
            log_f0[1:-1], voicing[1:-1], voice["register"],
        )  # fmt: skip
        skip = 2 * self.warm
        base = frames.base(np.concatenate([matched[:1], matched]), level)
        pulses, _ = excitation.pulses(log_f0[skip:], voicing[skip:], self.rng.random())
        start = (2 * begin + skip) * grid.HOP
        samples = 2 * self.steps * grid.HOP
        wav = np.zeros(samples, np.float32)
        piece = target["wav"][start : start + samples].astype(np.float32) / 32768
        wav[: len(piece)] = piece
        return {
            "content": content / self.constants["content_scale"],
            "rows": rows.astype(np.float32)[:, frames.BOTTLENECK :],
            "base": base[skip:],
            "gate": frames.gate(level, loud)[skip:],
            "condition": voice["condition"],
            "pulses": pulses,
            "noise": excitation.noise(int(self.rng.integers(1 << 40)), 0, samples + grid.HOP),
            "wav": wav,
        }

    def batch(self, size: int, conversions: int = 0) -> Arrays:
        """`size` examples, of which the last `conversions` have no target."""
        examples = [self.example() for _ in range(size - conversions)]
        examples += [self.conversion() for _ in range(conversions)]
        return {name: np.stack([e[name] for e in examples]) for name in examples[0]}
