"""Model folders as published, through the commands: loading, files, errors, approximations."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seedvc_live import LiveConverter, load_audio, load_engine
from seedvc_live.engines.seedvc.presets import HIFT, PRESETS, SEED_VC, HubFile
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from tests.tools.peers import read_wav, run_command, write_wav

from .folder import place, write_model
from .test_engine import speechlike

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]
SECONDS = 1.3
EASY = ("--steps", "2", "--set", "prompt_seconds=1.0", "--seed", "3")
STREAM = ("--mode", "stream", "--set", "context=0.6", "--set", "dit_context=0.3", "--block", "0.5")
CHECKPOINT = HubFile(SEED_VC, PRESETS["xlsr-tiny"].checkpoint)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small model of every preset."""
    folder = tmp_path_factory.mktemp("models")
    for model in PRESETS:
        write_model(folder, model)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A source and a reference."""
    folder = tmp_path_factory.mktemp("clips")
    source = write_wav(folder / "source.wav", speechlike(SECONDS, 16000, 2).samples, 16000)
    return source, write_wav(folder / "reference.wav", speechlike(1.5, 22050, 1).samples, 22050)


def convert(models: Path | None, model: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    folder: tuple[str | Path, ...] = () if models is None else ("--model-dir", models)
    return run_command("convert", "--engine", "seed-vc", "--model", model, *folder, *EASY, *words)


def converted(models: Path | None, model: str, clips: tuple[Path, Path], out: Path, *words: str | Path) -> Any:
    done = convert(models, model, *words, *clips, out, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    samples, rate = read_wav(out)
    assert report["samples_in"] == report["samples_out"] == len(samples) == round(SECONDS * rate)
    assert rate == PRESETS[model].config.mel.rate
    assert float(np.std(samples)) > 1e-3
    return samples, report


def assert_one_line(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    assert done.returncode == status, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def linked(source: Path, target: Path) -> Path:
    """The same files under another folder, to change one of them."""
    shutil.copytree(source, target, copy_function=os.link)
    return target


def replaced(path: Path) -> Path:
    path.unlink()
    return path


def test_every_layout_converts_to_the_same(
    models: Path, clips: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, report = converted(models, "xlsr-tiny", clips, tmp_path / "a.wav")
    assert report["engine"] == "seed-vc"
    assert report["warnings"] == []
    cache = write_model(tmp_path / "cache", "xlsr-tiny", layout="cache", prefix="module.")
    samples, _ = converted(cache, "xlsr-tiny", clips, tmp_path / "b.wav")
    np.testing.assert_array_equal(samples, expected)
    monkeypatch.setenv("SEEDVC_LIVE_MODELS", str(models))
    samples, _ = converted(None, "xlsr-tiny", clips, tmp_path / "c.wav")
    np.testing.assert_array_equal(samples, expected)
    stock = run_command("doctor", "--engine", "seed-vc", "--json")
    found = {check["name"]: check for check in json.loads(stock.stdout)["checks"]}
    assert stock.returncode == 0, stock.stdout
    assert found[f"{HIFT.repository}/{HIFT.name}"]["ok"]


@pytest.mark.parametrize("model", ["whisper-small", "singing-44k"])
def test_the_other_models_convert_files(model: str, models: Path, clips: tuple[Path, Path], tmp_path: Path) -> None:
    plain, _ = converted(models, model, clips, tmp_path / "a.wav")
    shift = ("--pitch-shift", "3")
    if model == "singing-44k":
        shifted, _ = converted(models, model, clips, tmp_path / "b.wav", *shift)
        assert float(np.abs(shifted - plain).max()) > 1e-3
    else:
        assert_one_line(convert(models, model, *shift, *clips, tmp_path / "b.wav"), 2, "pitch_shift", "singing-44k")


def test_a_file_converted_as_a_stream_equals_the_live_converter(
    models: Path, clips: tuple[Path, Path], tmp_path: Path
) -> None:
    samples, report = converted(models, "xlsr-tiny", clips, tmp_path / "a.wav", *STREAM)
    assert report["algorithmic_latency_ms"] == pytest.approx(1000 * (0.5 + 0.02 + 0.04 + 0.02), abs=1)
    engine = load_engine("seed-vc", model_dir=models)
    settings = SeedVCSettings(diffusion_steps=2, prompt_seconds=1.0, context=0.6, dit_context=0.3, block=0.5)
    live = LiveConverter(engine, engine.enroll(load_audio(clips[1])), settings, seed=3)
    source = load_audio(clips[0], rate=engine.sample_rate).samples
    expected = np.concatenate([live.push(source), live.flush()])
    # Two processes need not add in the same order: see the tolerance of a predicted pitch.
    assert len(samples) == len(expected)
    assert float(np.std(samples - np.clip(expected, -1, 1))) <= 3e-2 * float(np.std(expected)) + 1 / 32768


def test_length_adjust(models: Path, clips: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    done = convert(models, "xlsr-tiny", "--length-adjust", "1.5", *clips, out)
    assert done.returncode == 0, done.stderr
    assert len(read_wav(out)[0]) == round(1.5 * round(SECONDS * 22050))
    other = tmp_path / "other.wav"
    done = convert(models, "xlsr-tiny", "--length-adjust", "1.5", *STREAM, *clips, other)
    assert_one_line(done, 2, "--mode clip")
    assert not other.exists()


def test_a_finetuned_model(models: Path, clips: tuple[Path, Path], tmp_path: Path) -> None:
    folder = linked(models, tmp_path / "models")
    own = place(folder, CHECKPOINT, "repositories").parent
    shutil.move(own / CHECKPOINT.name, tmp_path / "mine.pth")
    shutil.move(own / PRESETS["xlsr-tiny"].config_file, tmp_path / "mine.yml")
    mine = ("--checkpoint", tmp_path / "mine.pth", "--config", tmp_path / "mine.yml")
    samples, _ = converted(folder, "xlsr-tiny", clips, tmp_path / "a.wav", *mine)
    expected, _ = converted(models, "xlsr-tiny", clips, tmp_path / "b.wav")
    np.testing.assert_array_equal(samples, expected)


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.mark,)


def damage(kind: str, folder: Path, mark: Path) -> None:
    """Spoil a folder of models."""
    checkpoint = place(folder, CHECKPOINT, "repositories")
    hift = place(folder, HIFT, "repositories")
    encoder = folder / "facebook" / "wav2vec2-xls-r-300m" / "pytorch_model.bin"
    content = torch.load(checkpoint, weights_only=True)
    if kind == "truncated":
        data = checkpoint.read_bytes()
        replaced(checkpoint).write_bytes(data[: len(data) // 2])
    elif kind == "truncated encoder":
        data = encoder.read_bytes()
        replaced(encoder).write_bytes(data[: len(data) // 2])
    elif kind == "wrong config":
        config = checkpoint.with_name(PRESETS["xlsr-tiny"].config_file)
        values = json.loads(config.read_text())
        values["model_params"]["DiT"]["depth"] = 7
        replaced(config).write_text(json.dumps(values))
    elif kind == "missing key":
        del content["net"]["length_regulator"]["content_in_proj.bias"]
        torch.save(content, replaced(checkpoint))
    elif kind == "missing encoder key":
        state = torch.load(encoder, weights_only=True)
        del state["encoder.layers.0.attention.q_proj.weight"]
        torch.save(state, replaced(encoder))
    elif kind == "wrong shape":
        content["net"]["cfm"]["estimator.cond_projection.bias"] = torch.zeros(3)
        torch.save(content, replaced(checkpoint))
    elif kind == "code":
        torch.save({"weights": Bomb(mark)}, replaced(hift))
    elif kind == "bare code":
        replaced(hift).write_bytes(pickle.dumps(Bomb(mark)))
    elif kind == "code in the encoder":
        torch.save({"weights": Bomb(mark)}, replaced(encoder))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", ("DiT_uvit_tat_xlsr_ema.pth", "damaged")),
        ("truncated encoder", ("pytorch_model.bin", "damaged")),
        ("wrong config", ("key 'estimator.transformer.layers.5", "missing")),
        ("missing key", ("key 'content_in_proj.bias' is missing",)),
        ("missing encoder key", ("encoder.layers.0.attention.q_proj.weight", "missing")),
        ("wrong shape", ("key 'estimator.cond_projection.bias' has shape (3,)",)),
        ("code", ("hift.pt", "could run code")),
        ("bare code", ("hift.pt", "could run code")),
        ("code in the encoder", ("pytorch_model.bin", "could run code")),
    ],
)
def test_bad_files_give_one_clear_line(
    kind: str, words: tuple[str, ...], models: Path, clips: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, mark, out = linked(models, tmp_path / "models"), tmp_path / "ran", tmp_path / "out.wav"
    damage(kind, folder, mark)
    assert_one_line(convert(folder, "xlsr-tiny", *clips, out), 1, *words)
    assert not mark.exists()
    assert not out.exists()


def test_approximations_are_reported_with_their_difference(
    models: Path, clips: tuple[Path, Path], tmp_path: Path
) -> None:
    run = partial(converted, models, "whisper-small", clips)
    exact, report = run(tmp_path / "a.wav", *STREAM)
    assert report["warnings"] == []
    near, report = run(tmp_path / "b.wav", *STREAM, "--truncate", "--prompt-cache")
    truncated, cached = report["warnings"]
    assert 0 < float(truncated.removeprefix("truncate: the content features of this voice differ by ").split()[0]) < 3
    assert 0 < float(cached.removeprefix("prompt cache: the mel differs by ").split()[0]) < 3
    assert not np.array_equal(near, exact)
    done = convert(models, "xlsr-tiny", "--truncate", *clips, tmp_path / "c.wav")
    assert_one_line(done, 1, "xlsr-tiny", "nothing to truncate")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precisions(precision: str, models: Path, clips: tuple[Path, Path], tmp_path: Path) -> None:
    exact, _ = converted(models, "whisper-small", clips, tmp_path / "a.wav")
    low, _ = converted(models, "whisper-small", clips, tmp_path / "b.wav", "--precision", precision)
    assert 0 < float(np.std(low - exact)) < 0.3 * float(np.std(exact))


def test_a_device_that_is_not_here(models: Path, clips: tuple[Path, Path], tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        assert_one_line(convert(models, "xlsr-tiny", "--device", "cuda", *clips, tmp_path / "o.wav"), 1, "'cuda'")
    assert_one_line(convert(models, "xlsr-tiny", "--device", "abacus", *clips, tmp_path / "o.wav"), 1, "'abacus'")
    assert_one_line(convert(models, "xlsr-huge", *clips, tmp_path / "o.wav"), 1, "xlsr-huge", "xlsr-tiny")


@pytest.mark.slow
def test_networks_of_the_published_size_are_refused_for_a_live_stream_on_a_slow_cpu(
    clips: tuple[Path, Path], tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("a GPU may keep up")
    models = write_model(tmp_path / "models", "xlsr-tiny", full_size=True)
    out = tmp_path / "out.wav"
    done = run_command(
        "stream", "--engine", "seed-vc", "--model-dir", models, "--reference", clips[1], "--input", clips[0],
        "--output", out, timeout=280,
    )  # fmt: skip
    assert_one_line(done, 1, "s of computing per second of audio", "--allow-slow")
    assert float(done.stderr.split("needs ")[1].split()[0]) > 1
    assert not out.exists()
    samples, _ = converted(models, "xlsr-tiny", clips, tmp_path / "file.wav")
    assert np.isfinite(samples).all()
