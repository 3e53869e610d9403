"""EngineThread: one thread that converts the blocks of many live streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from seedvc_live.engines.base import Block, Engine, Settings, Voice, Window
from seedvc_live.live.scheduler import Entry, Scheduler
from seedvc_live.live.stream import Job

_LONGEST_SLEEP = 0.1
_LEAST_RESERVE = 0.005
_MEASURE_SECONDS = 2.0


@dataclass(frozen=True)
class Timing:
    """What converting one job took, in seconds.

    Attributes:
        queued: from the job's being ready to its start.
        wall: of the batch that the job was in.
        share: the job's part of it.
    """

    queued: float
    wall: float
    share: float


class Client(Protocol):
    """A stream that wants blocks converted. Its methods are called from the engine thread."""

    engine: Engine
    group: Hashable

    def take(self, now: float) -> Job | None:
        """The next job, if there is one."""

    def wake_at(self) -> float | None:
        """When to ask again, though nothing new has come; None: only after `EngineThread.wake`."""

    def done(self, job: Job, blocks: Sequence[Block], timing: Timing) -> None:
        """The job is converted."""

    def fail(self, error: BaseException) -> None:
        """The engine could not convert the job. The client is detached."""


class EngineThread:
    """Serves its clients earliest deadline first, and batches what can share a batch.

    A job that makes the engine fail costs its own stream only: a batch that fails is done again one by one.
    """

    def __init__(self, most: int = 8) -> None:
        """
        Args:
            most: windows in a batch.
        """
        self._scheduler: Scheduler[Client] = Scheduler(most)
        self._jobs: dict[Client, Job] = {}
        self._clients: list[Client] = []
        self._changed = threading.Condition()
        self._news = 0
        self._closed = False
        self._busy_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def busy_seconds(self) -> float:
        """Seconds spent in engines so far."""
        return self._busy_seconds

    def attach(self, client: Client) -> None:
        """Serve this client from now on."""
        with self._changed:
            self._clients.append(client)
            self._news += 1
            self._changed.notify_all()

    def detach(self, client: Client) -> None:
        """Serve it no longer. A job under way is still given back."""
        with self._changed:
            if client in self._clients:
                self._clients.remove(client)

    def wake(self) -> None:
        """Something new has come to a client."""
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread, after the batch under way."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                clients, news = list(self._clients), self._news
            self._collect(clients)
            batch = self._scheduler.next(time.monotonic())
            if batch:
                self._convert(batch)
                continue
            times = [at for client in clients if (at := client.wake_at()) is not None]
            with self._changed:
                if self._news == news and not self._closed:
                    sleep = min(times) - time.monotonic() if times else _LONGEST_SLEEP
                    self._changed.wait(min(max(sleep, 0.001), _LONGEST_SLEEP) if clients else None)

    def _collect(self, clients: Sequence[Client]) -> None:
        for gone in [client for client in self._jobs if client not in clients]:
            self._scheduler.discard(gone)
            del self._jobs[gone]
        for client in clients:
            if client in self._scheduler:
                continue
            try:
                job = client.take(time.monotonic())
            except Exception as error:  # one stream's fault must not end the thread of all
                self._drop(client, error)
                continue
            if job is not None:
                self._jobs[client] = job
                self._scheduler.add(Entry(client, client.group, job.deadline, len(job.plan.windows)))

    def _convert(self, batch: Sequence[Entry[Client]]) -> None:
        jobs = [(entry.key, self._jobs.pop(entry.key)) for entry in batch]
        windows = [window for _, job in jobs for window in job.plan.windows]
        begin = time.monotonic()
        try:
            blocks = jobs[0][0].engine.convert(windows)
            if len(blocks) != len(windows):
                raise RuntimeError(f"the engine gave {len(blocks)} blocks for {len(windows)} windows")
        except Exception as error:
            if len(batch) > 1:
                for entry, (client, job) in zip(batch, jobs, strict=True):
                    self._jobs[client] = job
                    self._convert([entry])
            else:
                self._drop(jobs[0][0], error)
            return
        wall = time.monotonic() - begin
        self._busy_seconds += wall
        self._scheduler.observe(batch[0].group, len(windows), wall)
        first = 0
        for client, job in jobs:
            size = len(job.plan.windows)
            timing = Timing(max(0.0, begin - job.ready), wall, wall * size / len(windows))
            try:
                client.done(job, blocks[first : first + size], timing)
            except Exception as error:
                self._drop(client, error)
            first += size

    def _drop(self, client: Client, error: BaseException) -> None:
        self.detach(client)
        client.fail(error)


def block_seconds(engine: Engine, voice: Voice, settings: Settings) -> list[float]:
    """What converting a block takes, measured twenty times (less often where that takes long), in seconds."""
    geometry = engine.geometry(settings, voice)
    noise = np.random.default_rng(0).normal(0.0, 0.05, geometry.window).astype(np.float32)
    state, seconds = None, []
    for turn in range(22):
        window = Window(turn * geometry.block, noise, voice, settings, 0, state)
        begin = time.perf_counter()
        state = engine.convert([window])[0].state
        seconds.append(time.perf_counter() - begin)
        if turn >= 6 and sum(seconds) > _MEASURE_SECONDS:
            break
    return seconds[2:]  # the first calls also allocate


def compute_reserve(engine: Engine, voice: Voice, settings: Settings) -> float:
    """Seconds to reserve for converting one block, measured now."""
    return reserve_for(block_seconds(engine, voice, settings))


def reserve_for(measured: Sequence[float]) -> float:
    """Seconds to reserve for a block, from measured ones: half as much again as the slowest but one in ten.

    Every session pays for the reserve with delay as long as it lasts, so a hiccup of the machine while it was
    measured must not be in it.
    """
    slow = sorted(measured)[len(measured) - 1 - len(measured) // 10]
    return max(_LEAST_RESERVE, 1.5 * slow)
