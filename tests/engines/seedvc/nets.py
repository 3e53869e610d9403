"""Networks with pseudo-weights, built once per test run."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from seedvc_live.engines.seedvc.cfm import FlowMatching
from seedvc_live.engines.seedvc.hift import Hift
from seedvc_live.engines.seedvc.length_regulator import LengthRegulator
from seedvc_live.engines.seedvc.presets import PRESETS, ModelConfig

from .pseudo import fill

FOLDERS = {
    "xlsr_tiny": "xlsr-tiny",
    "whisper_small_wavenet": "whisper-small",
    "whisper_base_f0_44k": "singing-44k",
}


def config_of(file: Path) -> ModelConfig:
    """The model that a vector file's folder is about."""
    return PRESETS[FOLDERS[file.parent.name]].config


@lru_cache(maxsize=1)  # the largest has 0.6 GB
def flow(model: str) -> FlowMatching:
    module = fill(FlowMatching(PRESETS[model].config.dit))
    assert isinstance(module, FlowMatching)
    return module


def flow_of(file: Path) -> FlowMatching:
    return flow(FOLDERS[file.parent.name])


@lru_cache(maxsize=3)
def regulator(model: str) -> LengthRegulator:
    module = fill(LengthRegulator(PRESETS[model].config.regulator))
    assert isinstance(module, LengthRegulator)
    return module


@lru_cache(maxsize=1)
def hift() -> Hift:
    module = fill(Hift(), "hift")
    assert isinstance(module, Hift)
    return module
