"""Folders of model files as published, from pseudo-weights: small networks, or one of the published size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from seedvc_live.engines.seedvc.bigvgan import BigVgan, BigVganConfig
from seedvc_live.engines.seedvc.campplus import CAMPPlus
from seedvc_live.engines.seedvc.cfm import FlowMatching
from seedvc_live.engines.seedvc.hift import Hift
from seedvc_live.engines.seedvc.length_regulator import LengthRegulator
from seedvc_live.engines.seedvc.presets import (
    BIGVGAN_CHECKPOINT,
    BIGVGAN_CONFIG,
    CAMPPLUS,
    HIFT,
    PRESETS,
    RMVPE,
    SEED_VC,
    HubFile,
    ModelConfig,
)
from seedvc_live.engines.seedvc.rmvpe import Rmvpe

from .build import bigvgan_config, small_config, write_yaml
from .pseudo import pseudo_state

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def place(folder: Path, file: HubFile, layout: str) -> Path:
    """Where a file stands in a layout: "flat", "repositories" or "cache" (the hub's own)."""
    if layout == "cache":
        root = folder / f"models--{file.repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True, exist_ok=True)
        (root / "refs" / "main").write_text(COMMIT)
        path = root / "snapshots" / COMMIT / file.name
    else:
        path = folder / file.repository / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_model(
    folder: Path,
    model: str,
    *,
    layout: str = "repositories",
    prefix: str = "",
    full_size: bool = False,
    light: bool = False,
) -> Path:
    """Write every file of a model.

    Args:
        layout: see `place`.
        prefix: of the checkpoint's keys.
        light: a BigVGAN of a third of the work, for tests in real time.
        full_size: transformer, length regulator and vocoder as published (the content encoder has one layer).
    """
    preset = PRESETS[model]
    config = preset.config if full_size else small_config(model)
    parts = {"cfm": FlowMatching(config.dit), "length_regulator": LengthRegulator(config.regulator)}
    net = {name: {prefix + key: value for key, value in pseudo_state(module).items()} for name, module in parts.items()}
    torch.save({"net": net}, place(folder, HubFile(SEED_VC, preset.checkpoint), layout))
    if not full_size:
        write_yaml(place(folder, HubFile(SEED_VC, preset.config_file), layout), config)
    style = pseudo_state(CAMPPlus())
    renamed = {("xvector." + key if key.startswith("dense.") else key): value for key, value in style.items()}
    torch.save(renamed, place(folder, CAMPPLUS, layout))
    if config.vocoder == "hift":
        torch.save(pseudo_state(Hift(), "hift"), place(folder, HIFT, layout))
    else:
        values = bigvgan_config(config.mel)
        if light:
            values |= {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1]]}
        state = pseudo_state(BigVgan(BigVganConfig.parse(values)), "bigvgan")
        torch.save({"generator": state}, place(folder, HubFile(config.vocoder_name, BIGVGAN_CHECKPOINT), layout))
        place(folder, HubFile(config.vocoder_name, BIGVGAN_CONFIG), layout).write_text(json.dumps(values))
    if config.f0_conditioned:
        torch.save(pseudo_state(Rmvpe()), place(folder, RMVPE, layout))
    write_encoder(place(folder, HubFile(config.encoder_name, "config.json"), layout).parent, config)
    return folder


def write_encoder(folder: Path, config: ModelConfig, layers: int = 1) -> None:
    """A content encoder of the published kind, of the width that the model needs, with random weights."""
    import transformers

    torch.manual_seed(0)
    width = config.regulator.in_channels
    if config.encoder == "xlsr":
        network: Any = transformers.Wav2Vec2Model(
            transformers.Wav2Vec2Config(
                hidden_size=width,
                num_hidden_layers=layers,
                num_attention_heads=2,
                intermediate_size=64,
                conv_dim=(32,) * 7,
                feat_extract_norm="layer",
                do_stable_layer_norm=True,
                conv_bias=True,
                num_conv_pos_embeddings=16,
                num_conv_pos_embedding_groups=4,
            )
        )
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
        network.config.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
        return
    whisper = transformers.WhisperConfig(
        d_model=width,
        encoder_layers=layers,
        encoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=64,
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    transformers.WhisperModel(whisper).save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
