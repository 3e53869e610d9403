"""Streaming conversions between held-back training speakers: what to watch while training.

`python -m training.dev --corpus CORPUS`. CAM++ judges the voice, Whisper tiny.en the words, of sources as they are
and as noise, rooms and lines make them. Resemblyzer, DNSMOS and the larger recogniser, which judge in the end, have no
part in this.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import yaml

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import State, Voice, Window
from seedvc_live.engines.nano import grid
from seedvc_live.engines.nano.engine import NanoEngine, NanoSettings
from seedvc_live.engines.nano.networks import WEIGHTS, open_session
from seedvc_live.engines.nano.profiles import DEFAULT, PROFILES
from seedvc_live.engines.nano.speaker import embed
from seedvc_live.evaluate.degrade import CONDITIONS, degrade
from seedvc_live.evaluate.intelligibility import Errors, word_errors
from training import corpus
from training.train import split

REFERENCE = 5 * grid.RATE
"""Samples at 24 kHz of a reference."""
PARTNERS = ((1, 3), (2, 4), (5, 6))
"""So many speakers on are the voices that a source is converted to, in each draw of the noise (and in turn)."""


def held_back(folder: Path, config: dict[str, Any], seconds: float = 10.0) -> list[np.ndarray]:
    """Recordings of speakers that training never hears, their first `seconds`, each (n,) at 24 kHz.

    A clip must hold a reference and a second of other speech.
    """
    clips = split(folder, config["dev_speakers"], config["seed"])[1]
    recordings = [corpus.read(clip)[0] for clip in clips]
    return [r[: round(seconds * grid.RATE)] for r in recordings if len(r) > REFERENCE + grid.RATE]


def convert(engine: NanoEngine, voice: Voice, samples: np.ndarray, settings: NanoSettings) -> np.ndarray:
    """A whole signal at 24 kHz, window by window."""
    geometry = engine.geometry(settings, voice)
    blocks = -(-len(samples) // geometry.block)
    padded = np.pad(samples, (geometry.left_context, blocks * geometry.block - len(samples) + geometry.lookahead))
    state: State | None = None
    out = []
    for start in range(0, blocks * geometry.block, geometry.block):
        window = Window(start, padded[start : start + geometry.window], voice, settings, state=state)
        block = engine.convert([window])[0]
        state = block.state
        out.append(block.samples)
    return np.concatenate(out)[: len(samples)]


class Judge:
    """CAM++ and tiny.en on the conversions of some recordings, each (n,) at 24 kHz."""

    def __init__(
        self, weights: Path, recordings: list[np.ndarray], transcribe: Callable[[Pcm], str], settings: NanoSettings
    ) -> None:
        self.engine, self.speaker = NanoEngine(weights), open_session(weights / "speaker.onnx")
        self.recordings, self.transcribe, self.settings = recordings, transcribe, settings
        self.references = [self.embedded(samples[:REFERENCE]) for samples in recordings]
        self.voices = [self.engine.enroll(Pcm(samples[:REFERENCE], grid.RATE)) for samples in recordings]

    def embedded(self, samples: np.ndarray) -> np.ndarray:
        return embed(self.speaker, np.asarray(soxr.resample(samples, grid.RATE, grid.ANALYSIS_RATE), np.float32))

    def alike(self, samples: np.ndarray, voice: int) -> float:
        """Cosine to a voice's reference."""
        return float(self.embedded(samples) @ self.references[voice])

    def ends(self) -> dict[str, float]:
        """Similarity of a speaker to others, to himself resynthesised, and to himself."""
        floor, resynthesis, ceiling = [], [], []
        for i, samples in enumerate(self.recordings):
            # A voice itself is resynthesised from what the reference does not hold.
            rest = samples[REFERENCE:]
            ceiling.append(self.alike(rest, i))
            resynthesis.append(self.alike(convert(self.engine, self.voices[i], rest, self.settings), i))
            floor += [self.alike(samples, (i + shift) % len(self.recordings)) for shift in PARTNERS[0]]
        parts = {"floor": floor, "resynthesis": resynthesis, "ceiling": ceiling}
        return {name: float(np.mean(values)) for name, values in parts.items()}

    def condition(self, name: str, draws: int, save: Callable[[str, np.ndarray], None]) -> dict[str, float]:
        """Of sources in one of the evaluation's conditions: similarity of their conversions, word errors of both.

        Args:
            draws: so many draws of the noise, each with two voices of its own.
        """
        similarity, of_source = [], Errors(0, 0)
        of_speaker = [Errors(0, 0)] * len(self.recordings)
        truths = [self.transcribe(Pcm(samples, grid.RATE)) for samples in self.recordings]
        for draw in range(draws):
            for i, samples in enumerate(self.recordings):
                source = degrade(Pcm(samples, grid.RATE), name, draw)
                of_source += word_errors(truths[i], self.transcribe(source))
                for shift in PARTNERS[draw % len(PARTNERS)]:
                    j = (i + shift) % len(self.recordings)
                    made = convert(self.engine, self.voices[j], source.samples, self.settings)
                    save(f"{name}_{draw}_{i}_to_{j}.wav", made)
                    similarity.append(self.alike(made, j))
                    of_speaker[i] += word_errors(truths[i], self.transcribe(Pcm(made, grid.RATE)))
        of_conversion = sum(of_speaker, Errors(0, 0))
        return {
            "similarity": float(np.mean(similarity)), "words_wrong": of_conversion.rate,
            "standard_error": standard_error(of_speaker), "of_source": of_source.rate, "words": of_conversion.length,
        }  # fmt: skip


def standard_error(of_speaker: list[Errors], draws: int = 1000) -> float:
    """Of the rate of all words, by bootstrap over speakers (B. Efron, 1979): what is smaller may be luck."""
    counts = np.array([(errors.edits, errors.length) for errors in of_speaker])
    chosen = np.random.default_rng(0).integers(0, len(counts), (draws, len(counts)))
    edits, length = counts[chosen].sum(1).T
    return float(np.std(edits / np.maximum(1, length)))


def main() -> None:
    from seedvc_live.evaluate.models import obtain
    from seedvc_live.evaluate.recognise import Recogniser

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "nano.yaml")
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each source")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=["clean", "noise10", "room"])
    parser.add_argument("--draws", type=int, default=1, help="of the noise; each with two other voices")
    parser.add_argument("--profile", choices=PROFILES, default=DEFAULT)
    parser.add_argument("--audio", type=Path, help="folder to write the conversions to")
    options = parser.parse_args()
    recordings = held_back(options.corpus, yaml.safe_load(options.config.read_text()), options.seconds)
    settings = NanoSettings(profile=options.profile)
    judge = Judge(options.weights, recordings, Recogniser("tiny.en", obtain("tiny.en")).transcribe, settings)

    def save(name: str, samples: np.ndarray) -> None:
        if options.audio:
            import soundfile

            options.audio.mkdir(parents=True, exist_ok=True)
            soundfile.write(options.audio / name, samples, grid.RATE)

    print(json.dumps({name: round(value, 4) for name, value in judge.ends().items()}), flush=True)
    for name in options.conditions:
        row = {key: round(value, 4) for key, value in judge.condition(name, options.draws, save).items()}
        print(json.dumps({"condition": name} | row), flush=True)


if __name__ == "__main__":
    main()
