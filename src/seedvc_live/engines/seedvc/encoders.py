"""Content encoders: what is said, at 50 frames a second, from a wave at 16 kHz."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
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
    transformers.utils.logging.disable_progress_bar()  # of weights read from a local file
    return transformers


def _setting(folder: Path, name: str, default: Any) -> Any:
    path = folder / "preprocessor_config.json"
    if not path.exists():
        return default
    return json.loads(path.read_text(encoding="utf-8")).get(name, default)


@contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    log = _transformers().utils.logging
    level = log.get_verbosity()
    log.set_verbosity_error()  # it lists every layer that was cut away; what matters is checked below
    try:
        yield
    except ModelFileError:
        raise
    except Exception as error:  # whatever transformers, safetensors or torch say of a bad file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFileError(f"cannot load the content encoder from {folder}: {reason}") from None
    finally:
        log.set_verbosity(level)


def _complete(kind: Any, folder: Path, unused: Collection[str] = (), **options: Any) -> Any:
    """A model with every weight from its file: transformers would draw missing ones at random."""
    model, found = kind.from_pretrained(str(folder), local_files_only=True, output_loading_info=True, **options)
    missing = sorted(set(found["missing_keys"]) - set(unused))
    if missing:
        raise ModelFileError(f"the content encoder in {folder}: key '{missing[0]}' is missing")
    return model


class XlsrEncoder:
    """The first layers of wav2vec 2.0 XLS-R, with the final norm that was trained behind all of them."""

    padding = (ENCODER_WINDOW - ENCODER_HOP) // 2

    def __init__(self, folder: Path, layers: int, device: torch.device, dtype: torch.dtype) -> None:
        transformers = _transformers()
        self.normalise = bool(_setting(folder, "do_normalize", True))
        with _clear_errors(folder):
            config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True)
            config.num_hidden_layers = min(layers, config.num_hidden_layers)
            # In training only: frames masked out.
            self.model = _complete(transformers.Wav2Vec2Model, folder, {"masked_spec_embed"}, config=config)
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
        with _clear_errors(folder):
            self.features = transformers.WhisperFeatureExtractor.from_pretrained(str(folder), local_files_only=True)
            model = _complete(transformers.WhisperModel, folder)
        self.model = model.get_encoder().to(device=device, dtype=dtype).eval().requires_grad_(False)
        self.device, self.dtype, self.truncate = device, dtype, truncate

    def __call__(self, wave: Tensor) -> Tensor:
        return self.short(wave) if self.truncate else self.padded(wave)

    def padded(self, wave: Tensor) -> Tensor:
        """The encoder as it was trained."""
        mel, frames = self._mel(wave)
        return self.model(mel).last_hidden_state[:, :frames].float()

    def short(self, wave: Tensor) -> Tensor:
        """The encoder on the frames there are, without the padding: an approximation."""
        whole, frames = self._mel(wave)
        mel, model = whole[..., : 2 * frames], self.model
        h = F.gelu(model.conv2(F.gelu(model.conv1(mel)))).transpose(1, 2)
        h = h + model.embed_positions.weight[: h.shape[1]]
        for layer in model.layers:
            out = layer(h, None)
            h = out[0] if isinstance(out, tuple) else out
        return model.layer_norm(h).float()

    def _mel(self, wave: Tensor) -> tuple[Tensor, int]:
        """Whisper's own log mel, padded to 30 s, and how many encoder frames belong to the wave."""
        samples = wave.shape[-1]
        if samples > WHISPER_SECONDS * ENCODER_RATE:
            raise EngineError(f"Whisper encodes at most {WHISPER_SECONDS} s at once")
        waves = [row.cpu().numpy() for row in wave]
        prepared = self.features(waves, sampling_rate=ENCODER_RATE, return_tensors="pt")
        return prepared.input_features.to(self.device, self.dtype), samples // ENCODER_HOP + 1
