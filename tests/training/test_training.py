"""Training computes what the engine computes."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.engines.nano import engine, excitation, frames, grid, spectrum, synthesis
from seedvc_live.engines.nano.networks import WEIGHTS, load_constants, open_session
from seedvc_live.media.load import load_audio

pytestmark = pytest.mark.torch


def test_synthesis_is_the_engines() -> None:
    import torch
    from training.model import Synthesiser

    rng = np.random.default_rng(0)
    curves = rng.normal(size=(2, 20, 80)).astype(np.float32)
    pulses, _ = excitation.pulses(np.full(22, 5.0, np.float32), np.ones(22, np.float32), 0.3)
    noise = excitation.noise(0, 0, len(pulses))
    expected, _ = synthesis.synthesise(curves[0], curves[1], pulses, noise, np.zeros(synthesis.TAIL, np.float32))
    tensors = [torch.from_numpy(a)[None] for a in (curves[0], curves[1], pulses, noise)]
    made = Synthesiser()(*tensors)[0].numpy()
    np.testing.assert_allclose(made, expected, atol=1e-4 * float(expected.std()) + 1e-4)


def test_decoder_looks_back_as_far_as_the_engine_remembers() -> None:
    import torch
    from training.model import CONDITION, HISTORY, Decoder

    assert HISTORY == engine.HISTORY
    torch.manual_seed(0)
    decoder = Decoder().eval()
    rows, condition = torch.randn(1, 60, frames.WIDTH), torch.randn(1, CONDITION)
    with torch.no_grad():
        whole = decoder(rows, condition)
        # The last steps need their history and nothing before it …
        part = decoder(rows[:, 60 - 8 - HISTORY :], condition)
        torch.testing.assert_close(whole[:, -8:], part[:, -8:], atol=1e-5, rtol=1e-5)
        # … and nothing after it.
        changed = rows.clone()
        changed[:, 50:] += 1
        torch.testing.assert_close(whole[:, :50], decoder(changed, condition)[:, :50])


def test_decoder_without_what_fills_its_memory_answers_the_same() -> None:
    import torch
    from training.model import CONDITION, HISTORY, Decoder

    torch.manual_seed(0)
    decoder = Decoder().eval()
    rows, condition = torch.randn(2, HISTORY + 5, frames.WIDTH), torch.randn(2, CONDITION)
    with torch.no_grad():
        valid = decoder(rows, condition, valid=True)
        assert valid.shape[1] == 5
        torch.testing.assert_close(valid, decoder(rows, condition)[:, HISTORY:], atol=1e-5, rtol=1e-5)


def test_committed_checkpoint_is_the_bundled_decoder() -> None:
    import torch
    from safetensors.torch import load_file
    from training.model import CONDITION
    from training.train import Model

    path = Path(__file__).parents[2] / "training" / "checkpoints" / "nano.safetensors"
    model = Model()
    model.load_state_dict({name: t.float() for name, t in load_file(path).items()})
    model.eval()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1, 40, frames.WIDTH)).astype(np.float32)
    condition = rng.normal(size=(1, CONDITION)).astype(np.float32)
    with torch.no_grad():
        expected = model.decoder(torch.from_numpy(rows), torch.from_numpy(condition), valid=True).numpy()
    session = open_session(WEIGHTS / "decoder.onnx")
    made = session.run(["correction"], {"rows": rows, "condition": condition})[0]
    assert np.sqrt(np.mean((made - expected) ** 2)) < 5e-3 * expected.std()
    constants = load_constants(WEIGHTS / "constants.npz")
    np.testing.assert_allclose(constants["bottleneck_weight"].T, model.bottleneck.linear.weight.detach(), atol=2e-3)


def test_identity_loss_hears_the_engines_fbank() -> None:
    import torch
    from training.identity import Fbank

    from seedvc_live.engines.nano.speaker import fbank

    samples = excitation.noise(0, 0, 16000) * np.float32(0.1)
    np.testing.assert_allclose(Fbank()(torch.from_numpy(samples)[None])[0].numpy(), fbank(samples), atol=2e-3)


def test_spectral_loss_is_blind_above_a_narrow_band() -> None:
    import torch
    from training.losses import SpectralLoss

    noise = torch.from_numpy(excitation.noise(0, 0, 24000))[None] * 0.1
    high = torch.sin(2 * torch.pi * 10000 * torch.arange(24000) / grid.RATE)[None] * 0.2
    loss = SpectralLoss()
    narrow = loss(noise + high, noise, torch.tensor([False]))
    wide = loss(noise + high, noise, torch.tensor([True]))
    assert float(loss(noise, noise, torch.tensor([True]))) == 0
    assert float(wide) > 3 * float(narrow)


def test_no_heldout_speaker_is_trained_on(tmp_path: Path) -> None:
    from training import corpus

    (tmp_path / "librispeech").mkdir()
    for name in ("1-1-0", "2-1-0", "2-2-0", "3-1-0"):
        (tmp_path / "librispeech" / f"{name}.flac").touch()
    (tmp_path / "heldout.tsv").write_text("file\tseconds\tmedian_f0_hz\tregister\n2-1-0.flac\t1\t100\tlow\n")
    assert [clip.speaker for clip in corpus.real(tmp_path)] == ["1", "3"]


def test_perturbed_features_keep_the_time_grid() -> None:
    """A burst stays where it is when the copy is pitch- and formant-shifted."""
    from training.features import perturbed_features

    encoder = open_session(WEIGHTS / "content.onnx")
    samples = excitation.noise(0, 0, 32000) * np.float32(1e-4)
    # A vowel's: of noise the mask takes nearly all.
    time = np.arange(1600) / grid.ANALYSIS_RATE
    vowel = sum(np.sin(2 * np.pi * 140 * k * time + k * k) / k**0.7 for k in range(1, 50))
    samples[16000:17600] = 0.1 * vowel / vowel.std()
    for ratio in (0.8, 1.25):
        features = perturbed_features(encoder, samples, ratio, 200)
        assert features["content"].shape == (100, 384)
        loud = np.flatnonzero(features["level"] > features["level"].max() - 20)
        # Row k stands for point k + 1; the burst fills points 100 to 110.
        assert abs(loud[0] + 1 - 99) <= 2
        assert abs(loud[-1] + 1 - 111) <= 2
        # It begins in all bands, and ends in all bands.
        assert features["changes"].shape == (200, 16)
        moves = features["changes"].astype(np.float32).mean(1)
        assert abs(np.argmax(moves) + 1 - 99.5) <= 2
        assert abs(np.argmin(moves) + 1 - 110.5) <= 2
        # 60 dB, of which the mask, to which this is hardly speech, may take half and more; however long they take.
        assert 15 < moves[90:105].sum() < 66


def test_levels_are_the_engines() -> None:
    from training.features import source_features

    encoder = open_session(WEIGHTS / "content.onnx")
    samples = excitation.noise(0, 0, 16000) * np.float32(0.1)
    features = source_features(encoder, samples)
    power = spectrum.power_frames(samples, 160, 400, 400, 2, 90)
    masked = spectrum.masked(power, features["gain"][1:91].astype(np.float32))
    np.testing.assert_allclose(features["level"][1:91], spectrum.levels(masked), atol=0.05)


def test_levels_are_those_of_the_speech_at_their_points() -> None:
    from training.features import source_features

    encoder = open_session(WEIGHTS / "content.onnx")
    with as_file(files("seedvc_live") / "data" / "source.flac") as path:
        samples = load_audio(path, rate=grid.ANALYSIS_RATE).samples[:48000]
    level = source_features(encoder, samples)["level"][1:291].astype(np.float32)
    plain = spectrum.levels(spectrum.power_frames(samples, 160, 400, 400, 2, 290))
    loud = plain > plain.max() - 20
    assert np.abs(level - plain)[loud].mean() < 1.0
    # A frame later or earlier they would not fit.
    assert np.abs(level[1:] - plain[:-1])[loud[:-1]].mean() > 1.5
    assert np.abs(level[:-1] - plain[1:])[loud[1:]].mean() > 1.5
