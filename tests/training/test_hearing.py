"""What the content encoder is taught with, and that it is taught what it does live."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from seedvc_live import Pcm, load_audio, save_audio
from seedvc_live.engines.nano import encoder, grid, spectrum

pytestmark = pytest.mark.torch

CONFIG = {
    "rows": 3, "steps": 90, "shifted": 1, "perturb": [0.8, 1.25], "kinds": {"recorded": 1.0, "acted": 0.5},
    "degraded": 0.0, "quiet": 0.0, "cold": 0.0, "masked": 0.0, "whispered": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def teacher():
    import torch
    from training.whisper import WhisperEncoder

    torch.manual_seed(3)
    return WhisperEncoder().eval()


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list:
    from importlib.resources import as_file, files

    from training.corpus import Clip

    folder = tmp_path_factory.mktemp("clips")
    with as_file(files("seedvc_live") / "data" / "source.flac") as path:
        clip = load_audio(path)
    found = []
    for index in range(2):
        path = folder / f"{index}.flac"
        start = index * clip.rate // 2
        save_audio(path, Pcm(clip.samples[start : start + 4 * clip.rate], clip.rate))
        found.append(Clip(str(index), path, str(index), str(index), wide=False))
    return found


@pytest.fixture(scope="module")
def prepared(clips, teacher, tmp_path_factory) -> Path:
    from training.corpus import read
    from training.streams import prepare

    folder = tmp_path_factory.mktemp("said")
    prepare(clips, lambda clip: read(clip)[0], teacher, CONFIG, folder)
    return folder


def streams(clips: list, prepared: Path, **changes: object):
    from training.streams import Streams

    return Streams(clips, prepared, CONFIG | changes, np.random.default_rng(0))


def hearing(seed: int = 0):
    import torch
    from training.hearing import Hearing
    from training.whisper import WhisperEncoder

    torch.manual_seed(seed)
    return Hearing(WhisperEncoder()).eval()


def test_recordings_have_copies_and_machines_do_not(clips, prepared: Path, teacher, tmp_path: Path) -> None:
    from dataclasses import replace

    from training.streams import prepare

    assert sorted(path.name for path in prepared.iterdir()) == ["0.0.npz", "0.1.npz", "1.0.npz", "1.1.npz"]
    prepare([replace(clips[0], wide=True)], lambda clip: pytest.fail("has no noise"), teacher, CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["0.0.npz"]


def test_batch_is_of_whole_streams(clips, prepared: Path) -> None:
    batch = streams(clips, prepared).batch()
    assert batch.mel.shape == (3, 80, encoder.frames(90))
    assert batch.positions.shape == batch.content.shape == (3, 90, 384)
    assert batch.power.shape == batch.speech.shape == (3, 180, spectrum.FFT // 2 + 1)


def test_of_undisturbed_speech_nothing_is_to_be_taken_and_of_noise_most(clips, prepared: Path) -> None:
    from training.hearing import wanted_gain

    batch = streams(clips, prepared).batch()
    # The clip goes to 24 kHz and back on its way: near 8 kHz a little is lost.
    assert float(np.median(wanted_gain(batch.power, batch.speech)[..., :-2])) > -0.2
    batch = streams(clips, prepared, degraded=1.0).batch()
    gain = wanted_gain(batch.power, batch.speech)
    assert float(gain.mean()) < -3
    assert float(gain.min()) >= -spectrum.MOST_TAKEN


def test_masked_streams_lack_a_few_bands(clips, prepared: Path) -> None:
    whole, masked = (streams(clips, prepared, masked=share).batch().mel for share in (0.0, 1.0))
    assert (whole.std(2) > 0).all()
    assert all(3 <= int((row.std(1) < 1e-6).sum()) <= 8 for row in masked)


def test_whispers_change_what_is_heard_and_not_what_is_wanted(clips, prepared: Path) -> None:
    from training.hearing import wanted_gain

    own, changed = (streams(clips, prepared, rows=1, whispered=share).batch() for share in (0.0, 1.0))
    np.testing.assert_array_equal(own.content, changed.content)
    assert float((own.mel - changed.mel).abs().mean()) > 0.05
    # A whisper is no noise to be taken.
    assert float(np.median(wanted_gain(changed.power, changed.speech)[..., 2:-4])) > -0.3


def test_a_softer_copy_keeps_its_gain(clips, prepared: Path) -> None:
    from training.hearing import wanted_gain

    loud, soft = (streams(clips, prepared, quiet=quiet).batch() for quiet in (0.0, 1.0))
    assert float(soft.speech.mean()) < 0.5 * float(loud.speech.mean())
    assert float(np.median(wanted_gain(soft.power, soft.speech)[..., :-2])) > -0.5


def test_what_a_stream_is_to_say_is_said_of_what_it_hears(clips, tmp_path: Path) -> None:
    from training.corpus import read
    from training.streams import answers, prepare
    from training.whisper import WhisperEncoder

    # One that hears each moment by itself.
    teacher = WhisperEncoder(layers=0).eval()
    prepare(clips, lambda clip: read(clip)[0], teacher, CONFIG, tmp_path)
    some = streams(clips, tmp_path, steps=60)
    off: dict[int, list[float]] = {-1: [], 0: [], 1: []}
    for _ in range(8):
        row, wanted, _ = some._row()
        said = answers(teacher, row[0]).astype(np.float32)
        for shift, found in off.items():
            found.append(np.square(said[14 + shift : 54 + shift] - wanted[10:50]).mean())
    # Where two clips join, what lies around a moment differs.
    assert np.median(off[0]) < 0.1 * min(np.median(off[-1]), np.median(off[1]))


def test_what_the_teacher_says_moves_with_the_speech(clips, teacher) -> None:
    from training.corpus import read
    from training.streams import answers

    samples = read(clips[0])[1]
    whole, late = answers(teacher, samples).astype(np.float32), answers(teacher, samples[16 * 320 :]).astype(np.float32)
    assert len(whole) == len(samples) // 320
    # Windows begin every eight steps: the same ones, but for those that reach beyond the cut.
    np.testing.assert_allclose(late[48:120], whole[64:136], atol=0.03)


def test_the_right_mask_leaves_the_speech_and_none_does_not(clips, prepared: Path) -> None:
    import torch
    from training.hearing import Behind, wanted_gain

    batch = streams(clips, prepared, degraded=1.0).batch()
    behind = Behind()
    gain = wanted_gain(batch.power, batch.speech)
    right = float(behind(gain, batch.power, batch.speech))
    none = float(behind(torch.zeros_like(gain), batch.power, batch.speech))
    assert float(behind(torch.zeros_like(gain), batch.speech, batch.speech)) == 0
    # Bands are wide, and no mask adds what a line or a room took.
    assert right < 0.6 * none


def test_levels_behind_a_mask_are_the_engines(clips, prepared: Path) -> None:
    """But for the floors, far below the speech."""
    from training.hearing import Behind

    batch = streams(clips, prepared).batch()
    level, changes = Behind()._measured(batch.speech)
    power = batch.speech.numpy()
    own, loud = spectrum.changes(power), spectrum.levels(power) > -45
    both = loud[:, 1:] & loud[:, :-1]
    assert np.abs(changes.numpy() - own)[both].mean() < 0.5
    # A mean over bands is not one over bins: they differ by a colour, but move together.
    assert np.corrcoef(level[..., 0].numpy()[loud], spectrum.levels(power)[loud])[0, 1] > 0.8


def test_an_error_that_a_stream_keeps_is_not_heard() -> None:
    import torch
    from training.hearing import Distance

    wanted = torch.randn(2, 50, 384)
    distance = Distance(wanted, torch.randn(384, 20))
    off, heard = distance(wanted + torch.randn(2, 1, 384), wanted)
    assert float(off) > 0.5
    assert float(heard) < 1e-6
    assert float(distance(wanted + torch.randn(2, 50, 384), wanted)[1]) > 0.5


@pytest.mark.parametrize(("first", "block", "ahead"), [(9, 4, 2), (4, 4, 0), (30, 8, 6), (3, 3, 1)])
def test_a_stream_is_taught_at_once_what_it_does_block_by_block(first: int, block: int, ahead: int) -> None:
    import torch
    from training.hearing import Plan

    model, steps = hearing(), 90
    mel = torch.randn(1, 80, encoder.frames(steps))
    positions = torch.from_numpy(encoder.positions(500, steps))
    past = torch.zeros(encoder.LAYERS, 2, 1, 0, encoder.WIDTH)
    contents, gains, start = [], [], 0
    with torch.no_grad():
        taught = model.stream(mel, positions[None], Plan.of(steps, first, block, ahead))
        while start < steps:
            end = min(steps, start + (block if start else first))
            total = min(steps, end + ahead) - start
            piece = mel[:, :, 2 * start : 2 * start + encoder.frames(total)]
            content, gain, present = model(piece, positions[start : start + total], past)
            new = end - start
            contents.append(content[:, :new])
            gains.append(gain[:, : 2 * new])
            past = torch.cat([past, present[:, :, :, :new]], 3)[:, :, :, -encoder.REACH :]
            start = end
    torch.testing.assert_close(torch.cat(contents, 1), taught[0], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(torch.cat(gains, 1), taught[1], atol=1e-3, rtol=1e-3)


def test_checked_streams_of_a_clip_and_its_copy_are_of_the_same_moments() -> None:
    from training.hearing_check import powers

    noise = np.random.default_rng(0).normal(size=6 * grid.ANALYSIS_RATE).astype(np.float32)
    one, other = powers([noise, np.append(noise, noise[:999]) / 2])
    assert one.shape == other.shape
    np.testing.assert_allclose(one, 4 * other, rtol=2e-3, atol=1e-3)


_EXPORT = """
import sys
from pathlib import Path

import numpy as np
import torch

from seedvc_live.engines.nano import encoder
from training.export import export_content
from training.hear import begin_with
from training.hearing import Hearing
from training.whisper import WhisperEncoder

folder = Path(sys.argv[1])
torch.manual_seed(0)
hearing = Hearing(WhisperEncoder()).eval()
export_content(hearing, folder / "content.onnx")
rng = np.random.default_rng(0)
mel = rng.normal(size=(1, 80, encoder.frames(7))).astype(np.float32)
past = rng.normal(size=(encoder.LAYERS, 2, 1, 20, encoder.WIDTH)).astype(np.float32)
inputs = [torch.from_numpy(a) for a in (mel, encoder.positions(30, 7), past)]
again = Hearing(WhisperEncoder()).eval()
begin_with(again, folder / "content.onnx")
arrays = {}
with torch.no_grad():
    for name, model in (("", hearing), ("_again", again)):
        for part, tensor in zip(("content", "gain", "present"), model(*inputs)):
            arrays[part + name] = tensor.numpy()
np.savez(folder / "expected.npz", mel=mel, past=past, **arrays)
"""


def test_exported_network_answers_as_the_trained_one(tmp_path: Path) -> None:
    from seedvc_live.engines.nano.networks import open_session

    # In a process of its own, as in the recipe: torch's exporter aborts where GStreamer was loaded before it.
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", _EXPORT, str(tmp_path)], check=True, cwd=root)
    with np.load(tmp_path / "expected.npz") as expected:
        inputs = {"mel": expected["mel"], "past": expected["past"], "positions": encoder.positions(30, 7)}
        names = ("content", "gain", "present")
        found = dict(zip(names, open_session(tmp_path / "content.onnx").run(list(names), inputs), strict=True))
        assert found["content"].shape == (1, 7, 384)
        assert found["gain"].shape == (1, 14, spectrum.GAIN_BANDS)
        # Eight bits; and what a new run begins with: but for the activations' eight bits the same.
        for version in ("", "_again"):
            for name in ("content", "present"):
                wanted = expected[name + version]
                assert np.abs(found[name] - wanted).mean() < 0.1 * float(wanted.std())
            assert np.abs(found["gain"] - expected["gain" + version]).mean() < 1.0


def test_weights_are_read_again(tmp_path: Path, monkeypatch) -> None:
    import torch
    from safetensors.torch import save_file
    from training.whisper import WhisperEncoder

    from training import hearing as module

    monkeypatch.setattr(module, "load_whisper", lambda path: WhisperEncoder())
    first = hearing(1)
    save_file({name: t.contiguous() for name, t in first.state_dict().items()}, tmp_path / "hearing.safetensors")
    second = module.load_hearing(tmp_path / "unused", tmp_path / "hearing.safetensors")
    inputs = (
        torch.randn(1, 80, encoder.frames(5)), torch.from_numpy(encoder.positions(0, 5)),
        torch.zeros(encoder.LAYERS, 2, 1, 0, encoder.WIDTH),
    )  # fmt: skip
    torch.testing.assert_close(first(*inputs), second(*inputs))


def test_actors_lines_teach_words_and_no_mask(clips, teacher, tmp_path: Path, monkeypatch) -> None:
    """Their band ends at 5.5 kHz: a mask that learnt from them would take the rest of everybody's."""
    from dataclasses import replace

    import torch
    from safetensors.torch import load_file, save_file
    from training.streams import Streams, prepare

    from training import hear

    monkeypatch.setattr(hear, "load_whisper", lambda path: teacher)
    acted = [replace(clip, narrow=True) for clip in clips]

    def never(clip):
        raise AssertionError("nobody asks for an actor's line without its noise")

    prepare(acted, never, teacher, CONFIG, tmp_path / "said")
    assert len(list((tmp_path / "said").glob("*.npz"))) == len(acted)
    batch = Streams(acted, tmp_path / "said", CONFIG, np.random.default_rng(1)).batch()
    assert not batch.full.any()
    assert torch.isfinite(batch.content).all()

    first = hearing(5)
    save_file({name: t.contiguous() for name, t in first.state_dict().items()}, tmp_path / "first.safetensors")
    config = CONFIG | {
        "rows": 2, "steps": 60, "blocks": [[4, 2, 1.0]], "learning_rate": 0.001, "average": 0.9, "heard": 0.5,
        "mask": 0.05, "behind": 0.03, "minutes": 0.05, "checkpoint_seconds": 1.0,
    }  # fmt: skip
    hear.train(
        config, acted, never, tmp_path / "unused", tmp_path / "said", tmp_path, 1, tmp_path / "first.safetensors"
    )
    before, after = load_file(tmp_path / "first.safetensors"), load_file(tmp_path / "hearing.safetensors")
    changed = {name for name, tensor in after.items() if not tensor.equal(before[name])}
    assert "encoder.blocks.0.qkv.weight" in changed
    assert not any(name.startswith("mask.") for name in changed)
    # Yet the mask has a gradient: another process's, to which it is added, has one.
    optimiser = torch.load(tmp_path / "hearing.pt", weights_only=True)["optimiser"]
    assert len(optimiser["state"]) == sum(p.requires_grad for p in first.parameters()) - 1


def test_every_second_line_of_an_actor_is_moved() -> None:
    from training.corpus import Clip
    from training.streams import _ratio

    lines = [Clip(f"line-{i}", Path("line"), "actor", "line", wide=False, narrow=True) for i in range(400)]
    ratios = np.array([_ratio(line, 0, CONFIG) for line in lines])
    assert 0.4 < np.mean(ratios != 1) < 0.6
    low, high = CONFIG["perturb"]
    assert low <= ratios.min() < 0.9
    assert 1.1 < ratios.max() <= high


def test_training_comes_nearer_and_goes_on_where_it_stopped(clips, teacher, tmp_path: Path, monkeypatch) -> None:
    import csv

    import torch
    from training.corpus import read

    from training import hear

    monkeypatch.setattr(hear, "load_whisper", lambda path: teacher)
    # A clock of its own, 0.4 s a step, so that a busy machine makes no fewer steps.
    monkeypatch.setattr(hear, "time", SimpleNamespace(monotonic=itertools.count(0.0, 0.4).__next__))
    config = CONFIG | {
        "rows": 2, "steps": 60, "blocks": [[4, 2, 0.5], [8, 6, 0.5]], "learning_rate": 0.001, "average": 0.9,
        "heard": 0.5, "mask": 0.05, "behind": 0.03, "minutes": 0.05, "checkpoint_seconds": 5.0,
    }  # fmt: skip

    def train() -> list[dict[str, float]]:
        hear.train(config, clips, lambda clip: read(clip)[0], tmp_path / "unused", tmp_path / "said", tmp_path, 1)
        with (tmp_path / "hearing.csv").open() as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

    curve = train()
    steps = torch.load(tmp_path / "hearing.pt", weights_only=True)["step"]
    assert curve[-1]["step"] == steps == 8
    assert 0 < curve[-1]["mask_db"] < curve[0]["mask_db"]
    # Its time is used up: nothing but the weights is written again.
    assert train()[-1]["step"] == steps
    config["minutes"] = 0.07
    assert train()[-1]["step"] > steps
    with np.load(next((tmp_path / "said").glob("*.npz"))) as file:
        assert set(file.files) == {"audio", "content"}


def test_second_half_changes_what_it_hears_with_and_not_the_mask(clips, teacher, tmp_path: Path, monkeypatch) -> None:
    from safetensors.torch import load_file, save_file
    from training.corpus import read

    from training import hear

    monkeypatch.setattr(hear, "load_whisper", lambda path: teacher)
    config = CONFIG | {
        "rows": 2, "steps": 60, "blocks": [[4, 2, 1.0]], "learning_rate": 0.001, "average": 0.9, "heard": 0.5,
        "mask": 0.0, "behind": 0.0, "minutes": 0.05, "checkpoint_seconds": 1.0, "rank": 4,
    }  # fmt: skip
    first = hearing(5)
    save_file({name: t.contiguous() for name, t in first.state_dict().items()}, tmp_path / "first.safetensors")
    out = tmp_path / "lean"
    hear.train(
        config, clips, lambda clip: read(clip)[0], tmp_path / "unused", tmp_path / "said", out, 1,
        tmp_path / "first.safetensors",
    )  # fmt: skip
    before, after = load_file(tmp_path / "first.safetensors"), load_file(out / "hearing.safetensors")
    assert set(before) == set(after)
    changed = {name for name, tensor in after.items() if not tensor.equal(before[name])}
    assert "encoder.blocks.0.qkv.weight" in changed
    assert not any(name.startswith("mask.") for name in changed)
