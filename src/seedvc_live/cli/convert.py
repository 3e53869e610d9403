"""`seedvc-live convert`: a recording into another voice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import click
from tqdm import tqdm

from seedvc_live.cli.common import (
    engine_options,
    log_options,
    make_engine,
    make_voice,
    print_json,
    same_file,
    set_up_logging,
)
from seedvc_live.errors import InputError, OutputError, SettingsError


@click.command("convert")
@click.argument("source")
@click.argument("reference")
@click.argument("output")
@engine_options
@click.option("--rate", type=click.IntRange(8000, 192_000), help="Output rate in Hz; the engine's by default.")
@click.option(
    "--mode",
    type=click.Choice(["clip", "stream"]),
    help="As a whole, or as a live stream would [default: clip where the engine has it (seed-vc)].",
)
@click.option(
    "--length-adjust", type=click.FloatRange(0.25, 4.0), default=1.0, help="Duration of the result; clip only."
)
@click.option("--strict", is_flag=True, help="Fail where the source is damaged, instead of warning.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
@log_options
def command(source: str, reference: str, output: str, **options: Any) -> None:
    """Convert SOURCE, any audio file, into the voice of REFERENCE and write OUTPUT.

    REFERENCE is a clip, 1-30 s of speech, or the id of a stored voice. OUTPUT is WAV or FLAC by its name.
    As many samples are written as SOURCE has, at the engine's rate.
    """
    from seedvc_live.clip import convert_clip
    from seedvc_live.media.sinks import FileSink
    from seedvc_live.media.sources import FileSource
    from seedvc_live.offline import Conversion, convert_offline
    from seedvc_live.report import Report

    set_up_logging(options["log_level"], options["log_format"])
    for name, role in ((source, "source"), (reference, "reference")):
        if same_file(name, output):
            raise OutputError(f"output and {role} are the same file: {output}")
    engine, settings = make_engine(options, clip=options["mode"] != "stream")
    whole = options["mode"] == "clip" or (options["mode"] is None and engine.has_clip_mode)
    if whole and not engine.has_clip_mode:
        raise SettingsError("mode", f"engine '{engine.name}' has no mode of its own for whole clips")
    if options["length_adjust"] != 1.0 and not whole:
        raise SettingsError("length_adjust", "--length-adjust needs --mode clip: a stream keeps its input's timing")
    report = Report(engine.name, source, reference, output, model=options["model"])
    cancelled = threading.Event()
    try:
        conversion = Conversion(engine, make_voice(engine, reference), settings, options["seed"])
        report.warnings += engine.approximations(conversion.voice, settings)
        with tqdm(total=1.0, disable=None, leave=False, bar_format=_BAR) as bar:

            def progress(done: float, total: float | None) -> None:
                bar.total = max(total or done, done)
                bar.update(done - bar.n)

            previous = signal.signal(signal.SIGINT, _setter(cancelled))
            try:
                run: Callable[..., Report] = convert_offline
                if whole:
                    run = partial(convert_clip, length_adjust=options["length_adjust"])
                run(
                    conversion,
                    FileSource(source, engine.sample_rate),
                    FileSink(output, engine.sample_rate, file_rate=options["rate"]),
                    report,
                    strict=options["strict"],
                    progress=progress,
                    cancelled=cancelled,
                )
            finally:
                signal.signal(signal.SIGINT, previous)
    finally:
        engine.close()
    for warning in report.warnings:
        click.echo(f"seedvc-live: warning: {warning}", err=True)
    if cancelled.is_set():
        click.echo("seedvc-live: interrupted; what was converted is in the output", err=True)
    if options["as_json"]:
        print_json(report.as_dict())
    else:
        click.echo("\n".join(report.lines()))
    if cancelled.is_set():
        raise click.exceptions.Exit(130)
    if report.samples_in == 0:
        raise InputError(f"no audio in {source}")


_BAR = "{percentage:3.0f}%|{bar}| {n:.1f} of {total:.1f} s, {remaining} left"


def _setter(event: threading.Event) -> Any:
    def handle(number: int, frame: FrameType | None) -> None:
        event.set()

    return handle
