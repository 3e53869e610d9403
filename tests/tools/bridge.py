"""A bridge between two Ethernet interfaces that impairs UDP: `python bridge.py LEFT RIGHT SEED`.

Runs in a network namespace between two others (see `namespaces`), so what it does to packets looks to both
ends, and to ICE, like the network. Everything but UDP over IPv4 passes untouched. A line of JSON on standard
input sets the impairment of both directions ({"loss": 0.1, "burst": 3}); each is answered by a line with
what was counted under the one before. It ends with its input.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import socket
import struct
import sys
import time

from tests.tools.loss import Impairment, LossModel

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_PROMISC = 1
_IPV4, _UDP = 0x0800, 17
_LARGEST = 65536


class _Port:
    """One interface."""

    def __init__(self, name: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind((name, 0))
        member = struct.pack("iHH8s", socket.if_nametoindex(name), _PACKET_MR_PROMISC, 0, b"")
        self.socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, member)
        self.socket.setblocking(False)

    def read(self) -> bytes | None:
        """A frame that came in; b"" for one that this process sent; None when there is none."""
        try:
            frame, address = self.socket.recvfrom(_LARGEST)
        except BlockingIOError:
            return None
        return b"" if address[2] == _PACKET_OUTGOING else frame


def is_udp(frame: bytes) -> bool:
    """Whether an Ethernet frame carries UDP over IPv4."""
    return len(frame) > 34 and int.from_bytes(frame[12:14], "big") == _IPV4 and frame[23] == _UDP


def run(left: str, right: str, seed: int) -> None:
    """Forward until standard input ends."""
    ports = (_Port(left), _Port(right))
    models = [LossModel(Impairment(), seed + i) for i in range(2)]
    waiting: list[tuple[float, int, int, bytes]] = []
    order = 0
    commands = b""
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, frame = heapq.heappop(waiting)
            ports[to].socket.send(frame)
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 1.0
        readable, _, _ = select.select([ports[0].socket, ports[1].socket, 0], [], [], pause)
        for side, port in enumerate(ports):
            while port.socket in readable and (frame := port.read()) is not None:
                if not frame:
                    continue
                waits = models[side].fate() if is_udp(frame) else [0.0]
                for wait in waits:
                    order += 1
                    heapq.heappush(waiting, (time.monotonic() + wait, order, 1 - side, frame))
        if 0 in readable:
            data = os.read(0, _LARGEST)
            if not data:
                return
            commands += data
            *lines, commands = commands.split(b"\n")
            for line in lines:
                counted = [{"packets": model.received, "lost": model.dropped} for model in models]
                print(json.dumps(counted), flush=True)
                impairment = Impairment.parse(json.loads(line))
                seed += 2
                models = [LossModel(impairment, seed + i) for i in range(2)]


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
