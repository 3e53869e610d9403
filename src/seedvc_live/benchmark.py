"""Speed of an engine in live use: how long each block takes, against how long it lasts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.base import Engine, Settings, Voice
from seedvc_live.live.chain import BlockChain, Target
from seedvc_live.live.framer import Framer


@contextmanager
def one_core() -> Iterator[int | None]:
    """Keep this process on one processor core; yields which, or None where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)


def measure_blocks(engine: Engine, voice: Voice, settings: Settings, source: Samples) -> dict[str, Any]:
    """Convert `source` (shape (n,), at the engine's rate) block by block as a live stream would.

    Returns:
        Times in milliseconds: `block_ms` a block lasts; `compute_ms` it takes, in percentiles;
        `real_time_factor`, everything between input samples and output samples included;
        `cpu_real_time_factor`, the same by the process's own clock, which other processes do not slow much.
    """
    rate = engine.sample_rate
    geometry = engine.geometry(settings, voice)
    framer, chain = Framer(geometry), BlockChain(geometry, Target(voice, settings), rate)
    times: list[float] = []
    cpu = time.process_time()
    for first in range(0, len(source), geometry.block):
        begin = time.perf_counter()
        for frame in framer.push(source[first : first + geometry.block]):
            plan = chain.plan(frame)
            chain.complete(plan, engine.convert(plan.windows))
        times.append(time.perf_counter() - begin)
    cpu = time.process_time() - cpu
    times = times[5:] or times
    spent = 1000.0 * np.array(times)
    block = 1000.0 * geometry.block / rate
    return {
        "blocks": len(times),
        "block_ms": round(block, 3),
        "compute_ms": {
            "mean": round(float(spent.mean()), 3),
            "p50": round(float(np.percentile(spent, 50)), 3),
            "p95": round(float(np.percentile(spent, 95)), 3),
            "p99": round(float(np.percentile(spent, 99)), 3),
            "max": round(float(spent.max()), 3),
        },
        "cpu_real_time_factor": round(cpu * rate / max(1, len(source)), 4),
        "real_time_factor": round(float(spent.mean()) / block, 4),
        "algorithmic_latency_ms": round(1000.0 * geometry.algorithmic_latency / rate, 3),
    }
