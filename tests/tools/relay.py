"""A UDP relay that loses, delays, doubles and reorders packets by a seeded pattern."""

from __future__ import annotations

import heapq
import socket
import threading
import time

from tests.tools.loss import Impairment, LossModel


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
        self.touched = range(protect, 1 << 31 if until is None else until)
        self._model = LossModel(Impairment(loss, burst, duplicate, reorder, delay, jitter), seed)
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

    @property
    def received(self) -> int:
        return self._model.received

    @property
    def dropped(self) -> int:
        return self._model.dropped

    @property
    def duplicated(self) -> int:
        return self._model.duplicated

    @property
    def reordered(self) -> int:
        return self._model.reordered

    @property
    def dropped_at(self) -> list[int]:
        return self._model.dropped_at

    def _run(self) -> None:
        waiting: list[tuple[float, int, bytes]] = []
        order = 0
        while not self._stop.is_set() or waiting:
            while waiting and waiting[0][0] <= time.monotonic():
                self._out.sendto(heapq.heappop(waiting)[2], self.target)
            try:
                packet = self._in.recv(65536)
            except TimeoutError:
                continue
            for wait in self._model.fate(touch=self._model.received in self.touched):
                order += 1
                heapq.heappush(waiting, (time.monotonic() + wait, order, packet))
