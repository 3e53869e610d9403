"""A server in this process, on a free port of the loopback, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from seedvc_live.service.app import make_app
from seedvc_live.service.config import ServeConfig
from seedvc_live.service.context import SERVICE, Service
from tests.tools.peers import command

SCRIPTED = (sys.executable, "-m", "tests.tools.scripted_worker")


def asynctest(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return run


def scripted(folder: Path, **changes: Any) -> ServeConfig:
    """A server with one scripted worker."""
    config = ServeConfig(voices=folder / "voices", engines=("passthrough",), workers=1, worker_command=SCRIPTED)
    return replace(config, **changes)


@contextlib.asynccontextmanager
async def running(config: ServeConfig, ready: int = 1) -> AsyncIterator[tuple[ClientSession, Service]]:
    """The server, and a client whose relative addresses are the server's; waits until so many workers are ready."""
    app = make_app(config)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        headers = {"Authorization": f"Bearer {config.token}"} if config.token else {}
        async with ClientSession(f"http://127.0.0.1:{port}", headers=headers) as client:
            service = app[SERVICE]
            await until(lambda: len(service.pool.ready) >= ready, 120.0)
            yield client, service
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it did not come about.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come about")
        await asyncio.sleep(0.01)


async def problem(response: Any, status: int, slug: str) -> dict[str, Any]:
    """Check that a response is this problem document, and give it."""
    body = await response.json(content_type="application/problem+json")
    assert (response.status, body["type"]) == (status, f"/problems/{slug}"), body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert "\n" not in body["detail"]
    return dict(body)


def in_time(service: Service) -> None:
    """Let this test and the workers go before what else the machine does, where the kernel allows it.

    Real-time audio on a machine that is loaded several times over says nothing about the server. To the kernel's
    scheduler each worker, as it leads a session of its own, is a group with a niceness of its own.
    """
    for process in ("self", *(handle.pid for handle in service.pool.handles)):
        with contextlib.suppress(OSError):
            Path(f"/proc/{process}/autogroup").write_text("-15")


def from_the_start(config: ServeConfig) -> ServeConfig:
    """The same for workers that measure, when they start, how fast this machine is."""
    first = 'echo -15 2>/dev/null > /proc/self/autogroup; exec "$@"'
    return replace(config, worker_command=("sh", "-c", first, "sh", *config.worker_command))


@contextlib.asynccontextmanager
async def served(folder: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server as a user starts it, with passthrough and one worker unless told otherwise, and its address.

    Args:
        folder: of voices; the log goes beside it.
    """
    with (folder.parent / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command("serve", "--port", "0", "--engine", "passthrough", "--workers", "1", "--voices", folder, *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        assert line.startswith("listening on http"), (folder.parent / "log").read_text()
        yield process, line.removeprefix("listening on ").strip()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 20)


async def became_ready(http: ClientSession) -> None:
    """Wait until sessions can start.

    Raises:
        TimeoutError: they never could.
    """
    for _ in range(600):
        if (await http.get("/readyz")).status == 200:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("never ready")


def children_of(pid: int) -> list[str]:
    """Process ids of a process's children (of its main thread)."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
