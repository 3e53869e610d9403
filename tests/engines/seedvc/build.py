"""A small stand-in for the content encoder, and models and folders built from pseudo-weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seedvc_live.engines.seedvc.bigvgan import BigVgan, BigVganConfig
from seedvc_live.engines.seedvc.cfm import FlowMatching
from seedvc_live.engines.seedvc.hift import Hift
from seedvc_live.engines.seedvc.length_regulator import LengthRegulator, LengthRegulatorConfig
from seedvc_live.engines.seedvc.loader import Networks
from seedvc_live.engines.seedvc.mel import MelConfig
from seedvc_live.engines.seedvc.presets import PRESETS, ModelConfig
from seedvc_live.engines.seedvc.rmvpe import Rmvpe
from seedvc_live.engines.seedvc.transformer import DiTConfig
from seedvc_live.engines.seedvc.vocoder import BigVganVocoder, HiftVocoder
from seedvc_live.engines.seedvc.wavenet import WaveNetConfig

from .pseudo import fill, pseudo_array


class StubEncoder:
    """Frames of 400 samples every 320, times a fixed matrix: the vectors' stand-in for XLS-R."""

    padding = 0

    def __init__(self, channels: int = 1024) -> None:
        matrix = pseudo_array("stub_semantic", (channels, 400))
        self.matrix = torch.from_numpy(10 * matrix)

    def __call__(self, wave: Tensor) -> Tensor:
        return wave.unfold(-1, 400, 320) @ self.matrix.T


class CentredStub(StubEncoder):
    padding = 40


class FixedStyle(nn.Module):
    """Gives one speaker embedding whatever it hears."""

    def __init__(self, style: Tensor) -> None:
        super().__init__()
        self.style = style.reshape(1, -1)

    def forward(self, fbank: Tensor) -> Tensor:
        return self.style.expand(fbank.shape[0], -1)


class HeardStyle(nn.Module):
    """A speaker embedding that depends on the fbank, without CAMPPlus' 28 MB."""

    def forward(self, fbank: Tensor) -> Tensor:
        return torch.cat([fbank.std(1), fbank.amax(1), fbank.amin(1)[:, :32]], dim=-1) / 8


def small_config(model: str) -> ModelConfig:
    """The preset's structure at a fraction of its size."""
    wavenet = WaveNetConfig(64, layers=3)
    mel = PRESETS[model].config.mel
    kinds: dict[str, dict[str, Any]] = {
        "xlsr-tiny": {"time_as_token": True, "style_as_token": True},
        "whisper-small": {"long_skip": True, "head": "wavenet", "wavenet": wavenet},
        "singing-44k": {},
    }
    dit = DiTConfig(64, 2, 5, mel.n_mels, 64, **kinds[model])
    bins = 256 if model == "singing-44k" else None
    channels = 48
    return ModelConfig(
        mel=mel,
        dit=dit,
        regulator=LengthRegulatorConfig(channels, 64, 16, bins),
        encoder=PRESETS[model].config.encoder,
        encoder_name=PRESETS[model].config.encoder_name,
        vocoder=PRESETS[model].config.vocoder,
        vocoder_name=PRESETS[model].config.vocoder_name,
    )


def bigvgan_config(mel: MelConfig) -> dict[str, Any]:
    """A narrow generator with the published one's rates."""
    rates = {256: [4, 4, 2, 2, 2, 2], 512: [8, 4, 2, 2, 2, 2]}[mel.hop]
    return {
        "resblock": "1",
        "num_mels": mel.n_mels,
        "upsample_rates": rates,
        "upsample_kernel_sizes": [2 * rate for rate in rates],
        "upsample_initial_channel": 64,
        "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5]] * 3,
        "activation": "snakebeta",
        "snake_logscale": True,
        "use_tanh_at_final": False,
        "use_bias_at_final": False,
    }


def small_networks(model: str) -> Networks:
    """A model of the preset's structure, small enough to run many windows."""
    config = small_config(model)
    flow = fill(FlowMatching(config.dit))
    regulator = fill(LengthRegulator(config.regulator))
    vocoder: Any
    if config.vocoder == "hift":
        vocoder = HiftVocoder(fill(Hift(), "hift"))  # type: ignore[arg-type]
    else:
        generator = fill(BigVgan(BigVganConfig.parse(bigvgan_config(config.mel))), "bigvgan")
        vocoder = BigVganVocoder(generator)  # type: ignore[arg-type]
    pitch = fill(Rmvpe()) if config.f0_conditioned else None
    return Networks(
        config=config,
        flow=flow,  # type: ignore[arg-type]
        regulator=regulator,  # type: ignore[arg-type]
        vocoder=vocoder,
        style=HeardStyle(),  # type: ignore[arg-type]
        encoder=CentredStub(48),
        pitch=pitch,  # type: ignore[arg-type]
        weights=f"pseudo-{model}",
    )


def write_yaml(path: Path, config: ModelConfig) -> None:
    """A configuration in upstream's format (JSON is YAML)."""
    mel, dit, regulator = config.mel, config.dit, config.regulator
    values: dict[str, Any] = {
        "preprocess_params": {
            "sr": mel.rate,
            "spect_params": {
                "n_fft": mel.n_fft,
                "win_length": mel.win,
                "hop_length": mel.hop,
                "n_mels": mel.n_mels,
                "fmin": 0,
                "fmax": "None" if mel.fmax is None else int(mel.fmax),
            },
        },
        "model_params": {
            "vocoder": {
                "type": "hifigan" if config.vocoder == "hift" else "bigvgan",
                "name": config.vocoder_name,
            },
            "speech_tokenizer": {"type": config.encoder, "name": config.encoder_name, "output_layer": 12},
            "style_encoder": {"dim": dit.style_dim},
            "length_regulator": {
                "channels": regulator.channels,
                "is_discrete": False,
                "in_channels": regulator.in_channels,
                "content_codebook_size": regulator.codebook_size,
                "sampling_ratios": [1, 1, 1, 1],
                "f0_condition": regulator.f0_bins is not None,
                "n_f0_bins": regulator.f0_bins or 512,
            },
            "DiT": {
                "hidden_dim": dit.dim,
                "num_heads": dit.heads,
                "depth": dit.depth,
                "in_channels": dit.n_mels,
                "style_condition": True,
                "final_layer_type": dit.head,
                "target": "mel",
                "content_dim": dit.content_dim,
                "content_codebook_size": dit.codebook_size,
                "content_type": "discrete",
                "is_causal": False,
                "long_skip_connection": dit.long_skip,
                "time_as_token": dit.time_as_token,
                "style_as_token": dit.style_as_token,
                "uvit_skip_connection": dit.uvit_skip,
            },
        },
    }
    if dit.wavenet is not None:
        values["model_params"]["wavenet"] = {
            "hidden_dim": dit.wavenet.channels,
            "num_layers": dit.wavenet.layers,
            "kernel_size": dit.wavenet.kernel,
            "dilation_rate": dit.wavenet.dilation,
        }
    path.write_text(json.dumps(values))
