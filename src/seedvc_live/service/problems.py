"""Errors of the HTTP API: RFC 9457 problem documents, one table of all kinds, one middleware for all of them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

_LOG = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Kind:
    """One kind of problem: what its `type` stands for."""

    status: int
    title: str


PROBLEMS: dict[str, Kind] = {
    "bad-request": Kind(400, "The request cannot be read"),
    "unauthorized": Kind(401, "A valid token is needed"),
    "cross-site": Kind(403, "Requests from this origin are not allowed"),
    "not-found": Kind(404, "Nothing is here"),
    "unknown-session": Kind(404, "No such session"),
    "unknown-voice": Kind(404, "No such voice"),
    "method-not-allowed": Kind(405, "This method is not offered here"),
    "timeout": Kind(408, "The request took too long to arrive"),
    "per-session-setting": Kind(409, "This setting cannot change while a session runs"),
    "too-large": Kind(413, "The request is too large"),
    "unsupported-media-type": Kind(415, "This content type is not accepted here"),
    "wrong-host": Kind(421, "This server does not go by that name"),
    "invalid": Kind(422, "The request has a wrong value"),
    "bad-sdp": Kind(422, "The session description is not acceptable"),
    "invalid-setting": Kind(422, "A setting is unknown or out of its range"),
    "voice-needed": Kind(422, "This engine needs a voice"),
    "bad-voice": Kind(422, "This voice cannot be used"),
    "unknown-engine": Kind(422, "No such engine"),
    "engine-not-installed": Kind(422, "This engine is not installed"),
    "reference-silent": Kind(422, "The reference clip is silent"),
    "reference-no-speech": Kind(422, "No speech in the reference clip"),
    "reference-clipped": Kind(422, "The reference clip is clipped"),
    "reference-too-short": Kind(422, "The reference clip is too short"),
    "reference-too-long": Kind(422, "The reference clip is too long"),
    "not-audio": Kind(422, "The clip is not audio that can be decoded"),
    "too-many": Kind(429, "Too many of these"),
    "internal": Kind(500, "The server failed"),
    "no-address": Kind(502, "The server has no address for media"),
    "worker-timeout": Kind(504, "The media worker did not answer in time"),
    "full": Kind(503, "All places are taken"),
    "not-ready": Kind(503, "The server is not ready"),
    "worker-lost": Kind(503, "The media worker of this session ended"),
}
"""Slug → kind. The `type` of a problem document is `/problems/<slug>`."""

RETRY_AFTER = {"full": 5, "not-ready": 2, "worker-lost": 1, "too-many": 5}
"""Seconds after which it is worth trying again."""


class ProblemError(Exception):
    """Ends a request with a problem document.

    Attributes:
        slug: a key of `PROBLEMS`.
        detail: one line for a person.
        members: further members of the document (`field`, `install`, …); None values are left out.
    """

    def __init__(self, slug: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = " ".join(detail.split())
        self.headers = dict(headers or {})
        self.members = {name: value for name, value in members.items() if value is not None}

    def response(self) -> web.Response:
        """The HTTP response."""
        kind = PROBLEMS[self.slug]
        headers = dict(self.headers)
        members = dict(self.members)
        if self.slug in RETRY_AFTER:
            members.setdefault("retry_after", RETRY_AFTER[self.slug])
            headers.setdefault("Retry-After", str(members["retry_after"]))
        document = {
            "type": f"/problems/{self.slug}",
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            **members,
        }
        body = json.dumps(document, ensure_ascii=False, allow_nan=False)
        # A lone surrogate, quoted back from a request, has no UTF-8.
        return web.Response(
            body=body.encode("utf-8", "replace"), status=kind.status, content_type=CONTENT_TYPE, headers=headers
        )


_OF_STATUS = {
    401: "unauthorized",
    # A folder's listing; what is there is nobody's business.
    403: "not-found",
    404: "not-found",
    405: "method-not-allowed",
    408: "timeout",
    413: "too-large",
    415: "unsupported-media-type",
    429: "too-many",
}


def _from_http(error: web.HTTPException) -> ProblemError:
    slug = _OF_STATUS.get(error.status, "internal" if error.status >= 500 else "bad-request")
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    details = {
        403: "no such page",
        404: "no such page",
        405: f"allowed here: {headers.get('Allow', 'nothing')}",
        413: "the body is larger than is accepted here",
    }
    return ProblemError(slug, details.get(error.status, error.reason), headers)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem document: ours, aiohttp's own, and those nobody thought of."""
    try:
        return await handler(request)
    except ProblemError as error:
        return error.response()
    except web.HTTPException as error:
        # A redirect, or a file that has not changed, is no error.
        if error.status < 400:
            raise
        return _from_http(error).response()
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        _LOG.exception("%s %s failed", request.method, request.match_info.route.resource)
        return ProblemError("internal", "an unexpected error; the log of the server has more").response()
