"""The media workers: keeps a number of them running, gives out places, replaces those that end or grow old."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from seedvc_live.service.config import ServeConfig
from seedvc_live.service.handle import Event, WorkerError, WorkerHandle

_LOG = logging.getLogger(__name__)

_PING_SECONDS = 5.0
_HANG_SECONDS = 30.0
_STEADY_SECONDS = 60.0
_LONGEST_BACKOFF = 30.0
_HOPELESS = 3


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: none after the first, then twice as long each time."""
    return 0.0 if failures <= 1 else min(_LONGEST_BACKOFF, 0.5 * 2.0 ** (failures - 2))


class WorkerPool:
    """Supervises `config.workers` processes.

    Args:
        config: of the server.
        on_event: called with each event of a worker.
        on_lost: called when a worker has ended, with the ids of the sessions it took along.
        on_restart: called when a worker that ended by itself is replaced.

    Attributes:
        hopeless: set to the last words of workers that end again and again before one was ever ready.
    """

    def __init__(
        self,
        config: ServeConfig,
        on_event: Callable[[WorkerHandle, Event], None],
        on_lost: Callable[[WorkerHandle, set[str]], None],
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._on_event = on_event
        self._on_lost = on_lost
        self._on_restart = on_restart
        self._ready: list[WorkerHandle] = []
        self._draining: list[WorkerHandle] = []
        self._starting: set[WorkerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # Workers measure how long they need for a block when they start: one at a time, or they measure each other.
        self._one_at_a_time = asyncio.Lock()
        self._closing = False
        self._was_ready = False
        self.engines: dict[str, Any] = {}
        self.hopeless: asyncio.Future[str] | None = None

    @property
    def ready(self) -> list[WorkerHandle]:
        """Workers that take sessions."""
        return [handle for handle in self._ready if handle.alive]

    @property
    def handles(self) -> list[WorkerHandle]:
        """Workers that are ready, drained or starting."""
        return [*self._ready, *self._draining, *self._starting]

    def counts(self) -> dict[str, int]:
        """Number of workers in each state."""
        return {"ready": len(self.ready), "draining": len(self._draining), "starting": len(self._starting)}

    def start(self) -> None:
        """Start the workers; returns at once."""
        self.hopeless = asyncio.get_running_loop().create_future()
        for number in range(1, self._config.workers + 1):
            self._spawn(self._keep(number))

    async def close(self) -> None:
        """End all workers."""
        self._closing = True
        await asyncio.gather(*(handle.end() for handle in self.handles))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def choose(self, session: str, avoid: set[WorkerHandle]) -> WorkerHandle | None:
        """Reserve a place for a session on the worker with the fewest; None if there is none."""
        free = [handle for handle in self.ready if len(handle.sessions) < handle.capacity and handle not in avoid]
        if not free:
            return None
        handle = min(free, key=lambda candidate: len(candidate.sessions))
        handle.sessions.add(session)
        handle.empty.clear()
        return handle

    def started(self, handle: WorkerHandle) -> None:
        """Count a session that a worker has begun; an old worker gets no more."""
        handle.served += 1
        if handle.served >= self._config.recycle_after and handle in self._ready:
            _LOG.info("worker %d has served %d sessions: it is replaced", handle.number, handle.served)
            self._ready.remove(handle)
            self._draining.append(handle)
            self._spawn(self._keep(handle.number))
            self._spawn(self._drain(handle))

    def release(self, handle: WorkerHandle, session: str) -> None:
        """Give a place back."""
        handle.sessions.discard(session)
        if not handle.sessions:
            handle.empty.set()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, handle: WorkerHandle) -> None:
        with contextlib.suppress(WorkerError):
            await handle.request("drain")
        if handle.sessions:
            await handle.empty.wait()
        await handle.end()

    async def _keep(self, number: int) -> None:
        """Run worker `number`, and its successors, until one is drained or the pool closes."""
        failures = 0
        while not self._closing:
            handle = WorkerHandle(number, self._on_event)
            begin = time.monotonic()
            status = await self._run(handle)
            if self._closing or handle in self._draining:
                self._forget(handle)
                return
            self._forget(handle)
            failures = 1 if time.monotonic() - begin > _STEADY_SECONDS else failures + 1
            if not self._was_ready and failures >= _HOPELESS:
                self._give_up(handle)
            pause = backoff(failures)
            _LOG.warning("worker %d ended (%s); restarted in %.1f s", number, _reason(status), pause)
            self._on_restart()
            await asyncio.sleep(pause)

    async def _run(self, handle: WorkerHandle) -> int:
        self._starting.add(handle)
        begin = time.monotonic()
        try:
            async with self._one_at_a_time:
                begin = time.monotonic()
                await handle.start(self._command())
        except WorkerError as error:
            if error.kind != "lost":
                _LOG.error("worker %d: %s", handle.number, error)
            handle.kill()
            return await handle.wait()
        except BaseException:
            # The pool closes, and the process may just have been made.
            handle.kill()
            await handle.wait()
            raise
        finally:
            self._starting.discard(handle)
        self._was_ready = True
        self.engines.update(handle.facts.get("engines", {}))
        self._ready.append(handle)
        _LOG.info(
            "worker %d ready after %.1f s (pid %d, %d places)",
            handle.number, time.monotonic() - begin, handle.pid, handle.capacity,
        )  # fmt: skip
        watch = asyncio.create_task(self._watch(handle))
        try:
            return await handle.wait()
        finally:
            watch.cancel()

    async def _watch(self, handle: WorkerHandle) -> None:
        """Kill a worker that hangs."""
        while True:
            await asyncio.sleep(_PING_SECONDS)
            try:
                await handle.request("ping", timeout=_HANG_SECONDS)
            except WorkerError as error:
                if error.kind == "timeout":
                    _LOG.error("worker %d hangs; killed", handle.number)
                handle.kill()
                return

    def _forget(self, handle: WorkerHandle) -> None:
        for group in (self._ready, self._draining):
            if handle in group:
                group.remove(handle)
        sessions, handle.sessions = handle.sessions, set()
        handle.empty.set()
        self._on_lost(handle, sessions)

    def _command(self) -> list[str]:
        command = [*self._config.worker_command, "--capacity", str(self._config.capacity)]
        command += ["--log-level", self._config.log_level]
        for engine in self._config.engines:
            command += ["--engine", engine]
        return command

    def _give_up(self, handle: WorkerHandle) -> None:
        if self.hopeless is not None and not self.hopeless.done():
            words = next((line for line in reversed(handle.last_words) if line.strip()), "it said nothing")
            self.hopeless.set_result(words)


def _reason(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
