"""What a client asks before a session, and what operators ask: handlers."""

from __future__ import annotations

import time

from aiohttp import web

from seedvc_live._version import __version__
from seedvc_live.engines.registry import ENGINES
from seedvc_live.service.config import MAX_CLIP_BYTES, MAX_CLIP_SECONDS
from seedvc_live.service.context import SERVICE, Service, install_command
from seedvc_live.service.metrics import CONTENT_TYPE
from seedvc_live.service.problems import ProblemError


async def config(request: web.Request) -> web.Response:
    """`GET /api/config`."""
    settings = request.app[SERVICE].config
    return web.json_response(
        {
            "version": __version__,
            "auth": settings.token is not None,
            "default_engine": settings.default_engine,
            "max_clip_bytes": MAX_CLIP_BYTES,
            "max_clip_seconds": MAX_CLIP_SECONDS,
        }
    )


async def engines(request: web.Request) -> web.Response:
    """`GET /api/engines`."""
    service = request.app[SERVICE]
    known = dict.fromkeys((*service.config.engines, *ENGINES))
    return web.json_response({"engines": [_engine(service, name) for name in known]})


def _engine(service: Service, name: str) -> dict[str, object]:
    facts = service.pool.engines.get(name, {})
    return {
        "name": name,
        "default": name == service.config.default_engine,
        "available": name in service.pool.engines and bool(service.pool.ready),
        "install": install_command(name),
        "sample_rate": facts.get("sample_rate"),
        "needs_reference": facts.get("needs_reference", True),
        "settings": facts.get("settings_schema"),
        "per_session": facts.get("per_session", []),
        "algorithmic_latency_ms": facts.get("algorithmic_latency_ms"),
    }


async def ice_servers(request: web.Request) -> web.Response:
    """`GET /api/ice-servers`: with credentials made for this request."""
    ice = request.app[SERVICE].config.ice
    answer = {"iceServers": ice.for_browser(time.time()), "ttl": ice.ttl}
    return web.json_response(answer, headers={"Cache-Control": "no-store"})


async def healthz(request: web.Request) -> web.Response:
    """`GET /healthz`: the process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """`GET /readyz`: a session that is asked for now would start at once."""
    service = request.app[SERVICE]
    if service.closing.is_set():
        raise ProblemError("not-ready", "the server is ending")
    if not service.pool.ready:
        raise ProblemError("not-ready", "the media workers are starting")
    return web.json_response({"status": "ready"})


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: Prometheus text."""
    return web.Response(body=request.app[SERVICE].metrics.render(), headers={"Content-Type": CONTENT_TYPE})
