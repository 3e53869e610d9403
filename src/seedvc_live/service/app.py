"""The aiohttp application: routes, middlewares, start and end."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web

from seedvc_live.service import api_voices, openapi, pages
from seedvc_live.service.config import MAX_JSON_BYTES, ServeConfig
from seedvc_live.service.context import SERVICE, Service
from seedvc_live.service.log import record
from seedvc_live.service.operations import OPERATIONS, Operation
from seedvc_live.service.problems import PROBLEMS, Handler, ProblemError, problems
from seedvc_live.service.security import Gate, require_token

_LOG = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"

_PROBES = ("/healthz", "/readyz")
"""Asked again and again by whoever watches the server: no news for its log."""


def make_app(config: ServeConfig) -> web.Application:
    """The application; it starts its workers when it is started."""
    gate = Gate(config)
    app = web.Application(
        middlewares=[_access_log, problems, gate.check],
        # Of bodies that are read as a whole; clips are counted as they come.
        client_max_size=MAX_JSON_BYTES,
    )
    app[SERVICE] = Service.make(config)
    api_voices.set_up(app)
    app.on_response_prepare.append(gate.add_headers)
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, _guarded(operation, config.token))
    _add_pages(app)
    app.cleanup_ctx.append(_workers)
    app.on_shutdown.append(_shut_down)
    return app


def _guarded(operation: Operation, token: str | None) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    # The event stream looks at its ticket itself.
    if operation.open or operation.media == "text/event-stream":
        return operation.handler

    async def guarded(request: web.Request) -> web.StreamResponse:
        require_token(request, token)
        return await operation.handler(request)

    return guarded


def _add_pages(app: web.Application) -> None:
    document = openapi.build(OPERATIONS)
    docs = pages.docs_page(document)

    async def show_document(request: web.Request) -> web.Response:
        return web.json_response(document)

    async def show_docs(request: web.Request) -> web.Response:
        return web.Response(text=docs, content_type="text/html", headers=pages.HEADERS)

    async def show_problem(request: web.Request) -> web.Response:
        slug = request.match_info["slug"]
        if slug not in PROBLEMS:
            raise ProblemError("not-found", "no such kind of problem")
        return web.Response(text=pages.problem_page(slug), content_type="text/html", headers=pages.HEADERS)

    # What is not in this list is not served, however its path is written.
    files = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.is_file()}
    # The web client offers it to those who have no clip at hand.
    files["sample-voice.flac"] = STATIC.parents[1] / "data" / "reference.flac"

    async def show_file(request: web.Request) -> web.FileResponse:
        path = files.get(request.match_info.get("path", "index.html"))
        if path is None:
            raise ProblemError("not-found", "no such page")
        return web.FileResponse(path)

    app.router.add_get("/api/openapi.json", show_document)
    app.router.add_get("/api/docs", show_docs)
    app.router.add_get("/problems/{slug}", show_problem)
    app.router.add_get("/", show_file)
    app.router.add_get("/static/{path:.+}", show_file)


@web.middleware
async def _access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Method, route and outcome; not the path, which may hold a session's id, nor the query with its ticket."""
    begin = time.monotonic()
    status = 0
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        resource = request.match_info.route.resource
        probe = resource is not None and resource.canonical in _PROBES
        record(
            _LOG, "request", logging.DEBUG if status < 400 or probe else logging.INFO, method=request.method,
            route=resource.canonical if resource else None, status=status,
            seconds=round(time.monotonic() - begin, 3),
        )  # fmt: skip


async def _workers(app: web.Application) -> AsyncIterator[None]:
    service = app[SERVICE]
    service.pool.start()
    yield
    await service.pool.close()


async def _shut_down(app: web.Application) -> None:
    """Before connections are closed: end the sessions, whose event streams then end by themselves."""
    service = app[SERVICE]
    service.closing.set()
    await service.sessions.close_all()
