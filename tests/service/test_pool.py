"""Supervision of workers, with real processes that crash, hang and refuse as told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seedvc_live.service import pool as pool_module
from seedvc_live.service.handle import Event, WorkerError, WorkerHandle
from seedvc_live.service.pool import WorkerPool, backoff
from tests.tools.server import asynctest, scripted, until


class Watched(WorkerPool):
    """A pool that notes what it is told."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.events: list[Event] = []
        self.lost: list[set[str]] = []
        self.restarts = 0
        super().__init__(
            scripted(folder, **changes),
            lambda _, event: self.events.append(event),
            lambda _, sessions: self.lost.append(sessions),
            self._count,
        )

    def _count(self) -> None:
        self.restarts += 1


@contextlib.asynccontextmanager
async def running_pool(folder: Path, **changes: Any) -> AsyncIterator[Watched]:
    pool = Watched(folder, **changes)
    pool.start()
    try:
        await until(lambda: len(pool.ready) == changes.get("workers", 1))
        yield pool
    finally:
        await pool.close()


def create(handle: WorkerHandle, session: str, script: str = "x", **more: Any) -> Any:
    return handle.request("create", session=session, sdp=script, settings={}, **more)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_backoff_grows_from_nothing_to_a_limit() -> None:
    assert [backoff(failures) for failures in (0, 1, 2, 3, 4)] == [0.0, 0.0, 0.5, 1.0, 2.0]
    assert backoff(50) == 30.0


@asynctest
async def test_places_go_to_the_worker_with_the_fewest_sessions(tmp_path) -> None:
    async with running_pool(tmp_path, workers=2, capacity=2) as pool:
        chosen = [pool.choose(str(number), set()) for number in range(5)]
        assert chosen[4] is None
        assert {handle.pid for handle in chosen[:2]} == {handle.pid for handle in chosen[2:4]}
        assert chosen[0] is not chosen[1]
        pool.release(chosen[0], "0")
        assert pool.choose("5", set()) is chosen[0]
        assert pool.choose("6", {chosen[0]}) is None


@asynctest
async def test_a_killed_worker_takes_its_own_sessions_and_is_replaced(tmp_path) -> None:
    async with running_pool(tmp_path, workers=2) as pool:
        first, second = pool.choose("a", set()), pool.choose("b", set())
        await create(first, "a")
        await create(second, "b")
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: pool.lost == [{"a"}])
        await until(lambda: len(pool.ready) == 2)
        assert second in pool.ready
        assert second.sessions == {"b"}
        assert pool.restarts == 1
        assert await second.request("update", session="b", settings={}) == {
            "settings": {"block": 0.02},
            "bypass": False,
        }


@pytest.mark.parametrize("script", ["crash", "nonsense"])
@asynctest
async def test_a_request_that_ends_the_worker_fails_at_once(tmp_path, script) -> None:
    async with running_pool(tmp_path) as pool:
        handle = pool.choose("a", set())
        with pytest.raises(WorkerError) as caught:
            await asyncio.wait_for(create(handle, "a", script), 5.0)
        assert caught.value.kind == "lost"
        await until(lambda: bool(pool.ready) and pool.ready[0] is not handle)
        assert gone(handle.pid)
        with pytest.raises(WorkerError, match="ended"):
            await handle.request("ping")


@asynctest
async def test_a_request_is_not_waited_for_without_end(tmp_path) -> None:
    async with running_pool(tmp_path) as pool:
        handle = pool.ready[0]
        with pytest.raises(WorkerError) as caught:
            await create(handle, "a", "hang", timeout=0.2)
        assert caught.value.kind == "timeout"
        assert await handle.request("ping") == {}


@asynctest
async def test_a_worker_that_hangs_is_replaced(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pool_module, "_PING_SECONDS", 0.1)
    monkeypatch.setattr(pool_module, "_HANG_SECONDS", 1.0)
    async with running_pool(tmp_path) as pool:
        handle = pool.choose("a", set())
        with pytest.raises(WorkerError):
            await create(handle, "a", "stop-reading", timeout=20.0)
        await until(lambda: bool(pool.ready) and pool.ready[0] is not handle)
        assert pool.lost == [{"a"}]
        assert gone(handle.pid)


@asynctest
async def test_an_old_worker_is_replaced_when_its_last_session_has_ended(tmp_path) -> None:
    async with running_pool(tmp_path, recycle_after=2) as pool:
        old = pool.choose("a", set())
        pool.started(old)
        assert pool.choose("b", set()) is old
        pool.started(old)
        await until(lambda: len(pool.ready) == 1 and pool.ready[0] is not old)
        assert pool.choose("c", set()) is not old
        pool.release(old, "a")
        await asyncio.sleep(0.1)
        assert not gone(old.pid), "it has a session yet"
        pool.release(old, "b")
        await until(lambda: gone(old.pid))
        await until(lambda: pool.counts() == {"ready": 1, "draining": 0, "starting": 0})
        assert pool.restarts == 0
        assert pool.lost == [set()]


@asynctest
async def test_an_old_worker_that_crashes_takes_its_sessions(tmp_path) -> None:
    async with running_pool(tmp_path, recycle_after=1) as pool:
        old = pool.choose("a", set())
        pool.started(old)
        await until(lambda: bool(pool.ready))
        os.kill(old.pid, signal.SIGKILL)
        await until(lambda: pool.lost == [{"a"}])
        assert pool.counts()["draining"] == 0


@asynctest
async def test_workers_that_never_start_are_given_up_with_their_last_words(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SCRIPT", "never-ready")
    pool = Watched(tmp_path)
    pool.start()
    try:
        assert await asyncio.wait_for(pool.hopeless, 20.0) == "no microphone, no glory"
    finally:
        await pool.close()


@asynctest
async def test_closing_leaves_no_process_and_no_descriptor(tmp_path) -> None:
    async with running_pool(tmp_path):
        pass  # the event loop's own descriptors exist from here on
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        async with running_pool(tmp_path, workers=2) as pool:
            pids = [handle.pid for handle in pool.ready]
        assert all(gone(pid) for pid in pids)
    await asyncio.sleep(0.05)
    assert sorted(os.listdir("/proc/self/fd")) == before


@asynctest
async def test_closing_while_workers_start(tmp_path) -> None:
    for pause in (0.0, 0.01, 0.05):
        pool = Watched(tmp_path, workers=2)
        pool.start()
        await asyncio.sleep(pause)
        pids = [handle.pid for handle in pool.handles if handle.pid]
        await pool.close()
        await until(lambda pids=pids: all(gone(pid) for pid in pids))


@asynctest
async def test_a_message_that_is_too_long_is_refused_here(tmp_path) -> None:
    async with running_pool(tmp_path) as pool:
        with pytest.raises(WorkerError, match="too long"):
            await create(pool.ready[0], "a", "x" * 300_000)
        assert await pool.ready[0].request("ping") == {}
