"""Where audio comes from and goes to, as the command line writes it. Pure: nothing is opened here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from seedvc_live.errors import SettingsError

Kind = Literal["file", "rtp", "udp", "test", "mic", "speaker"]

_PARAMETERS: dict[str, dict[str, type]] = {
    "rtp": {"latency": int, "bitrate": int},
    "udp": {"format": str, "rate": int, "channels": int},
    "test": {"freq": float},
    "mic": {},
    "speaker": {},
}


@dataclass(frozen=True)
class Address:
    """A parsed URI.

    Attributes:
        kind: of source or sink.
        path: for files, as given.
        host, port: for RTP and UDP: where to listen (input) or send (output).
        parameters: the query's, converted and checked.
    """

    kind: Kind
    path: str = ""
    host: str = ""
    port: int = 0
    parameters: dict[str, int | float | str] = field(default_factory=dict)


def parse_uri(text: str) -> Address:
    """Parse `PATH`, `file:PATH`, `rtp://HOST:PORT`, `udp://HOST:PORT?format=…`, `test:sine?freq=…`, `mic:`
    or `speaker:`.

    Raises:
        SettingsError: not of these forms; the message says what is wrong.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in {"file", "rtp", "udp", "test", "mic", "speaker"}:
        if "://" in text:
            raise SettingsError("uri", f"unknown kind of address '{text}'; known: file, rtp, udp, test, mic")
        return _file(text)
    if scheme == "file":
        return _file(unquote(urlsplit(text).path) if rest.startswith("//") else rest)
    parts = urlsplit(text)
    parameters = _query(scheme, parts.query, text)
    if scheme in {"mic", "speaker"}:
        return Address(scheme, parameters=parameters)  # type: ignore[arg-type]
    if scheme == "test":
        if parts.path not in {"", "sine"}:
            raise SettingsError("uri", f"unknown test signal '{parts.path}' in '{text}'; known: sine")
        return Address("test", parameters=parameters)
    return _network(scheme, parts.hostname, text, parameters)


def _file(path: str) -> Address:
    if not path:
        raise SettingsError("uri", "an empty file name")
    return Address("file", path=path)


def _network(scheme: str, host: str | None, text: str, parameters: dict[str, int | float | str]) -> Address:
    try:
        port = urlsplit(text).port
    except ValueError:
        port = None
    if not host or not port:
        raise SettingsError("uri", f"'{text}' needs a host and a port from 1 to 65535: {scheme}://HOST:PORT")
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            if any(not (c.isalnum() or c in "-._") for c in host):
                raise SettingsError("uri", f"'{host}' in '{text}' is not a host") from None
    return Address(scheme, host=host, port=port, parameters=parameters)  # type: ignore[arg-type]


def _query(scheme: str, query: str, text: str) -> dict[str, int | float | str]:
    known = _PARAMETERS[scheme]
    values: dict[str, int | float | str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise SettingsError("uri", f"unknown parameter '{name}' in '{text}'; known: {', '.join(known) or 'none'}")
        try:
            values[name] = known[name](value)
        except ValueError:
            raise SettingsError("uri", f"parameter '{name}' in '{text}' is not a number") from None
    if values.get("format", "f32le") not in {"f32le", "s16le"}:
        raise SettingsError("uri", f"format in '{text}' must be f32le or s16le")
    return values
