"""The evaluation itself: every pair through every system and condition, past every judge."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Engine, Settings, Voice
from seedvc_live.evaluate import world
from seedvc_live.evaluate.convert import Converted, has_whole, stream, whole
from seedvc_live.evaluate.degrade import degrade
from seedvc_live.evaluate.judges import Judges, Original, Score
from seedvc_live.evaluate.pairs import Pair, find_audio, split_reference
from seedvc_live.evaluate.similarity import Embedding

SYSTEMS = ("floor", "ceiling", "streaming", "whole", "world", "resynthesis")
"""In the order of the report. Floor and ceiling are always measured: shares of the way need them."""


@dataclass(frozen=True)
class Plan:
    """What to evaluate.

    Attributes:
        conditions: the first should be "clean": floor and ceiling are taken from it. Ceiling and
            resynthesis are measured on it alone.
        systems: of `SYSTEMS`; "whole" is left out where the engine has none.
        seed: of the engine's draws and of the noise.
        examples: conversions per kind kept for listening.
    """

    pairs: Sequence[Pair]
    audio: Path
    conditions: Sequence[str] = ("clean",)
    systems: Sequence[str] = SYSTEMS
    seed: int = 0
    examples: int = 1


@dataclass
class Outcome:
    """Scores, and clips to listen to: (pair, condition) → name → clip."""

    scores: list[Score] = field(default_factory=list)
    examples: dict[tuple[Pair, str], dict[str, Pcm]] = field(default_factory=dict)


class Evaluation:
    """Runs a plan. Whatever belongs to one file is computed once, however many pairs it occurs in."""

    def __init__(self, plan: Plan, engine: Engine, settings: Settings, judges: Judges) -> None:
        self.plan, self.engine, self.settings, self.judges = plan, engine, settings, judges
        self.systems = [s for s in SYSTEMS if s in plan.systems and (s != "whole" or has_whole(engine))]
        self._load = lru_cache(maxsize=8)(self._load_file)
        self._originals: dict[str, Original] = {}
        self._references: dict[str, tuple[Voice, dict[str, Embedding]]] = {}
        self._resynthesis: dict[str, tuple[Score, Pcm]] = {}

    def run(self, progress: Callable[[int, int], None] | None = None) -> Outcome:
        """Evaluate all pairs; `progress` is called with (pairs done, pairs in all).

        Raises:
            InputError, VoiceError: a file is missing or not fit.
        """
        outcome, kept = Outcome(), dict.fromkeys((pair.kind for pair in self.plan.pairs), 0)
        # A missing file is found now, not after half an hour.
        for pair in self.plan.pairs:
            find_audio(self.plan.audio, pair.source)
            find_audio(self.plan.audio, pair.reference)
        for number, pair in enumerate(self.plan.pairs, start=1):
            keep = kept[pair.kind] < self.plan.examples
            kept[pair.kind] += keep
            for condition in self.plan.conditions:
                clips = {}
                for name, clip, score in self._pair(pair, condition):
                    outcome.scores.append(score)
                    clips[name] = clip
                if keep:
                    reference, _ = split_reference(self._load(pair.reference), pair.reference)
                    outcome.examples[pair, condition] = {"reference": reference, **clips}
            if progress is not None:
                progress(number, len(self.plan.pairs))
        return outcome

    def geometry_ms(self) -> dict[str, float]:
        """Block and algorithmic latency of a live session, in milliseconds."""
        voice, _ = self._reference(self.plan.pairs[0].reference)
        geometry = self.engine.geometry(self.settings, voice)
        scale = 1000.0 / self.engine.sample_rate
        latency = round(scale * geometry.algorithmic_latency, 3)
        return {"block_ms": round(scale * geometry.block, 3), "algorithmic_latency_ms": latency}

    def _pair(self, pair: Pair, condition: str) -> Iterator[tuple[str, Pcm, Score]]:
        clean = condition == "clean"
        source = self._load(pair.source)
        # Noise belongs to the file, whichever pairs are evaluated.
        heard_source = degrade(source, condition, self.plan.seed + zlib.crc32(pair.source.encode()) % 2**31)
        original, (voice, target) = self._original(pair.source), self._reference(pair.reference)
        for system in self.systems:
            if not clean and system in {"ceiling", "resynthesis"}:
                continue
            labels = {
                "condition": condition,
                "system": system,
                "source": pair.source,
                "reference": pair.reference,
                "kind": pair.kind,
            }
            if system == "ceiling":
                _, rest = split_reference(self._load(pair.reference), pair.reference)
                yield system, rest, self.judges.score(rest, target, None, labels)
            elif system == "resynthesis":
                score, clip = self._resynthesise(pair.reference, labels)
                yield system, clip, Score(**{**vars(score), **labels})
            else:
                known = original.heard if clean and system == "floor" else None
                done = self._convert(system, voice, heard_source, pair)
                factor = done.real_time_factor
                yield system, done.clip, self.judges.score(done.clip, target, original, labels, known, factor)

    def _convert(self, system: str, voice: Voice, source: Pcm, pair: Pair) -> Converted:
        if system == "floor":
            return Converted(source)
        if system == "world":
            reference, _ = split_reference(self._load(pair.reference), pair.reference)
            return Converted(world.convert(source, reference, self.judges.pitch))
        convert = whole if system == "whole" else stream
        return convert(self.engine, voice, self.settings, source, self.plan.seed)

    def _resynthesise(self, reference: str, labels: dict[str, str]) -> tuple[Score, Pcm]:
        """The rest of the reference's file in the voice of its own beginning, streaming."""
        if reference not in self._resynthesis:
            _, rest = split_reference(self._load(reference), reference)
            voice, target = self._reference(reference)
            done = stream(self.engine, voice, self.settings, rest, self.plan.seed)
            original = self.judges.original(rest)
            score = self.judges.score(done.clip, target, original, labels, real_time_factor=done.real_time_factor)
            self._resynthesis[reference] = score, done.clip
        return self._resynthesis[reference]

    def _reference(self, name: str) -> tuple[Voice, dict[str, Embedding]]:
        if name not in self._references:
            clip, _ = split_reference(self._load(name), name)
            self._references[name] = self.engine.enroll(clip), self.judges.voices(clip)
        return self._references[name]

    def _original(self, name: str) -> Original:
        if name not in self._originals:
            self._originals[name] = self.judges.original(self._load(name))
        return self._originals[name]

    def _load_file(self, name: str) -> Pcm:
        from seedvc_live.media.load import load_audio

        return load_audio(find_audio(self.plan.audio, name))
