"""`seedvc-live serve`: the server for browsers and other WebRTC clients."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from seedvc_live.cli.common import log_options_from, name_and_value, set_up_logging
from seedvc_live.engines.registry import ENGINES, OPTIONS_VARIABLE
from seedvc_live.errors import ServerError, SettingsError
from seedvc_live.service.config import ServeConfig, default_workers
from seedvc_live.service.ice import Ice, IceUrl

TOKEN_VARIABLE = "SEEDVC_LIVE_TOKEN"

_FILE = click.Path(path_type=Path)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--engine", "engines", type=click.Choice(ENGINES), multiple=True, default=("nano", "passthrough"),
              show_default=True, help="Engine to offer; the first is the default. Repeatable.")  # fmt: skip
@click.option("--engine-option", "engine_options", multiple=True, metavar="NAME=VALUE",
              help="Option of the engine seed-vc: model=whisper-small, device=cuda, … Repeatable.")  # fmt: skip
@click.option("--voices", type=_FILE, help="Folder of voices [default: $SEEDVC_LIVE_VOICES, or the user's data].")
@click.option("--workers", type=click.IntRange(1, 64), help="Media-worker processes [default: one a core, 2 to 4].")
@click.option("--capacity", type=click.IntRange(1, 64), default=4, show_default=True, help="Sessions of a worker.")
@click.option("--recycle-after", type=click.IntRange(min=1), default=500, show_default=True,
              help="Sessions after which a worker is replaced.")  # fmt: skip
@click.option("--token", help=f"Bearer token that clients must send; better --token-file or ${TOKEN_VARIABLE}.")
@click.option("--token-file", type=_FILE, help="File that holds the token.")
@click.option("--insecure", is_flag=True, help="Listen on other addresses than the loopback without a token.")
@click.option("--tls-cert", type=_FILE, help="Certificate chain, PEM.")
@click.option("--tls-key", type=_FILE, help="Its key, PEM.")
@click.option("--allow-origin", "origins", multiple=True, help="Other site whose pages may call the API. Repeatable.")
@click.option("--allow-host", "hosts", multiple=True, help="Further name this server goes by. Repeatable.")
@click.option("--udp-ports", metavar="LO-HI", help="Local UDP ports of media, for firewalls.")
@click.option("--public-ip", help="Address under which the world sees this host (1:1 NAT of a cloud).")
@click.option("--stun-url", "stun", multiple=True, help="stun:HOST[:PORT]. Repeatable.")
@click.option("--turn-url", "turn", multiple=True, help="turn:HOST[:PORT][?transport=udp|tcp]. Repeatable.")
@click.option("--turn-secret", help="Secret shared with the TURN server; better --turn-secret-file.")
@click.option("--turn-secret-file", type=_FILE, help="File that holds it.")
@click.option("--relay-only", is_flag=True, help="Media through TURN only.")
@click.option("--jitter-buffer-ms", type=click.IntRange(0, 1000), default=40, show_default=True,
              help="Depth of the jitter buffer.")  # fmt: skip
@click.option("--negotiation-timeout", type=click.FloatRange(1, 120), default=15, show_default=True,
              help="Seconds until a session that does not connect is closed.")  # fmt: skip
@click.option("--media-timeout", type=click.FloatRange(1, 600), default=10, show_default=True,
              help="Seconds until a session that no media reaches is closed.")  # fmt: skip
@log_options_from("info")
def command(**options: Any) -> None:
    """Serve the web client and the HTTP API until Ctrl-C.

    Without options it listens on http://127.0.0.1:8080 and lets in who is on this machine. The API is described at
    /api/docs.
    """
    set_up_logging(options["log_level"], options["log_format"])
    config = make_config(options)
    if options["engine_options"]:
        os.environ[OPTIONS_VARIABLE] = json.dumps(_engine_options(options["engine_options"]))
    from seedvc_live.service.run import serve

    def listening(url: str) -> None:
        click.echo(f"listening on {url}")

    asyncio.run(serve(config, listening))


def make_config(options: dict[str, Any]) -> ServeConfig:
    """The options, checked and put together.

    Raises:
        SettingsError: an option is wrong, or one is missing.
        ServerError: a file cannot be read.
    """
    from seedvc_live.service.voices import default_folder

    turn = tuple(IceUrl.parse(url, ("turn", "turns")) for url in options["turn"])
    secret = _secret(options["turn_secret"], options["turn_secret_file"], "turn-secret")
    return ServeConfig(
        voices=options["voices"] or default_folder(),
        host=options["host"].strip("[]"),
        port=options["port"],
        engines=tuple(dict.fromkeys(options["engines"])),
        workers=options["workers"] or default_workers(),
        capacity=options["capacity"],
        udp_ports=_ports(options["udp_ports"]),
        public_ip=_address(options["public_ip"]),
        ice=Ice(tuple(IceUrl.parse(url, ("stun", "stuns")) for url in options["stun"]), turn, secret or ""),
        token=_secret(options["token"], options["token_file"], "token") or os.environ.get(TOKEN_VARIABLE) or None,
        insecure=options["insecure"],
        tls_cert=options["tls_cert"],
        tls_key=options["tls_key"],
        allow_origins=frozenset(_origin(origin) for origin in options["origins"]),
        allow_hosts=frozenset(options["hosts"]),
        jitter_buffer_ms=options["jitter_buffer_ms"],
        recycle_after=options["recycle_after"],
        relay_only=options["relay_only"],
        negotiation_timeout=options["negotiation_timeout"],
        media_timeout=options["media_timeout"],
        log_level=options["log_level"],
    )


def _engine_options(pairs: Sequence[str]) -> dict[str, Any]:
    options = {}
    for pair in pairs:
        name, value = name_and_value("engine-option", pair)
        options[name] = {"true": True, "false": False}.get(value, value)
    return options


def _secret(value: str | None, path: Path | None, option: str) -> str | None:
    if value is not None and path is not None:
        raise SettingsError(option, f"--{option} and --{option}-file exclude each other")
    if path is None:
        return value
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServerError(f"cannot read --{option}-file {path}: {getattr(error, 'strerror', 'not text')}") from None
    if not text:
        raise SettingsError(option, f"--{option}-file {path} is empty")
    return text


def _ports(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1024 <= low <= high <= 65535:
        raise SettingsError("udp-ports", f"--udp-ports takes LOW-HIGH within 1024-65535, got '{text}'")
    return low, high


def _address(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise SettingsError("public-ip", f"--public-ip takes an address, got '{text}'") from None


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path or parts.query or "@" in parts.netloc:
        raise SettingsError("allow-origin", f"--allow-origin takes https://HOST[:PORT], got '{text}'")
    return text.lower()
