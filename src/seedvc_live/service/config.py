"""What a server is told when it starts."""

from __future__ import annotations

import ipaddress
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from seedvc_live.errors import SettingsError
from seedvc_live.service.ice import Ice

MAX_JSON_BYTES = 64 * 1024
MAX_CLIP_BYTES = 20 * 1024 * 1024
MAX_CLIP_SECONDS = 60


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_workers() -> int:
    """A worker for each core, at least two, so that one that ends leaves another; at most four."""
    return max(2, min(4, len(os.sched_getaffinity(0))))


@dataclass(frozen=True)
class ServeConfig:
    """Settings of the whole server.

    Attributes:
        host, port: where to listen; port 0 takes a free one.
        engines: what workers load; the first is the default.
        workers: number of media-worker processes.
        capacity: sessions a worker takes at most.
        udp_ports: (lowest, highest) local port of media, or None for any.
        public_ip: address under which the world sees this host.
        token: bearer token, or None for no authentication.
        allow_origins: origins of other sites that may call the API.
        allow_hosts: further names this server goes by.
        jitter_buffer_ms: depth of a session's jitter buffer.
        recycle_after: sessions after which a worker is replaced.
        relay_only: media goes through TURN, never directly.
        negotiation_timeout, media_timeout: seconds until a session that does not connect, or that no media
            reaches, is closed.
        log_level: of the workers.
        worker_command: the worker's command line, without the options control adds.
    """

    voices: Path
    host: str = "127.0.0.1"
    port: int = 8080
    engines: tuple[str, ...] = ("nano", "passthrough")
    workers: int = 2
    capacity: int = 4
    udp_ports: tuple[int, int] | None = None
    public_ip: str | None = None
    ice: Ice = field(default_factory=Ice)
    token: str | None = field(default=None, repr=False)
    insecure: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allow_origins: frozenset[str] = frozenset()
    allow_hosts: frozenset[str] = frozenset()
    jitter_buffer_ms: int = 40
    recycle_after: int = 500
    relay_only: bool = False
    negotiation_timeout: float = 15.0
    media_timeout: float = 10.0
    log_level: str = "info"
    worker_command: tuple[str, ...] = (sys.executable, "-m", "seedvc_live.service.worker")

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and self.token is None and not self.insecure:
            raise SettingsError(
                "token",
                f"listening on {self.host} lets others in: give --token-file (or SEEDVC_LIVE_TOKEN), "
                "or --insecure to go without",
            )
        if self.token is not None and (len(self.token) < 8 or not self.token.isascii() or not self.token.isprintable()):
            raise SettingsError("token", "the token needs at least 8 printable ASCII characters")
        if self.ice.turn and not self.ice.secret:
            raise SettingsError("turn_secret", "--turn-url needs --turn-secret-file (coturn's static-auth-secret)")
        if self.relay_only and not self.ice.turn:
            raise SettingsError("relay_only", "--relay-only needs --turn-url")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("tls_cert", "--tls-cert and --tls-key go together")

    @property
    def default_engine(self) -> str:
        """Engine of a session that names none."""
        return self.engines[0]

    def policy(self) -> dict[str, object]:
        """How a worker is to run a session's connection."""
        return {
            "latency_ms": self.jitter_buffer_ms,
            "udp_ports": list(self.udp_ports) if self.udp_ports else None,
            "public_ip": self.public_ip,
            "relay_only": self.relay_only,
            # A browser on this machine has no other way in.
            "loopback": is_loopback(self.host),
            "negotiation_timeout": self.negotiation_timeout,
            "media_timeout": self.media_timeout,
        }
