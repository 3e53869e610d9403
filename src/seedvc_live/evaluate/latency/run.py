"""One measurement, from the choice of a client to the report."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import as_file, files
from typing import Any

from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.errors import MissingPackageError, ServerError
from seedvc_live.evaluate.latency import chromium, peer
from seedvc_live.evaluate.latency.report import Take, report
from seedvc_live.evaluate.latency.server import Server
from seedvc_live.evaluate.latency.signals import chirp_train

CLIENTS = ("chromium", "aiortc")
RATE = 48000

Record = Callable[[Samples, int, float, dict[str, Any]], Awaitable[Take]]


def choose_client(wanted: str | None) -> str:
    """The client asked for, else Chromium where it is installed, else aiortc.

    Raises:
        MissingPackageError: neither is there.
    """
    if wanted is not None:
        return wanted
    if chromium.available():
        return "chromium"
    if peer.available():
        return "aiortc"
    raise MissingPackageError("measuring needs a client: pip install 'seedvc-live[latency]'")


def measure(
    url: str,
    engine: str,
    client: str | None = None,
    seconds: float = 20.0,
    token: str | None = None,
    voice: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure mouth to ear at a running server.

    Chirps do not survive a change of voice: with an engine that makes one they go through the session's bypass,
    which takes exactly as long by design. Whether it does is checked: the same session's converted speech is
    recorded too, and its delay found by its envelope.

    Args:
        seconds: of chirps; as long again for speech, where there is any.
        voice: id on the server; None: the bundled reference, while it measures.
        settings: of the engine; name → value.

    Raises:
        MissingPackageError: the client is not installed.
        ServerError: no server, not that engine, no connection, or nothing came back.
    """
    name = choose_client(client)
    server = Server(url, token)
    about = asyncio.run(server.engine(engine))
    session = {"engine": engine, "settings": dict(settings or {})}
    return asyncio.run(_measure(server, name, session, seconds, voice, about["needs_reference"]))


async def _measure(
    server: Server, name: str, session: dict[str, Any], seconds: float, voice: str | None, converts: bool
) -> dict[str, Any]:
    record = _client(server, name)
    chirps = chirp_train(seconds, RATE)
    if not converts:
        take = await record(chirps, RATE, seconds, session)
        return _report(name, session, server, take, None)
    async with server.voice(voice) as known:
        spoken_by = {**session, "voice": known}
        take = await record(chirps, RATE, seconds, {**spoken_by, "bypass": True})
        clip = _speech()
        spoken = await record(clip.samples, clip.rate, max(seconds, 8.0), spoken_by)
    return _report(name, session, server, take, spoken)


def _report(name: str, session: dict[str, Any], server: Server, chirps: Take, speech: Take | None) -> dict[str, Any]:
    try:
        result = report(name, session, server.url, chirps, speech)
    except ValueError as error:
        raise ServerError(f"nothing to measure came back: {error}") from None
    if result["p50_ms"] is None:
        raise ServerError(f"none of {result['chirps']} chirps came back from {server.url}; measure for longer?")
    return result


def _client(server: Server, name: str) -> Record:
    if name == "aiortc":

        async def by_peer(sound: Samples, rate: int, seconds: float, wanted: dict[str, Any]) -> Take:
            return await peer.take(server, sound, rate, seconds, wanted)

        return by_peer

    async def by_browser(sound: Samples, rate: int, seconds: float, wanted: dict[str, Any]) -> Take:
        return await asyncio.to_thread(chromium.take, server, sound, rate, seconds, wanted)

    return by_browser


def _speech() -> Pcm:
    from seedvc_live.media.load import load_audio

    with as_file(files("seedvc_live") / "data" / "source.flac") as clip:
        return load_audio(clip)
