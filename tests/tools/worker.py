"""A media-worker process under test, asked as the control process asks it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

LOOPBACK = {"loopback": True}


class RefusedError(Exception):
    """The worker's error reply; `kind` and `field` as in it."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(error["message"])
        self.kind = error["kind"]
        self.field = error.get("field")


class WorkerProcess:
    """Use as an asynchronous context manager.

    Attributes:
        events: all that have come, in order.
        facts: the reply to `hello`.
        log: where its standard output and error go.
    """

    def __init__(self, log: Path, *options: str) -> None:
        self.log = log
        self.events: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {}
        self._options = options
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._news = asyncio.Event()

    async def __aenter__(self) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        with theirs, self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "seedvc_live.service.worker",
                "--control-fd",
                str(theirs.fileno()),
                *self._options,
                pass_fds=(theirs.fileno(),),
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        self._hurry()
        self._reader, self.writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        self._listening = asyncio.create_task(self._listen())
        self.facts = await self.ask("hello", timeout=90)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        try:
            await asyncio.wait_for(self.process.wait(), 15)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise
        finally:
            self._listening.cancel()

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ask(self, op: str, timeout: float = 30.0, **values: Any) -> dict[str, Any]:
        """Send a request; its `ok`.

        Raises:
            RefusedError: it was answered by an error.
            ConnectionError: the worker has ended.
        """
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self.writer.write(json.dumps({"id": number, "op": op, **values}).encode() + b"\n")
        reply = await asyncio.wait_for(self._waiting[number], timeout)
        if "error" in reply:
            raise RefusedError(reply["error"])
        return dict(reply["ok"])

    async def create(self, session: str, sdp: str, engine: str = "passthrough", **values: Any) -> dict[str, Any]:
        """Ask for a session on the loopback."""
        policy = {**LOOPBACK, **values.pop("policy", {})}
        return await self.ask("create", session=session, sdp=sdp, engine=engine, policy=policy, **values)

    def of(self, session: str, event: str) -> list[dict[str, Any]]:
        """Events of one kind that a session has sent."""
        return [found for found in self.events if found["event"] == event and found["session"] == session]

    async def event(self, session: str, event: str, timeout: float = 20.0, **values: Any) -> dict[str, Any]:
        """Wait for an event with these values."""

        async def wait() -> dict[str, Any]:
            while True:
                for found in self.of(session, event):
                    if all(found[name] == value for name, value in values.items()):
                        return found
                self._news.clear()
                await self._news.wait()

        return await asyncio.wait_for(wait(), timeout)

    def footprint(self) -> dict[str, int]:
        """File descriptors, threads and resident KiB of the process."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        return {
            "fds": len(os.listdir(f"/proc/{self.pid}/fd")),
            "threads": int(values["Threads"]),
            "rss": int(values["VmRSS"].split()[0]),
        }

    def _hurry(self) -> None:
        """Let test and worker go before what else the machine does, where the kernel allows it.

        Real-time audio on a machine that is loaded several times over says nothing about the worker.
        """
        for group in ("self", self.pid):
            with contextlib.suppress(OSError):
                Path(f"/proc/{group}/autogroup").write_text("-15")

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                message = json.loads(line)
                if "event" in message:
                    self.events.append(message)
                    self._news.set()
                else:
                    self._waiting.pop(message["id"]).set_result(message)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError("the worker has ended"))
