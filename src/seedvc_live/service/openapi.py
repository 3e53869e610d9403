"""The OpenAPI 3.1 document, made from the table of routes and the classes of the bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from seedvc_live._version import __version__
from seedvc_live.service.config import MAX_CLIP_BYTES
from seedvc_live.service.operations import Operation
from seedvc_live.service.problems import CONTENT_TYPE, PROBLEMS
from seedvc_live.service.schemas import Problem

ALWAYS = ("wrong-host", "cross-site")
"""Problems that every route may answer with."""

_REF = "#/components/schemas/{model}"
_TEXT = (
    "Real-time voice conversion over WebRTC. A session is one conversation: audio in, the converted voice out. "
    "Errors are RFC 9457 problem documents; their `type` is `/problems/<slug>`."
)


def build(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document, ready for JSON."""
    operations = list(operations)
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "seedvc-live",
            "version": __version__,
            "description": _TEXT,
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": {str(operation.status): _success(operation), **_failures(operation)},
    }
    if operation.text:
        described["description"] = operation.text
    # `{}` says that it also works without: a server on the loopback may have no token.
    described["security"] = [] if operation.open else [{"token": []}, {}]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.media == "text/event-stream":
        described["security"].insert(1, {"ticket": []})
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _ref(operation.body)}}},
        }
    elif operation.form:
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}
    return described


_FORM = {
    "type": "object",
    "required": ["clip"],
    "properties": {
        "clip": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": f"Audio file, at most {MAX_CLIP_BYTES} bytes.",
        },
        "name": {"type": "string", "description": "What the voice is called."},
    },
}


def _success(operation: Operation) -> dict[str, Any]:
    response: dict[str, Any] = {"description": operation.summary}
    if operation.status == 204:
        response["description"] = "Done."
    elif operation.answer:
        response["content"] = {operation.media: {"schema": {"$ref": _ref(operation.answer)}}}
    else:
        response["content"] = {operation.media: {"schema": {"type": "string"}}}
    if operation.status == 201:
        response["headers"] = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
    return response


def _failures(operation: Operation) -> dict[str, Any]:
    slugs = [*ALWAYS, *operation.problems, *([] if operation.open else ["unauthorized"])]
    by_status: dict[int, list[str]] = {}
    for slug in dict.fromkeys(slugs):
        by_status.setdefault(PROBLEMS[slug].status, []).append(slug)
    content = {CONTENT_TYPE: {"schema": {"$ref": _ref(Problem)}}}
    return {
        str(status): {
            "description": "; ".join(f"{PROBLEMS[slug].title} (`{slug}`)" for slug in by_status[status]),
            "content": content,
        }
        for status in sorted(by_status)
    }


def _schemas(operations: list[Operation]) -> dict[str, Any]:
    requests = {operation.body for operation in operations if operation.body}
    answers = {operation.answer for operation in operations if operation.answer} | {Problem}
    wanted = [(model, "validation") for model in requests] + [(model, "serialization") for model in answers]
    wanted.sort(key=lambda pair: pair[0].__name__)
    _, document = models_json_schema(wanted, ref_template=_REF)  # type: ignore[arg-type]
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def _ref(model: type[BaseModel]) -> str:
    return _REF.format(model=model.__name__)
