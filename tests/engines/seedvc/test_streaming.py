"""Streaming arithmetic, SOLA and the recorded run of the original's loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedvc_live.audio.pcm import Pcm
from seedvc_live.audio.resample import resample
from seedvc_live.engines.base import Voice
from seedvc_live.engines.seedvc.campplus import load_campplus
from seedvc_live.engines.seedvc.compat import UpstreamJoiner, UpstreamStream
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.loader import Networks
from seedvc_live.engines.seedvc.noise import NoNoise
from seedvc_live.engines.seedvc.presets import PRESETS
from seedvc_live.engines.seedvc.prompt import Prompt
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.engines.seedvc.sinc import sinc_resample
from seedvc_live.engines.seedvc.sizes import upstream_sizes
from seedvc_live.engines.seedvc.vocoder import HiftVocoder

from .build import FixedStyle, StubEncoder
from .conftest import Vector, assert_near, load
from .nets import flow, hift, regulator

pytestmark = pytest.mark.torch


def recorded_sizes(config: dict[str, Any], row: dict[str, Any]) -> dict[str, int]:
    sizes = upstream_sizes(
        config["block_time"],
        config["crossfade_time"],
        config["extra_time_ce"],
        config["extra_time"],
        config["extra_time_right"],
        rate=row["samplerate"],
        model_rate=row["model_sr"],
        hop=row["hop"],
    )
    return {
        "zc": sizes.unit,
        "block_frame": sizes.block,
        "block_frame_16k": sizes.block_16k,
        "crossfade_frame": sizes.crossfade,
        "sola_buffer_frame": sizes.overlap,
        "sola_search_frame": sizes.search,
        "extra_frame": sizes.left,
        "extra_frame_right": sizes.right,
        "skip_head": sizes.head,
        "skip_tail": sizes.tail,
        "return_length": sizes.returned,
        "input_wav": sizes.window,
        "input_wav_res": sizes.window_16k,
        "xlsr_frames": sizes.encoder_frames,
        "ce_dit_frame_difference": sizes.dropped,
        "lr_in_frames": sizes.encoder_frames - sizes.dropped,
        "target_length": sizes.mel_frames,
        "vocoder_samples": sizes.mel_frames * sizes.hop,
        "out_start": sizes.out_start,
        "out_len": sizes.out_length,
    }


@pytest.mark.vector_files("streaming/sizes.json")
def test_upstream_sizes(file: Path) -> None:
    rows = json.loads(file.read_text())
    assert rows
    for row in rows:
        own = recorded_sizes(row["c"], row)
        assert own == {name: row[name] for name in own}, row["c"]


@pytest.mark.vector_files("streaming/sola.npz")
def test_sola(file: Path) -> None:
    v = {name: value.numpy() for name, value in load(file).items()}
    block, overlap, search = (int(v[name]) for name in ("block_frame", "sola_buffer_frame", "sola_search_frame"))
    joiner = UpstreamJoiner(block, overlap, search)
    np.testing.assert_allclose(joiner.fade, v["fade_in"], atol=1e-6)
    for i, samples in enumerate(v["infer_wav"]):
        out = joiner.accept(samples)
        assert joiner.last_offset == int(v["offset"][i])
        np.testing.assert_allclose(out, v["out"][i], atol=1e-5)
        np.testing.assert_allclose(joiner.tail, v["sola_buffer_after"][i], atol=1e-5)


@pytest.mark.vector_files("streaming/resample.npz")
def test_resamplers(file: Path) -> None:
    v = {name: value.numpy() for name, value in load(file).items()}
    for name in [n for n in v if n.startswith("torchaudio_")]:
        _, rate_in, rate_out = name.split("_")
        used = len(v[name]) * int(rate_in) // int(rate_out)  # long ratios were recorded on a part
        own = sinc_resample(v["x"][:used], int(rate_in), int(rate_out))
        np.testing.assert_allclose(own, v[name], atol=1e-5)
    if "soxr_hq_block" in v:
        block, at_16k = v["soxr_hq_block"], v["soxr_hq_block_16k"]
        own = resample(Pcm(block, 16000 * len(block) // len(at_16k)), 16000).samples
        np.testing.assert_allclose(own, at_16k, atol=1e-5)


def recorded_engine(v: Vector, style: torch.nn.Module) -> SeedVCEngine:
    networks = Networks(
        config=PRESETS["xlsr-tiny"].config,
        flow=flow("xlsr-tiny"),
        regulator=regulator("xlsr-tiny"),
        vocoder=HiftVocoder(hift()),
        style=style,  # type: ignore[arg-type]
        encoder=StubEncoder(),
        pitch=None,
        weights="pseudo",
    )
    return SeedVCEngine(networks, compat="upstream", noise=NoNoise())


def recorded_settings(file: Path) -> SeedVCSettings:
    c = json.loads(file.with_suffix(".json").read_text())
    return SeedVCSettings(
        block=c["block_time"],
        crossfade=c["crossfade_time"],
        context=c["extra_time_ce"],
        dit_context=c["extra_time"],
        lookahead=c["extra_time_right"],
        prompt_seconds=c["max_prompt_length"],
        diffusion_steps=c["diffusion_steps"],
        cfg_rate=c["inference_cfg_rate"],
    )


@pytest.mark.vector_files("streaming/e2e_stub.npz")
def test_last_block_from_its_features(file: Path) -> None:
    v = load(file)
    engine, settings = recorded_engine(v, FixedStyle(v["style2"])), recorded_settings(file)
    sizes = engine.sizes(settings)
    prompt = Prompt(v["mel2"][0], v["prompt_condition"][0], v["style2"][0], 0.0)
    features = v["semantic_last"][:, sizes.dropped :]
    mu = engine.networks.regulator(features, torch.tensor([sizes.mel_frames]))
    mel = engine.generate(mu, [prompt], [settings], [0], [0])
    assert_near(mel, v["vocoder_mel_last"], 1e-4)
    wave = engine.networks.vocoder.synthesise(mel, sizes.out_start, sizes.out_length, engine.noise, [0], [0])
    error = wave[0] - v["infer_wav_last"]
    assert float(error.square().mean().sqrt() / v["infer_wav_last"].square().mean().sqrt()) <= 2e-2


@pytest.mark.vector_files("streaming/e2e_stub.npz")
def test_upstream_run(file: Path, request: pytest.FixtureRequest) -> None:
    v = load(file)
    if "source_wav" not in v:
        pytest.skip("needs the recorded voices: give --vectors FOLDER")
    weights = request.config.getoption("--campplus", default=None)
    style = load_campplus(weights) if weights else FixedStyle(v["style2"])
    engine, settings = recorded_engine(v, style), recorded_settings(file)
    voice = Voice(
        engine.name,
        engine.weights_hash,
        {"prompt_seconds": np.zeros(1), "reference": v["reference_wav"].numpy()},
    )
    prompt = engine.prompt(voice, settings.prompt_seconds)
    assert float((prompt.mel - v["mel2"][0]).abs().max()) <= 5e-3
    assert_near(prompt.condition[None], v["prompt_condition"], 1e-4)
    assert float((prompt.style - v["style2"][0]).abs().max()) <= 2e-3
    stream = UpstreamStream(engine, voice, settings)
    size = stream.geometry.block
    source = v["source_wav"].numpy()
    blocks = len(v["offset"])
    assert blocks * size == len(source)
    out = []
    for i in range(blocks):
        out.append(stream.push(source[i * size : (i + 1) * size]))
        if i == 0:
            assert relative(stream.last_converted, v["infer_wav_first"].numpy()) <= 2e-2
    assert stream.state is not None
    np.testing.assert_allclose(stream.state["buffer_16k"], v["input_wav_res_last"].numpy(), atol=1e-5)
    assert relative(np.concatenate(out), v["out"].numpy()) <= 2e-2


def relative(own: np.ndarray[Any, Any], recorded: np.ndarray[Any, Any]) -> float:
    error = np.sqrt(np.mean((own.astype(np.float64) - recorded) ** 2))
    return float(error / np.sqrt(np.mean(recorded.astype(np.float64) ** 2)))
