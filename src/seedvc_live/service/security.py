"""Who may call: names of this host, origins of pages, bearer tokens, tickets for event streams; response headers."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from seedvc_live.service.config import ServeConfig
from seedvc_live.service.problems import Handler, ProblemError

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The pages of this server load nothing from elsewhere and are framed by nobody."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    # Ask again whether it has changed: the client's files belong to the server that runs.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), speaker-selection=(self), camera=(), geolocation=()",
}

TICKET_SECONDS = 30.0
_MAX_TICKETS = 1000


class Tickets:
    """Short-lived permissions, each good for one event stream: an EventSource cannot send a token."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._issued: dict[str, tuple[float, str | None]] = {}

    def issue(self, session: str | None) -> str:
        """A ticket for one session, or for any (None)."""
        now = self._clock()
        self._issued = {ticket: entry for ticket, entry in self._issued.items() if entry[0] > now}
        while len(self._issued) >= _MAX_TICKETS:
            del self._issued[next(iter(self._issued))]
        ticket = secrets.token_urlsafe(24)
        self._issued[ticket] = (now + TICKET_SECONDS, session)
        return ticket

    def redeem(self, ticket: str, session: str) -> bool:
        """Use a ticket up; False if it is unknown, used, too old or for another session."""
        expires, meant_for = self._issued.pop(ticket, (0.0, None))
        return expires > self._clock() and meant_for in (None, session)


def has_token(request: web.Request, token: str | None) -> bool:
    """Whether the request carries the token, compared in constant time; always true where there is none."""
    if token is None:
        return True
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    # A header may hold surrogates (bytes that are no UTF-8).
    offered = given.strip().encode("utf-8", "surrogateescape")
    return scheme.lower() == "bearer" and hmac.compare_digest(offered, token.encode())


def require_token(request: web.Request, token: str | None) -> None:
    """Raise:
    ProblemError: 401, the token is missing or wrong.
    """
    if not has_token(request, token):
        raise ProblemError(
            "unauthorized", "send the server's token as 'Authorization: Bearer TOKEN'", {"WWW-Authenticate": "Bearer"}
        )


class Gate:
    """Middleware: refuses hosts and origins that are not this server's, and answers CORS preflights.

    A page on another site can send requests to this server, and, when its name is made to resolve to this host (DNS
    rebinding), even read the answers. The first shows in the Origin header, the second in the Host header: a rebound
    name is never an address, so addresses are taken and names have to be known.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._origins = config.allow_origins
        names = {"localhost", config.host, *config.allow_hosts}
        self._names = {name.lower().strip("[]").rstrip(".") for name in names}

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        name = name.rstrip(".").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True

    def same_origin(self, origin: str, host: str) -> bool:
        """Whether the page comes from this server. The scheme may differ: a proxy may speak TLS for us."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware."""
        host = request.headers.get(hdrs.HOST, "")
        if not self.knows(host):
            raise ProblemError("wrong-host", "call this server by its address, or start it with --allow-host NAME")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or self.same_origin(origin, host):
            return await handler(request)
        if origin not in self._origins:
            raise ProblemError(
                "cross-site", "pages of other sites may not call this server; --allow-origin lets one in"
            )
        if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            return web.Response(
                status=204,
                headers={
                    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST, PATCH, DELETE",
                    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type",
                    hdrs.ACCESS_CONTROL_MAX_AGE: "600",
                },
            )
        return await handler(request)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """For `on_response_prepare`: what every response carries, event streams and errors included."""
        # Not which software of which version this is.
        response.headers["Server"] = "seedvc-live"
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        origin = request.headers.get(hdrs.ORIGIN)
        if origin in self._origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "Location, Retry-After, WWW-Authenticate"
            response.headers[hdrs.VARY] = "Origin"
