"""`/api/voices`: handlers."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path, PurePath

from aiohttp import web

from seedvc_live.errors import SeedVCLiveError
from seedvc_live.service.bodies import read_clip
from seedvc_live.service.context import SERVICE, Service, voice_problem
from seedvc_live.service.decode import add_clip
from seedvc_live.service.problems import ProblemError
from seedvc_live.service.voices import VoiceRecord

MAX_UPLOADS = 4

_UPLOADS = web.AppKey("uploads", set[object])


def set_up(app: web.Application) -> None:
    """What these handlers keep in the application."""
    app[_UPLOADS] = set()


def view(found: VoiceRecord) -> dict[str, object]:
    """A voice as the API shows it."""
    return {"id": found.id, "name": found.name, "seconds": found.seconds, "created": found.created}


async def list_all(request: web.Request) -> web.Response:
    """`GET /api/voices`."""
    found = await asyncio.to_thread(request.app[SERVICE].store.list)
    return web.json_response({"voices": [view(one) for one in found]})


async def add(request: web.Request) -> web.Response:
    """`POST /api/voices`: receive, decode and judge the clip, store it, enroll it for the default engine."""
    service, uploads = request.app[SERVICE], request.app[_UPLOADS]
    if len(uploads) >= MAX_UPLOADS:
        raise ProblemError("too-many", f"{MAX_UPLOADS} clips are being handled; try again in a moment")
    mark = object()
    uploads.add(mark)
    try:
        with tempfile.TemporaryDirectory(prefix="seedvc-live-") as folder:
            upload = await read_clip(request, Path(folder))
            # A browser's recorder calls its file something; a person's file has a name that says something.
            name = upload.name or PurePath(upload.filename.replace("\\", "/")).stem
            found = await _store(service, upload.path, name)
    except ProblemError as problem:
        service.metrics.clips.labels(problem.slug).inc()
        raise
    finally:
        uploads.discard(mark)
    service.metrics.clips.labels("stored").inc()
    return web.json_response(view(found), status=201, headers={"Location": f"/api/voices/{found.id}"})


async def _store(service: Service, clip: Path, name: str) -> VoiceRecord:
    try:
        found = await add_clip(service.store, clip, name)
    except SeedVCLiveError as error:
        raise voice_problem(error) from None
    engine = service.config.default_engine
    if engine not in service.pool.engines or not service.facts(engine).get("needs_reference", True):
        # The workers are still starting, or have no use for it: enrolled when a session asks for it.
        return found
    try:
        await service.voice_file(found.id, engine)
    except BaseException:
        await asyncio.to_thread(service.store.remove, found.id)
        raise
    return found


async def delete(request: web.Request) -> web.Response:
    """`DELETE /api/voices/{id}`. Sessions that use the voice keep it."""
    try:
        await asyncio.to_thread(request.app[SERVICE].store.remove, request.match_info["id"])
    except SeedVCLiveError as error:
        raise voice_problem(error) from None
    return web.Response(status=204)
