"""`seedvc-live stream`: live conversion between any source and any sink."""

from __future__ import annotations

import logging
import signal
from typing import Any

import click

from seedvc_live.cli.common import (
    engine_options,
    log_options,
    make_engine,
    make_voice,
    print_json,
    same_file,
    set_up_logging,
)
from seedvc_live.errors import OutputError

_LOG = logging.getLogger(__name__)

NETWORK_PLAYOUT = 40.0
"""Default play-out depth, milliseconds, where the input can jitter."""


@click.command("stream")
@click.option("--input", "input_uri", required=True, help="PATH, rtp://…, udp://…, test:sine, mic:")
@click.option("--output", "output_uri", required=True, help="PATH, rtp://…, udp://…, speaker:")
@click.option("--reference", help="Target voice: a clip, 1-30 s of speech, or a stored voice's id.")
@engine_options
@click.option("--playout", type=click.FloatRange(0, 2000), help="Play-out depth, ms [default: 40 for a network].")
@click.option("--duration", type=click.FloatRange(min=0.01), help="Stop after so many seconds of input.")
@click.option("--idle-timeout", type=click.FloatRange(min=0.1), help="Stop after so many seconds without input.")
@click.option(
    "--overload",
    type=click.Choice(["silence", "bypass"]),
    default="silence",
    show_default=True,
    help="What is heard when this machine is too slow; bypass lets your own voice through.",
)
@click.option("--allow-slow", is_flag=True, help="Stream though the engine cannot keep up on this machine.")
@click.option("--rate", type=click.IntRange(8000, 192_000), help="Output rate in Hz, for files and raw UDP.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output at the end.")
@log_options
def command(input_uri: str, output_uri: str, reference: str | None, **options: Any) -> None:
    """Convert live from --input to --output until the input ends, --duration, --idle-timeout or Ctrl-C.

    URIs: a path; rtp://HOST:PORT (Opus); udp://HOST:PORT?format=f32le|s16le&rate=22050&channels=1;
    test:sine?freq=440; mic:; speaker:. For the input HOST is the address to listen on, for the output the
    address to send to.
    """
    from seedvc_live.media.open import open_sink, open_source
    from seedvc_live.media.uri import parse_uri
    from seedvc_live.offline import Conversion
    from seedvc_live.realtime import require_real_time
    from seedvc_live.report import Report
    from seedvc_live.session import LiveSession

    set_up_logging(options["log_level"], options["log_format"])
    where_from, where_to = parse_uri(input_uri), parse_uri(output_uri)
    if where_from.kind == where_to.kind == "file" and same_file(where_from.path, where_to.path):
        raise OutputError(f"output and input are the same file: {where_to.path}")
    engine, settings = make_engine(options)
    try:
        if reference is None and engine.needs_reference:
            raise click.UsageError(f"engine '{engine.name}' needs --reference CLIP")
        voice = make_voice(engine, reference)
        engine.warm_up()
        reserve = require_real_time(engine, voice, settings, allow_slow=options["allow_slow"])
        depth = options["playout"]
        if depth is None:
            depth = NETWORK_PLAYOUT if where_from.kind in {"rtp", "udp"} else 0.0
        report = Report(engine.name, input_uri, reference, output_uri, model=options["model"])
        report.warnings += engine.approximations(voice, settings)
        session = LiveSession(
            Conversion(engine, voice, settings, options["seed"]),
            open_source(where_from, engine.sample_rate),
            open_sink(where_to, engine.sample_rate, options["rate"]),
            report,
            playout=depth / 1000.0,
            overload=options["overload"],
            duration=options["duration"],
            idle_timeout=options["idle_timeout"],
            announced=where_from.kind != "udp",
            reserve=reserve,
        )
        _LOG.info("%s → %s, latency %.0f ms", input_uri, output_uri, 1000.0 * session.delay.total)
        previous = {
            number: signal.signal(number, lambda *_: session.stop()) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            session.run()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
    finally:
        engine.close()
    for warning in report.warnings:
        click.echo(f"seedvc-live: warning: {warning}", err=True)
    if options["as_json"]:
        print_json(report.as_dict())
    else:
        click.echo("\n".join(report.lines()))
