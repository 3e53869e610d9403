"""Every route of the server, in one table: the router and the OpenAPI document are made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

from seedvc_live.service import api_info, api_sessions, api_voices, schemas

_JSON = "application/json"
_BODY = ("bad-request", "timeout", "too-large", "unsupported-media-type", "invalid")
_WORKER = ("full", "not-ready", "worker-lost", "worker-timeout", "internal")
_START = (
    "bad-sdp",
    "no-address",
    "invalid-setting",
    "voice-needed",
    "bad-voice",
    "unknown-engine",
    "engine-not-installed",
)
_CLIP = (
    "reference-silent",
    "reference-no-speech",
    "reference-clipped",
    "reference-too-short",
    "reference-too-long",
    "not-audio",
)


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Attributes:
        summary, text: what it does, in a line and at length.
        status, answer, media: of success; `answer` None has no JSON body.
        body: model of the request's JSON; `form` instead for a multipart clip.
        problems: slugs of what can go wrong, besides what every route has.
        open: needs no token.
        example: arguments to curl, for the page.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    tag: str
    summary: str
    text: str = ""
    status: int = 200
    answer: type[BaseModel] | None = None
    media: str = _JSON
    body: type[BaseModel] | None = None
    form: bool = False
    problems: tuple[str, ...] = ()
    open: bool = False

    @property
    def name(self) -> str:
        """Unique, for `operationId`."""
        words = self.path.replace("{id}", "one").replace("-", "/").replace(".", "/").strip("/").split("/")
        return "_".join([self.method.lower(), *(word for word in words if word not in {"", "api"})])


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST", "/api/sessions", api_sessions.create, "sessions", "Open a session",
        "Takes a WebRTC offer and answers it. The answer holds all of the server's candidates. A session that does "
        "not connect, or that no media reaches, is closed after a while and its place is free again.",
        status=201, answer=schemas.SessionAnswer, body=schemas.SessionRequest,
        problems=(*_BODY, *_START, "unknown-voice", *_WORKER),
    ),
    Operation(
        "GET", "/api/sessions", api_sessions.list_all, "sessions", "All running sessions", answer=schemas.SessionList,
    ),
    Operation(
        "GET", "/api/sessions/{id}", api_sessions.show, "sessions", "One session",
        answer=schemas.SessionView, problems=("unknown-session",),
    ),
    Operation(
        "PATCH", "/api/sessions/{id}", api_sessions.change, "sessions", "Change a session while it runs",
        "Switches voice, settings and bypass without a click or a gap. A setting that belongs to the whole session "
        "(its engine lists them as `per_session`) is refused with 409: open a new session for it.",
        answer=schemas.SessionView, body=schemas.SessionPatch,
        problems=(
            *_BODY, "unknown-session", "unknown-voice", "per-session-setting", "invalid-setting", "bad-voice",
            *_WORKER[2:],
        ),
    ),
    Operation(
        "DELETE", "/api/sessions/{id}", api_sessions.delete, "sessions", "End a session", status=204,
        problems=("unknown-session",),
    ),
    Operation(
        "POST", "/api/sessions/{id}/candidates", api_sessions.candidate, "sessions", "Add an ICE candidate",
        "For clients that send their offer before they know all their candidates (trickle ICE).",
        status=204, body=schemas.Candidate, problems=(*_BODY, "unknown-session", "bad-sdp", "too-many", *_WORKER[2:]),
    ),
    Operation(
        "GET", "/api/sessions/{id}/events", api_sessions.events, "sessions", "Events of a session",
        "Server-sent events: `stats` (at most five a second) and `state`; a comment every ten seconds keeps the "
        "connection alive; the stream ends after the state `closed`. An EventSource cannot send a token: it takes a "
        "ticket in the query instead.",
        media="text/event-stream", problems=("unknown-session", "too-many"),
    ),
    Operation(
        "POST", "/api/tickets", api_sessions.ticket, "sessions", "A ticket for an event stream",
        "Good for one connection within half a minute.",
        answer=schemas.Ticket, body=schemas.TicketRequest, problems=_BODY,
    ),
    Operation(
        "POST", "/offer", api_sessions.offer, "sessions", "Open a session, in the customary form",
        "As many WebRTC demos have it. `session_id` of an earlier session closes that one.",
        answer=schemas.OfferAnswer, body=schemas.OfferRequest, problems=(*_BODY, *_START, "unknown-voice", *_WORKER),
    ),
    Operation("GET", "/api/voices", api_voices.list_all, "voices", "All voices", answer=schemas.VoiceList),
    Operation(
        "POST", "/api/voices", api_voices.add, "voices", "Add a voice",
        "A multipart form with the audio file `clip` (WAV, FLAC, Ogg, MP3, WebM or MP4; 1 to 60 s of speech, at most "
        "20 MiB; the first 30 s are used) and, if wanted, `name`. The voice is ready to use when this returns.",
        status=201, answer=schemas.VoiceView, form=True,
        problems=(*_BODY, *_CLIP, "bad-voice", "too-many", "internal"),
    ),
    Operation(
        "DELETE", "/api/voices/{id}", api_voices.delete, "voices", "Remove a voice",
        "Sessions that use it keep it.", status=204, problems=("unknown-voice",),
    ),
    Operation(
        "GET", "/api/engines", api_info.engines, "server", "Engines and their settings", answer=schemas.EngineList,
    ),
    Operation(
        "GET", "/api/ice-servers", api_info.ice_servers, "server", "STUN and TURN servers for a client",
        "TURN credentials are made for each request and end by themselves.", answer=schemas.IceServers,
    ),
    Operation(
        "GET", "/api/config", api_info.config, "server", "What to know before all else", answer=schemas.Configuration,
        open=True,
    ),
    Operation(
        "GET", "/healthz", api_info.healthz, "server", "Whether the server runs", answer=schemas.Health, open=True,
    ),
    Operation(
        "GET", "/readyz", api_info.readyz, "server", "Whether a session would start now", answer=schemas.Health,
        problems=("not-ready",), open=True,
    ),
    Operation("GET", "/metrics", api_info.metrics, "server", "Prometheus metrics", media="text/plain"),
)  # fmt: skip
