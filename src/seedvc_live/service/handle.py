"""One media-worker process, as control sees it: starts it, asks it, hears it, ends it.

Over a socket pair, one JSON object a line: requests `{id, op, …}`, replies `{id, ok}` or `{id, error}`, and events
`{event, …}`. The worker ends by itself when the socket closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from seedvc_live.errors import ServerError

_LOG = logging.getLogger(__name__)

MAX_LINE = 256 * 1024
HELLO_SECONDS = 180.0
_GRACE_SECONDS = 5.0
_LEVELS = {name: getattr(logging, name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}

Event = dict[str, Any]


class WorkerError(ServerError):
    """A worker refused or failed a request.

    Attributes:
        kind: `bad-sdp`, `no-address`, `settings`, `per-session`, `voice`, `full`, `engine`, `gone`, `internal`; and,
            from control's side, `timeout` and `lost`.
        field: the setting concerned, or None.
    """

    def __init__(self, kind: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.field = field


class WorkerHandle:
    """A worker process, from start to end.

    Attributes:
        number: which worker it is, for the log.
        sessions: ids of the sessions it has, kept by the pool.
        empty: set when there are none any more.
        served: sessions it was ever given.
        facts: its answer to `hello`.
    """

    def __init__(self, number: int, on_event: Callable[[WorkerHandle, Event], None]) -> None:
        self.number = number
        self.sessions: set[str] = set()
        self.empty = asyncio.Event()
        self.served = 0
        self.facts: dict[str, Any] = {}
        self.last_words: deque[str] = deque(maxlen=20)
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._lost = False

    @property
    def pid(self) -> int:
        """Process id; 0 before it is started."""
        return self._process.pid if self._process else 0

    @property
    def capacity(self) -> int:
        """Sessions it takes at most."""
        return int(self.facts.get("capacity", 0))

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process is not None and self._process.returncode is None and not self._lost

    async def start(self, command: Sequence[str]) -> None:
        """Start the process and wait until it is ready for sessions.

        Raises:
            WorkerError: it ended, or was not ready in time.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    "--control-fd",
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    limit=MAX_LINE,
                    pass_fds=(theirs.fileno(),),
                    # Ctrl-C in a terminal is for control, which ends the workers in order.
                    start_new_session=True,
                )
            reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE)
        except BaseException:
            ours.close()
            raise
        output = self._process.stdout
        assert output is not None
        self._tasks = [asyncio.create_task(self._listen(reader)), asyncio.create_task(self._log(output))]
        self.facts = await self.request("hello", timeout=HELLO_SECONDS)

    async def request(self, op: str, timeout: float = 10.0, **values: Any) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Raises:
            WorkerError: the worker refused, did not answer in time, or ended.
        """
        if self._writer is None or not self.alive:
            raise WorkerError("lost", "the media worker has ended")
        number = next(self._ids)
        line = json.dumps({"id": number, "op": op, **values}, allow_nan=False).encode() + b"\n"
        if len(line) > MAX_LINE:
            raise WorkerError("internal", "the request is too long for the media worker")
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(line)
            # No drain: what is written here is small, and a worker that does not read is found by its ping.
            return await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            raise WorkerError("timeout", f"the media worker did not answer '{op}' within {timeout:.0f} s") from None
        except ConnectionError:
            raise WorkerError("lost", "the media worker has ended") from None
        finally:
            self._waiting.pop(number, None)

    async def wait(self) -> int:
        """Wait until the process has ended and all it said was heard; its exit status, negative for a signal."""
        if self._process is None:
            return 0
        status = await self._process.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        return status

    async def end(self) -> None:
        """Ask the process to end, and end it if it does not. Safe to call at any time."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), _GRACE_SECONDS)
            except asyncio.TimeoutError:
                _LOG.warning("worker %d (pid %d) does not end; killed", self.number, self.pid)
                self.kill()
        await self.wait()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                while line := await reader.readline():
                    self._take(line)
        except ValueError as error:
            _LOG.error("worker %d speaks no protocol of ours (%s); killed", self.number, error)
            self.kill()
        finally:
            self._lost = True
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(WorkerError("lost", "the media worker ended"))

    def _take(self, line: bytes) -> None:
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("not an object")
        if "event" in message:
            try:
                self._on_event(self, message)
            except Exception:
                _LOG.exception("an event of worker %d was not understood", self.number)
            return
        future = self._waiting.get(message.get("id", 0))
        if future is None or future.done():
            return
        error = message.get("error")
        if error is None:
            future.set_result(message.get("ok") or {})
        else:
            future.set_exception(
                WorkerError(str(error.get("kind")), str(error.get("message", "failed")), error.get("field"))
            )

    async def _log(self, output: asyncio.StreamReader) -> None:
        begin = time.monotonic()
        while True:
            try:
                line = await output.readline()
            except ValueError:
                continue
            if not line:
                _LOG.debug("worker %d was silent after %.1f s", self.number, time.monotonic() - begin)
                return
            text = line.decode(errors="replace").rstrip()
            self.last_words.append(text)
            level, _, rest = text.partition(" ")
            known = _LEVELS.get(level)
            _LOG.log(known or logging.INFO, "worker %d: %s", self.number, rest if known else text)
