"""Every request body, damaged: always an answer, a 4xx problem document where it is no good, and no place lost."""

from __future__ import annotations

import gzip
import io
import json
import random
from typing import Any

import aiohttp
import pytest

from seedvc_live.service import sessions
from seedvc_live.service.problems import PROBLEMS
from tests.tools.bodies import damaged
from tests.tools.mutate import mutate
from tests.tools.server import asynctest, running, scripted, until

CANDIDATE = "candidate:1 1 UDP 2122252543 192.0.2.1 50000 typ host"
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "open": (
        "POST",
        "/api/sessions",
        {"sdp": "quiet", "type": "offer", "voice": "0123456789abcdef", "engine": "passthrough", "bypass": False,
         "settings": {"block": 0.1, "pitch_shift": 1, "join": "none", "match_register": True}},
    ),
    "offer": ("POST", "/offer", {"sdp": "quiet", "type": "offer", "session_id": "x", "settings": {"block": 0.1}}),
    "change": ("PATCH", "/api/sessions/{id}", {"settings": {"pitch_shift": 1.5}, "bypass": True, "voice": "x"}),
    "candidate": (
        "POST", "/api/sessions/{id}/candidates", {"candidate": CANDIDATE, "sdpMid": "0", "sdpMLineIndex": 0},
    ),
    "ticket": ("POST", "/api/tickets", {"session": "abc"}),
}  # fmt: skip


async def judged(response: aiohttp.ClientResponse, seed: int) -> int:
    """Check that an answer is success or a proper 4xx problem document; its status."""
    text = await response.read()
    if response.status < 300:
        return response.status
    assert 400 <= response.status < 500, (seed, response.status, text[:300])
    assert response.content_type == "application/problem+json", (seed, text[:300])
    body = json.loads(text)
    assert body["status"] == response.status
    assert body["type"].removeprefix("/problems/") in PROBLEMS
    assert len(text) < 5000
    return response.status


@pytest.mark.parametrize("kind", sorted(BODIES))
@asynctest
async def test_json_bodies(tmp_path, monkeypatch, fuzz_count, kind) -> None:
    monkeypatch.setattr(sessions, "MAX_CANDIDATES", 1 << 30)
    method, path, valid = BODIES[kind]
    statuses: dict[int, int] = {}
    async with running(scripted(tmp_path)) as (client, service):
        lasting = (await (await client.post("/api/sessions", json={"sdp": "quiet"})).json())["id"]
        worker = service.pool.ready[0].pid
        for seed in range(fuzz_count):
            response = await client.request(
                method,
                path.replace("{id}", lasting),
                data=damaged(seed, valid),
                headers={"Content-Type": "application/json"},
            )
            status = await judged(response, seed)
            statuses[status] = statuses.get(status, 0) + 1
            for session in service.sessions.all():
                if session.id != lasting:
                    assert (await client.delete(f"/api/sessions/{session.id}")).status == 204
        assert [session.id for session in service.sessions.all()] == [lasting]
        assert [(handle.pid, handle.sessions) for handle in service.pool.ready] == [(worker, {lasting})]
    assert statuses.get(400, 0) > fuzz_count // 20
    assert statuses.get(422, 0) > fuzz_count // 20


@asynctest
async def test_forms(tmp_path, fuzz_count) -> None:
    """Few get as far as the decoder, whose own damage is tested beside it."""
    draw = random.Random(0)
    boundary = b"boundary"
    part = b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    valid = b"".join(
        [
            part % (boundary, b"name", b"", "Zoë".encode()),
            part % (boundary, b"clip", b'; filename="a.wav"\r\nContent-Type: audio/wav', b"RIFF\x24\0\0\0WAVEfmt "),
            b"--boundary--\r\n",
        ]
    )
    types = ["multipart/form-data; boundary=boundary"] * 8 + [
        "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=boundary",
        'multipart/form-data; boundary="' + "b" * 200 + '"', "application/json", "multipart/form-data; boundary=\xe9",
    ]  # fmt: skip
    other = b"Content-Transfer-Encoding: base64\r\nContent-Encoding: gzip\r\nContent-Length: -1\r\n\r\n--boundary"
    async with running(scripted(tmp_path)) as (client, _):
        for seed in range(fuzz_count):
            data = mutate(valid, draw, other)
            response = await client.post("/api/voices", data=data, headers={"Content-Type": draw.choice(types)})
            await judged(response, seed)
        assert (await (await client.get("/api/voices")).json())["voices"] == []
        clip = aiohttp.FormData()
        clip.add_field("clip", io.BytesIO(b"x"), filename="x")
        assert (await client.post("/api/voices", data=clip)).status == 422


@asynctest
async def test_addresses_headers_and_encodings(tmp_path, fuzz_count) -> None:
    draw = random.Random(0)
    paths = [
        "/api/sessions/{}",
        "/api/voices/{}",
        "/static/{}",
        "/problems/{}",
        "/{}",
        "/api/sessions/{}/events?ticket={}",
    ]
    pieces = [
        "..",
        "%2e%2e",
        "%00",
        "%ff%fe",
        "%0d%0a",
        "a" * 3000,
        "{id}",
        "%7b",
        "%c3%a9",
        "*",
        ";",
        "?",
        "%2f",
        "\\",
        "~",
        "+",
    ]
    headers = [
        {"Authorization": "Bearer \xff"}, {"Range": "bytes=5-1"}, {"Accept": "x"},
        {"If-None-Match": '"' * 99}, {"If-Modified-Since": "x"}, {"Origin": "http://[::1"}, {"Content-Type": "a/b; c"},
        {"Content-Type": "application/json; charset=utf-7"}, {"Cookie": "\xff=;;"},
    ]  # fmt: skip
    async with running(scripted(tmp_path)) as (client, service):
        base = client._base_url
        for seed in range(fuzz_count):
            made = draw.choice(paths).replace("{}", "".join(draw.choices(pieces, k=draw.randint(1, 3))))
            method = draw.choice(("GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"))
            body = {} if method == "GET" else {"data": b'{"sdp": "quiet"}'}
            response = await client.request(
                method,
                base.with_path(made, encoded=True) if draw.random() < 0.5 else made,
                headers=draw.choice(headers),
                **body,
            )
            # What is not HTTP is refused by aiohttp before there is a request to answer.
            no_http = response.status == 400 and response.content_type == "text/plain"
            # 304 and 416 have no body.
            if response.status not in (304, 416) and not no_http:
                await judged(response, seed)
            response.close()
        assert len(service.sessions) == 0
        await until(lambda: bool(service.pool.ready))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@asynctest
async def test_a_body_that_is_not_compressed_as_it_says(tmp_path, encoding) -> None:
    async with running(scripted(tmp_path)) as (client, service):
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        response = await client.post("/api/sessions", data=b'{"sdp": "quiet"}', headers=headers)
        # aiohttp refuses some of them before there is a request to answer, in plain text.
        assert response.status == 400
        assert len(service.sessions) == 0


@asynctest
async def test_a_body_that_grows_when_it_is_unpacked(tmp_path) -> None:
    async with running(scripted(tmp_path)) as (client, service):
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        bomb = gzip.compress(b'{"sdp": "' + b"a" * (64 << 20) + b'"}')
        assert len(bomb) < 70_000
        response = await client.post("/api/sessions", data=io.BytesIO(bomb), headers=headers)
        assert response.status in (400, 413)
        assert len(service.sessions) == 0
