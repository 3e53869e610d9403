"""Reads request bodies: JSON of bounded size into a model, a multipart clip onto the disk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aiohttp import BodyPartReader, MultipartReader, web
from pydantic import BaseModel, ValidationError

from seedvc_live.service.config import MAX_CLIP_BYTES, MAX_JSON_BYTES
from seedvc_live.service.problems import ProblemError

M = TypeVar("M", bound=BaseModel)

_JSON_SECONDS = 10.0
_CLIP_SECONDS = 120.0
_MAX_NAME_BYTES = 1000


async def read_json(request: web.Request, model: type[M]) -> M:
    """The body as a `model`.

    Raises:
        ProblemError: it is too large, too slow, not JSON, or does not fit the model.
    """
    if request.content_type != "application/json":
        raise ProblemError("unsupported-media-type", "send JSON, with 'Content-Type: application/json'")
    if (request.content_length or 0) > MAX_JSON_BYTES:
        raise ProblemError("too-large", f"at most {MAX_JSON_BYTES} bytes of JSON are accepted")
    try:
        body = await asyncio.wait_for(request.read(), _JSON_SECONDS)
    except asyncio.TimeoutError:
        raise ProblemError("timeout", f"the body did not arrive within {_JSON_SECONDS:.0f} s") from None
    except (web.HTTPException, ConnectionError):
        raise
    except Exception as error:
        # Broken chunked or compressed encoding.
        raise ProblemError("bad-request", f"the body cannot be read: {type(error).__name__}") from None
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        raise ProblemError("bad-request", f"the body is not JSON: {first['msg']}")
    raise ProblemError("invalid", f"{field or 'body'}: {first['msg']}", field=field or None)


@dataclass(frozen=True)
class Upload:
    """A clip that was received.

    Attributes:
        path: where it is.
        name: what its voice shall be called; may be empty.
        filename: what the client called the file; may be empty.
    """

    path: Path
    name: str
    filename: str


async def read_clip(request: web.Request, folder: Path) -> Upload:
    """Write the part `clip` of a multipart form to `folder`, and read the part `name`.

    Raises:
        ProblemError: no clip, too large, too slow, or not a multipart form.
    """
    if request.content_type != "multipart/form-data":
        raise ProblemError("unsupported-media-type", "send a form: 'Content-Type: multipart/form-data'")
    if (request.content_length or 0) > MAX_CLIP_BYTES + MAX_JSON_BYTES:
        raise ProblemError("too-large", _too_large())
    try:
        return await asyncio.wait_for(_read_form(request, folder), _CLIP_SECONDS)
    except asyncio.TimeoutError:
        raise ProblemError("timeout", f"the clip did not arrive within {_CLIP_SECONDS:.0f} s") from None
    except (ProblemError, web.HTTPException, ConnectionError, OSError):
        raise
    except Exception as error:
        # aiohttp's reader has no exception of its own for a form that is not one.
        raise ProblemError("bad-request", f"not a multipart form: {type(error).__name__}") from None


async def _read_form(request: web.Request, folder: Path) -> Upload:
    path, name, filename, seen = folder / "clip", "", "", set[str]()
    total = 0
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if isinstance(part, MultipartReader) or not isinstance(part, BodyPartReader):
            raise ProblemError("bad-request", "a form within a form is not accepted")
        label = part.name or ""
        if label not in {"clip", "name"} or label in seen:
            raise ProblemError("invalid", "the form has one part 'clip' and at most one part 'name'", field=label[:64])
        seen.add(label)
        if label == "clip":
            filename = part.filename or ""
            total += await _write(part, path, MAX_CLIP_BYTES - total)
        else:
            raw = await _read(part, _MAX_NAME_BYTES)
            try:
                name = raw.decode()
            except UnicodeDecodeError:
                raise ProblemError("invalid", "name: not UTF-8", field="name") from None
    if "clip" not in seen or total == 0:
        raise ProblemError("invalid", "clip: the form has no audio file under this name", field="clip")
    return Upload(path, name, filename)


async def _write(part: BodyPartReader, path: Path, limit: int) -> int:
    written = 0
    # Pieces of 64 KiB go to the page cache faster than a thread takes over.
    with path.open("xb") as file:
        while chunk := await part.read_chunk(65536):
            written += len(chunk)
            if written > limit:
                raise ProblemError("too-large", _too_large())
            file.write(chunk)
    return written


async def _read(part: BodyPartReader, limit: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(8192):
        data += chunk
        if len(data) > limit:
            raise ProblemError("invalid", f"name: longer than {limit} bytes", field="name")
    return bytes(data)


def _too_large() -> str:
    return f"a clip has at most {MAX_CLIP_BYTES // (1 << 20)} MiB"
