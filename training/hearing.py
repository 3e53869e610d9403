"""The content encoder, taught to hear through noise, rooms and narrow bands: resumable, one thread.

A copy of Whisper's encoder is given windows of degraded speech, and learns to answer what the original
answers for the same windows undisturbed (distillation: G. Hinton et al., 2015; for noise: V. Manohar et al.,
"A teacher-student learning approach for unsupervised domain adaptation of sequence-trained ASR models",
2018). A linear layer on top tells how much of each band's power is speech (a spectral mask, as in D. Wang and J. Chen,
"Supervised speech separation based on deep learning", 2018). What both cost live is next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from seedvc_live.engines.nano import grid, spectrum
from seedvc_live.engines.nano.analysis import window_power
from training import augment, corpus, loop
from training.export import exported_content
from training.whisper import WhisperEncoder, load_whisper

WINDOWS = (92, 96, 104)
"""Lengths in points, those of the profiles' windows."""
_EARLY = 0.25
"""Weight of a window's first half: a block is near its end."""
_INAUDIBLE = 1e-8
"""Power re full scale that is added to both sides of a mask."""
_WIDTH = 64
CURVE = ("step", "seconds", "distance", "mask_db", "behind_db")
"""Columns of the training curve."""


class Mask(nn.Module):
    """Content (batch, steps, 384) and log-mel (batch, 80, 2 × steps) → gain (batch, 2 × steps, GAIN_BANDS), dB.

    The encoder's features know what is speech, the log-mel how loud each band is at that very moment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.of_content = nn.Linear(384, 2 * _WIDTH)
        self.of_mel = nn.Conv1d(80, _WIDTH, 3, padding=1)
        self.between = nn.Conv1d(_WIDTH, _WIDTH, 5, padding=2)
        self.leave = nn.Conv1d(_WIDTH, spectrum.GAIN_BANDS, 1)
        nn.init.constant_(self.leave.bias, -2.0)

    def forward(self, content: Tensor, mel: Tensor) -> Tensor:
        of_content = self.of_content(content)
        of_content = of_content.reshape(of_content.shape[0], -1, _WIDTH).transpose(1, 2)
        x = functional.gelu(of_content + self.of_mel(mel))
        x = x + functional.gelu(self.between(x))
        return -spectrum.MOST_TAKEN * torch.sigmoid(self.leave(x).float()).transpose(1, 2)


class Hearing(nn.Module):
    """Log-mel (batch, 80, frames) → content (batch, steps, 384) and gain (batch, 2 × steps, GAIN_BANDS), dB."""

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.mask = Mask()

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        content = self.encoder(mel)
        # A last odd frame has its step too.
        mel = functional.pad(mel, (0, 2 * content.shape[1] - mel.shape[2]))
        return content, self.mask(content, mel)


class Batch(NamedTuple):
    """Windows: log-mel of degraded speech and of the recording (batch, 80, frames); the mask wanted, dB (batch, frames,
    GAIN_BANDS); power spectra of degraded speech and of the recording without its noise (batch, frames, 201)."""

    mel: Tensor
    undisturbed: Tensor
    gain: Tensor
    power: Tensor
    speech: Tensor


class Windows:
    """Windows of degraded speech, and of the same speech as it was, at 16 kHz.

    Args:
        clean: gives a recording at 24 kHz without its noise; not asked for what a machine spoke.
    """

    def __init__(
        self, clips: list[corpus.Clip], clean: Callable[[corpus.Clip], np.ndarray], config: dict[str, Any],
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.audio = []
        for clip in clips:
            heard = corpus.read(clip)[1]
            speech = heard
            if not clip.wide:
                speech = np.asarray(soxr.resample(clean(clip), grid.RATE, grid.ANALYSIS_RATE), np.float32)
            count = min(len(heard), len(speech))
            if count > 2 * grid.ANALYSIS_RATE:
                self.audio.append(np.stack([heard[:count], speech[:count]]).astype(np.float16))
        self.config, self.rng = config, rng

    def _clip(self) -> np.ndarray:
        """Degraded, as recorded, without its noise: (3, n)."""
        rng, config = self.rng, self.config
        pair = self.audio[rng.integers(len(self.audio))]
        size = min(pair.shape[1], config["seconds"] * grid.ANALYSIS_RATE)
        start = int(rng.integers(pair.shape[1] - size + 1))
        heard, speech = pair[:, start : start + size].astype(np.float32)
        if rng.random() < config["shifted"]:
            rate = round(grid.ANALYSIS_RATE * float(np.exp(rng.uniform(*np.log(config["perturb"])))))
            heard, speech = (
                np.asarray(soxr.resample(s, rate, grid.ANALYSIS_RATE), np.float32) for s in (heard, speech)
            )
        bad = augment.degraded(heard, rng) if rng.random() < config["degraded"] else heard
        if rng.random() < config["quiet"]:
            factor = np.float32(10 ** (-rng.uniform(0, 35) / 20))
            bad, speech = bad * factor, speech * factor
        return spectrum.without_rumble(np.stack([bad, heard, speech]))

    def batch(self) -> Batch:
        size = WINDOWS[self.rng.integers(len(WINDOWS))] * grid.ANALYSIS_HOP
        pieces = []
        for _ in range(self.config["clips"]):
            clip = self._clip()
            for start in self.rng.integers(clip.shape[1] - size + 1, size=self.config["windows"]):
                piece = clip[:, start : start + size].copy()
                if self.rng.random() < self.config["cold"]:
                    piece[:, : self.rng.integers(size // 2)] = 0
                pieces.append(piece)
        bad, heard, speech = (window_power(part) for part in np.stack(pieces, 1))
        filters = spectrum.band_means(spectrum.GAIN_BANDS)
        ratio = (speech @ filters + _INAUDIBLE) / (bad @ filters + _INAUDIBLE)
        gain = np.clip(10 * np.log10(ratio), -spectrum.MOST_TAKEN, 0)
        parts = (spectrum.whisper_mel(bad), spectrum.whisper_mel(heard), gain.astype(np.float32), bad, speech)
        return Batch(*map(torch.from_numpy, parts))


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
        return later((level - own_level).abs()) + later((changes - own_changes).abs())


def later(values: Tensor) -> Tensor:
    """Mean of (batch, frames, …) in which later frames count more."""
    weights = torch.ones(values.shape[1])
    weights[: len(weights) // 2] = _EARLY
    out: Tensor = (values.flatten(2).mean((0, 2)) * weights).sum() / weights.sum()
    return out


def train(
    config: dict[str, Any], clips: list[corpus.Clip], clean: Callable[[corpus.Clip], np.ndarray], teacher_file: Path,
    out: Path, seed: int, start: Path | None = None,
) -> None:  # fmt: skip
    """Writes `hearing.safetensors`, the averaged weights, and `hearing.csv` into the folder `out`.

    Args:
        config: the `hearing` part of the recipe's, with `perturb` and `checkpoint_seconds`.
        clean: gives a clip at 24 kHz without its noise.
        start: an exported encoder that a new run goes on from, instead of Whisper's.
    """
    torch.manual_seed(seed)
    teacher = load_whisper(teacher_file).requires_grad_(False)
    student = Hearing(deepcopy(teacher)).train().requires_grad_(True)
    student.encoder.positions.requires_grad_(False)
    if start is not None:
        begin_with(student, start)
    average = deepcopy(student)
    optimiser = torch.optim.AdamW(
        [p for p in student.parameters() if p.requires_grad], lr=config["learning_rate"], weight_decay=0.0
    )
    step, used = 0, 0.0
    last = out / "hearing.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        student.load_state_dict(state["student"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, used = state["step"], state["used"]
    windows = Windows(clips, clean, config, np.random.default_rng(seed))
    # The spread of the teacher's features, over a batch that is the same when a run is resumed.
    scale = teacher(windows.batch().undisturbed).std((0, 1))
    # A resumed run must not see the same examples again.
    windows.rng = np.random.default_rng([seed, step])
    losses: list[tuple[float, ...]] = []
    behind = Behind()

    def save() -> None:
        state = {
            "student": student.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
            "step": step, "used": used,
        }  # fmt: skip
        loop.save_checkpoint(last, state)
        means = np.mean(losses or [(0.0, 0.0, 0.0)], 0).round(4)
        loop.add_row(out / "hearing.csv", CURVE, (step, round(used, 1), *means))
        print(f"step {step} {used / 60:.1f} min", dict(zip(CURVE[2:], means.tolist(), strict=True)), flush=True)
        losses.clear()

    budget, checkpoint = 60.0 * config["minutes"], time.monotonic()
    while used < budget:
        begin = time.monotonic()
        loop.set_rate(optimiser, config["learning_rate"], step, used / budget)
        batch = windows.batch()
        with loop.half():
            with torch.no_grad():
                wanted = teacher(batch.undisturbed)
            answer, gain = student(batch.mel)
        distance = later(((answer.float() - wanted.float()) / scale).square())
        gain = gain[:, : batch.gain.shape[1]]
        off = later((gain - batch.gain).abs())
        off_behind = behind(gain, batch.power, batch.speech)
        optimiser.zero_grad()
        (distance + config["mask"] * off + config["behind"] * off_behind).backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        losses.append((distance.item(), off.item(), off_behind.item()))
        step += 1
        loop.follow(average, student, step, config["average"])
        used += time.monotonic() - begin
        if time.monotonic() - checkpoint > config["checkpoint_seconds"]:
            save()
            checkpoint = time.monotonic()
    save()
    save_file({name: tensor.contiguous() for name, tensor in average.state_dict().items()}, out / "hearing.safetensors")


@torch.no_grad()
def begin_with(student: Hearing, exported: Path) -> None:
    """Take what fits of an exported encoder's weights."""
    weights = exported_content(exported)
    for name, parameter in student.named_parameters():
        if name in weights and weights[name].shape == parameter.shape:
            parameter.copy_(torch.from_numpy(weights[name].copy()))


def load_hearing(teacher_file: Path, weights: Path) -> Hearing:
    """Whisper's encoder and the mask, with the weights that `train` wrote."""
    hearing = Hearing(load_whisper(teacher_file))
    hearing.load_state_dict(load_file(weights))
    return hearing.eval()
