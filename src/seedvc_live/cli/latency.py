"""`seedvc-live latency`: mouth to ear through a real WebRTC connection to a running server."""

from __future__ import annotations

import json
from typing import Any

import click

from seedvc_live.cli.common import log_options, name_and_value, print_json, set_up_logging
from seedvc_live.cli.serve import TOKEN_VARIABLE
from seedvc_live.engines.registry import ENGINES


@click.command("latency")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The running server.")
@click.option("--engine", type=click.Choice(ENGINES), default="passthrough", show_default=True, help="Engine.")
@click.option("--client", type=click.Choice(["chromium", "aiortc"]), help="[default: chromium where installed]")
@click.option("--seconds", type=click.FloatRange(4, 600), default=20, show_default=True, help="How long to listen.")
@click.option("--voice", help="Id of a voice on the server [default: the bundled reference, while it measures].")
@click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="Setting of the engine. Repeatable.")
@click.option("--token", envvar=TOKEN_VARIABLE, show_envvar=True, help="Bearer token, where the server has one.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@log_options
def command(
    url: str,
    engine: str,
    client: str | None,
    seconds: float,
    voice: str | None,
    pairs: tuple[str, ...],
    token: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Send chirps to a running server, find them in what comes back, print the delay and its parts.

    With an engine that changes voices the chirps go through the bypass, which takes as long, and the delay of converted
    speech is measured by its envelope beside it.
    """
    set_up_logging(options["log_level"], options["log_format"])
    from seedvc_live.evaluate.latency.report import table
    from seedvc_live.evaluate.latency.run import measure

    result = measure(url, engine, client, seconds, token, voice, dict(_setting(pair) for pair in pairs))
    if as_json:
        print_json(result)
    else:
        click.echo(table(result))


def _setting(pair: str) -> tuple[str, Any]:
    """NAME=VALUE; what reads as JSON (a number, true) is sent as that."""
    name, text = name_and_value("set", pair)
    try:
        return name, json.loads(text)
    except json.JSONDecodeError:
        return name, text
