"""Whole clips: pieces, passes and their joins."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.seedvc import offline
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.offline import conditions, convert_clip, encode_long, passes
from seedvc_live.engines.seedvc.prompt import encode
from seedvc_live.errors import EngineError, SettingsError

from .build import small_networks
from .test_engine import SHORT, engine_of, error, replace_settings, speechlike, voice_of

pytestmark = pytest.mark.torch


@given(st.integers(1, 20000), st.integers(17, 3000))
def test_passes_cover_all_frames_and_overlap_by_16(frames: int, room: int) -> None:
    spans = passes(frames, room)
    assert spans[0][0] == 0
    assert spans[-1][1] == frames
    for (begin, end), (following, _) in itertools.pairwise(spans):
        assert end - following == 16
        assert end - begin == room


def test_a_long_wave_is_encoded_as_if_in_one_piece() -> None:
    networks = small_networks("xlsr-tiny")
    wave = speechlike(61.0, 16000, 3).samples
    pieces = encode_long(networks, wave)
    whole = encode(networks, torch.from_numpy(wave)[None], True)
    assert pieces.shape == whole.shape == (1, 3050, 48)
    # The stand-in encoder has no context: pieces give what the whole gives, but for the frames at their ends.
    inner = np.setdiff1d(np.arange(3050), [1499, 2749])
    assert torch.allclose(pieces[:, inner], whole[:, inner], atol=1e-5)
    assert encode_long(networks, wave, exact=False).shape[1] == 3047


@pytest.mark.parametrize("model", ["xlsr-tiny", "singing-44k"])
def test_a_short_clip_is_one_pass(model: str) -> None:
    engine, voice = engine_of(model), voice_of(model, 1.3)
    source = speechlike(1.0, 48000, 4)
    parts = list(convert_clip(engine, source, voice, SHORT, seed=5))
    assert len(parts) == 1
    mel = engine.networks.config.mel
    frames = -(-mel.rate // mel.hop)
    assert parts[0].shape == (mel.rate,)
    mu = conditions(engine, source, voice, SHORT)
    prompt = engine.prompt(voice, SHORT.prompt_seconds)
    generated = engine.generate(mu, [prompt], [SHORT], [5], [0])
    wave = engine.networks.vocoder.synthesise(generated, 0, frames * mel.hop, engine.noise, [5], [0])
    np.testing.assert_array_equal(parts[0], wave[0].numpy()[: mel.rate])


def test_a_long_clip_is_joined_pass_by_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "CONTEXT_SECONDS", 3)
    engine, voice = engine_of("whisper-small"), voice_of("whisper-small", 1.3)
    source = speechlike(5.0, 22050, 4)
    parts = list(convert_clip(engine, source, voice, SHORT, seed=5))
    hop = engine.networks.config.mel.hop
    prompt = engine.prompt(voice, SHORT.prompt_seconds)
    room = 3 * (22050 // hop) - prompt.frames
    spans = passes(-(-5 * 22050 // hop), room)
    assert len(parts) == len(spans) >= 3
    whole = np.concatenate(parts)
    assert whole.shape == (5 * 22050,)
    mu = conditions(engine, source, voice, SHORT)
    for begin, end in spans:
        generated = engine.generate(mu[:, begin:end], [prompt], [SHORT], [5], [begin * hop])
        count = (end - begin) * hop
        wave = engine.networks.vocoder.synthesise(generated, 0, count, engine.noise, [5], [begin * hop])
        inner = slice(16 * hop if begin else 0, count - (16 * hop if end < spans[-1][1] else hop))
        own = whole[begin * hop : end * hop]
        assert error(own[inner], wave[0].numpy()[inner]) <= 1e-6


@pytest.mark.parametrize("model", ["xlsr-tiny", "whisper-small", "singing-44k"])
@pytest.mark.parametrize("samples", [1, 100, 441, 5000])
def test_as_many_samples_as_the_source_however_short(model: str, samples: int) -> None:
    engine, voice = engine_of(model), voice_of(model, 1.3)
    source = Pcm(speechlike(1.0, engine.sample_rate, 4).samples[:samples], engine.sample_rate)
    assert sum(map(len, convert_clip(engine, source, voice, SHORT))) == samples


def test_length_adjust_and_refusal() -> None:
    engine, voice = engine_of("xlsr-tiny"), voice_of("xlsr-tiny", 1.3)
    source = speechlike(0.5, 22050, 4)
    slow = np.concatenate(list(convert_clip(engine, source, voice, SHORT, length_adjust=1.5)))
    assert len(slow) == round(11025 * 1.5)
    with pytest.raises(SettingsError, match="pitch_shift"):
        list(convert_clip(engine, source, voice, replace_settings(SHORT, pitch_shift=2)))


def test_upstreams_way_leaves_an_incomplete_frame_out() -> None:
    engine, voice = SeedVCEngine(engine_of("xlsr-tiny").networks, compat="upstream"), voice_of("xlsr-tiny", 1.3)
    slow = np.concatenate(list(convert_clip(engine, speechlike(0.5, 22050, 4), voice, SHORT, length_adjust=1.5)))
    assert len(slow) == int(11025 // 256 * 1.5) * 256
    with pytest.raises(EngineError, match="too short"):
        list(convert_clip(engine, Pcm(np.zeros(100, np.float32), 22050), voice, SHORT))
