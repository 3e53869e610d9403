"""The content encoder as a stream hears with it, and the mask on top: networks and what they are judged by.

A step attends to its block, to what is heard ahead of it, and to `encoder.REACH` steps before it, whose keys and values
are remembered. The mask tells how much of each band's power is speech (D. Wang and J. Chen, "Supervised speech
separation based on deep learning", 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from seedvc_live.engines.nano import encoder, spectrum
from training.whisper import WhisperEncoder, load_whisper

_INAUDIBLE = 1e-8
"""Power re full scale that is added to both sides of a mask."""
_WIDTH = 64
_TAPS = 7
"""Frames of log-mel that a frame's gain is drawn from: five before it, and the next."""
_HALFWAY = 1
"""Layer after which the encoder still says much of the noise: its answer is to say nothing of it."""


class Mask(nn.Module):
    """Content and features of layer `_HALFWAY` (both (batch, steps, 384)) and log-mel (batch, 80, 2 × steps + 6) →
    gain (batch, 2 × steps, GAIN_BANDS), dB.

    The encoder's features know what is speech, the log-mel how loud each band is at that very moment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.of_content = nn.Linear(384, 2 * _WIDTH)
        # No matrix product: those are computed in 8 bits, which these features outrun.
        self.of_halfway = nn.Conv1d(384, 2 * _WIDTH, 1, bias=False)
        self.of_mel = nn.Conv1d(80, _WIDTH, _TAPS)
        self.between = nn.Conv1d(_WIDTH, _WIDTH, 1)
        self.leave = nn.Conv1d(_WIDTH, spectrum.GAIN_BANDS, 1)
        nn.init.constant_(self.leave.bias, -2.0)
        nn.init.zeros_(self.of_halfway.weight)

    def forward(self, content: Tensor, halfway: Tensor, mel: Tensor) -> Tensor:
        halfway = functional.layer_norm(halfway, (384,)).transpose(1, 2)
        of_content = self.of_content(content) + self.of_halfway(halfway).transpose(1, 2)
        of_content = of_content.reshape(of_content.shape[0], -1, _WIDTH).transpose(1, 2)
        x = functional.gelu(of_content + self.of_mel(mel))
        x = x + functional.gelu(self.between(x))
        return -spectrum.MOST_TAKEN * torch.sigmoid(self.leave(x).float()).transpose(1, 2)


@dataclass(frozen=True)
class Plan:
    """How a stream of steps is cut into blocks, and which steps each block hears ahead.

    Steps that are heard ahead are heard again as their own block's, and differ then: they follow the stream's steps as
    copies (the hard copies of Emformer).

    Attributes:
        copies: steps, shape (c,).
        seen: bool (n + c, n + c): what each step, or copy, attends to.
    """

    copies: Tensor
    seen: Tensor

    @classmethod
    def of(cls, steps: int, first: int, block: int, ahead: int) -> Plan:
        """A first block of `first` steps, then blocks of `block`, each hearing `ahead` steps further."""
        ends = [*range(first, steps, block), steps]
        block_of = np.searchsorted(ends, np.arange(steps), side="right")
        copies, owner = [], []
        for index, end in enumerate(ends[:-1]):
            ahead_of = np.arange(end, min(steps, end + ahead))
            copies.append(ahead_of)
            owner.append(np.full(len(ahead_of), index))
        places = np.concatenate([np.arange(steps), *copies])
        owners = np.concatenate([block_of, *owner])
        starts = np.concatenate([[0], ends[:-1]])
        is_copy = np.arange(len(places)) >= steps
        own = owners[:, None] == owners
        before = (owners[:, None] > owners) & (places >= starts[owners][:, None] - encoder.REACH)
        seen = own | (before & ~is_copy)
        return cls(torch.from_numpy(places[steps:]), torch.from_numpy(seen))


class Hearing(nn.Module):
    """Normalised log-mel (batch, 80, 2 × steps + 7) → content (batch, steps, 384), gain (batch, 2 × steps, GAIN_BANDS).

    The gain is in dB.
    """

    def __init__(self, whisper: WhisperEncoder) -> None:
        super().__init__()
        self.encoder = whisper
        self.mask = Mask()

    def _entered(self, mel: Tensor) -> Tensor:
        """(batch, steps, 384)."""
        near = mel[:, :, encoder.BEFORE - 2 :]
        x = functional.gelu(functional.conv1d(near, self.encoder.conv1.weight, self.encoder.conv1.bias))
        x = functional.gelu(functional.conv1d(x, self.encoder.conv2.weight, self.encoder.conv2.bias, stride=2))
        return x.transpose(1, 2)

    def forward(self, mel: Tensor, positions: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As live: also takes the past, (LAYERS, 2, batch, m, 384), and gives the new steps' part of it."""
        x = self._entered(mel) + positions
        present = []
        for index, (block, before) in enumerate(zip(self.encoder.blocks, past, strict=True)):
            x, new = block(x, before)
            present.append(new)
            if index == _HALFWAY:
                halfway = x
        content = self.encoder.norm(x)
        return content, self.mask(content, halfway, mel[:, :, :-1]), torch.stack(present)

    def stream(self, mel: Tensor, positions: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
        """A whole stream at once, as if in the blocks of `plan`."""
        x = self._entered(mel) + positions
        steps = x.shape[1]
        x = torch.cat([x, x[:, plan.copies]], 1)
        for index, block in enumerate(self.encoder.blocks):
            x, _ = block(x, seen=plan.seen)
            if index == _HALFWAY:
                halfway = x[:, :steps]
        content = self.encoder.norm(x[:, :steps])
        return content, self.mask(content, halfway, mel[:, :, :-1])


class Behind(nn.Module):
    """How far what is measured behind the mask is from the speech's own: levels and changes, dB."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("to_bins", torch.from_numpy(spectrum.gain_interpolation()))
        self.register_buffer("bands", torch.from_numpy(spectrum.band_means(spectrum.CHANGE_BANDS)))
        self.register_buffer("all_bands", self.bands.mean(1, keepdim=True))

    def _measured(self, power: Tensor) -> tuple[Tensor, Tensor]:
        level = 10 * torch.log10(power @ self.all_bands + _INAUDIBLE)
        bands = 10 * torch.log10(power @ self.bands + 10 * _INAUDIBLE)
        return level, bands.diff(dim=1).clamp(-30, 30)

    def forward(self, gain: Tensor, degraded: Tensor, speech: Tensor) -> Tensor:
        """Gain (batch, frames, GAIN_BANDS), power spectra (batch, frames, 201) → scalar."""
        level, changes = self._measured(degraded * 10 ** (gain @ self.to_bins / 10))
        own_level, own_changes = self._measured(speech)
        return (level - own_level).abs().mean() + (changes - own_changes).abs().mean()


class Distance(nn.Module):
    """How far content is from what is wanted, in variances: in all directions, and in those that the decoder looks at.

    In the latter the mean error of a stream does not count: the engine removes a stream's mean content.

    Args:
        wanted: content to take variances from, (…, 384).
        directions: (384, k).
    """

    def __init__(self, wanted: Tensor, directions: Tensor) -> None:
        super().__init__()
        wanted = wanted.flatten(0, -2)
        self.register_buffer("scale", wanted.std(0))
        self.register_buffer("directions", directions / (wanted @ directions).std(0))

    def forward(self, content: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, steps, 384) twice → two scalars."""
        off = content.float() - wanted
        heard = off @ self.directions
        return (off / self.scale).square().mean(), (heard - heard.mean(1, keepdim=True)).square().mean()


def wanted_gain(degraded: Tensor, speech: Tensor) -> Tensor:
    """Power spectra (…, 201) twice → the mask that makes the one the other, dB, (…, GAIN_BANDS)."""
    filters = torch.from_numpy(spectrum.band_means(spectrum.GAIN_BANDS))
    ratio = (speech @ filters + _INAUDIBLE) / (degraded @ filters + _INAUDIBLE)
    return (10 * torch.log10(ratio)).clamp(-spectrum.MOST_TAKEN, 0)


def load_hearing(teacher_file: Path, weights: Path) -> Hearing:
    """Whisper's encoder and the mask, with the weights that training wrote."""
    hearing = Hearing(load_whisper(teacher_file))
    hearing.load_state_dict(load_file(weights))
    return hearing.eval()
