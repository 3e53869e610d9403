"""Content encoders: what is said, at 50 frames a second, from a wave at 16 kHz."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from seedvc_live.engines.seedvc.sizes import ENCODER_HOP, ENCODER_RATE, ENCODER_WINDOW
from seedvc_live.errors import EngineError, ModelFileError

WHISPER_SECONDS = 30


class ContentEncoder(Protocol):
    """Wave in, features out."""

    padding: int
    """Samples of silence to put on each side so that frame i is centred on its 20 ms."""

    def __call__(self, wave: Tensor) -> Tensor:
        """(B, samples at 16 kHz) → (B, frames, channels)."""


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise EngineError(
            "the content encoder needs transformers; install it with: pip install 'seedvc-live[seed-vc]'"
        ) from None
    return transformers


def _setting(folder: Path, name: str, default: Any) -> Any:
    path = folder / "preprocessor_config.json"
    if not path.exists():
        return default
    return json.loads(path.read_text(encoding="utf-8")).get(name, default)


class XlsrEncoder:
    """The first layers of wav2vec 2.0 XLS-R, with the final norm that was trained behind all of them."""

    padding = (ENCODER_WINDOW - ENCODER_HOP) // 2

    def __init__(self, folder: Path, layers: int, device: torch.device, dtype: torch.dtype) -> None:
        transformers = _transformers()
        self.normalise = bool(_setting(folder, "do_normalize", True))
        try:
            config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True)
            config.num_hidden_layers = min(layers, config.num_hidden_layers)
            self.model = transformers.Wav2Vec2Model.from_pretrained(str(folder), config=config, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelFileError(f"cannot load the content encoder from {folder}: {reason}") from None
        self.model.to(device=device, dtype=dtype).eval().requires_grad_(False)
        self.dtype = dtype

    def __call__(self, wave: Tensor) -> Tensor:
        if self.normalise:
            mean, variance = wave.mean(-1, keepdim=True), wave.var(-1, keepdim=True, unbiased=False)
            wave = (wave - mean) / torch.sqrt(variance + 1e-7)
        return self.model(wave.to(self.dtype)).last_hidden_state.float()


class WhisperEncoder:
    """Whisper's encoder. Its input is padded to 30 s, as in training, unless `truncate` is chosen."""

    padding = 0

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, truncate: bool = False) -> None:
        transformers = _transformers()
        try:
            self.features = transformers.WhisperFeatureExtractor.from_pretrained(str(folder), local_files_only=True)
            model = transformers.WhisperModel.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelFileError(f"cannot load the content encoder from {folder}: {reason}") from None
        self.model = model.get_encoder().to(device=device, dtype=dtype).eval().requires_grad_(False)
        self.device, self.dtype, self.truncate = device, dtype, truncate

    def __call__(self, wave: Tensor) -> Tensor:
        samples = wave.shape[-1]
        if samples > WHISPER_SECONDS * ENCODER_RATE:
            raise EngineError(f"Whisper encodes at most {WHISPER_SECONDS} s at once")
        frames = samples // ENCODER_HOP + 1
        waves = [row.cpu().numpy() for row in wave]
        prepared = self.features(waves, sampling_rate=ENCODER_RATE, return_tensors="pt")
        mel = prepared.input_features.to(self.device, self.dtype)
        if not self.truncate:
            return self.model(mel).last_hidden_state[:, :frames].float()
        return self._short(mel[..., : 2 * frames]).float()

    def _short(self, mel: Tensor) -> Tensor:
        """The encoder on the frames there are, without the padding: an approximation."""
        model = self.model
        h = F.gelu(model.conv2(F.gelu(model.conv1(mel)))).transpose(1, 2)
        h = h + model.embed_positions.weight[: h.shape[1]]
        for layer in model.layers:
            out = layer(h, None)
            h = out[0] if isinstance(out, tuple) else out
        return model.layer_norm(h)
