"""The conversions that are judged: streaming through `LiveConverter`, and whole utterances at once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.audio.resample import resample
from seedvc_live.engines.base import Engine, Settings, Voice
from seedvc_live.errors import EngineError
from seedvc_live.live.converter import LiveConverter


@dataclass(frozen=True, eq=False)
class Converted:
    """A conversion and its cost.

    Attributes:
        clip: as long as the source, at the engine's rate.
        real_time_factor: compute time as a share of the audio's duration; None where it was not measured.
    """

    clip: Pcm
    real_time_factor: float | None = None


@runtime_checkable
class WholeUtterances(Protocol):
    """An engine that can also hear an utterance to its end before it speaks."""

    def convert_whole(self, samples: Samples, voice: Voice, settings: Settings, seed: int) -> Samples:
        """Convert an utterance at the engine's rate, shape (n,) → (n,), aligned with it."""
        ...


def stream(engine: Engine, voice: Voice, settings: Settings, source: Pcm, seed: int = 0) -> Converted:
    """Convert block by block, exactly as a live session does; samples stay aligned with the source."""
    samples = resample(source, engine.sample_rate).samples
    live = LiveConverter(engine, voice, settings, seed=seed)
    begin = time.perf_counter()
    parts = [live.push(samples[at : at + live.geometry.block]) for at in range(0, len(samples), live.geometry.block)]
    out = np.concatenate([*parts, live.flush()])
    spent = time.perf_counter() - begin
    return Converted(Pcm(out, engine.sample_rate), spent / source.seconds)


def has_whole(engine: Engine) -> bool:
    """Whether the engine converts whole utterances besides streams."""
    return isinstance(engine, WholeUtterances)


def whole(engine: Engine, voice: Voice, settings: Settings, source: Pcm, seed: int = 0) -> Converted:
    """Convert the utterance at once, by an engine for which `has_whole` is true.

    Raises:
        EngineError: the engine only streams, or gave another number of samples than it got.
    """
    if not isinstance(engine, WholeUtterances):
        raise EngineError(f"engine '{engine.name}' converts streams only, not whole utterances")
    samples = resample(source, engine.sample_rate).samples
    begin = time.perf_counter()
    out = engine.convert_whole(samples, voice, settings, seed)
    spent = time.perf_counter() - begin
    if out.shape != samples.shape:
        raise EngineError(f"engine '{engine.name}' made {out.shape} of an utterance of {samples.shape} samples")
    return Converted(Pcm(out, engine.sample_rate), spent / source.seconds)
