"""A real TURN server (coturn) on the loopback."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.tools.peers import free_port
from tests.tools.processes import terminate

_RELAYS = 200


@contextlib.contextmanager
def turn_server(folder: Path, secret: str) -> Iterator[str]:
    """Run `turnserver` with a shared secret (its REST scheme); its `turn:` address.

    Raises:
        RuntimeError: it did not start.
    """
    port, lowest = free_port(), 50_000
    settings = {
        "listening-ip": "127.0.0.1",
        "relay-ip": "127.0.0.1",
        "listening-port": port,
        "min-port": lowest,
        "max-port": lowest + _RELAYS,
        "realm": "seedvc-live.test",
        "static-auth-secret": secret,
        "userdb": folder / "turn.db",
        "pidfile": folder / "turn.pid",
        "log-file": "stdout",
        "relay-threads": 1,
    }
    flags = (
        "use-auth-secret",
        "no-tls",
        "no-dtls",
        "no-cli",
        "allow-loopback-peers",
        "no-multicast-peers",
        "simple-log",
    )
    lines = [f"{name}={value}" for name, value in settings.items()] + list(flags)
    (folder / "turn.conf").write_text("\n".join(lines) + "\n")
    with (folder / "turn.log").open("w") as log:
        process = subprocess.Popen(
            ["turnserver", "-c", str(folder / "turn.conf"), "-v"], stdout=log, stderr=log, cwd=folder
        )
    try:
        deadline = time.monotonic() + 30
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"turnserver did not start: {(folder / 'turn.log').read_text()[-1000:]}")
            time.sleep(0.05)
        yield f"turn:127.0.0.1:{port}"
    finally:
        terminate(process)


def installed() -> bool:
    """Whether coturn is there."""
    return shutil.which("turnserver") is not None


def listens(port: int) -> bool:
    """Whether it answers a STUN binding request (RFC 8489) over UDP."""
    request = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.5)
        probe.connect(("127.0.0.1", port))
        try:
            probe.send(request)
            return probe.recv(100)[:2] == b"\x01\x01"
        except OSError:
            return False
