"""ICE settings of a webrtcbin: addresses, ports, STUN and TURN servers."""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SettingsError

_SIOCGIFADDR = 0x8915
_STUN = re.compile(r"stun:(?://)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?\Z")
_TURN = re.compile(
    r"turns?://([A-Za-z0-9%._~-]+):([A-Za-z0-9%._~-]+)@([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
    r"(\?transport=(udp|tcp))?\Z"
)


@dataclass(frozen=True)
class IcePolicy:
    """How this side is reached.

    Attributes:
        stun: at most one "stun:HOST[:PORT]".
        turn: "turn[s]://USER:PASSWORD@HOST[:PORT][?transport=udp|tcp]", user and password percent-encoded.
        udp_ports: lowest and highest UDP port; None: any.
        public_ip: of a host behind one-to-one NAT; takes the place of its private addresses.
        relay_only: use TURN for everything.
        loopback: offer 127.0.0.1 too, which ICE otherwise leaves out.

    Raises:
        SettingsError: a value is malformed.
    """

    stun: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    udp_ports: tuple[int, int] | None = None
    public_ip: str | None = None
    relay_only: bool = False
    loopback: bool = False

    def __post_init__(self) -> None:
        for url in self.stun:
            if not _STUN.match(url):
                raise SettingsError("stun", f"not of the form stun:HOST[:PORT]: {url[:80]!r}")
        for url in self.turn:
            if not _TURN.match(url):  # never quoted: it holds a password
                raise SettingsError("turn", "a TURN address is not of the form turn[s]://USER:PASSWORD@HOST[:PORT]")
        if self.relay_only and not self.turn:
            raise SettingsError("relay_only", "relay only needs a TURN server")
        if self.udp_ports is not None:
            low, high = self.udp_ports
            if not 1024 <= low <= high <= 65535:
                raise SettingsError("udp_ports", f"UDP ports must be LOW-HIGH within 1024-65535, got {low}-{high}")
        if self.public_ip is not None:
            try:
                ipaddress.ip_address(self.public_ip)
            except ValueError:
                raise SettingsError("public_ip", f"not an IP address: {self.public_ip[:60]!r}") from None


def configure(webrtc: Any, policy: IcePolicy) -> None:
    """Apply the policy to a webrtcbin that has not been started."""
    if policy.stun:
        found = _STUN.match(policy.stun[0])
        assert found is not None
        webrtc.set_property("stun-server", f"stun://{found[1]}:{found[2] or 3478}")
    for url in policy.turn:
        webrtc.emit("add-turn-server", url)
    agent = ice_agent(webrtc)
    # Nothing is gained by it (RTP over TCP to a browser), and it doubles the candidates.
    agent.set_property("ice-tcp", False)
    # libnice would open ports of the router without being asked, and wait 0.2 s for one that understands it.
    inside = agent.get_property("agent")
    if inside.find_property("upnp") is not None:
        inside.set_property("upnp", False)
    if policy.udp_ports is not None:
        agent.set_property("min-rtp-port", policy.udp_ports[0])
        agent.set_property("max-rtp-port", policy.udp_ports[1])
    if policy.loopback:
        # Naming one address makes libnice use only what is named.
        for address in ["127.0.0.1", *local_addresses()]:
            agent.emit("add-local-ip-address", address)


def ice_agent(webrtc: Any) -> Any:
    """webrtcbin's ICE agent, with a reference of our own.

    GStreamer 1.22 gives it out as a floating reference, which the Python binding takes for its own: when the
    wrapper goes, the agent goes with it and the process crashes.
    """
    agent = webrtc.get_property("ice-agent")
    if agent.__grefcount__ < 2:
        ctypes.CDLL("libgobject-2.0.so.0").g_object_ref(ctypes.c_void_p(hash(agent)))
    return agent


def local_addresses() -> list[str]:
    """Numeric addresses of this machine's interfaces, without loopback and link-local ones."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # an interface without an address
            found.append(socket.inet_ntoa(answer[20:24]))
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        lines = []
    found += [str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines]
    return [text for text in found if not ((ip := ipaddress.ip_address(text)).is_loopback or ip.is_link_local)]
