"""Streaming conversions between held-back training speakers, judged by CAM++: what to watch while training.

`python -m training.dev --corpus CORPUS`. Resemblyzer, the final judge, has no part in this.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import yaml

from seedvc_live.engines.base import State, Voice, Window
from seedvc_live.engines.nano import grid
from seedvc_live.engines.nano.engine import NanoEngine, NanoSettings
from seedvc_live.engines.nano.networks import WEIGHTS, open_session
from seedvc_live.engines.nano.speaker import embed
from training import corpus
from training.train import split


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


def main() -> None:
    import soxr

    from seedvc_live.audio.pcm import Pcm

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "nano.yaml")
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each source")
    parser.add_argument("--audio", type=Path, help="folder to write the conversions to")
    options = parser.parse_args()
    config = yaml.safe_load(options.config.read_text())
    clips = split(options.corpus, config["dev_speakers"], config["seed"])[1]
    engine, judge = NanoEngine(options.weights), open_session(options.weights / "speaker.onnx")
    recordings = [corpus.read(clip) for clip in clips]
    long = [i for i, (wide, _) in enumerate(recordings) if len(wide) > 9 * grid.RATE]
    clips, recordings = [clips[i] for i in long], [recordings[i] for i in long]
    cut = 5 * grid.ANALYSIS_RATE
    references = [embed(judge, narrow[:cut]) for _, narrow in recordings]
    rows: dict[str, list[float]] = {"floor": [], "converted": [], "resynthesis": [], "ceiling": []}
    for i, (wide, _) in enumerate(recordings):
        rows["ceiling"].append(float(embed(judge, recordings[i][1][cut:]) @ references[i]))
        for shift in (0, 1, 3):
            j = (i + shift) % len(recordings)
            voice = engine.enroll(Pcm(recordings[j][0][: 5 * grid.RATE], grid.RATE))
            # A voice itself is resynthesised from what the reference does not hold.
            source = wide[5 * grid.RATE :] if shift == 0 else wide
            source = source[: round(options.seconds * grid.RATE)]
            out = convert(engine, voice, source, NanoSettings())
            if options.audio:
                import soundfile

                options.audio.mkdir(parents=True, exist_ok=True)
                soundfile.write(options.audio / f"{clips[i].name}_to_{clips[j].name}.wav", out, grid.RATE)
            score = float(embed(judge, np.asarray(soxr.resample(out, 3, 2), np.float32)) @ references[j])
            rows["resynthesis" if shift == 0 else "converted"].append(score)
            if shift:
                source_16k = np.asarray(soxr.resample(source, 3, 2), np.float32)
                rows["floor"].append(float(embed(judge, source_16k) @ references[j]))
    means = {name: float(np.mean(values)) for name, values in rows.items()}
    means["way"] = (means["converted"] - means["floor"]) / (means["ceiling"] - means["floor"])
    print(json.dumps({name: round(value, 4) for name, value in means.items()}))


if __name__ == "__main__":
    main()
