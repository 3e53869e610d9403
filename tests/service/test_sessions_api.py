"""The sessions of the HTTP API. Scripted workers; with real media see test_live_server.py."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from seedvc_live.service import api_sessions, sessions
from tests.tools.server import asynctest, problem, running, scripted, until


async def opened(client, script: str = "x", **more) -> dict:
    response = await client.post("/api/sessions", json={"sdp": script, **more})
    assert response.status == 201, await response.text()
    return await response.json()


async def events(stream) -> list[tuple[str, dict]]:
    """All events of a stream, to its end."""
    text = (await stream.read()).decode()
    found = []
    for part in text.split("\n\n"):
        if part.startswith("event: "):
            name, data = part.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@asynctest
async def test_a_session_from_begin_to_end(tmp_path) -> None:
    async with running(scripted(tmp_path)) as (client, service):
        response = await client.post(
            "/api/sessions", json={"sdp": "x", "type": "offer", "settings": {"block": 0.04}, "bypass": True}
        )
        body = await response.json()
        assert response.status == 201
        assert response.headers["Location"] == f"/api/sessions/{body['id']}"
        assert len(body["id"]) >= 24
        assert (body["type"], body["sdp"], body["engine"]) == ("answer", "answer", "passthrough")
        assert (body["voice"], body["settings"], body["bypass"]) == (None, {"block": 0.04}, True)
        assert body["delay"]["total_ms"] == 101.0
        await until(lambda: service.sessions.all()[0].stats.get("blocks") == 25)
        shown = await (await client.get(response.headers["Location"])).json()
        assert shown["state"] == "connected"
        assert shown["stats"]["blocks"] == 25
        assert "block_seconds" not in shown["stats"]
        assert shown["time_to_first_audio"] == 0.25
        assert 0 <= shown["age_seconds"] < 60
        listed = await (await client.get("/api/sessions")).json()
        assert [session["id"] for session in listed["sessions"]] == [body["id"]]
        assert (await client.delete(response.headers["Location"])).status == 204
        await problem(await client.delete(response.headers["Location"]), 404, "unknown-session")
        await problem(await client.get(response.headers["Location"]), 404, "unknown-session")
        assert service.pool.ready[0].sessions == set()


@asynctest
async def test_the_customary_offer_and_a_client_that_comes_back(tmp_path) -> None:
    async with running(scripted(tmp_path, capacity=1)) as (client, service):
        first = await (await client.post("/offer", json={"sdp": "x", "type": "offer", "webrtc_id": "unknown"})).json()
        assert first == {"sdp": "answer", "type": "answer", "session_id": first["session_id"]}
        await problem(await client.post("/offer", json={"sdp": "x", "type": "offer"}), 503, "full")
        again = {"sdp": "x", "type": "offer", "session_id": first["session_id"]}
        second = await (await client.post("/offer", json=again)).json()
        assert second["session_id"] != first["session_id"]
        assert [session.id for session in service.sessions.all()] == [second["session_id"]]


@asynctest
async def test_a_full_server_says_when_to_try_again(tmp_path) -> None:
    async with running(scripted(tmp_path, capacity=2)) as (client, _):
        first = await opened(client)
        await opened(client)
        response = await client.post("/api/sessions", json={"sdp": "x"})
        body = await problem(response, 503, "full")
        assert int(response.headers["Retry-After"]) == body["retry_after"] > 0
        assert (await client.delete(f"/api/sessions/{first['id']}")).status == 204
        await opened(client)


@asynctest
async def test_a_worker_that_has_no_room_is_passed_over(tmp_path) -> None:
    async with running(scripted(tmp_path, workers=2, capacity=1)) as (client, service):
        await until(lambda: len(service.pool.ready) == 2)
        await problem(await client.post("/api/sessions", json={"sdp": "full"}), 503, "full")
        assert [handle.sessions for handle in service.pool.ready] == [set(), set()]
        await opened(client)
        await opened(client)


@pytest.mark.parametrize(
    ("body", "status", "slug", "field"),
    [
        ({"sdp": "bad"}, 422, "bad-sdp", None),
        ({"sdp": "x", "settings": {"block": 9}}, 422, "invalid-setting", "block"),
        ({"sdp": "x", "engine": "warp"}, 422, "unknown-engine", "engine"),
        ({"sdp": "x", "engine": "nano"}, 422, "engine-not-installed", "engine"),
        ({"sdp": "x", "voice": "0123456789ab"}, 404, "unknown-voice", None),
        ({"sdp": "x", "voice": "../../etc/passwd"}, 404, "unknown-voice", None),
        ({"sdp": ""}, 422, "invalid", "sdp"),
        ({}, 422, "invalid", "sdp"),
        ({"sdp": "x", "type": "answer"}, 422, "invalid", "type"),
        ({"sdp": "x", "sttings": {}}, 422, "invalid", "sttings"),
        ({"sdp": 5}, 422, "invalid", "sdp"),
        ({"sdp": "x", "bypass": "yes"}, 422, "invalid", "bypass"),
        ({"sdp": "x", "settings": {"block": [1]}}, 422, "invalid", None),
        ({"sdp": "x", "settings": {str(n): n for n in range(65)}}, 422, "invalid", "settings"),
        ([], 422, "invalid", None),
    ],
)
@asynctest
async def test_what_is_wrong_with_a_request_is_said(tmp_path, body, status, slug, field) -> None:
    async with running(scripted(tmp_path)) as (client, service):
        found = await problem(await client.post("/api/sessions", json=body), status, slug)
        if field is not None:
            assert found["field"] == field
        assert service.pool.ready[0].sessions == set()
        assert len(service.sessions) == 0


@asynctest
async def test_an_engine_that_is_not_installed_comes_with_the_command(tmp_path, monkeypatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else found(name, *rest)
    )
    async with running(scripted(tmp_path)) as (client, _):
        response = await client.post("/api/sessions", json={"sdp": "x", "engine": "seed-vc"})
        body = await problem(response, 422, "engine-not-installed")
        assert body["install"] == "pip install 'seedvc-live[seed-vc]'"
        engines = (await (await client.get("/api/engines")).json())["engines"]
        assert {engine["name"]: engine["install"] for engine in engines}["seed-vc"] == body["install"]
        assert [engine["name"] for engine in engines if engine["default"]] == ["passthrough"]
        assert [engine["name"] for engine in engines if engine["available"]] == ["passthrough"]


@asynctest
async def test_changes_while_it_runs(tmp_path) -> None:
    async with running(scripted(tmp_path)) as (client, _):
        where = f"/api/sessions/{(await opened(client))['id']}"
        changed = await client.patch(where, json={"settings": {"pitch_shift": 2}, "bypass": True})
        assert changed.status == 200
        body = await changed.json()
        assert (body["settings"], body["bypass"]) == ({"block": 0.02, "pitch_shift": 2}, True)
        found = await problem(await client.patch(where, json={"settings": {"block": 1}}), 409, "per-session-setting")
        assert found["field"] == "block"
        await problem(await client.patch(where, json={"voice": "nobody"}), 404, "unknown-voice")
        await problem(await client.patch(where, json={"engine": "nano"}), 422, "invalid")
        assert (await (await client.get(where)).json())["settings"] == {"block": 0.02, "pitch_shift": 2}
        await problem(await client.patch("/api/sessions/nobody", json={}), 404, "unknown-session")


@asynctest
async def test_candidates_are_passed_on_and_bounded(tmp_path) -> None:
    async with running(scripted(tmp_path)) as (client, _):
        where = f"/api/sessions/{(await opened(client))['id']}/candidates"
        line = "candidate:1 1 UDP 2122252543 192.0.2.1 50000 typ host"
        good = {"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "ab"}
        assert (await client.post(where, json=good)).status == 204
        assert (await client.post(where, json={"candidate": ""})).status == 204
        for bad in ({}, {"candidate": "a\r\nb"}, {"candidate": None}, {"candidate": line, "sdpMLineIndex": -1}):
            await problem(await client.post(where, json=bad), 422, "invalid")
        for _ in range(sessions.MAX_CANDIDATES - 2):
            assert (await client.post(where, json=good)).status == 204
        await problem(await client.post(where, json=good), 429, "too-many")


@asynctest
async def test_the_event_stream_tells_all_and_ends(tmp_path) -> None:
    async with running(scripted(tmp_path)) as (client, service):
        session = await opened(client, "quiet")
        async with client.get(f"/api/sessions/{session['id']}/events") as stream:
            assert stream.headers["Cache-Control"] == "no-store"
            worker = service.pool.ready[0]
            for number in range(3):
                sent = {"event": "stats", "session": session["id"], "blocks": number, "block_seconds": [0.1]}
                service.sessions.on_event(worker, sent)
            other = {"event": "stats", "session": "other", "blocks": 99}
            service.sessions.on_event(worker, other)
            await client.delete(f"/api/sessions/{session['id']}")
            found = await asyncio.wait_for(events(stream), 5.0)
    assert found[0] == ("state", {"state": "negotiating", "reason": "", "message": ""})
    assert [data for name, data in found if name == "stats"] == [{"blocks": 0}, {"blocks": 1}, {"blocks": 2}]
    assert found[-1] == ("state", {"state": "closed", "reason": "client", "message": ""})


@asynctest
async def test_who_comes_later_hears_how_it_stands(tmp_path) -> None:
    async with running(scripted(tmp_path)) as (client, service):
        session = await opened(client)
        await until(lambda: service.sessions.all()[0].stats.get("blocks") == 25)
        async with client.get(f"/api/sessions/{session['id']}/events") as stream:
            await client.delete(f"/api/sessions/{session['id']}")
            found = await events(stream)
    assert [name for name, _ in found] == ["state", "stats", "state"]
    assert found[0][1]["state"] == "connected"
    assert found[1][1]["blocks"] == 25


@asynctest
async def test_a_silent_stream_is_kept_alive_and_a_listener_that_leaves_is_forgotten(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(api_sessions, "KEEP_ALIVE_SECONDS", 0.05)
    async with running(scripted(tmp_path)) as (client, service):
        session = await opened(client, "quiet")
        listeners = service.sessions.all()[0].listeners
        for _ in range(12):  # more than may listen at a time
            async with client.get(f"/api/sessions/{session['id']}/events") as stream:
                assert stream.status == 200
                text = b""
                while b"\n: " not in text:
                    text += await stream.content.readany()
            await until(lambda: not listeners._all)
        assert len(service.sessions) == 1, "listening and leaving does not end a session"


@asynctest
async def test_the_peer_ends_it(tmp_path) -> None:
    async with running(scripted(tmp_path)) as (client, service):
        session = await opened(client, "short")
        await until(lambda: len(service.sessions) == 0)
        assert service.pool.ready[0].sessions == set()
        await problem(await client.get(f"/api/sessions/{session['id']}"), 404, "unknown-session")


@asynctest
async def test_a_killed_worker_ends_its_sessions_and_says_so(tmp_path) -> None:
    async with running(scripted(tmp_path, workers=2)) as (client, service):
        await until(lambda: len(service.pool.ready) == 2)
        one, two = await opened(client, "quiet"), await opened(client, "quiet")
        worker = service.sessions.get(one["id"]).worker
        assert service.sessions.get(two["id"]).worker is not worker
        async with client.get(f"/api/sessions/{one['id']}/events") as stream:
            os.kill(worker.pid, signal.SIGKILL)
            found = await asyncio.wait_for(events(stream), 10.0)
        assert found[-1][0] == "state"
        assert (found[-1][1]["state"], found[-1][1]["reason"]) == ("closed", "failed")
        assert (await client.get(f"/api/sessions/{two['id']}")).status == 200
        assert (await client.patch(f"/api/sessions/{two['id']}", json={"bypass": True})).status == 200
        await until(lambda: len(service.pool.ready) == 2)


@pytest.mark.parametrize(("script", "slug"), [("crash", "worker-lost"), ("nonsense", "worker-lost")])
@asynctest
async def test_an_offer_that_ends_the_worker_is_answered_and_leaves_nothing(tmp_path, script, slug) -> None:
    async with running(scripted(tmp_path)) as (client, service):
        response = await client.post("/api/sessions", json={"sdp": script})
        await problem(response, 503, slug)
        assert "Retry-After" in response.headers
        assert len(service.sessions) == 0
        await until(lambda: bool(service.pool.ready))
        await opened(client)


@asynctest
async def test_an_offer_that_is_not_answered_in_time_leaves_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sessions, "CREATE_SECONDS", 0.2)
    async with running(scripted(tmp_path, capacity=1)) as (client, service):
        await problem(await client.post("/api/sessions", json={"sdp": "hang"}), 504, "worker-timeout")
        assert len(service.sessions) == 0
        assert service.pool.ready[0].sessions == set()
        await opened(client)


@asynctest
async def test_while_workers_start_it_is_not_ready(tmp_path) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, service):
        assert not service.pool.ready
        response = await client.get("/readyz")
        await problem(response, 503, "not-ready")
        assert "Retry-After" in response.headers
        assert (await client.get("/healthz")).status == 200
        await problem(await client.post("/api/sessions", json={"sdp": "x"}), 503, "not-ready")
        await until(lambda: bool(service.pool.ready))
        assert (await client.get("/readyz")).status == 200


@asynctest
async def test_metrics_count_what_happened(tmp_path) -> None:
    async with running(scripted(tmp_path)) as (client, service):
        first = await opened(client)
        await until(lambda: service.sessions.all()[0].stats.get("blocks") == 25)
        await opened(client, "quiet")
        await client.delete(f"/api/sessions/{first['id']}")
        await client.post("/api/sessions", json={"sdp": "bad"})
        os.kill(service.pool.ready[0].pid, signal.SIGKILL)
        await until(lambda: not len(service.sessions))
        await until(lambda: bool(service.pool.ready))
        response = await client.get("/metrics")
        assert response.content_type == "text/plain"
        lines = dict(line.rsplit(" ", 1) for line in (await response.text()).splitlines() if line[0] != "#")
    wanted = {
        'seedvc_live_sessions{engine="passthrough"}': 0,
        'seedvc_live_workers{state="ready"}': 1,
        'seedvc_live_sessions_started_total{engine="passthrough"}': 2,
        'seedvc_live_sessions_closed_total{reason="client"}': 1,
        'seedvc_live_sessions_closed_total{reason="failed"}': 1,
        'seedvc_live_sessions_refused_total{problem="bad-sdp"}': 1,
        "seedvc_live_worker_restarts_total": 1,
        "seedvc_live_blocks_total": 25,
        "seedvc_live_late_blocks_total": 1,
        "seedvc_live_received_packets_total": 50,
        "seedvc_live_lost_packets_total": 3,
        "seedvc_live_block_seconds_count": 2,
        "seedvc_live_queue_seconds_count": 2,
        "seedvc_live_first_audio_seconds_count": 1,
    }
    assert {name: float(lines[name]) for name in wanted} == wanted
    assert float(lines["seedvc_live_block_seconds_sum"]) == pytest.approx(0.008)


@asynctest
async def test_the_log_names_no_session_and_no_offer(tmp_path, caplog) -> None:
    caplog.set_level("DEBUG", logger="seedvc_live")
    async with running(scripted(tmp_path)) as (client, _):
        session = await opened(client, "v=0 a=ice-pwd:hush", bypass=True)
        ticket = (await (await client.post("/api/tickets", json={})).json())["ticket"]
        async with client.get(f"/api/sessions/{session['id']}/events?ticket={ticket}"):
            await client.delete(f"/api/sessions/{session['id']}")
    assert "session opened" in caplog.text
    assert "session closed" in caplog.text
    for secret in (session["id"], "hush", ticket):
        assert secret not in caplog.text
