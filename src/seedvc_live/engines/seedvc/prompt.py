"""The reference work: what a voice is to the networks, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.nano.speaker import fbank
from seedvc_live.engines.seedvc.loader import Networks
from seedvc_live.engines.seedvc.mel import LogMel
from seedvc_live.engines.seedvc.sinc import sinc_resample
from seedvc_live.engines.seedvc.sizes import ENCODER_RATE, UNITS_PER_SECOND


@dataclass(frozen=True, eq=False)
class Prompt:
    """A reference, ready to be put in front of any block.

    Attributes:
        mel: (n_mels, P).
        condition: (P, content_dim).
        style: (style_dim,).
        median_f0: of its voiced frames, Hz; 0 where pitch plays no part.
    """

    mel: Tensor
    condition: Tensor
    style: Tensor
    median_f0: float

    @property
    def frames(self) -> int:
        return self.mel.shape[-1]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For a `Voice`."""
        return {
            "mel": self.mel.cpu().numpy(),
            "condition": self.condition.cpu().numpy(),
            "style": self.style.cpu().numpy(),
            "median_f0": np.array([self.median_f0], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], device: torch.device) -> Prompt:
        mel, condition, style = (
            torch.from_numpy(np.array(arrays[name], np.float32)).to(device) for name in ("mel", "condition", "style")
        )
        return cls(mel, condition, style, float(arrays["median_f0"][0]))


def encode(networks: Networks, wave: Tensor, exact: bool) -> Tensor:
    """Content features of a wave at 16 kHz, (B, n) → (B, frames, channels).

    `exact` pads so that frame i is centred on its own 20 ms.
    """
    padding = networks.encoder.padding if exact else 0
    return networks.encoder(torch.nn.functional.pad(wave, (padding, padding)))


def frame_index(mel_frames: int, features: int, rate: int, hop: int) -> Tensor:
    """The content frame that stands at the time of each mel frame, (mel_frames,)."""
    time = torch.arange(mel_frames, dtype=torch.float64) * hop / rate
    return (time * UNITS_PER_SECOND + 1e-9).long().clamp(max=features - 1)


def make_prompt(networks: Networks, reference: Samples, seconds: float, exact: bool) -> Prompt:
    """Derive a prompt from a reference at the model's rate, of which the first `seconds` are used."""
    config = networks.config
    device = networks.flow.estimator.device
    used = reference[: int(config.mel.rate * seconds)]
    mel = LogMel(config.mel).to(device)(torch.from_numpy(used).to(device)[None])
    wave = sinc_resample(used, config.mel.rate, ENCODER_RATE)
    features = encode(networks, torch.from_numpy(wave).to(device)[None], exact)
    frames = mel.shape[-1]
    f0, median = None, 0.0
    if networks.pitch is not None and exact:
        pitch = networks.pitch.pitch(torch.from_numpy(wave).to(device)[None])[0]
        median = float(np.median(pitch[pitch > 1])) if (pitch > 1).any() else 0.0
        f0 = torch.from_numpy(pitch).to(device)[None]
    index = frame_index(frames, features.shape[1], config.mel.rate, config.mel.hop).to(device) if exact else None
    condition = networks.regulator(features, torch.tensor([frames]), f0, index)
    style = networks.style(torch.from_numpy(fbank(wave)).to(device)[None])
    return Prompt(mel[0], condition[0], style[0], median)
