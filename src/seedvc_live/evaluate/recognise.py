"""Transcriptions by Whisper (A. Radford et al., ICML 2023), run by faster-whisper on one core."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seedvc_live.audio.pcm import Pcm
from seedvc_live.audio.resample import resample
from seedvc_live.errors import ModelFileError
from seedvc_live.evaluate.extras import require

RATE = 16000


class Recogniser:
    """One Whisper model. The same audio always gives the same text: beam search of 5, no sampling.

    Raises:
        ModelFileError: the folder holds no usable model.
        MissingPackageError: faster-whisper is not installed.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        whisper = require("faster_whisper")
        try:
            self._model = whisper.WhisperModel(
                str(folder), device="cpu", compute_type="float32", cpu_threads=1, num_workers=1, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelFileError(f"cannot load the recogniser in {folder}: {error}") from None

    def transcribe(self, clip: Pcm, language: str = "en") -> str:
        """What is said in `clip`; "" where nothing is heard. A model of English alone hears English in any language."""
        samples = np.clip(resample(clip, RATE).samples, -1, 1)
        segments, _ = self._model.transcribe(
            np.ascontiguousarray(samples),
            language=language if self._model.model.is_multilingual else "en",
            beam_size=5,
            # One temperature: the fallbacks draw at random.
            temperature=0.0,
            # A wrong word must not drag the next segment with it.
            condition_on_previous_text=False,
            without_timestamps=True,
            # A conversion that became unclear counts as errors, not as silence.
            no_speech_threshold=None,
            log_prob_threshold=None,
        )
        return " ".join(segment.text.strip() for segment in segments)
