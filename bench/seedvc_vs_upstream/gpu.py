"""Whether a device computes what this engine computes on a CPU in float32, and how fast. Generated weights.

For each way of running it: the difference of the mel (rms over the exact mel's deviation), the milliseconds of a
block of 0.18 s, alone and per stream in a batch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from networks import own_networks
from tests.engines.seedvc.build import CentredStub

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Window
from seedvc_live.engines.seedvc.engine import SeedVCEngine
from seedvc_live.engines.seedvc.settings import SeedVCSettings

WAYS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32"},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "bf16, prompt cache": {"precision": "bf16", "prompt_cache": True},
    "bf16, compiled": {"precision": "bf16", "compiled": True},
}


class Placed(CentredStub):
    """The stand-in for the content encoder, on a device."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.matrix = self.matrix.to(device)


def run(device: str, batch: int, repeat: int, options: dict[str, Any]) -> tuple[Any, float, float]:
    """Mel of the first window; seconds of one window alone, and of one in a batch."""
    engine = SeedVCEngine(own_networks(Placed(device), device), max_batch=batch, **options)
    noise = np.random.default_rng(0).normal(0, 0.1, engine.sample_rate * 4).astype(np.float32)
    voice, settings = engine.enroll(Pcm(noise, engine.sample_rate)), SeedVCSettings()
    size = engine.sizes(settings).window
    windows = [Window(i * 4000, noise[i * 100 : i * 100 + size], voice, settings, i) for i in range(batch)]
    mels = []
    generate = engine.generate

    def spy(*values: Any) -> Any:
        mels.append(generate(*values))
        return mels[-1]

    engine.generate = spy  # type: ignore[method-assign]
    if options.get("compiled"):
        engine.warm_up()
    times = []
    for count in (1, batch):
        engine.convert(windows[:count])
        best = float("inf")
        for _ in range(repeat):
            begin = time.perf_counter()
            engine.convert(windows[:count])  # ends with the samples on the CPU: nothing is left running
            best = min(best, time.perf_counter() - begin)
        times.append(best / count)
    return mels[-1][0].float().cpu(), times[0], times[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    exact = run("cpu", 1, 0, {})[0]
    report = {}
    for name, way in WAYS.items():
        mel, alone, shared = run(options.device, options.batch, options.repeat, way)
        report[name] = {
            "difference": float((mel - exact).square().mean().sqrt() / exact.std()),
            "ms alone": round(1000 * alone, 1),
            "ms per stream in a batch": round(1000 * shared, 1),
            "real-time factor": round(alone / 0.18, 3),
        }
        print(name, report[name], flush=True)
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
