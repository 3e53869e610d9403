"""The worker's end of its line to the control process: one JSON object a line, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

_LOG = logging.getLogger(__name__)

MAX_LINE = 256 * 1024
_MAX_BACKLOG = 4 * 1024 * 1024

Message = dict[str, Any]


class Channel:
    """Reads requests, writes replies and events. A control process that does not read loses stats events, not
    replies.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, fd: int) -> Channel:
        """
        Args:
            fd: of a connected stream socket, which is taken over.
        """
        reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=fd), limit=MAX_LINE)
        return cls(reader, writer)

    async def requests(self) -> AsyncIterator[Message]:
        """Requests, until the other end closes."""
        while True:
            try:
                line = await self._reader.readline()
            except ValueError:
                _LOG.error("a request is longer than %d bytes", MAX_LINE)
                continue
            except ConnectionError as error:
                _LOG.error("the line to the control process is broken: %s", error)
                return
            if not line:
                return
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if not isinstance(message, dict) or not isinstance(message.get("op"), str):
                _LOG.error("not a request: %r", line[:200])
                continue
            yield message

    def send(self, message: Message, *, droppable: bool = False) -> None:
        """Queue a message."""
        if self._writer.is_closing():
            return
        if droppable and self._writer.transport.get_write_buffer_size() > _MAX_BACKLOG:
            return
        self._writer.write(json.dumps(message, allow_nan=False).encode() + b"\n")

    async def close(self) -> None:
        """Write what is queued, then close."""
        self._writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 1.0)
