"""The losses that have no target, and how all losses share the gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seedvc_live.engines.nano import excitation, grid
from seedvc_live.engines.nano.networks import WEIGHTS, load_constants

pytestmark = pytest.mark.torch


def _noises(count: int, samples: int = 12000, start: int = 0) -> np.ndarray:
    return np.stack([excitation.noise(start + i, 0, samples) for i in range(count)]) * np.float32(0.1)


def _buzzes(count: int, samples: int = 12000, start: int = 0) -> np.ndarray:
    heights = np.log(100 + 20 * np.arange(start, start + count))
    points = samples // grid.HOP + 1
    return np.stack([
        excitation.pulses(np.full(points, h, np.float32), np.ones(points, np.float32), 0.0)[0] * np.float32(0.1)
        for h in heights
    ])  # fmt: skip


def test_discriminators_begin_undecided_and_learn_to_tell() -> None:
    import torch
    from training.adversarial import Discriminators

    torch.manual_seed(0)
    judge = Discriminators()
    wide = torch.ones(4, dtype=torch.bool)
    unseen = torch.from_numpy(_noises(4, start=90)), torch.from_numpy(_buzzes(4, start=7))
    assert judge.train_loss(*unseen, wide, wide).item() == pytest.approx(0.5, abs=1e-5)
    optimiser = torch.optim.Adam(judge.parameters(), lr=1e-3)
    for step in range(40):
        real, made = torch.from_numpy(_noises(4, start=4 * step)), torch.from_numpy(_buzzes(4, start=step % 6))
        optimiser.zero_grad()
        judge.train_loss(real, made, wide, wide).backward()
        optimiser.step()
    judge.requires_grad_(False)
    assert float(judge.train_loss(*unseen, wide, wide)) < 0.35
    taken_for_real, _ = judge.deceive_loss(unseen[0], unseen[0], wide)
    caught, _ = judge.deceive_loss(unseen[1], unseen[0], wide)
    assert float(caught) > 1.5 * float(taken_for_real)


def test_discriminators_hear_neither_a_narrow_recordings_highs_nor_its_loudness() -> None:
    import torch
    from training.adversarial import SpectrogramDiscriminator

    time = torch.arange(12000) / grid.RATE
    low = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (300, 900, 2400, 5000)]).sum(0)[None] * 0.05
    high = torch.sin(2 * torch.pi * 10000 * time)[None] * 2e-3
    part = SpectrogramDiscriminator(1024)
    narrow, wide = torch.tensor([False]), torch.tensor([True])
    heard = part.spectrogram(low, narrow)
    # The tone's energy moves the level, by which everything is divided, by a hair.
    torch.testing.assert_close(part.spectrogram(low + high, narrow), heard, atol=0.02, rtol=0.02)
    torch.testing.assert_close(part.spectrogram(low * 3, narrow), heard, atol=0.02, rtol=0.02)
    assert float((part.spectrogram(low + high, wide) - part.spectrogram(low, wide)).abs().max()) > 0.5


def test_words_do_not_depend_on_loudness() -> None:
    import torch
    from training.whisper import WhisperEncoder
    from training.words import WordsLoss

    torch.manual_seed(0)
    constants = load_constants(WEIGHTS / "constants.npz")
    loss = WordsLoss(WhisperEncoder(layers=1), constants["content_scale"], constants["key_projection"])
    # Three sounds, and the same sounds in another order.
    said = torch.from_numpy(np.concatenate([_buzzes(1, 4800), _noises(1, 4800), _buzzes(1, 6000, 9)], 1))
    other = torch.from_numpy(np.concatenate([_noises(1, 4800), _buzzes(1, 6000, 9), _buzzes(1, 4800)], 1))
    assert float(loss(said * 0.3, said)) == pytest.approx(0, abs=1e-3)
    output = other.clone().requires_grad_(True)
    distance = loss(output, said)
    assert float(distance.detach()) > 0.05
    distance.backward()
    assert output.grad is not None
    assert float(output.grad.abs().max()) > 0


def test_balance_gives_each_loss_its_share_of_the_gradient() -> None:
    import torch
    from training.train import Balance

    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    losses = {"first": weight.square().sum(), "second": 1000 * weight.sum(), "third": 1e-3 * weight[0]}
    balance = Balance({"first": 1.0, "second": 0.5, "third": 2.0})
    balance.measure(losses, weight)
    expected = 2 * torch.tensor([3.0, 4.0])
    size = float(expected.norm())
    expected = expected + 0.5 * size * torch.ones(2) / 2**0.5 + 2 * size * torch.tensor([1.0, 0.0])
    (gradient,) = torch.autograd.grad(balance.total(losses), weight)
    torch.testing.assert_close(gradient, expected, atol=1e-3, rtol=1e-4)


def test_a_conversion_is_the_sources_words_at_the_voices_pitch(tmp_path: Path) -> None:
    from training.corpus import Clip
    from training.dataset import Entry, Pool, Sampler

    constants = load_constants(WEIGHTS / "constants.npz")
    rng = np.random.default_rng(0)

    def entry(name: str, hertz: float) -> Entry:
        steps = 150
        frames = steps * grid.STEP * 2 // 3 // 256
        data = {
            "content": rng.normal(size=(steps, 384)).astype(np.float16),
            "level": np.full(2 * steps, -20, np.float16),
            "bands": np.full((2 * steps, 4), -6, np.float16),
            "changes": np.zeros((2 * steps, 16), np.float16),
            "shapes": rng.normal(size=(steps, 80)).astype(np.float16),
            "pitch": np.log(hertz) + rng.normal(0, 0.1, frames).astype(np.float32),
            "confidence": np.ones(frames, np.float32),
            "wav": np.full(steps * grid.STEP, round(hertz), np.int16),
            "spans": np.array([(0, steps)]),
            "embeddings": np.zeros((1, 192), np.float32),
            "identities": np.full((1, 192), hertz, np.float32),
        }
        return Entry(Clip(name, tmp_path, name, name, wide=False), data, [], {})

    pool = Pool(tmp_path, [])
    low, high = entry("low", 100), entry("high", 220)
    # A degraded copy of the low speaker, told by its loudness.
    same = {name: low.data[name] for name in ("content", "bands", "changes")}
    low.copies.append(same | {"level": np.full(300, -30, np.float16)})
    pool.real, pool.synthetic = [low], [low]
    sampler = Sampler(pool, constants, 40, 12, (1, 0, 0), np.random.default_rng(1))
    before = sampler.conversion()
    pool.real, pool.synthetic = [low, high], [low, high]
    candidates = [sampler.conversion() for _ in range(40)]
    made = next(c for c in candidates if c["identity"][0] == 220 and c["wav"][0] == np.float32(100 / 32768))
    # The low speaker is heard; the synthesiser's pulses are the high one's.
    for example, hertz in ((before, 100), (made, 220)):
        slope = np.diff(example["pulses"])
        starts = np.flatnonzero((example["pulses"][1:-1] > 3) & (slope[:-1] > 0) & (slope[1:] <= 0))
        assert grid.RATE / np.median(np.diff(starts)) == pytest.approx(hertz, rel=0.12)
    # An actor's line is heard, and nobody speaks with his voice.
    pool.acted = [entry("actor", 150)]
    sampler.acted = 0.5
    of_actor = [c for c in (sampler.conversion() for _ in range(60)) if c["wav"][0] == np.float32(150 / 32768)]
    assert 15 <= len(of_actor) <= 45
    assert {float(c["identity"][0]) for c in of_actor} == {100, 220}
    # Now and then the copy is what is heard; what should be said is the recording's all the same.
    heard = np.array([c["base"].mean() for c in candidates if c["wav"][0] == np.float32(100 / 32768)])
    # 10 dB are 1.15 nepers.
    assert 0.1 < np.mean(heard < heard.max() - 0.8) < 0.8
