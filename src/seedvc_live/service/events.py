"""Events of a session to any number of listeners, each with a queue of its own that cannot grow."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from seedvc_live.service.problems import ProblemError

QUEUE = 16
"""Statistics that wait for a slow listener: about three seconds of them; then the oldest are dropped."""
MAX_LISTENERS = 8


class Subscription:
    """One listener's queue. Statistics may be dropped, changes of state never are (there are at most a few)."""

    def __init__(self) -> None:
        self._queue: deque[tuple[str, dict[str, Any]]] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self.dropped = 0

    def offer(self, name: str, data: dict[str, Any]) -> None:
        """Add an event; never waits."""
        if len(self._queue) >= QUEUE:
            for index, (queued, _) in enumerate(self._queue):
                if queued == "stats":
                    del self._queue[index]
                    self.dropped += 1
                    break
        self._queue.append((name, data))
        self._arrived.set()

    def end(self) -> None:
        """No more events come."""
        self._ended = True
        self._arrived.set()

    async def next(self, timeout: float) -> tuple[str, dict[str, Any]] | None:
        """The next event, or None after the last one.

        Raises:
            asyncio.TimeoutError: nothing came for `timeout` seconds.
        """
        while not self._queue:
            if self._ended:
                return None
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), timeout)
        return self._queue.popleft()


class Listeners:
    """All listeners of one session."""

    def __init__(self) -> None:
        self._all: list[Subscription] = []

    def add(self) -> Subscription:
        """A new listener.

        Raises:
            ProblemError: 429, there are too many.
        """
        if len(self._all) >= MAX_LISTENERS:
            raise ProblemError("too-many", f"a session has at most {MAX_LISTENERS} event streams")
        subscription = Subscription()
        self._all.append(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """A listener has gone."""
        if subscription in self._all:
            self._all.remove(subscription)

    def publish(self, name: str, data: dict[str, Any]) -> None:
        """Give an event to all."""
        for subscription in self._all:
            subscription.offer(name, data)

    def end(self) -> None:
        """The session is over."""
        for subscription in self._all:
            subscription.end()


def sse(name: str, data: dict[str, Any]) -> bytes:
    """An event as text/event-stream (WHATWG HTML, server-sent events)."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
