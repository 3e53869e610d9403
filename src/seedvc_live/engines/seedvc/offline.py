"""Conversion of a whole clip, of any length: the mode for which the checkpoints were trained.

The clip is encoded in pieces and generated in passes whose context, prompt included, is what the
transformer was trained on; passes overlap and are crossfaded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.audio.resample import resample
from seedvc_live.engines.base import Voice
from seedvc_live.engines.seedvc.engine import SeedVCEngine, shift_pitch
from seedvc_live.engines.seedvc.loader import Networks
from seedvc_live.engines.seedvc.prompt import encode
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.engines.seedvc.sinc import sinc_resample
from seedvc_live.engines.seedvc.sizes import ENCODER_HOP, ENCODER_RATE, ENCODER_WINDOW, UNITS_PER_SECOND
from seedvc_live.errors import EngineError

CONTEXT_SECONDS = 30
PIECE_SECONDS, PIECE_OVERLAP = 30, 5
OVERLAP_FRAMES = 16
SHORTEST = 0.1
"""Seconds that the networks need; a shorter clip is converted with silence behind it."""


def encode_long(networks: Networks, wave: Samples, exact: bool = True) -> Tensor:
    """Content features of a wave at 16 kHz of any length: (n,) → (1, frames, channels).

    Above 30 s it is encoded in pieces of 30 s; each repeats the last 5 s of the one before, as context.
    `exact` gives as many frames as there are 20 ms; without, XLS-R's pieces lack one each, as upstream's do.
    """
    device = networks.flow.estimator.device
    piece, overlap = PIECE_SECONDS * ENCODER_RATE, PIECE_OVERLAP * ENCODER_RATE
    parts = []
    for begin in range(0, max(1, len(wave) - overlap), piece - overlap):
        samples = wave[begin : begin + piece]
        samples = np.pad(samples, (0, max(0, ENCODER_WINDOW - len(samples))))
        features = encode(networks, torch.from_numpy(np.ascontiguousarray(samples)).to(device)[None], exact)
        if exact:  # Whisper's last frame is centred on the end of the piece: the next one has it
            features = features[:, : len(samples) // ENCODER_HOP]
        parts.append(features[:, PIECE_OVERLAP * UNITS_PER_SECOND :] if begin else features)
    return torch.cat(parts, dim=1)


@torch.inference_mode()
def conditions(
    engine: SeedVCEngine, source: Pcm, voice: Voice, settings: SeedVCSettings, length_adjust: float = 1.0
) -> Tensor:
    """Conditions of all mel frames of the converted clip, (1, frames, content_dim).

    Raises:
        EngineError: there is no frame in it.
    """
    networks, mel = engine.networks, engine.networks.config.mel
    clip = resample(source, mel.rate).samples
    frames = _frames(engine, len(clip), length_adjust)
    if frames < 1:
        raise EngineError(f"the source is too short: {source.seconds:.3f} s, less than one frame")
    wave = sinc_resample(clip, mel.rate, ENCODER_RATE)
    f0 = None
    if networks.pitch is not None:
        prompt = engine.prompt(voice, settings.prompt_seconds)
        pitch = networks.pitch.pitch(torch.from_numpy(wave).to(engine.device)[None])[0]
        f0 = torch.from_numpy(shift_pitch(pitch, settings, prompt)).to(engine.device)[None]
    return networks.regulator(encode_long(networks, wave, engine.exact), torch.tensor([frames]), f0)


def _frames(engine: SeedVCEngine, samples: int, length_adjust: float) -> int:
    """Mel frames of the converted clip: all of it is covered; upstream leaves an incomplete frame out."""
    hop = engine.networks.config.mel.hop
    return math.ceil(samples * length_adjust / hop) if engine.exact else int(samples // hop * length_adjust)


def passes(frames: int, room: int) -> list[tuple[int, int]]:
    """First and last + 1 frame of each pass over `frames`, at most `room` each, overlapping by 16."""
    spans, begin = [], 0
    while True:
        end = min(frames, begin + room)
        spans.append((begin, end))
        if end == frames:
            return spans
        begin = end - OVERLAP_FRAMES


def convert_clip(
    engine: SeedVCEngine,
    source: Pcm,
    voice: Voice,
    settings: SeedVCSettings,
    seed: int = 0,
    length_adjust: float = 1.0,
) -> Iterator[Samples]:
    """Convert a clip; the parts, put together, are the whole.

    Args:
        source: at any rate.
        length_adjust: duration of the result over that of the source.

    Yields:
        samples at the engine's rate, (n,): in all as many as the source has there, times `length_adjust`;
        upstream's way, as many whole mel frames as that.

    Raises:
        EngineError: upstream's way, a clip shorter than a mel frame.
        SettingsError: a pitch shift is asked of a model without pitch.
    """
    engine.check_pitch(settings)
    mel = engine.networks.config.mel
    clip = resample(source, mel.rate).samples
    padded = np.pad(clip, (0, max(0, round(SHORTEST * mel.rate) - len(clip)))) if engine.exact else clip
    whole = conditions(engine, Pcm(padded, mel.rate), voice, settings, length_adjust)
    left = round(len(clip) * length_adjust) if engine.exact else whole.shape[1] * mel.hop
    prompt = engine.prompt(voice, settings.prompt_seconds)
    room = CONTEXT_SECONDS * (mel.rate // mel.hop) - prompt.frames
    overlap = OVERLAP_FRAMES * mel.hop
    fade = np.cos(np.linspace(np.pi / 2, 0, overlap)).astype(np.float32) ** 2
    kept: Samples | None = None
    spans = passes(whole.shape[1], room)
    for number, (begin, end) in enumerate(spans):
        first = begin * mel.hop
        with torch.inference_mode():
            generated = engine.generate(whole[:, begin:end], [prompt], [settings], [seed], [first])
            count = (end - begin) * mel.hop
            vocoder = engine.networks.vocoder
            samples = vocoder.synthesise(generated, 0, count, engine.noise, [seed], [first])
            wave = samples[0].float().cpu().numpy().copy()
        if kept is not None:
            wave[:overlap] = wave[:overlap] * fade + kept * (1 - fade)
        if number == len(spans) - 1:
            yield wave[:left]
        else:
            yield wave[:-overlap]
            left -= len(wave) - overlap
            kept = wave[-overlap:]
