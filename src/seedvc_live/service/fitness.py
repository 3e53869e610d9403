"""Whether a decoded clip is fit as a reference; if not, what is wrong with it, for the one who made it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seedvc_live.audio.levels import decibels
from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.engines.reference import MAX_SECONDS, MIN_SECONDS, SILENCE_PEAK
from seedvc_live.errors import ClipRejectedError

MAX_BYTES = 20 * 1024 * 1024
MAX_CLIP_SECONDS = 60.0
USED_SECONDS = MAX_SECONDS
MIN_SPEECH_SECONDS = 0.5
CLIPPED_SHARE = 0.02


def check_clip(clip: Pcm, seconds: float, speech_seconds: Callable[[Pcm], float]) -> Pcm:
    """A clip that is fit, scaled down where a float file exceeds full scale.

    Args:
        clip: what will be used, at most `USED_SECONDS`.
        seconds: length of the whole file.
        speech_seconds: how much speech a clip holds.

    Raises:
        ClipRejectedError: its slug names the fault.
    """
    if seconds > MAX_CLIP_SECONDS:
        raise ClipRejectedError(
            "reference-too-long",
            f"the clip is longer than {MAX_CLIP_SECONDS:g} s; cut it (only the first {USED_SECONDS:g} s are used)",
        )
    if clip.seconds < MIN_SECONDS:
        raise ClipRejectedError(
            "reference-too-short",
            f"the clip is {clip.seconds:.2f} s long; at least {MIN_SECONDS:g} s of speech is needed",
        )
    if not np.isfinite(clip.samples).all():
        raise ClipRejectedError("not-audio", "the clip holds samples that are not numbers (NaN or infinite)")
    peak = float(np.max(np.abs(clip.samples)))
    if peak < SILENCE_PEAK:
        raise ClipRejectedError(
            "reference-silent",
            f"the clip is silent (its peak is {decibels(peak):.0f} dB below full scale); check the microphone"
            if peak == 0.0
            else f"the clip is all but silent (peak {decibels(peak):.0f} dBFS); check the microphone",
        )
    if peak > 1.0:
        clip = Pcm(clip.samples / np.float32(peak), clip.rate)
    spoken = speech_seconds(clip)
    if spoken < MIN_SPEECH_SECONDS:
        raise ClipRejectedError(
            "reference-no-speech",
            f"there is no speech in the clip ({spoken:.1f} s of {clip.seconds:.1f} s); record one person speaking",
        )
    share = clipped_share(clip.samples)
    if share > CLIPPED_SHARE:
        raise ClipRejectedError(
            "reference-clipped",
            f"the clip is overdriven ({100 * share:.0f} % of it is cut off at its peak); record it at a lower level",
        )
    return clip


def clipped_share(samples: Samples) -> float:
    """Of the samples above -20 dB of the peak, the share within 0.45 dB of it.

    Speech has below 0.001, also through Opus and MP3, which round flat tops; overdriven by 6 dB about
    0.01 to 0.03, by 12 dB 0.03 to 0.5.
    """
    level = np.abs(samples)
    peak = float(level.max(initial=0.0))
    loud = int(np.count_nonzero(level > 0.1 * peak))
    return int(np.count_nonzero(level >= 0.95 * peak)) / loud if loud else 0.0
