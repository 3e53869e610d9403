"""What the content encoder is taught with: degraded windows beside undisturbed ones, and how much of them is speech."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seedvc_live import Pcm, load_audio, save_audio
from seedvc_live.engines.nano import grid, spectrum

pytestmark = pytest.mark.torch

CONFIG = {
    "clips": 3, "windows": 4, "seconds": 3, "shifted": 0.0, "perturb": [0.8, 1.25], "degraded": 0.0, "quiet": 0.0,
    "cold": 0.0,
}  # fmt: skip


@pytest.fixture
def clips(tmp_path: Path) -> list:
    from importlib.resources import as_file, files

    from training.corpus import Clip

    with as_file(files("seedvc_live") / "data" / "source.flac") as path:
        clip = load_audio(path)
    found = []
    for index in range(2):
        path = tmp_path / f"{index}.flac"
        start = index * clip.rate // 2
        save_audio(path, Pcm(clip.samples[start : start + 4 * clip.rate], clip.rate))
        found.append(Clip(str(index), path, str(index), str(index), wide=False))
    return found


def windows(clips: list, **changes: object):
    from training.corpus import read
    from training.hearing import Windows

    return Windows(clips, lambda clip: read(clip)[0], CONFIG | changes, np.random.default_rng(0))


def test_of_undisturbed_speech_nothing_is_to_be_taken(clips) -> None:
    bad, heard, gain, power, speech = windows(clips).batch()
    assert bad.shape == heard.shape
    assert power.shape == speech.shape == (12, bad.shape[-1], spectrum.FFT // 2 + 1)
    assert gain.shape == (12, bad.shape[-1], spectrum.GAIN_BANDS)
    np.testing.assert_array_equal(bad, heard)
    # The clip goes to 24 kHz and back on its way: near 8 kHz a little is lost.
    assert float(np.median(gain[..., :-2])) > -0.2


def test_of_noise_most_is_to_be_taken(clips) -> None:
    bad, heard, gain = windows(clips, degraded=1.0).batch()[:3]
    assert float((bad - heard).abs().mean()) > 0.01
    assert float(gain.mean()) < -3
    assert float(gain.min()) >= -spectrum.MOST_TAKEN


def test_a_softer_copy_keeps_its_gain(clips) -> None:
    bad, heard, gain = windows(clips, quiet=1.0).batch()[:3]
    assert float((bad - heard).abs().max()) > 0.01
    assert float(np.median(gain[..., :-2])) > -0.5


def test_the_right_mask_leaves_the_speech_and_none_does_not(clips) -> None:
    import torch
    from training.hearing import Behind

    batch = windows(clips, degraded=1.0).batch()
    behind = Behind()
    right = float(behind(batch.gain, batch.power, batch.speech))
    none = float(behind(torch.zeros_like(batch.gain), batch.power, batch.speech))
    assert float(behind(torch.zeros_like(batch.gain), batch.speech, batch.speech)) == 0
    # Bands are wide, and no mask adds what a line or a room took.
    assert right < 0.6 * none


def test_levels_behind_a_mask_are_the_engines(clips) -> None:
    """But for the floors, far below the speech."""
    from training.hearing import Behind

    batch = windows(clips).batch()
    level, changes = Behind()._measured(batch.speech)
    power = batch.speech.numpy()
    own, loud = spectrum.changes(power), spectrum.levels(power) > -45
    both = loud[:, 1:] & loud[:, :-1]
    assert np.abs(changes.numpy() - own)[both].mean() < 0.5
    # A mean over bands is not one over bins: they differ by a colour, but move together.
    assert np.corrcoef(level[..., 0].numpy()[loud], spectrum.levels(power)[loud])[0, 1] > 0.8


def test_checked_windows_of_a_clip_and_its_copy_are_of_the_same_moments() -> None:
    from training.hearing_check import WINDOW, windows

    noise = np.random.default_rng(0).normal(size=6 * grid.ANALYSIS_RATE).astype(np.float32)
    power = windows([noise, np.append(noise, noise[:999]) / 2])
    assert power.shape[:2] == (2, 3)
    assert power.shape[2] == WINDOW // grid.ANALYSIS_HOP - 1 - grid.FIRST_FRAME
    # Within a block of a running filter from silence on: the same to rounding.
    np.testing.assert_allclose(power[0], 4 * power[1], rtol=2e-3, atol=1e-3)


def test_an_odd_window_has_a_gain_for_its_last_frame_too() -> None:
    import torch
    from training.hearing import Hearing
    from training.whisper import WhisperEncoder

    torch.manual_seed(0)
    hearing = Hearing(WhisperEncoder()).eval()
    with torch.no_grad():
        content, gain = hearing(torch.randn(2, 80, 93))
    assert content.shape == (2, 47, 384)
    assert gain.shape == (2, 94, spectrum.GAIN_BANDS)
    assert -spectrum.MOST_TAKEN < float(gain.min()) < float(gain.max()) < 0


_EXPORT = """
import sys
from pathlib import Path

import numpy as np
import torch

from training.export import export_content
from training.hearing import Hearing, begin_with
from training.whisper import WhisperEncoder

folder = Path(sys.argv[1])
torch.manual_seed(0)
hearing = Hearing(WhisperEncoder()).eval()
export_content(hearing, folder / "content.onnx")
mel = np.random.default_rng(0).normal(size=(2, 80, 93)).astype(np.float32)
with torch.no_grad():
    content, gain = hearing(torch.from_numpy(mel))
again = Hearing(WhisperEncoder()).eval()
begin_with(again, folder / "content.onnx")
with torch.no_grad():
    content_again, gain_again = again(torch.from_numpy(mel))
np.savez(
    folder / "expected.npz", mel=mel, content=content.numpy(), gain=gain.numpy(),
    content_again=content_again.numpy(), gain_again=gain_again.numpy(),
)
"""


def test_exported_network_answers_as_the_trained_one(tmp_path: Path) -> None:
    from seedvc_live.engines.nano import analysis
    from seedvc_live.engines.nano.networks import open_session

    # In a process of its own, as in the recipe: torch's exporter aborts where GStreamer was loaded before it.
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", _EXPORT, str(tmp_path)], check=True, cwd=root)
    with np.load(tmp_path / "expected.npz") as expected:
        content, gain = analysis.encode(open_session(tmp_path / "content.onnx"), expected["mel"])
        assert content.shape == (2, 47, 384)
        assert gain.shape == (2, 93, spectrum.GAIN_BANDS)
        # Eight bits.
        assert np.abs(content - expected["content"]).mean() < 0.1 * float(expected["content"].std())
        assert np.abs(gain - expected["gain"][:, :93]).mean() < 1.0
        # What a new run begins with: but for the activations' eight bits the same.
        assert np.abs(content - expected["content_again"]).mean() < 0.1 * float(expected["content"].std())
        assert np.abs(gain - expected["gain_again"][:, :93]).mean() < 1.0


def test_weights_are_read_again(tmp_path: Path, monkeypatch) -> None:
    import torch
    from safetensors.torch import save_file
    from training.whisper import WhisperEncoder

    from training import hearing

    torch.manual_seed(1)
    monkeypatch.setattr(hearing, "load_whisper", lambda path: WhisperEncoder())
    first = hearing.Hearing(WhisperEncoder())
    save_file({name: t.contiguous() for name, t in first.state_dict().items()}, tmp_path / "hearing.safetensors")
    second = hearing.load_hearing(tmp_path / "unused", tmp_path / "hearing.safetensors")
    mel = torch.randn(1, 80, grid.LAYOUT.context)
    torch.testing.assert_close(first.eval()(mel), second(mel))
