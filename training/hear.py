"""Teaches the content encoder to hear through noise, rooms and narrow bands, as a stream: resumable, one thread.

Twice: first all weights, then, from halfway back to Whisper's, only corrections of low rank (`lowrank`), which cannot
learn the few speakers by heart; the encoder is the mean of both (M. Wortsman et al., "Robust fine-tuning of zero-shot
models", CVPR 2022). A copy of Whisper's encoder is given streams of
degraded speech, and learns to answer what the original answers to the same speech undisturbed (distillation: G. Hinton
et al., 2015; for noise: V. Manohar et al., "A teacher-student learning approach for unsupervised domain adaptation of
sequence-trained ASR models", 2018).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from seedvc_live.engines.nano.networks import WEIGHTS
from training import corpus, loop, lowrank
from training.export import exported_content
from training.hearing import Behind, Distance, Hearing, Plan, wanted_gain
from training.streams import Streams, prepare
from training.whisper import load_whisper

CURVE = ("step", "seconds", "distance", "heard", "mask_db", "behind_db")
"""Columns of the training curve."""


def directions() -> torch.Tensor:
    """Those of content that the packaged decoder and its keys look at, (384, k)."""
    with np.load(WEIGHTS / "constants.npz") as file:
        both = np.concatenate([file["bottleneck_weight"], file["key_projection"]], 1) / file["content_scale"][:, None]
    return torch.from_numpy(both)


@torch.no_grad()
def begin_with(student: Hearing, start: Path) -> None:
    """Take the weights of an exported encoder, or of a run's `hearing.safetensors`."""
    if start.suffix == ".onnx":
        weights = {name: torch.from_numpy(array.copy()) for name, array in exported_content(start).items()}
    else:
        weights = load_file(start)
    for name, parameter in student.named_parameters():
        # An export has what is the same under one name only.
        if name in weights and weights[name].shape == parameter.shape:
            parameter.copy_(weights[name])


def train(
    config: dict[str, Any], clips: list[corpus.Clip], clean: Callable[[corpus.Clip], np.ndarray], teacher_file: Path,
    said: Path, out: Path, seed: int, start: Path | None = None, group: loop.Group = loop.ALONE,
) -> None:  # fmt: skip
    """Writes `hearing.safetensors`, the averaged weights, and `hearing.csv` into the folder `out`.

    Args:
        config: the `hearing` part of the recipe's, with `perturb` and `checkpoint_seconds`. With a `rank`, only
            corrections of that rank are trained, from halfway between the start and Whisper; what is written is the
            mean of the start and the result.
        clean: gives a clip at 24 kHz without its noise.
        said: folder for what Whisper says of the clips.
        start: weights that a new run goes on from, instead of Whisper's; see `begin_with`.
        group: of processes that train together, each on batches of its own.
    """
    torch.manual_seed(seed)
    teacher = load_whisper(teacher_file).requires_grad_(False)
    prepare(clips[group.rank :: group.size], clean, teacher, config, said)
    group.meet()
    student = Hearing(deepcopy(teacher)).train().requires_grad_(True)
    student.encoder.positions.requires_grad_(False)
    if start is not None:
        begin_with(student, start)
    rank, begun = config.get("rank", 0), deepcopy(student)
    groups: list[dict[str, Any]] = [{"params": [p for p in student.parameters() if p.requires_grad]}]
    if rank:
        loop.move(student.encoder, teacher, 0.5)
        student.mask.requires_grad_(False)
        groups = lowrank.correct(student.encoder, rank)
    average = deepcopy(student)
    optimiser = torch.optim.AdamW(groups, lr=config["learning_rate"], betas=(0.9, 0.98), weight_decay=0.0)
    step, used = 0, 0.0
    out.mkdir(parents=True, exist_ok=True)
    last = out / "hearing.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        student.load_state_dict(state["student"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, used = state["step"], state["used"]
    streams = Streams(clips, said, config, np.random.default_rng(seed))
    distance = Distance(streams.batch().content, directions())
    # A resumed run must not see the same examples again.
    streams.rng = np.random.default_rng([seed, step, group.rank])
    # The blocks must be the same in all processes.
    cuts = np.random.default_rng([seed, step])
    behind = Behind()
    losses: list[tuple[float, ...]] = []

    def save() -> None:
        state = {
            "student": student.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
            "step": step, "used": used,
        }  # fmt: skip
        loop.save_checkpoint(last, state)
        means = np.mean(losses or [(0.0,) * 4], 0).round(4)
        loop.add_row(out / "hearing.csv", CURVE, (step, round(used, 1), *means))
        print(f"step {step} {used / 60:.1f} min", dict(zip(CURVE[2:], means.tolist(), strict=True)), flush=True)
        losses.clear()

    budget, checkpoint = 60.0 * config["minutes"], time.monotonic()
    while used < budget:
        begin = time.monotonic()
        loop.set_rate(optimiser, config["learning_rate"], step, used / budget)
        batch = streams.batch()
        blocks = config["blocks"]
        block, ahead, _ = blocks[cuts.choice(len(blocks), p=[share for _, _, share in blocks])]
        plan = Plan.of(config["steps"], int(cuts.integers(block, 48)), block, ahead)
        with loop.half():
            content, gain = student.stream(batch.mel, batch.positions, plan)
        off, heard = distance(content, batch.content)
        masked = off_behind = torch.zeros(())
        if batch.full.any():
            gain, power, speech = gain[batch.full], batch.power[batch.full], batch.speech[batch.full]
            masked = (gain - wanted_gain(power, speech)).abs().mean()
            off_behind = behind(gain, power, speech)
        optimiser.zero_grad()
        share = config["heard"]
        ((1 - share) * off + share * heard + config["mask"] * masked + config["behind"] * off_behind).backward()
        group.mean_gradients(student)
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        losses.append((off.item(), heard.item(), masked.item(), off_behind.item()))
        step += 1
        loop.follow(average, student, step, config["average"])
        used = group.agreed(used + time.monotonic() - begin)
        if group.first and time.monotonic() - checkpoint > config["checkpoint_seconds"]:
            save()
            checkpoint = time.monotonic()
    if group.first:
        save()
        if rank:
            lowrank.merge(average.encoder)
            loop.move(average.encoder, begun.encoder, 0.5)
        tensors = {name: tensor.contiguous() for name, tensor in average.state_dict().items()}
        save_file(tensors, out / "hearing.safetensors")
