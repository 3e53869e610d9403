"""Runs the server: listens, serves, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from seedvc_live.errors import ServerError
from seedvc_live.service.app import make_app
from seedvc_live.service.config import ServeConfig
from seedvc_live.service.context import SERVICE

_LOG = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 3.0


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context.

    Raises:
        ServerError: a file is missing, unreadable, or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in (cert, key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ServerError(f"cannot read {path}: {error.strerror}") from None
    try:
        # An empty password: an encrypted key is an error, not a question to whoever sits at the terminal.
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, OSError, ValueError):
        raise ServerError(f"{cert} and {key} are not a certificate and its unencrypted key (PEM)") from None
    return context


async def serve(config: ServeConfig, listening: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `listening` is called with the URL once connections are accepted.

    Raises:
        ServerError: the address cannot be listened on, TLS cannot be set up, or workers do not start.
    """
    context = tls_context(config.tls_cert, config.tls_key) if config.tls_cert and config.tls_key else None
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    app = make_app(config)
    runner = web.AppRunner(app, access_log=None, logger=_http_log(), shutdown_timeout=_SHUTDOWN_SECONDS)
    try:
        # Listening first: where that fails, no worker has been started in vain.
        sockets = await _bind(config)
        await runner.setup()
        for listener in sockets:
            await web.SockSite(runner, listener, ssl_context=context, backlog=128).start()
        port = sockets[0].getsockname()[1]
        host = f"[{config.host}]" if ":" in config.host else config.host
        listening(f"{'https' if context else 'http'}://{host}:{port}")
        hopeless = app[SERVICE].pool.hopeless
        assert hopeless is not None
        hopeless.add_done_callback(lambda _: stop.set())
        await stop.wait()
        if hopeless.done():
            raise ServerError(f"media workers do not start ({hopeless.result()}); run: seedvc-live doctor")
        _LOG.info("ending")
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await runner.cleanup()
        for number in numbers:
            loop.remove_signal_handler(number)


def _http_log() -> logging.Logger:
    """aiohttp's own log of requests that are no HTTP: anybody can send them, so a line each, and no traceback."""

    def shorten(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1]:
            record.msg, record.args = "not HTTP: %s", (type(record.exc_info[1]).__name__,)
            record.exc_info = record.exc_text = None
        return True

    logger = logging.getLogger("seedvc_live.service.http")
    logger.addFilter(shorten)
    return logger


async def _bind(config: ServeConfig) -> list[socket.socket]:
    """Sockets on all addresses of the host, all on one port.

    Raises:
        ServerError: the host is unknown, or the port is taken or not ours to take.
    """
    where = f"{config.host}:{config.port}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError):
        raise ServerError(f"cannot listen on {where}: no such host") from None
    sockets: list[socket.socket] = []
    port = config.port
    try:
        for family, kind, protocol, _, address in found:
            listener = socket.socket(family, kind, protocol)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], port, *address[2:]))
            # Port 0: the first address takes a free one, the others the same.
            port = listener.getsockname()[1]
            # Bound twice with SO_REUSEADDR is an error only once somebody listens.
            listener.listen(128)
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise ServerError(f"cannot listen on {where}: {error.strerror}; choose another with --port") from None
    return sockets
