"""`/api/sessions`, `/offer`, `/api/tickets`: handlers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from seedvc_live.service import schemas
from seedvc_live.service.bodies import read_json
from seedvc_live.service.context import SERVICE, Service
from seedvc_live.service.events import sse
from seedvc_live.service.problems import ProblemError
from seedvc_live.service.security import TICKET_SECONDS, has_token, require_token
from seedvc_live.service.sessions import Session, Wish

KEEP_ALIVE_SECONDS = 10.0


async def create(request: web.Request) -> web.Response:
    """`POST /api/sessions`."""
    body = await read_json(request, schemas.SessionRequest)
    session, sdp = await _open(request, body.sdp, body.engine, body.voice, body.settings, body.bypass)
    answer = {
        "id": session.id,
        "sdp": sdp,
        "type": "answer",
        "engine": session.engine,
        "voice": session.voice,
        "settings": session.settings,
        "bypass": session.bypass,
        "delay": session.delay,
    }
    return web.json_response(answer, status=201, headers={"Location": f"/api/sessions/{session.id}"})


async def offer(request: web.Request) -> web.Response:
    """`POST /offer`. An earlier session of the same client gives its place to the new one."""
    service = request.app[SERVICE]
    body = await read_json(request, schemas.OfferRequest)
    earlier = [session for session in service.sessions.all() if session.id == body.session_id]
    if earlier:
        await service.sessions.close(earlier[0])
    session, sdp = await _open(request, body.sdp, body.engine, body.voice, body.settings, False)
    return web.json_response({"sdp": sdp, "type": "answer", "session_id": session.id})


async def _open(
    request: web.Request,
    sdp: str,
    engine: str | None,
    voice: str | None,
    settings: dict[str, schemas.Scalar],
    bypass: bool,
) -> tuple[Session, str]:
    service = request.app[SERVICE]
    engine = service.engine(engine)
    path = await _voice_file(service, voice, engine)
    session, answer = await service.sessions.open(Wish(sdp, engine, voice, path, dict(settings), bypass))
    if request.transport is None or request.transport.is_closing():
        # Nobody is there to hear the answer.
        await service.sessions.close(session)
    return session, answer


async def _voice_file(service: Service, voice: str | None, engine: str) -> Path | None:
    needed = bool(service.facts(engine).get("needs_reference", True))
    if voice is None:
        if needed:
            raise ProblemError("voice-needed", f"engine '{engine}' needs a voice: upload a clip", field="voice")
        return None
    if not needed:
        # A voice that is not there is an error also where it would not be used.
        await service.check_voice(voice)
        return None
    return await service.voice_file(voice, engine)


async def list_all(request: web.Request) -> web.Response:
    """`GET /api/sessions`."""
    return web.json_response({"sessions": [session.view() for session in request.app[SERVICE].sessions.all()]})


async def show(request: web.Request) -> web.Response:
    """`GET /api/sessions/{id}`."""
    return web.json_response(_session(request).view())


async def change(request: web.Request) -> web.Response:
    """`PATCH /api/sessions/{id}`."""
    service, session = request.app[SERVICE], _session(request)
    body = await read_json(request, schemas.SessionPatch)
    voice = None
    if body.voice is not None:
        path = await _voice_file(service, body.voice, session.engine)
        voice = (body.voice, path)
    await service.sessions.update(session, voice, body.settings, body.bypass)
    return web.json_response(session.view())


async def delete(request: web.Request) -> web.Response:
    """`DELETE /api/sessions/{id}`."""
    await request.app[SERVICE].sessions.close(_session(request))
    return web.Response(status=204)


async def candidate(request: web.Request) -> web.Response:
    """`POST /api/sessions/{id}/candidates`."""
    session = _session(request)
    body = await read_json(request, schemas.Candidate)
    # One m-line: all media is bundled.
    await request.app[SERVICE].sessions.candidate(session, body.candidate, body.sdpMLineIndex or 0)
    return web.Response(status=204)


async def ticket(request: web.Request) -> web.Response:
    """`POST /api/tickets`."""
    body = await read_json(request, schemas.TicketRequest)
    issued = request.app[SERVICE].tickets.issue(body.session)
    return web.json_response(
        {"ticket": issued, "expires_in": int(TICKET_SECONDS)}, headers={"Cache-Control": "no-store"}
    )


async def events(request: web.Request) -> web.StreamResponse:
    """`GET /api/sessions/{id}/events`: server-sent events, by token or by ticket."""
    service = request.app[SERVICE]
    given = request.query.get("ticket")
    if not has_token(request, service.config.token) and (
        given is None or not service.tickets.redeem(given, request.match_info["id"])
    ):
        require_token(request, service.config.token)
    session = _session(request)
    subscription = session.listeners.add()
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    try:
        # What a listener that comes later has missed.
        state = {"state": session.state, "reason": "", "message": ""}
        subscription.offer("state", state)
        if (stats := session.public_stats()) is not None:
            subscription.offer("stats", stats)
        await response.prepare(request)
        while True:
            try:
                event = await subscription.next(KEEP_ALIVE_SECONDS)
            except asyncio.TimeoutError:
                await response.write(b": still here\n\n")
                continue
            if event is None:
                return response
            await response.write(sse(*event))
    except ConnectionError:
        # The listener has gone.
        return response
    finally:
        session.listeners.remove(subscription)


def _session(request: web.Request) -> Session:
    return request.app[SERVICE].sessions.get(request.match_info["id"])
