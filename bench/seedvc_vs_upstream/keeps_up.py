"""At which settings `xlsr-tiny` keeps up with a live stream on this machine's processor, content encoder included.

Networks of the published sizes with random weights: time does not depend on them. Wall time says whether a stream
keeps up, and needs a machine with nothing else to do; CPU time is good on a busy one too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))

from networks import own_networks, xlsr_encoder

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Window
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.settings import SeedVCSettings
from seedvc_live.machine import describe

# block, context, dit_context, prompt_seconds, steps, CFG: the defaults first, then ever easier.
SETTINGS = (
    (0.18, 2.5, 0.5, 3.0, 10, 0.7),
    (0.18, 2.5, 0.5, 3.0, 4, 0.0),
    (0.3, 1.0, 0.3, 1.0, 4, 0.0),
    (0.5, 1.0, 0.5, 3.0, 10, 0.7),
    (0.5, 1.0, 0.3, 1.0, 4, 0.0),
    (0.5, 0.5, 0.2, 1.0, 2, 0.0),
    (1.0, 1.0, 0.5, 3.0, 10, 0.7),
    (1.0, 1.0, 0.3, 1.0, 4, 0.0),
    (1.0, 0.5, 0.2, 1.0, 2, 0.0),
    (2.0, 1.0, 0.5, 3.0, 10, 0.7),
    (2.0, 1.0, 0.3, 1.0, 4, 0.0),
)
NAMES = ("block", "context", "dit_context", "prompt_seconds", "diffusion_steps", "cfg_rate")


class Timed:
    """A content encoder that adds up the CPU time it takes."""

    padding = 40

    def __init__(self, model: Any, kind: torch.dtype) -> None:
        self.model, self.kind, self.spent = model.to(kind), kind, 0.0

    def __call__(self, wave: Tensor) -> Tensor:
        begin = time.process_time()
        features = self.model(wave.to(self.kind)).last_hidden_state.float()
        self.spent += time.process_time() - begin
        return features


def measure(engine: SeedVCEngine, encoder: Timed, settings: SeedVCSettings, repeat: int) -> dict[str, float]:
    """Seconds per second of audio: the smallest of `repeat`."""
    noise = np.random.default_rng(0).normal(0, 0.1, engine.sample_rate * 6).astype(np.float32)
    voice = engine.enroll(Pcm(noise, engine.sample_rate))
    size, block = engine.sizes(settings).window, engine.sizes(settings).block / engine.sample_rate
    rows = []
    for turn in range(repeat + 1):
        encoder.spent = 0.0
        wall, cpu = time.perf_counter(), time.process_time()
        engine.convert([Window(0, noise[:size], voice, settings, turn)])
        row = (time.perf_counter() - wall, time.process_time() - cpu, encoder.spent)
        if turn:
            rows.append([seconds / block for seconds in row])
    best = [min(column) for column in zip(*rows, strict=True)]
    return {name: round(value, 2) for name, value in zip(("wall", "CPU", "CPU of the encoder"), best, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--float32", action="store_true", help="Exact: neither bf16 nor the prompt cache.")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kind = torch.float32 if options.float32 else torch.bfloat16
    encoder = Timed(xlsr_encoder(), kind)
    chosen: dict[str, Any] = {} if options.float32 else {"precision": "bf16", "prompt_cache": True}
    engine = SeedVCEngine(own_networks(encoder), **chosen)
    rows = []
    for values in SETTINGS:
        settings = SeedVCSettings(**dict(zip(NAMES, values, strict=True)))
        with torch.inference_mode():
            row = {**dict(zip(NAMES, values, strict=True)), **measure(engine, encoder, settings, options.repeat)}
        latency = engine.sizes(settings).geometry().algorithmic_latency / engine.sample_rate
        rows.append({**row, "algorithmic latency": round(latency, 2)})
        print(rows[-1], flush=True)
    report = {
        "machine": describe(),
        "threads": options.threads,
        "load average": os.getloadavg(),
        "options": chosen or "exact",
        "encoder": str(kind).removeprefix("torch."),
        "seconds per second of audio": rows,
    }
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
