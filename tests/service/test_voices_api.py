"""Voices over HTTP: real clips, really decoded and enrolled."""

from __future__ import annotations

import asyncio
import io
import wave
from importlib.resources import files

import aiohttp
import numpy as np
import pytest

from seedvc_live.service import api_voices, bodies
from seedvc_live.service.config import MAX_CLIP_BYTES
from tests.tools.server import asynctest, problem, running, scripted

CLIP = (files("seedvc_live") / "data" / "reference.flac").read_bytes()


def wav(samples: np.ndarray, rate: int = 16_000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def form(clip: bytes | None = CLIP, filename: str = "clip.bin", **texts: str) -> aiohttp.FormData:
    made = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    if clip is not None:
        made.add_field("clip", io.BytesIO(clip), filename=filename)
    for name, text in texts.items():
        made.add_field(name, text)
    return made


def left_over(folder) -> list[str]:
    return [path.name for path in (folder / "voices").rglob("*")] if (folder / "voices").exists() else []


@asynctest
async def test_a_voice_from_upload_to_removal(tmp_path) -> None:
    async with running(scripted(tmp_path)) as (client, _):
        response = await client.post("/api/voices", data=form(name="Zoë\r\n of  the lake\x00"))
        body = await response.json()
        assert response.status == 201, body
        assert response.headers["Location"] == f"/api/voices/{body['id']}"
        assert body["name"] == "Zoë of the lake"
        assert 1.0 <= body["seconds"] <= 30.0
        assert (await (await client.get("/api/voices")).json())["voices"] == [body]
        # A voice that is named has to exist, also for an engine that has no use for it.
        session = await client.post("/api/sessions", json={"sdp": "x", "voice": body["id"]})
        assert (session.status, (await session.json())["voice"]) == (201, body["id"])
        assert (await client.delete(response.headers["Location"])).status == 204
        await problem(await client.delete(response.headers["Location"]), 404, "unknown-voice")
        assert (await (await client.get("/api/voices")).json())["voices"] == []
        lines = (await (await client.get("/metrics")).text()).splitlines()
        assert 'seedvc_live_clips_total{outcome="stored"} 1.0' in lines
    assert left_over(tmp_path) == []


@asynctest
async def test_a_file_names_its_voice(tmp_path) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        response = await client.post("/api/voices", data=form(filename="C:\\clips\\Aunt May.wav"))
        assert (await response.json())["name"] == "Aunt May"


SPEECH_RATE = 16_000
NOISE = np.random.default_rng(0).normal(0, 0.05, 3 * SPEECH_RATE)


@pytest.mark.parametrize(
    ("clip", "slug"),
    [
        (b"", "invalid"),
        (b"this is no audio at all", "not-audio"),
        (CLIP[: len(CLIP) // 50], "not-audio"),
        (wav(np.zeros(3 * SPEECH_RATE)), "reference-silent"),
        (wav(NOISE), "reference-no-speech"),
        (wav(NOISE[:4000]), "reference-too-short"),
        (wav(np.zeros(61 * SPEECH_RATE)), "reference-too-long"),
    ],
    ids=["empty", "text", "cut-off", "silence", "noise", "short", "long"],
)
@asynctest
async def test_a_clip_that_is_not_fit(tmp_path, clip, slug) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        body = await problem(await client.post("/api/voices", data=form(clip)), 422, slug)
        assert body["field"] == "clip"
        assert (await (await client.get("/api/voices")).json())["voices"] == []
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        (form(None, name="x"), "invalid"),
        (form(None, sample="x"), "invalid"),
        (form(other="x"), "invalid"),
        (form(name="x" * 1001), "invalid"),
    ],
    ids=["no-clip", "another-name", "one-too-many", "long-name"],
)
@asynctest
async def test_a_form_that_is_not_this_one(tmp_path, data, slug) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        await problem(await client.post("/api/voices", data=data), 422, slug)
    assert left_over(tmp_path) == []


@asynctest
async def test_two_clips_are_one_too_many(tmp_path) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        data = form()
        data.add_field("clip", CLIP, filename="second")
        await problem(await client.post("/api/voices", data=data), 422, "invalid")


@asynctest
async def test_a_clip_that_is_too_large_is_not_read_to_its_end(tmp_path) -> None:
    sent = 0

    async def endless():
        nonlocal sent
        boundary = b'--b\r\nContent-Disposition: form-data; name="clip"; filename="x"\r\n\r\n'
        yield boundary
        while sent < 10 * MAX_CLIP_BYTES:
            sent += 1 << 20
            yield bytes(1 << 20)

    async with running(scripted(tmp_path), ready=0) as (client, _):
        # With a length it is refused before it is read, without one when it has grown too large.
        body = await problem(
            await client.post("/api/voices", data=form(bytes(MAX_CLIP_BYTES + 99_999))), 413, "too-large"
        )
        assert "20 MiB" in body["detail"]
        try:
            response = await client.post(
                "/api/voices", data=endless(), headers={"Content-Type": "multipart/form-data; boundary=b"}
            )
            await problem(response, 413, "too-large")
        except aiohttp.ClientConnectionError:
            pass  # the server had answered and hung up before all was sent
        assert sent < 3 * MAX_CLIP_BYTES
    assert left_over(tmp_path) == []


@asynctest
async def test_a_clip_that_never_ends_gives_its_place_back(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(bodies, "_CLIP_SECONDS", 0.3)

    async def slow():
        yield b'--b\r\nContent-Disposition: form-data; name="clip"; filename="x"\r\n\r\nRIFF'
        await asyncio.sleep(30)

    async with running(scripted(tmp_path), ready=0) as (client, _):
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        uploads = [client.post("/api/voices", data=slow(), headers=headers) for _ in range(api_voices.MAX_UPLOADS)]
        waiting = [asyncio.ensure_future(upload) for upload in uploads]
        await asyncio.sleep(0.1)
        await problem(await client.post("/api/voices", data=form()), 429, "too-many")
        for response in await asyncio.gather(*waiting):
            await problem(response, 408, "timeout")
        assert (await client.post("/api/voices", data=form())).status == 201


@asynctest
async def test_the_default_engine_has_it_enrolled_when_it_returns(tmp_path, monkeypatch) -> None:
    """With nano's facts in place of the scripted worker's, so that a voice is needed."""
    from seedvc_live.engines.nano.engine import NanoEngine

    nano = NanoEngine()
    facts = {"weights": nano.weights_hash, "needs_reference": True, "sample_rate": 24000, "per_session": ["block"]}
    async with running(scripted(tmp_path, engines=("nano",))) as (client, service):
        service.pool.engines["nano"] = facts
        await problem(await client.post("/api/sessions", json={"sdp": "x"}), 422, "voice-needed")
        voice = (await (await client.post("/api/voices", data=form())).json())["id"]
        path = service.store.tensors(voice, "nano", nano.weights_hash)
        assert path is not None
        made = path.stat().st_mtime_ns
        response = await client.post("/api/sessions", json={"sdp": "x", "voice": voice})
        assert response.status == 201
        assert path.stat().st_mtime_ns == made, "enrolled once"
