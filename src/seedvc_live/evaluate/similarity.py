"""Speaker similarity: the cosine between speaker embeddings of two clips, by two independent encoders."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Pcm
from seedvc_live.audio.resample import resample
from seedvc_live.evaluate.extras import require

Embedding = npt.NDArray[np.float32]

RATE = 16000
_SHORTEST = RATE // 2


class SpeakerEncoder(Protocol):
    """Anything that makes an embedding of length 1 from a clip."""

    name: str

    def embed(self, clip: Pcm) -> Embedding:
        """Embedding of length 1, shape (dimensions,)."""
        ...


def cosine(first: Embedding, second: Embedding) -> float:
    """Cosine of the angle between two embeddings, -1 … 1."""
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / max(scale, 1e-9)


def share_of_way(value: float, floor: float, ceiling: float) -> float | None:
    """How far `value` lies on the way from `floor` (0) to `ceiling` (1); None where there is no way to go."""
    return (value - floor) / (ceiling - floor) if ceiling - floor > 1e-6 else None


class Resemblyzer:
    """GE2E embedding (L. Wan et al., ICASSP 2018) by Resemblyzer: the judge, unknown to every engine.

    Raises:
        MissingPackageError: resemblyzer, or what it needs, is not installed.
    """

    name = "resemblyzer"

    def __init__(self) -> None:
        torch = require("torch")
        torch.set_num_threads(1)
        package = require("resemblyzer")
        self._preprocess: Any = package.preprocess_wav
        self._encoder: Any = package.VoiceEncoder("cpu", verbose=False)

    def embed(self, clip: Pcm) -> Embedding:
        """Shape (256,). Level is normalised and long pauses are cut, as the package prescribes."""
        samples = _whole(clip)
        trimmed = self._preprocess(samples) if np.abs(samples).max() > 1e-5 else samples
        # Nothing passes the voice detector in a clip that is all whisper or noise: judge it as it is.
        return np.asarray(self._encoder.embed_utterance(trimmed if len(trimmed) >= _SHORTEST else samples), np.float32)


class Campplus:
    """CAM++ (H. Wang et al., Interspeech 2023): a second opinion only, since nano hears voices with it."""

    name = "campplus"

    def __init__(self) -> None:
        from seedvc_live.engines.nano.networks import WEIGHTS, open_session

        self._session = open_session(WEIGHTS / "speaker.onnx")

    @staticmethod
    def weights_hash() -> str:
        """SHA-256 of the network."""
        from seedvc_live.engines.nano.networks import WEIGHTS

        return hashlib.sha256((WEIGHTS / "speaker.onnx").read_bytes()).hexdigest()

    def embed(self, clip: Pcm) -> Embedding:
        """Shape (192,)."""
        from seedvc_live.engines.nano.speaker import embed

        return embed(self._session, _whole(clip))


def _whole(clip: Pcm) -> npt.NDArray[np.float32]:
    """At 16 kHz, finite, within full scale, not shorter than half a second."""
    samples = np.clip(np.nan_to_num(resample(clip, RATE).samples), -1, 1).astype(np.float32)
    return np.pad(samples, (0, max(0, _SHORTEST - len(samples))))
