"""A UDP relay that loses, delays, doubles and reorders packets by a seeded pattern."""

from __future__ import annotations

import heapq
import random
import socket
import threading
import time


class Relay:
    """Listens on a port of its own (`port`) and forwards to `target` on the loopback.

    Args:
        target: port to forward to.
        loss: probability of losing a packet.
        burst: packets lost at each loss.
        duplicate, reorder: probabilities; a reordered packet is held for 30 ms.
        delay, jitter: seconds.
        protect: the first so many packets are never touched.
        until: nor are those from this one on.
    """

    def __init__(
        self,
        target: int,
        *,
        loss: float = 0.0,
        burst: int = 1,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        delay: float = 0.0,
        jitter: float = 0.0,
        seed: int = 1,
        protect: int = 5,
        until: int | None = None,
    ) -> None:
        self.target = ("127.0.0.1", target)
        self.loss, self.burst, self.duplicate, self.reorder = loss, burst, duplicate, reorder
        self.delay, self.jitter = delay, jitter
        self.touched = range(protect, 1 << 31 if until is None else until)
        self.received = self.dropped = self.duplicated = self.reordered = 0
        self.dropped_at: list[int] = []
        self._random = random.Random(seed)
        self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._in.bind(("127.0.0.1", 0))
        self._in.settimeout(0.005)
        self.port = self._in.getsockname()[1]
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._in.close()
        self._out.close()

    def _run(self) -> None:
        waiting: list[tuple[float, int, bytes]] = []
        order = losing = 0
        while not self._stop.is_set() or waiting:
            while waiting and waiting[0][0] <= time.monotonic():
                self._out.sendto(heapq.heappop(waiting)[2], self.target)
            try:
                packet = self._in.recv(65536)
            except TimeoutError:
                continue
            index = self.received
            self.received += 1
            # Draw always, so that a packet's fate does not depend on its neighbours'.
            lost, twice, late, spread = (self._random.random() for _ in range(4))
            if index in self.touched and losing == 0 and lost < self.loss / self.burst:
                losing = self.burst
            if losing:
                losing -= 1
                self.dropped += 1
                self.dropped_at.append(index)
                continue
            when = time.monotonic() + self.delay + spread * self.jitter
            if index in self.touched and late < self.reorder:
                when += 0.03
                self.reordered += 1
            copies = 1
            if index in self.touched and twice < self.duplicate:
                copies = 2
                self.duplicated += 1
            for _ in range(copies):
                order += 1
                heapq.heappush(waiting, (when, order, packet))
