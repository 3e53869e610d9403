"""All judges together: what each says of one conversion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seedvc_live.audio.pcm import Pcm
from seedvc_live.evaluate.extras import versions
from seedvc_live.evaluate.intelligibility import Errors, character_errors, word_errors
from seedvc_live.evaluate.memory import Memory
from seedvc_live.evaluate.models import MODELS, obtain
from seedvc_live.evaluate.pitch import Contour, PitchTracker, correlation, voicing_agreement
from seedvc_live.evaluate.quality import Dnsmos
from seedvc_live.evaluate.recognise import Recogniser
from seedvc_live.evaluate.similarity import Campplus, Embedding, Resemblyzer, SpeakerEncoder, cosine


@dataclass(frozen=True)
class Score:
    """What is measured of one clip of one pair.

    Attributes:
        condition: how the source was degraded; see `degrade.CONDITIONS`.
        system: "floor" (the source itself), "ceiling", "streaming", "whole", "world", "resynthesis".
        similarity: speaker encoder → cosine to the reference.
        words, characters: recogniser → errors against its own transcription of the clean source.
        heard: recogniser → transcription.
        dnsmos: overall, signal, background.
        pitch_correlation: with the clean source; None where too little is voiced.
        voicing_agreement: share of frames voiced in both or neither.
        real_time_factor: of the conversion; None where there was none, or it is no engine's.
    """

    condition: str
    system: str
    source: str
    reference: str
    kind: str
    similarity: dict[str, float]
    words: dict[str, Errors]
    characters: dict[str, Errors]
    heard: dict[str, str]
    dnsmos: dict[str, float]
    pitch_correlation: float | None
    voicing_agreement: float | None
    real_time_factor: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Original:
    """A clean source, measured once: every conversion of it is compared with this."""

    heard: dict[str, str]
    contour: Contour


class Judges:
    """Loads every judge once.

    Args:
        models: folder of the recognisers; None means the cache, filled over the network if need be.
        language: of the speech, as Whisper names it.
        memory: verdicts to recall; none are kept by default.

    Raises:
        MissingPackageError, ModelFileError: a judge is not installed.
    """

    def __init__(self, models: Path | None = None, language: str = "en", memory: Memory | None = None) -> None:
        self.language = language
        self._memory = memory or Memory(None)
        installed = versions()
        self.recognisers = {name: Recogniser(name, obtain(name, models)) for name in MODELS}
        encoders: tuple[SpeakerEncoder, ...] = (Resemblyzer(), Campplus())
        self.encoders = {encoder.name: encoder for encoder in encoders}
        self._dnsmos = Dnsmos()
        self.pitch = PitchTracker()
        runtime = f"faster-whisper {installed['faster_whisper']} ctranslate2 {installed['ctranslate2']}"
        self._identity = {
            **{name: f"whisper {name} {MODELS[name].sha256} {language} {runtime}" for name in MODELS},
            "resemblyzer": f"resemblyzer {installed['resemblyzer']} torch {installed['torch']}",
            "campplus": f"campplus {Campplus.weights_hash()}",
            "dnsmos": f"dnsmos {installed['speechmos']}",
        }

    def voices(self, clip: Pcm) -> dict[str, Embedding]:
        """Speaker encoder → embedding."""
        return {
            name: np.array(self._recall(name, clip, partial(_as_list, encoder)), np.float32)
            for name, encoder in self.encoders.items()
        }

    def hear(self, clip: Pcm) -> dict[str, str]:
        """Recogniser → transcription."""
        return {
            name: self._recall(name, clip, partial(recogniser.transcribe, language=self.language))
            for name, recogniser in self.recognisers.items()
        }

    def original(self, clip: Pcm) -> Original:
        """Measure a clean source."""
        return Original(self.hear(clip), self.pitch.track(clip))

    def score(
        self,
        clip: Pcm,
        target: dict[str, Embedding],
        original: Original | None,
        labels: dict[str, str],
        heard: dict[str, str] | None = None,
        real_time_factor: float | None = None,
    ) -> Score:
        """Judge a clip.

        Args:
            clip: the conversion, aligned with its source.
            target: `voices` of the reference.
            original: of the clean source; None where other words are said (the ceiling).
            labels: condition, system, source, reference, kind.
            heard: transcriptions of the clip where they are known already.
        """
        quality = self._recall("dnsmos", clip, lambda heard: asdict(self._dnsmos.score(heard)))
        words, characters, contour = {}, {}, None
        if original is not None:
            heard = self.hear(clip) if heard is None else heard
            words = {name: word_errors(original.heard[name], text) for name, text in heard.items()}
            characters = {name: character_errors(original.heard[name], text) for name, text in heard.items()}
            contour = self.pitch.track(clip)
        return Score(
            **labels,
            similarity={name: cosine(voice, target[name]) for name, voice in self.voices(clip).items()},
            words=words,
            characters=characters,
            heard=heard or {},
            dnsmos={name: quality[name] for name in ("overall", "signal", "background")},
            pitch_correlation=correlation(original.contour, contour) if original and contour else None,
            voicing_agreement=voicing_agreement(original.contour, contour) if original and contour else None,
            real_time_factor=real_time_factor,
        )

    def _recall(self, judge: str, clip: Pcm, make: Callable[[Pcm], Any]) -> Any:
        return self._memory.recall(self._identity[judge], clip, make)


def _as_list(encoder: SpeakerEncoder, clip: Pcm) -> list[float]:
    values: list[float] = encoder.embed(clip).tolist()
    return values
