from __future__ import annotations

import os
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from seedvc_live import Pcm, load_audio, save_audio
from seedvc_live.audio.resample import resample
from seedvc_live.evaluate.latency.chromium import write_wav

PAUSE = 2.5
"""Seconds of silence after each round of the microphone's speech."""


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> dict[str, Path]:
    """source, reference; deep: the reference lowered, to any ear someone else;
    microphone: the source and a pause; loop: the source alone."""
    folder = tmp_path_factory.mktemp("clips")
    with as_file(files("seedvc_live") / "data") as data:
        source, reference = load_audio(data / "source.flac"), load_audio(data / "reference.flac")
    save_audio(folder / "source.wav", source)
    save_audio(folder / "reference.wav", reference)
    lowered = Pcm(resample(reference, round(reference.rate * 1.3)).samples, reference.rate)
    save_audio(folder / "deep.wav", lowered)
    pause = np.zeros(round(PAUSE * source.rate), np.float32)
    write_wav(folder / "loop.wav", source.samples, source.rate)
    write_wav(folder / "microphone.wav", np.concatenate([source.samples, pause]), source.rate)
    return {path.stem: path for path in folder.glob("*.wav")}


@pytest.fixture(scope="module")
def driver():
    """Playwright; of one module, since no other event loop can run beside its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory) -> Path:
    """Where the tests' screenshots go; SEEDVC_LIVE_SCREENSHOTS names a folder that stays."""
    folder = Path(os.environ.get("SEEDVC_LIVE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
