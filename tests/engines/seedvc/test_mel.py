"""Spectrograms against recorded numbers, and against the definition written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seedvc_live.engines.seedvc.mel import LogMel, MelConfig, PitchLogMel

from .conftest import load

pytestmark = pytest.mark.torch
LARGEST, MEAN = 5e-3, 1e-4


@pytest.mark.vector_files("mel/*.npz")
def test_recorded(file: Path) -> None:
    v = load(file)
    rate, n_fft, n_mels, hop, win, fmin, fmax = v["params"].tolist()
    config = MelConfig(rate, n_fft, n_mels, hop, win, fmin, None if fmax < 0 else fmax)
    error = (LogMel(config)(v["wav"][None]) - v["mel"]).abs()
    assert float(error.max()) <= LARGEST
    assert float(error.mean()) <= MEAN


@pytest.mark.vector_files("rmvpe/mel.npz")
def test_recorded_for_pitch(file: Path) -> None:
    v = load(file)
    mel = PitchLogMel()(v["wav"].reshape(1, -1))
    error = (mel - v["mel"]).abs()
    assert float(error.max()) <= LARGEST
    assert float(error.mean()) <= MEAN


@pytest.mark.parametrize("config", [MelConfig(22050, 1024, 80, 256, 1024, 0, 8000.0)])
def test_a_frame_written_out(config: MelConfig) -> None:
    noise = np.random.default_rng(3).standard_normal(4096)
    mel = LogMel(config)(torch.from_numpy(noise.astype(np.float32))[None])[0].numpy()
    assert mel.shape == (config.n_mels, 4096 // config.hop)
    frame = 6
    begin = frame * config.hop - (config.n_fft - config.hop) // 2
    phase = np.arange(config.n_fft)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * phase / config.n_fft)
    piece = noise[begin : begin + config.n_fft] * window
    k = np.arange(config.n_fft // 2 + 1)[:, None]
    spectrum = np.exp(-2j * np.pi * k * phase / config.n_fft) @ piece
    # One filter in the linear part of Slaney's scale: edges 200/3 Hz apart times the spacing in mels.
    top = 15 + np.log(8.0) / (np.log(6.4) / 27)
    edges = np.array([4, 5, 6]) * top / (config.n_mels + 1) * 200 / 3
    hz = k[:, 0] * config.rate / config.n_fft
    triangle = np.interp(hz, edges, [0.0, 2 / (edges[2] - edges[0]), 0.0])
    expected = np.log(triangle @ np.sqrt(np.abs(spectrum) ** 2 + 1e-9))
    assert mel[4, frame] == pytest.approx(expected, abs=1e-4)


def test_silence_is_the_floor() -> None:
    config = MelConfig(22050, 1024, 80, 256, 1024, 0, None)
    mel = LogMel(config)(torch.zeros(1, 4096))
    assert float(mel.min()) >= np.log(1e-5) - 1e-6
