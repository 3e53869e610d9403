"""Two hosts and a bad network between them, made of network namespaces on one machine.

::

    client 10.77.0.1 ── veth ── middle: bridge.py impairs UDP ── veth ── server 10.77.0.2

Works without the kernel's netem. Needs the right to make namespaces (root); `available` says why not.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

CLIENT, SERVER = "10.77.0.1", "10.77.0.2"

_ROOT = Path(__file__).parents[2]
_SIOCETHTOOL = 0x8946
# ETHTOOL_STXCSUM, STSO, SGSO, SGRO: off. A forwarded frame must carry its checksum and be one frame.
_OFFLOADS = (0x17, 0x1F, 0x24, 0x2C)


def available() -> str | None:
    """Why namespaces cannot be made here; None when they can."""
    name = f"svl{os.getpid()}t"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        return "the command ip is not installed (iproute2)"
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return None


class BadNetwork:
    """The three namespaces and the bridge, while the `with` block lasts.

    Args:
        seed: of the pattern of losses.
    """

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._names = {place: f"svl{os.getpid()}{place}" for place in ("client", "middle", "server")}
        self._cleanup = contextlib.ExitStack()
        self._bridge: subprocess.Popen[str] | None = None

    def __enter__(self) -> BadNetwork:
        with contextlib.ExitStack() as stack:
            for name in self._names.values():
                _run("ip", "netns", "add", name)
                stack.callback(subprocess.run, ["ip", "netns", "del", name], check=False, capture_output=True)
            for place, address in (("client", CLIENT), ("server", SERVER)):
                name, middle = self._names[place], self._names["middle"]
                near = f"m{place[0]}"
                _run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", near, "netns", middle)
                for namespace, link in ((name, "lo"), (name, "eth0"), (middle, near)):
                    # Addresses of IPv6 would be further paths for ICE.
                    _run("ip", "netns", "exec", namespace, "sh", "-c", _NO_IPV6)
                    _run("ip", "-n", namespace, "link", "set", link, "up")
                _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
                # Without a default route some clients find no address of their own.
                other = SERVER if address == CLIENT else CLIENT
                _run("ip", "-n", name, "route", "add", "default", "via", other)
                for namespace, link in ((name, "eth0"), (middle, near)):
                    self._python(namespace, "-m", "tests.tools.namespaces", link)
            bridge = [sys.executable, "-m", "tests.tools.bridge", "mc", "ms", str(self._seed)]
            self._bridge = subprocess.Popen(
                [*self._in(self._names["middle"]), *bridge],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=_ROOT, env=environment(),
            )  # fmt: skip
            stack.callback(self._end_bridge)
            assert self._bridge.stdout is not None
            if self._bridge.stdout.readline() != "ready\n":
                raise RuntimeError("the bridge did not start")
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def impair(self, **values: Any) -> list[dict[str, int]]:
        """Set what happens to UDP from now on, in both directions (see `loss.Impairment`).

        Returns:
            What was counted until now: packets and lost, from the client and from the server.
        """
        assert self._bridge is not None
        assert self._bridge.stdin is not None
        assert self._bridge.stdout is not None
        self._bridge.stdin.write(json.dumps(values) + "\n")
        result: list[dict[str, int]] = json.loads(self._bridge.stdout.readline())
        return result

    def client(self, *command: str) -> list[str]:
        """A command that runs on the client's side."""
        return [*self._in(self._names["client"]), *command]

    def server(self, *command: str) -> list[str]:
        """A command that runs on the server's side."""
        return [*self._in(self._names["server"]), *command]

    def _end_bridge(self) -> None:
        assert self._bridge is not None
        self._bridge.kill()
        self._bridge.communicate()

    def _in(self, namespace: str) -> list[str]:
        return ["ip", "netns", "exec", namespace]

    def _python(self, namespace: str, *arguments: str) -> None:
        _run(*self._in(namespace), sys.executable, *arguments)


_NO_IPV6 = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done 2>/dev/null; true"


def environment() -> dict[str, str]:
    """For processes that import this project's tests and sources."""
    paths = [str(_ROOT / "src"), str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, env=environment(), check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def switch_offloads_off(interface: str) -> None:
    """Let an interface send whole frames with complete checksums, as `ethtool -K` would."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _OFFLOADS:
            value = array.array("I", [command, 0])
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            with contextlib.suppress(OSError):  # one that this kernel does not have
                fcntl.ioctl(control, _SIOCETHTOOL, request)


if __name__ == "__main__":
    switch_offloads_off(sys.argv[1])
