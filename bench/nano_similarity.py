"""Does nano take on the reference's voice? Streaming conversions judged by Resemblyzer.

For each pair of `pairs.tsv` (speakers the training never saw) the whole source is converted block by block
towards the first 5 s of the reference file. Similarity is the cosine of Resemblyzer's utterance
embeddings (L. Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018).

    python bench/nano_similarity.py --corpus CORPUS --out bench/results/nano_similarity.json
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile
import soxr

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import State, Window
from seedvc_live.engines.nano.engine import NanoEngine, NanoSettings

RATE = 24000


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def read(path: Path) -> Pcm:
    samples, rate = soundfile.read(path, dtype="float32")
    return Pcm(np.asarray(soxr.resample(samples, rate, RATE), np.float32), RATE)


def stream(engine: NanoEngine, reference: Pcm, source: Pcm, settings: NanoSettings) -> tuple[Pcm, list[float]]:
    """The converted source, and the seconds each block took."""
    voice = engine.enroll(reference)
    geometry = engine.geometry(settings, voice)
    blocks = -(-len(source) // geometry.block)
    after = blocks * geometry.block - len(source) + geometry.lookahead
    padded = np.pad(source.samples, (geometry.left_context, after))
    state: State | None = None
    out, seconds = [], []
    for start in range(0, blocks * geometry.block, geometry.block):
        window = Window(start, padded[start : start + geometry.window], voice, settings, state=state)
        begin = time.perf_counter()
        block = engine.convert([window])[0]
        seconds.append(time.perf_counter() - begin)
        state = block.state
        out.append(block.samples)
    return Pcm(np.concatenate(out)[: len(source)], RATE), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with pairs.tsv and librispeech/")
    parser.add_argument("--out", type=Path, default=Path("bench/results/nano_similarity.json"))
    parser.add_argument("--audio", type=Path, help="folder to write the conversions to")
    options = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        # Resemblyzer reaches for names that newer libraries have moved.
        warnings.simplefilter("ignore")
        from resemblyzer import VoiceEncoder, preprocess_wav

        encoder = VoiceEncoder("cpu", verbose=False)

    def embed(pcm: Pcm) -> np.ndarray:
        return np.asarray(encoder.embed_utterance(preprocess_wav(pcm.samples, source_sr=pcm.rate)))

    engine = NanoEngine()
    engine.warm_up()
    settings = NanoSettings()
    cache: dict[str, Pcm] = {}

    def clip(name: str) -> Pcm:
        if name not in cache:
            cache[name] = read(options.corpus / "librispeech" / name)
        return cache[name]

    pairs, times, audio_seconds = [], [], 0.0
    with (options.corpus / "pairs.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            source, whole = clip(row["source"]), clip(row["reference"])
            reference = whole.head(5.0)
            rest = Pcm(whole.samples[len(reference) :], RATE)
            converted, seconds = stream(engine, reference, source, settings)
            times += seconds
            audio_seconds += source.seconds
            wanted = embed(reference)
            pair = {
                **row,
                "floor": float(embed(source) @ wanted),
                "converted": float(embed(converted) @ wanted),
                "ceiling": float(embed(rest) @ wanted),
            }
            pairs.append({name: round(v, 4) if isinstance(v, float) else v for name, v in pair.items()})
            if options.audio:
                options.audio.mkdir(parents=True, exist_ok=True)
                name = f"{Path(row['source']).stem}_to_{Path(row['reference']).stem}.wav"
                soundfile.write(options.audio / name, converted.samples, RATE)
            print(pairs[-1], flush=True)

    def summary(rows: list[dict[str, object]]) -> dict[str, float]:
        names = ("floor", "converted", "ceiling")
        floor, made, ceiling = (float(np.mean([float(str(row[name])) for row in rows])) for name in names)
        way = (made - floor) / (ceiling - floor)
        return {"floor": floor, "converted": made, "ceiling": ceiling, "way": way}

    kinds = sorted({str(pair["kind"]) for pair in pairs})
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "judge": "Resemblyzer 0.1.4",
        "weights": engine.weights_hash,
        "settings": settings.model_dump(),
        "mean": summary(pairs),
        "by_kind": {kind: summary([pair for pair in pairs if pair["kind"] == kind]) for kind in kinds},
        "speed": {
            "audio_seconds": audio_seconds,
            "real_time_factor": sum(times) / audio_seconds,
            "block_ms_median": 1000 * float(np.median(times)),
            "block_ms_p99": 1000 * float(np.quantile(times, 0.99)),
        },
        "pairs": pairs,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({"mean": result["mean"], "speed": result["speed"]}, indent=1))


if __name__ == "__main__":
    main()
