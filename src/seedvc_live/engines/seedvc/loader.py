"""Checkpoints in the published layouts → networks. Nothing that a file contains is executed."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seedvc_live.engines.seedvc.bigvgan import BigVgan, BigVganConfig
from seedvc_live.engines.seedvc.campplus import CAMPPlus, load_campplus
from seedvc_live.engines.seedvc.cfm import FlowMatching
from seedvc_live.engines.seedvc.encoders import ContentEncoder, WhisperEncoder, XlsrEncoder
from seedvc_live.engines.seedvc.hift import Hift
from seedvc_live.engines.seedvc.hub import ModelStore, sha256_of
from seedvc_live.engines.seedvc.length_regulator import LengthRegulator
from seedvc_live.engines.seedvc.presets import (
    BIGVGAN_CHECKPOINT,
    BIGVGAN_CONFIG,
    CAMPPLUS,
    HIFT,
    RMVPE,
    SEED_VC,
    HubFile,
    ModelConfig,
    Preset,
    encoder_files,
    read_config,
)
from seedvc_live.engines.seedvc.rmvpe import Rmvpe
from seedvc_live.engines.seedvc.vocoder import BigVganVocoder, HiftVocoder, Vocoder
from seedvc_live.engines.seedvc.weightnorm import fold_weight_norm
from seedvc_live.errors import EngineError, ModelFileError

_log = logging.getLogger(__name__)
_PREFIX = "module."


@dataclass
class Networks:
    """A loaded model. `pitch` is None where the model is not conditioned on pitch."""

    config: ModelConfig
    flow: FlowMatching
    regulator: LengthRegulator
    vocoder: Vocoder
    style: CAMPPlus
    encoder: ContentEncoder
    pitch: Rmvpe | None
    weights: str
    """sha256 over the sha256 of all weight files, the content encoder's included."""


def device_of(name: str) -> torch.device:
    """The device of that name; "auto" is the GPU where there is one.

    Raises:
        EngineError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:  # all that torch says to a word it does not know
        raise EngineError(f"there is no device '{name}'; try auto, cpu or cuda") from None
    if device.type != "cpu":
        backend: Any = getattr(torch, device.type, None)
        count = backend.device_count() if hasattr(backend, "device_count") else 0
        if (device.index or 0) >= count:
            raise EngineError(f"device '{name}' cannot be used here: torch finds {count} of that kind")
    return device


def read_checkpoint(path: Path) -> Any:
    """Content of a torch file.

    Raises:
        ModelFileError: it is missing, damaged, or asks for code to be run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelFileError(f"model file not found: {path}") from None
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error) or "Weights only" in str(error):
            raise ModelFileError(
                f"model file {path} holds more than weights and was not loaded: it could run code"
            ) from None
        raise ModelFileError(f"model file {path} is damaged; download it again") from None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFileError(f"model file {path} is damaged or truncated ({reason}); download it again") from None


def state_at(content: Any, path: Path, *keys: str) -> dict[str, Tensor]:
    """The state dict below nested keys, without `module.` prefixes.

    Raises:
        ModelFileError: a key is missing, or what stands there is no state dict.
    """
    for depth, key in enumerate(keys, start=1):
        if not isinstance(content, Mapping) or key not in content:
            raise ModelFileError(f"model file {path} has no entry {'/'.join(keys[:depth])!r}; is it another model?")
        content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelFileError(f"model file {path}: {'/'.join(keys) or 'its content'} is no table of weights")
    return {str(name).removeprefix(_PREFIX): value for name, value in content.items()}


def fill(module: nn.Module, state: dict[str, Tensor], where: str) -> nn.Module:
    """Load weights; ready for inference.

    Keys that the module does not have are named in the log and left out.

    Raises:
        ModelFileError: a key is missing or has another shape; the message names it.
    """
    expected = module.state_dict()
    if any(name.endswith(".weight_g") for name in expected) and not any(n.endswith(".weight_g") for n in state):
        fold_weight_norm(module)
        expected = module.state_dict()
    for name, value in expected.items():
        if name not in state:
            raise ModelFileError(f"{where}: key '{name}' is missing; is it a checkpoint of another model?")
        if state[name].shape != value.shape:
            found, wanted = tuple(state[name].shape), tuple(value.shape)
            raise ModelFileError(f"{where}: key '{name}' has shape {found}, the configuration says {wanted}")
    unknown = [name for name in state if name not in expected]
    if unknown:
        _log.warning("%s: %d unknown keys left out, the first is '%s'", where, len(unknown), unknown[0])
    module.load_state_dict({name: state[name] for name in expected}, strict=True)
    fold_weight_norm(module)
    return module.eval().requires_grad_(False)


def load_vocoder(config: ModelConfig, store: ModelStore) -> tuple[Vocoder, Path]:
    """The model's vocoder and its weight file."""
    if config.vocoder == "hift":
        path = store.require(HIFT)
        net = fill(Hift(), state_at(read_checkpoint(path), path), str(path))
        assert isinstance(net, Hift)
        return HiftVocoder(net), path
    path = store.require(HubFile(config.vocoder_name, BIGVGAN_CHECKPOINT))
    settings = store.require(HubFile(config.vocoder_name, BIGVGAN_CONFIG))
    try:
        values = json.loads(settings.read_text(encoding="utf-8"))
    except ValueError:
        raise ModelFileError(f"the vocoder's configuration is no JSON file: {settings}") from None
    vocoder = BigVganConfig.parse(values)
    if (vocoder.num_mels, vocoder.mel_hop) != (config.mel.n_mels, config.mel.hop):
        raise ModelFileError(
            f"{settings}: {vocoder.num_mels} bins and hop {vocoder.mel_hop}, "
            f"the model has {config.mel.n_mels} and {config.mel.hop}"
        )
    generator = fill(BigVgan(vocoder), state_at(read_checkpoint(path), path, "generator"), str(path))
    assert isinstance(generator, BigVgan)
    return BigVganVocoder(generator), path


def load_encoder(
    config: ModelConfig, store: ModelStore, device: torch.device, dtype: torch.dtype, truncate: bool
) -> tuple[ContentEncoder, Path]:
    """The model's content encoder and its weight file."""
    *settings, weights = encoder_files(config)
    folder = store.require(settings[0]).parent
    for file in settings[1:]:
        if store.find(file) is not None:
            store.require(file)
    path = store.require(weights)
    if path.suffix == ".bin":
        read_checkpoint(path)  # says what is wrong with it more clearly than transformers
    if config.encoder == "xlsr":
        return XlsrEncoder(folder, config.encoder_layers, device, dtype), path
    return WhisperEncoder(folder, device, dtype, truncate), path


def load_networks(
    preset: Preset,
    store: ModelStore,
    *,
    checkpoint: Path | None = None,
    config_file: Path | None = None,
    device: str = "cpu",
    encoder: ContentEncoder | None = None,
    truncate: bool = False,
    encoder_type: torch.dtype | None = None,
) -> Networks:
    """Load a model.

    Args:
        preset: which; `checkpoint` and `config_file` replace its own files (fine-tuned models).
        store: where the files are.
        device: a torch device.
        encoder: used instead of the published content encoder.
        truncate: Whisper without padding to 30 s.
        encoder_type: of the content encoder; by default float32 on a CPU, and float16 elsewhere as in the original.

    Raises:
        EngineError: there is no such device, or nothing to truncate.
        ModelFileError: a file is missing, damaged, or of another model.
    """
    where = device_of(device)
    if config_file is None:
        own = HubFile(SEED_VC, preset.config_file)
        config_file = None if store.find(own) is None else store.require(own)
    config = preset.config if config_file is None else read_config(config_file)
    if config.mel.rate % 50:
        raise ModelFileError(f"a model of {config.mel.rate} Hz cannot stream: the rate must be a multiple of 50")
    if (config.dit.n_mels, config.dit.content_dim) != (config.mel.n_mels, config.regulator.channels):
        raise ModelFileError(f"{config_file}: the sizes of mel, transformer and length regulator do not agree")
    path = checkpoint or store.require(HubFile(SEED_VC, preset.checkpoint))
    content = read_checkpoint(path)
    flow = fill(FlowMatching(config.dit), state_at(content, path, "net", "cfm"), f"{path} (cfm)")
    regulator = fill(
        LengthRegulator(config.regulator),
        state_at(content, path, "net", "length_regulator"),
        f"{path} (length_regulator)",
    )
    assert isinstance(flow, FlowMatching)
    assert isinstance(regulator, LengthRegulator)
    vocoder, vocoder_path = load_vocoder(config, store)
    style_path = store.require(CAMPPLUS)
    used = [path, vocoder_path, style_path]
    pitch = None
    if config.f0_conditioned:
        pitch_path = store.require(RMVPE)
        loaded = fill(Rmvpe(), state_at(read_checkpoint(pitch_path), pitch_path), str(pitch_path))
        assert isinstance(loaded, Rmvpe)
        pitch, used = loaded.to(where), [*used, pitch_path]
    if truncate and config.encoder != "whisper":
        raise EngineError(f"model '{preset.name}' does not pad its input: there is nothing to truncate")
    if encoder is None:
        kind = encoder_type or (torch.float32 if where.type == "cpu" else torch.float16)
        encoder, encoder_path = load_encoder(config, store, where, kind, truncate)
        used.append(encoder_path)
    digests = "".join(sha256_of(file) for file in used)
    if isinstance(vocoder, HiftVocoder | BigVganVocoder):
        vocoder.network.to(where)
    return Networks(
        config=config,
        flow=flow.to(where),
        regulator=regulator.to(where),
        vocoder=vocoder,
        style=load_campplus(style_path).to(where),
        encoder=encoder,
        pitch=pitch,
        weights=hashlib.sha256(digests.encode()).hexdigest(),
    )
