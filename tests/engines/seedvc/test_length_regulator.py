"""The length regulator against recorded numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seedvc_live.engines.seedvc.length_regulator import LengthRegulator, f0_to_bins

from .conftest import assert_near, load
from .nets import FOLDERS, config_of, regulator
from .pseudo import check_crc, check_layout

pytestmark = pytest.mark.torch
TOLERANCE = 1e-4


def regulator_of(file: Path) -> LengthRegulator:
    return regulator(FOLDERS[file.parent.name])


@pytest.mark.vector_files("*/length_regulator_keys.json")
def test_keys_are_the_checkpoints(file: Path) -> None:
    check_layout(LengthRegulator(config_of(file).regulator), file)


@pytest.mark.vector_files("*/length_regulator_crc32.json")
def test_weights_are_the_recorded_ones(file: Path) -> None:
    check_crc(regulator_of(file), file)


@pytest.mark.vector_files("*/length_regulator_[0-9]*.npz")
def test_forward(file: Path) -> None:
    v = load(file)
    module = regulator_of(file)
    if "out" in v:
        assert_near(module(v["x"], v["ylens"]), v["out"], TOLERANCE)
    if "out_f0" in v:
        assert_near(module(v["x"], v["ylens"], v["f0"]), v["out_f0"], TOLERANCE)


@pytest.mark.vector_files("*/units.npz")
def test_zeros_show_the_epsilon(file: Path) -> None:
    v = load(file)
    frames_in, frames_out = v["lr_zero_T"].tolist()
    x = torch.zeros(1, frames_in, config_of(file).regulator.in_channels)
    assert_near(regulator_of(file)(x, torch.tensor([frames_out])), v["lr_zero_out"], TOLERANCE)


@pytest.mark.vector_files("*/f0_to_coarse.npz")
def test_pitch_bins(file: Path) -> None:
    v = load(file)
    bins = int(v["n_bins"])
    assert torch.equal(f0_to_bins(v["f0"].float(), bins), v["coarse_f32"])
    assert torch.equal(f0_to_bins(v["f0"].double(), bins), v["coarse_f64"])


@pytest.mark.vector_files("*/length_regulator_0.npz")
def test_an_index_of_nearest_frames_equals_no_index(file: Path) -> None:
    v = load(file)
    frames_in, frames_out = v["x"].shape[1], int(v["ylens"].max())
    scale = torch.tensor(frames_in / frames_out, dtype=torch.float32)
    index = (torch.arange(frames_out) * scale).long()
    module = regulator_of(file)
    assert_near(module(v["x"], v["ylens"], index=index), module(v["x"], v["ylens"]), 1e-6)
