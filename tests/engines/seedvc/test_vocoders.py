"""HiFT and BigVGAN against recorded numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from seedvc_live.engines.seedvc.bigvgan import BigVgan, BigVganConfig
from seedvc_live.engines.seedvc.hift import Hift
from seedvc_live.engines.seedvc.weightnorm import fold_weight_norm
from seedvc_live.errors import ModelFileError

from .conftest import assert_near, load
from .nets import hift
from .pseudo import check_crc, check_layout, fill, pseudo_state

pytestmark = pytest.mark.torch
GIVEN_F0 = 1e-3
PREDICTED_F0 = 3e-2
PITCH = 1e-4
BIGVGAN = 2e-4


@pytest.mark.vector_files("hift/keys.json")
def test_hift_keys_are_the_checkpoints(file: Path) -> None:
    check_layout(Hift(), file)


@pytest.mark.vector_files("hift/crc32.json")
def test_hift_weights_are_the_recorded_ones(file: Path) -> None:
    check_crc(hift(), file)


@pytest.mark.vector_files("hift/*.npz")
def test_hift(file: Path) -> None:
    v = load(file)
    module, f0 = hift(), v["f0"]
    samples = f0.shape[1] * module.config.mel_hop
    rows = module.config.harmonics + 1
    if "seed" in v:
        torch.manual_seed(int(v["seed"]))
        assert_near(module(v["mel"], f0), v["wav"], GIVEN_F0)
        return
    phase = v.get("phase", torch.zeros(1, rows, 1)).clone()
    phase[:, 0] = 0
    noise = v.get("noise", torch.zeros(1, rows, samples))
    source = module.source(f0, phase, noise)
    assert_near(source, v["source"], GIVEN_F0)
    assert_near(module(v["mel"], f0, phase, noise), v["wav"], GIVEN_F0)
    if "f0_pred" in v:
        predicted = module.f0_predictor(v["mel"])
        assert_near(predicted, v["f0_pred"], PITCH)
        assert_near(module.source(predicted, phase, noise), v["source_predf0"], PREDICTED_F0)
        assert_near(module(v["mel"], None, phase, noise), v["wav_predf0"], PREDICTED_F0)


def config_beside(file: Path) -> BigVganConfig:
    name = file.name.split("_keys")[0].split("_crc32")[0].removesuffix(".npz")
    return BigVganConfig.parse(json.loads(file.with_name(f"{name}_config.json").read_text()))


@pytest.mark.vector_files("bigvgan/*_keys*.json")
def test_bigvgan_keys_are_the_checkpoints(file: Path) -> None:
    with torch.device("cpu" if "small" in file.name else "meta"):
        module = BigVgan(config_beside(file))
        if "removed_wn" in file.name:
            fold_weight_norm(module)
    check_layout(module, file)


@pytest.mark.vector_files("bigvgan/*.npz")
@pytest.mark.timeout(600)
def test_bigvgan(file: Path) -> None:
    v = load(file)
    config = config_beside(file)
    linear = not config.snake_logscale
    module = fill(BigVgan(config), "bigvgan", linear)
    crc = file.with_name(file.stem + "_crc32.json")
    if crc.exists():
        check_crc(module, crc)
    assert_near(module(v["mel"]), v["wav_weight_norm"], BIGVGAN)
    state = pseudo_state(module, "bigvgan", linear)
    fold_weight_norm(module)
    assert_near(module(v["mel"]), v["wav_removed_wn"], BIGVGAN)
    folded = {name: value.clone() for name, value in module.state_dict().items()}
    for content in (state, folded):
        # Either layout loads into a fresh module and into a folded one.
        for target in (BigVgan(config), module):
            target.load_state_dict(content, strict=True)
            if "small" in file.name:
                assert_near(target(v["mel"]), v["wav_removed_wn"], BIGVGAN)


def test_bigvgan_refuses_an_unusable_variant() -> None:
    with pytest.raises(ModelFileError, match="resblock '2'"):
        BigVganConfig.parse({"resblock": "2"})
    with pytest.raises(ModelFileError, match="num_mels"):
        BigVganConfig.parse({"resblock": "1", "upsample_rates": [4]})
