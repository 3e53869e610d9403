"""What makes a clip unfit as a reference, for every engine alike."""

from __future__ import annotations

import numpy as np

from seedvc_live.audio.pcm import Pcm
from seedvc_live.errors import VoiceError

MIN_SECONDS = 1.0
MAX_SECONDS = 30.0
SILENCE_PEAK = 1e-3
"""-60 dBFS: below it there is no voice to take."""


def check_reference(reference: Pcm) -> Pcm:
    """The part of a clip that is used: all, or the first 30 s.

    Raises:
        VoiceError: shorter than 1 s, not finite, or silent.
    """
    if reference.seconds < MIN_SECONDS:
        raise VoiceError(
            f"the reference is {reference.seconds:.2f} s long; at least {MIN_SECONDS:g} s of speech is needed"
        )
    clip = reference.head(MAX_SECONDS)
    if not np.isfinite(clip.samples).all():
        raise VoiceError("the reference holds samples that are not numbers (NaN or infinite)")
    if float(np.max(np.abs(clip.samples))) < SILENCE_PEAK:
        raise VoiceError("the reference is silent; choose a clip with speech in it")
    return clip
