"""ICE candidates (RFC 8839, section 5.1) from outside: parsed strictly, and written anew from the fields."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ..errors import SdpError

_MAX_CHARACTERS = 512
_LINE = re.compile(
    r"(?:a=)?candidate:(?P<foundation>[A-Za-z0-9+/]{1,32}) (?P<component>[0-9]{1,5}) (?P<transport>[A-Za-z]{2,8})"
    r" (?P<priority>[0-9]{1,10}) (?P<address>[0-9A-Za-z.:_-]{1,253}) (?P<port>[0-9]{1,5})"
    r" typ (?P<kind>host|srflx|prflx|relay)(?P<rest>(?: [^ ]+ [^ ]+)*) ?\Z"
)


@dataclass(frozen=True)
class Candidate:
    """One transport address at which a peer may be reached.

    Attributes:
        transport: "udp" or "tcp".
        address: a numeric address, or a host name such as an mDNS `.local` name.
        kind: host, srflx, prflx or relay.
        related: (address, port) that a reflexive or relayed candidate was derived from.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    kind: str
    related: tuple[str, int] | None = None

    @property
    def usable(self) -> bool:
        """Whether something can be sent there: RTP and RTCP on one UDP port, a numeric unicast address.

        Names are never resolved: an mDNS name tells nothing outside its network, and any other one would
        let a stranger choose what this machine looks up.
        """
        if self.transport != "udp" or self.component != 1 or self.port == 0:
            return False
        try:
            ip = ipaddress.ip_address(self.address)
        except ValueError:
            return False
        # A link-local IPv6 address means nothing without its interface.
        local = ip.version == 6 and ip.is_link_local
        return not (ip.is_multicast or ip.is_unspecified or local or self.address == "255.255.255.255")

    @property
    def loopback(self) -> bool:
        """Whether it is this machine itself that would be sent to."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return False

    def text(self) -> str:
        """As an attribute's text, "candidate:…", with nothing that was not understood."""
        words = [
            f"candidate:{self.foundation}",
            str(self.component),
            self.transport.upper(),
            str(self.priority),
            self.address,
            str(self.port),
            "typ",
            self.kind,
        ]
        if self.related is not None:
            words += ["raddr", self.related[0], "rport", str(self.related[1])]
        return " ".join(words)


def parse_candidate(text: str) -> Candidate:
    """Parse "candidate:…" (with or without "a=" in front).

    Raises:
        SdpError: not of that form, or a number out of range.
    """
    found = _LINE.match(text) if isinstance(text, str) and len(text) <= _MAX_CHARACTERS else None
    if found is None:
        raise SdpError(f"not an ICE candidate: {str(text)[:60]!r}")
    component, priority, port = (int(found[name]) for name in ("component", "priority", "port"))
    if not 1 <= component <= 256 or not 0 < priority < 1 << 32 or port > 65535:
        raise SdpError(f"a number is out of range in ICE candidate {text[:60]!r}")
    words = found["rest"].split()
    extensions = dict(zip(words[::2], words[1::2], strict=True))
    return Candidate(
        foundation=found["foundation"],
        component=component,
        transport=found["transport"].lower(),
        priority=priority,
        address=found["address"].lower(),
        port=port,
        kind=found["kind"],
        related=_related(found["kind"], extensions),
    )


def _related(kind: str, extensions: dict[str, str]) -> tuple[str, int] | None:
    if kind == "host":
        return None
    try:
        address = str(ipaddress.ip_address(extensions.get("raddr", "")))
        port = int(extensions.get("rport", ""), 10)
    except ValueError:
        return ("0.0.0.0", 9)
    return (address, port) if 0 <= port <= 65535 and "%" not in address else ("0.0.0.0", 9)
