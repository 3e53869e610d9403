"""STUN and TURN: addresses, and credentials that end by themselves (coturn's REST scheme)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from seedvc_live.errors import SettingsError

_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?"
)


@dataclass(frozen=True)
class IceUrl:
    """Address of a STUN or TURN server (RFC 7064, RFC 7065)."""

    scheme: str
    host: str
    port: int
    transport: str | None = None

    @classmethod
    def parse(cls, text: str, schemes: Sequence[str]) -> IceUrl:
        """Parse `stun:HOST[:PORT]` or `turn[s]:HOST[:PORT][?transport=udp|tcp]`, with or without `//`.

        Raises:
            SettingsError: not of this form; a user and a password are not taken.
        """
        match = _URL.fullmatch(text)
        if match is None or match["scheme"] not in schemes:
            example = "turn:HOST[:PORT][?transport=udp|tcp]" if "turn" in schemes else "stun:HOST[:PORT]"
            raise SettingsError(schemes[0], f"not the address of a {schemes[0].upper()} server: '{text}' ({example})")
        if match["transport"] and not match["scheme"].startswith("turn"):
            raise SettingsError(schemes[0], f"a STUN address has no transport: '{text}'")
        port = int(match["port"] or (5349 if match["scheme"].endswith("s") else 3478))
        if not 0 < port < 65536:
            raise SettingsError(schemes[0], f"the port of this {schemes[0].upper()} address is out of range: '{text}'")
        return cls(match["scheme"], match["host"], port, match["transport"])

    @property
    def _query(self) -> str:
        return f"?transport={self.transport}" if self.transport else ""

    def for_browser(self) -> str:
        """`turn:host:port?transport=udp`."""
        return f"{self.scheme}:{self.host}:{self.port}{self._query}"

    def for_gstreamer(self, username: str = "", password: str = "") -> str:
        """`turn://user:password@host:port?transport=udp`; user and password percent-encoded."""
        user = f"{quote(username, safe='')}:{quote(password, safe='')}@" if username else ""
        return f"{self.scheme}://{user}{self.host}:{self.port}{self._query}"


@dataclass(frozen=True)
class Ice:
    """The servers, and the secret shared with the TURN server.

    Attributes:
        stun, turn: addresses.
        secret: coturn's `static-auth-secret`; never logged, never sent.
        ttl: seconds for which a credential opens new allocations.
    """

    stun: tuple[IceUrl, ...] = ()
    turn: tuple[IceUrl, ...] = ()
    secret: str = field(default="", repr=False)
    ttl: int = 12 * 3600

    def credentials(self, now: float) -> tuple[str, str]:
        """A fresh (username, password), valid until `now` (Unix time, seconds) + ttl.

        username = expiry ":" random, password = base64(HMAC-SHA1(secret, username)): draft-uberti-behave-turn-rest-00.
        """
        username = f"{int(now) + self.ttl}:{secrets.token_hex(6)}"
        digest = hmac.new(self.secret.encode(), username.encode(), hashlib.sha1).digest()
        return username, base64.b64encode(digest).decode()

    def for_browser(self, now: float) -> list[dict[str, object]]:
        """RTCIceServer dictionaries."""
        servers: list[dict[str, object]] = []
        if self.stun:
            servers.append({"urls": [url.for_browser() for url in self.stun]})
        if self.turn:
            username, password = self.credentials(now)
            urls = [url.for_browser() for url in self.turn]
            servers.append({"urls": urls, "username": username, "credential": password})
        return servers

    def for_worker(self, now: float) -> dict[str, list[str]]:
        """`{stun: [url], turn: [url]}` as webrtcbin takes them."""
        username, password = self.credentials(now) if self.turn else ("", "")
        return {
            "stun": [url.for_gstreamer() for url in self.stun],
            "turn": [url.for_gstreamer(username, password) for url in self.turn],
        }
