"""`seedvc-live bench`: what an engine costs on this machine."""

from __future__ import annotations

import json
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import click
import numpy as np

from seedvc_live.cli.common import engine_options, log_options, make_engine, print_json, set_up_logging


@click.command("bench")
@engine_options
@click.option("--source", help="Speech to convert; the bundled clip, repeated, by default.")
@click.option("--reference", help="Reference clip; the bundled one by default.")
@click.option("--seconds", type=click.FloatRange(1, 3600), default=60, show_default=True, help="How much audio.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--output", type=click.Path(dir_okay=False), help="Also write the result to this JSON file.")
@log_options
def command(source: str | None, reference: str | None, **options: Any) -> None:
    """Convert speech block by block, as a live stream does, on one core, and report time and latency."""
    from seedvc_live.benchmark import measure_blocks, one_core
    from seedvc_live.machine import describe
    from seedvc_live.media.load import load_audio

    set_up_logging(options["log_level"], options["log_format"])
    with one_core() as core:
        begin = time.perf_counter()
        engine, settings = make_engine(options)
        loading = time.perf_counter() - begin
        with as_file(files("seedvc_live") / "data") as data:
            speech = load_audio(source or data / "source.flac", rate=engine.sample_rate).samples
            clip = load_audio(reference or data / "reference.flac")
        begin = time.perf_counter()
        voice = engine.enroll(clip)
        enrolling = time.perf_counter() - begin
        engine.warm_up()
        audio = np.resize(speech, round(options["seconds"] * engine.sample_rate))
        result = {
            "engine": engine.name,
            "settings": settings.model_dump(),
            "seconds": options["seconds"],
            "pinned_to_one_core": core is not None,
            "load_ms": round(1000.0 * loading, 1),
            "enroll_ms": round(1000.0 * enrolling, 1),
            **measure_blocks(engine, voice, settings, audio),
            "machine": describe(),
            "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        }
        engine.close()
    if options["output"]:
        Path(options["output"]).write_text(json.dumps(result, indent=2) + "\n")
    if options["as_json"]:
        print_json(result)
        return
    compute = result["compute_ms"]
    click.echo(
        f"{engine.name}: real-time factor {result['real_time_factor']:.3f} on one core; a block of "
        f"{result['block_ms']:.0f} ms takes {compute['p50']:.1f} ms (p99 {compute['p99']:.1f})\n"
        f"algorithmic latency {result['algorithmic_latency_ms']:.0f} ms; loading {result['load_ms']:.0f} ms, "
        f"enrolling {result['enroll_ms']:.0f} ms\n"
        f"{result['machine']['cpu']}, {result['machine']['cores']} cores, {result['machine']['system']}"
    )
