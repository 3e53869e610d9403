"""`xlsr-tiny` at its published size, with generated weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.engines.seedvc.build import CentredStub, HeardStyle
from tests.engines.seedvc.pseudo import fill

from seedvc_live.engines.seedvc.cfm import FlowMatching
from seedvc_live.engines.seedvc.hift import Hift
from seedvc_live.engines.seedvc.length_regulator import LengthRegulator
from seedvc_live.engines.seedvc.loader import Networks
from seedvc_live.engines.seedvc.presets import PRESETS
from seedvc_live.engines.seedvc.vocoder import HiftVocoder
from seedvc_live.engines.seedvc.weightnorm import fold_weight_norm


def own_networks(encoder: Any = None, device: str = "cpu") -> Networks:
    """This engine's networks; a stand-in for the content encoder if none is given."""
    config = PRESETS["xlsr-tiny"].config
    vocoder = fill(Hift(), "hift")
    fold_weight_norm(vocoder)
    parts: dict[str, Any] = {
        "flow": fill(FlowMatching(config.dit)).to(device),
        "regulator": fill(LengthRegulator(config.regulator)).to(device),
        "vocoder": HiftVocoder(vocoder.to(device)),  # type: ignore[arg-type]
        "style": HeardStyle(),
    }
    return Networks(config=config, encoder=encoder or CentredStub(), pitch=None, weights="pseudo", **parts)


def xlsr_encoder() -> Any:
    """XLS-R 300m's first 12 layers, random weights."""
    import transformers

    config = transformers.Wav2Vec2Config(
        hidden_size=1024,
        num_hidden_layers=12,
        num_attention_heads=16,
        intermediate_size=4096,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
    )
    return transformers.Wav2Vec2Model(config).eval().requires_grad_(False)
