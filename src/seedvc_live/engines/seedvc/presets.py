"""Which networks a model is made of: the three published presets, and configurations in upstream's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seedvc_live.engines.seedvc.length_regulator import LengthRegulatorConfig
from seedvc_live.engines.seedvc.mel import MelConfig
from seedvc_live.engines.seedvc.transformer import DiTConfig
from seedvc_live.engines.seedvc.wavenet import WaveNetConfig
from seedvc_live.errors import EngineError, ModelFileError

EncoderKind = Literal["xlsr", "whisper"]
VocoderKind = Literal["hift", "bigvgan"]

XLSR_LAYERS = 12


@dataclass(frozen=True)
class ModelConfig:
    """Everything a model's YAML file decides.

    Attributes:
        mel: spectrogram of transformer and vocoder.
        dit: the transformer.
        regulator: the length regulator; `f0_bins` set = conditioned on pitch.
        encoder: kind of content encoder, and `encoder_name`, its hub repository.
        vocoder: kind of vocoder, and `vocoder_name`, its hub repository.
    """

    mel: MelConfig
    dit: DiTConfig
    regulator: LengthRegulatorConfig
    encoder: EncoderKind
    encoder_name: str
    vocoder: VocoderKind
    vocoder_name: str
    encoder_layers: int = XLSR_LAYERS

    @property
    def f0_conditioned(self) -> bool:
        return self.regulator.f0_bins is not None


@dataclass(frozen=True)
class Preset:
    """A published model: its configuration and the files it is loaded from."""

    name: str
    config: ModelConfig
    checkpoint: str
    config_file: str


@dataclass(frozen=True)
class HubFile:
    """A file of a hub repository; `alternatives` are other names that a local folder may have it under."""

    repository: str
    name: str
    alternatives: tuple[str, ...] = ()


SEED_VC = "Plachta/Seed-VC"
CAMPPLUS = HubFile("funasr/campplus", "campplus_cn_common.bin")
RMVPE = HubFile("lj1995/VoiceConversionWebUI", "rmvpe.pt")
HIFT = HubFile("FunAudioLLM/CosyVoice-300M", "hift.pt")
BIGVGAN_CHECKPOINT = "bigvgan_generator.pt"
BIGVGAN_CONFIG = "config.json"


def _mel(rate: int, n_fft: int, n_mels: int, hop: int, fmax: float | None) -> MelConfig:
    return MelConfig(rate, n_fft, n_mels, hop, n_fft, 0.0, fmax)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "xlsr-tiny",
            ModelConfig(
                mel=_mel(22050, 1024, 80, 256, 8000.0),
                dit=DiTConfig(384, 6, 9, 80, 384, time_as_token=True, style_as_token=True),
                regulator=LengthRegulatorConfig(1024, 384, 1024),
                encoder="xlsr",
                encoder_name="facebook/wav2vec2-xls-r-300m",
                vocoder="hift",
                vocoder_name=HIFT.repository,
            ),
            "DiT_uvit_tat_xlsr_ema.pth",
            "config_dit_mel_seed_uvit_xlsr_tiny.yml",
        ),
        Preset(
            "whisper-small",
            ModelConfig(
                mel=_mel(22050, 1024, 80, 256, None),
                dit=DiTConfig(512, 8, 13, 80, 512, long_skip=True, head="wavenet", wavenet=WaveNetConfig(512)),
                regulator=LengthRegulatorConfig(768, 512, 2048),
                encoder="whisper",
                encoder_name="openai/whisper-small",
                vocoder="bigvgan",
                vocoder_name="nvidia/bigvgan_v2_22khz_80band_256x",
            ),
            "DiT_seed_v2_uvit_whisper_small_wavenet_bigvgan_pruned.pth",
            "config_dit_mel_seed_uvit_whisper_small_wavenet.yml",
        ),
        Preset(
            "singing-44k",
            ModelConfig(
                mel=_mel(44100, 2048, 128, 512, None),
                dit=DiTConfig(768, 12, 17, 128, 768),
                regulator=LengthRegulatorConfig(768, 768, 2048, f0_bins=256),
                encoder="whisper",
                encoder_name="openai/whisper-small",
                vocoder="bigvgan",
                vocoder_name="nvidia/bigvgan_v2_44khz_128band_512x",
            ),
            "DiT_seed_v2_uvit_whisper_base_f0_44k_bigvgan_pruned_ft_ema.pth",
            "config_dit_mel_seed_uvit_whisper_base_f0_44k.yml",
        ),
    )
}


def preset(name: str) -> Preset:
    """Look a preset up.

    Raises:
        EngineError: there is none of that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise EngineError(f"no Seed-VC model '{name}'; there are: {', '.join(PRESETS)}") from None


def encoder_files(config: ModelConfig) -> list[HubFile]:
    """The content encoder's files; the last holds the weights."""
    name = config.encoder_name
    published, other = ("pytorch_model.bin", "model.safetensors")
    if config.encoder == "whisper":
        published, other = other, published
    return [
        HubFile(name, "config.json"),
        HubFile(name, "preprocessor_config.json"),
        HubFile(name, published, (other,)),
    ]


def files_of(preset: Preset, config: ModelConfig | None = None, checkpoint: bool = True) -> list[HubFile]:
    """Every file that a model needs, and its published configuration.

    Args:
        preset: which model.
        config: a fine-tuned model's own.
        checkpoint: False leaves out the preset's own checkpoint and configuration.
    """
    files = [HubFile(SEED_VC, name) for name in (preset.checkpoint, preset.config_file) if checkpoint]
    config = config or preset.config
    files.append(CAMPPLUS)
    if config.vocoder == "hift":
        files.append(HIFT)
    else:
        files += [HubFile(config.vocoder_name, name) for name in (BIGVGAN_CHECKPOINT, BIGVGAN_CONFIG)]
    if config.f0_conditioned:
        files.append(RMVPE)
    return [*files, *encoder_files(config)]


def read_config(path: Path) -> ModelConfig:
    """Read a YAML file in upstream's format.

    Raises:
        ModelFileError: the file is missing, no YAML, or describes a model this engine does not have.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"cannot read the model's configuration {path}: {error}") from None
    except yaml.YAMLError:
        raise ModelFileError(f"the model's configuration is no YAML file: {path}") from None
    if not isinstance(values, Mapping):
        raise ModelFileError(f"the model's configuration has no settings: {path}")
    return parse_config(values, str(path))


def parse_config(values: Mapping[str, Any], where: str) -> ModelConfig:
    """Translate upstream's settings.

    Args:
        values: the YAML file's content.
        where: named in errors.

    Raises:
        ModelFileError: a setting is missing, of the wrong type, or asks for an unpublished variant.
    """
    try:
        return _parse(values, where)
    except KeyError as error:
        raise ModelFileError(f"{where}: setting {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{where}: a setting has the wrong type ({error})") from None


def _parse(values: Mapping[str, Any], where: str) -> ModelConfig:
    audio, model = values["preprocess_params"], values["model_params"]
    spect, dit, regulator = audio["spect_params"], model["DiT"], model["length_regulator"]
    _require(where, "DiT.target", dit.get("target", "mel"), "mel")
    _require(where, "DiT.content_type", dit.get("content_type", "discrete"), "discrete")
    _require(where, "DiT.is_causal", dit.get("is_causal", False), False)
    _require(where, "DiT.style_condition", dit.get("style_condition", True), True)
    _require(where, "length_regulator.is_discrete", regulator.get("is_discrete", False), False)
    ratios = list(regulator.get("sampling_ratios", [1, 1, 1, 1]))
    _require(where, "length_regulator.sampling_ratios", ratios, [1, 1, 1, 1])
    head = dit["final_layer_type"]
    _require(where, "DiT.final_layer_type", head, "mlp", "wavenet")
    tokenizer = model["speech_tokenizer"]
    encoder = tokenizer["type"]
    _require(where, "speech_tokenizer.type", encoder, "xlsr", "whisper")
    vocoder = {"hifigan": "hift", "bigvgan": "bigvgan"}.get(model["vocoder"]["type"], "")
    _require(where, "vocoder.type", vocoder, "hift", "bigvgan")
    wavenet = None
    if head == "wavenet":
        settings = model["wavenet"]
        wavenet = WaveNetConfig(
            int(settings["hidden_dim"]),
            int(settings["num_layers"]),
            int(settings["kernel_size"]),
            int(settings["dilation_rate"]),
        )
    bins = int(regulator["n_f0_bins"]) if regulator.get("f0_condition") else None
    # Only the text "None" means "up to half the rate"; upstream reads any other value as 8 kHz.
    fmax = None if spect.get("fmax", "None") == "None" else 8000.0
    return ModelConfig(
        mel=MelConfig(
            rate=int(audio["sr"]),
            n_fft=int(spect["n_fft"]),
            n_mels=int(spect["n_mels"]),
            hop=int(spect["hop_length"]),
            win=int(spect["win_length"]),
            fmin=float(spect.get("fmin", 0)),
            fmax=fmax,
        ),
        dit=DiTConfig(
            dim=int(dit["hidden_dim"]),
            heads=int(dit["num_heads"]),
            depth=int(dit["depth"]),
            n_mels=int(dit["in_channels"]),
            content_dim=int(dit["content_dim"]),
            style_dim=int(model["style_encoder"]["dim"]),
            time_as_token=bool(dit.get("time_as_token", False)),
            style_as_token=bool(dit.get("style_as_token", False)),
            long_skip=bool(dit.get("long_skip_connection", False)),
            uvit_skip=bool(dit.get("uvit_skip_connection", False)),
            codebook_size=int(dit.get("content_codebook_size", 1024)),
            head="wavenet" if head == "wavenet" else "mlp",
            wavenet=wavenet,
        ),
        regulator=LengthRegulatorConfig(
            int(regulator["in_channels"]),
            int(regulator["channels"]),
            int(regulator["content_codebook_size"]),
            bins,
        ),
        encoder="xlsr" if encoder == "xlsr" else "whisper",
        encoder_name=str(tokenizer["name"]),
        vocoder="hift" if vocoder == "hift" else "bigvgan",
        vocoder_name=HIFT.repository if vocoder == "hift" else str(model["vocoder"]["name"]),
        encoder_layers=int(tokenizer.get("output_layer", XLSR_LAYERS)),
    )


def _require(where: str, name: str, value: Any, *allowed: Any) -> None:
    if value not in allowed:
        known = " or ".join(repr(choice) for choice in allowed)
        raise ModelFileError(f"{where}: {name} is {value!r}; this engine has {known} only")
