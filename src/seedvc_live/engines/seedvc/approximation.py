"""How far the opted-in approximations are from the exact result, on a voice of the user's own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from seedvc_live.engines.base import Voice
from seedvc_live.engines.seedvc.encoders import WhisperEncoder
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.engines.seedvc.sinc import sinc_resample
from seedvc_live.engines.seedvc.sizes import ENCODER_RATE


def describe(engine: SeedVCEngine, voice: Voice, settings: SeedVCSettings) -> list[str]:
    """One line per approximation in use, with its measured difference; empty where all is exact."""
    lines = []
    if isinstance(engine.networks.encoder, WhisperEncoder) and engine.networks.encoder.truncate:
        share = truncation(engine, voice, settings)
        lines.append(f"truncate: the content features of this voice differ by {share:.3g} of their rms")
    if engine.prompt_cache:
        share = prompt_cache(engine, voice, settings)
        lines.append(f"prompt cache: the mel differs by {share:.3g} of its standard deviation")
    return lines


@torch.inference_mode()
def truncation(engine: SeedVCEngine, voice: Voice, settings: SeedVCSettings) -> float:
    """Features of a window without padding to 30 s against those with it: rms of the difference over the rms."""
    encoder = engine.networks.encoder
    assert isinstance(encoder, WhisperEncoder)
    wave = _window_16k(engine, voice, settings)
    padded, short = encoder.padded(wave), encoder.short(wave)
    return float((short - padded).square().mean().sqrt() / padded.square().mean().sqrt())


@torch.inference_mode()
def prompt_cache(engine: SeedVCEngine, voice: Voice, settings: SeedVCSettings) -> float:
    """A window's mel with the prompt remembered against the exact one: rms of the difference over the deviation."""
    prompt = engine.prompt(voice, settings.prompt_seconds)
    mu = engine.content(_window_16k(engine, voice, settings), engine.sizes(settings), [settings], [prompt])
    exact, near = (engine.generate(mu, [prompt], [settings], [0], [0], cached) for cached in (False, True))
    return float((near - exact).square().mean().sqrt() / exact.std())


def _window_16k(engine: SeedVCEngine, voice: Voice, settings: SeedVCSettings) -> Tensor:
    """The reference itself, as if it were a source's window: (1, window_16k)."""
    wave = sinc_resample(voice.tensors["reference"], engine.sample_rate, ENCODER_RATE)
    size = engine.sizes(settings).window_16k
    return torch.from_numpy(np.resize(wave, size).astype(np.float32)).to(engine.device)[None]
