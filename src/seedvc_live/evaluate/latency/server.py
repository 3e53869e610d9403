"""The little of the server's HTTP API that a measurement needs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from seedvc_live.errors import ServerError

_TIMEOUT = aiohttp.ClientTimeout(total=60)


class Server:
    """A running server.

    Args:
        url: its address, "http://127.0.0.1:8080".
        token: bearer token, where the server has one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ServerError(f"--url takes http://HOST:PORT, got '{url}'")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self.token = token
        self.loopback = parts.hostname in {"localhost", "127.0.0.1", "::1"}

    async def call(self, method: str, path: str, **body: Any) -> Any:
        """The answer's JSON.

        Raises:
            ServerError: no answer, or one that says why not.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session,
                session.request(method, f"{self.url}/{path}", **body) as response,
            ):
                answer = await _json(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = error or type(error).__name__
            raise ServerError(f"no server at {self.url} ({reason}); start: seedvc-live serve") from None
        if response.status >= 400:
            raise ServerError(_reason(response.status, answer))
        return answer

    async def engine(self, name: str) -> dict[str, Any]:
        """One entry of /api/engines.

        Raises:
            ServerError: the server does not have it.
        """
        engines: list[dict[str, Any]] = (await self.call("GET", "api/engines"))["engines"]
        for engine in engines:
            if engine["name"] == name:
                if not engine["available"]:
                    raise ServerError(f"engine '{name}' is not installed on the server; there: {engine['install']}")
                return engine
        offered = ", ".join(engine["name"] for engine in engines)
        raise ServerError(f"the server does not offer engine '{name}'; it has: {offered}")

    @contextlib.asynccontextmanager
    async def voice(self, wanted: str | None) -> AsyncIterator[str]:
        """Id of a voice to speak with: `wanted`, else the bundled reference, which is removed again afterwards."""
        if wanted is not None:
            yield wanted
            return
        form = aiohttp.FormData()
        clip = (files("seedvc_live") / "data" / "reference.flac").read_bytes()
        form.add_field("name", "latency measurement")
        form.add_field("clip", clip, filename="reference.flac")
        voice = (await self.call("POST", "api/voices", data=form))["id"]
        try:
            yield voice
        finally:
            with contextlib.suppress(ServerError):
                await self.call("DELETE", f"api/voices/{voice}")


async def _json(response: aiohttp.ClientResponse) -> Any:
    with contextlib.suppress(aiohttp.ContentTypeError, ValueError):
        return await response.json(content_type=None)
    return None


def _reason(status: int, answer: Any) -> str:
    problem = answer if isinstance(answer, dict) else {}
    detail = problem.get("detail") or problem.get("title") or "no details"
    remedy = "; give --token" if status == 401 else ""
    return f"the server refused (status {status}): {detail}{remedy}"
