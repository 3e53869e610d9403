from __future__ import annotations

import pytest

from seedvc_live.errors import SettingsError
from seedvc_live.service.config import ServeConfig
from seedvc_live.service.security import TICKET_SECONDS, Gate, Tickets
from tests.tools.server import asynctest, problem, running, scripted

TOKEN = "correct horse battery"


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8080", True), ("localhost", True), ("LOCALHOST:8080", True), ("[::1]:8080", True),
        ("192.168.1.9", True), ("localhost.", True), ("voice.example:443", True),
        ("evil.example", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("", False),
        ("[::1", False), ("@", False),
    ],
)  # fmt: skip
def test_hosts(tmp_path, host, known) -> None:
    assert Gate(ServeConfig(tmp_path, allow_hosts=frozenset({"voice.example"}))).knows(host) is known


@pytest.mark.parametrize("path", ["/api/sessions", "/", "/healthz", "/nothing", "/static/js/main.js"])
@asynctest
async def test_a_rebound_name_is_refused_everywhere(tmp_path, path) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        response = await client.get(path, headers={"Host": "evil.example"})
        await problem(response, 421, "wrong-host")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://", "http://[::1", "127.0.0.1"]
)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "OPTIONS"])
@asynctest
async def test_pages_of_other_sites_are_refused(tmp_path, origin, method) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        response = await client.request(method, "/api/sessions", headers=headers)
        await problem(response, 403, "cross-site")
        assert "Access-Control-Allow-Origin" not in response.headers


@asynctest
async def test_the_servers_own_page_may_call_it(tmp_path) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        response = await client.get("/api/sessions", headers={"Origin": str(client._base_url.origin())})
        assert response.status == 200
        # A proxy that speaks TLS for this server.
        response = await client.get("/api/sessions", headers={"Origin": "https://localhost", "Host": "localhost"})
        assert response.status == 200


@asynctest
async def test_an_allowed_origin_gets_what_cors_needs(tmp_path) -> None:
    friend = "https://friend.example"
    config = scripted(tmp_path, allow_origins=frozenset({friend}), token=TOKEN)
    async with running(config, ready=0) as (client, _):
        preflight = await client.options(
            "/api/sessions/x",
            headers={"Origin": friend, "Access-Control-Request-Method": "PATCH", "Authorization": ""},
        )
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == friend
        assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        for path, status in (("/api/sessions", 200), ("/api/sessions/nobody", 404)):
            response = await client.get(path, headers={"Origin": friend})
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == friend
            assert response.headers["Vary"] == "Origin"
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
            assert "Access-Control-Allow-Credentials" not in response.headers


GUARDED = [
    ("GET", "/api/sessions"), ("POST", "/api/sessions"), ("GET", "/api/sessions/x"), ("PATCH", "/api/sessions/x"),
    ("DELETE", "/api/sessions/x"), ("POST", "/api/sessions/x/candidates"), ("GET", "/api/sessions/x/events"),
    ("POST", "/api/tickets"), ("POST", "/offer"), ("GET", "/api/voices"), ("POST", "/api/voices"),
    ("DELETE", "/api/voices/x"), ("GET", "/api/engines"), ("GET", "/api/ice-servers"), ("GET", "/metrics"),
]  # fmt: skip
OPEN = ["/", "/static/js/main.js", "/api/config", "/api/openapi.json", "/api/docs", "/healthz", "/problems/full"]


@asynctest
async def test_the_token_guards_all_that_is_anybodys_business(tmp_path) -> None:
    wrong = (
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xff",
    )
    async with running(scripted(tmp_path, token=TOKEN), ready=0) as (client, _):
        for method, path in GUARDED:
            response = await client.request(method, path)
            assert response.status != 401, path
            for header in wrong:
                response = await client.request(method, path, headers={"Authorization": header})
                body = await problem(response, 401, "unauthorized")
                assert response.headers["WWW-Authenticate"] == "Bearer"
                assert TOKEN not in str(body)
        for path in OPEN:
            response = await client.get(path, headers={"Authorization": ""})
            assert response.status == 200, path
        assert (await (await client.get("/api/config")).json())["auth"] is True
        described = {(operation.method, operation.path.replace("{id}", "x")) for operation in _operations()}
        assert described == {*GUARDED, *(("GET", path) for path in ("/api/config", "/healthz", "/readyz"))}


def _operations():
    from seedvc_live.service.operations import OPERATIONS

    return OPERATIONS


def test_a_ticket_is_good_once_for_its_session_and_not_for_long() -> None:
    now = [0.0]
    tickets = Tickets(lambda: now[0])
    bound, free, late = tickets.issue("a"), tickets.issue(None), tickets.issue("a")
    assert not tickets.redeem("", "a")
    assert not tickets.redeem(bound, "b")
    assert not tickets.redeem(bound, "a"), "tried for another session, it is used up"
    assert tickets.redeem(free, "b")
    assert not tickets.redeem(free, "b")
    now[0] = TICKET_SECONDS
    assert not tickets.redeem(late, "a")


def test_tickets_do_not_pile_up() -> None:
    tickets = Tickets(lambda: 0.0)
    issued = [tickets.issue(None) for _ in range(5000)]
    assert len(tickets._issued) <= 1000
    assert tickets.redeem(issued[-1], "a")


@asynctest
async def test_an_event_stream_opens_by_ticket(tmp_path) -> None:
    async with running(scripted(tmp_path, token=TOKEN)) as (client, _):
        session = (await (await client.post("/api/sessions", json={"sdp": "short"})).json())["id"]
        # `short` ends at once; a session that lasts:
        session = (await (await client.post("/api/sessions", json={"sdp": "x"})).json())["id"]
        ticket = (await (await client.post("/api/tickets", json={"session": session})).json())["ticket"]
        nobody = {"Authorization": ""}
        address = f"/api/sessions/{session}/events"
        async with client.get(f"{address}?ticket={ticket}", headers=nobody) as stream:
            assert stream.status == 200
            assert stream.content_type == "text/event-stream"
        for query in ("", "?ticket=", f"?ticket={ticket}", "?ticket=guess"):
            response = await client.get(address + query, headers=nobody)
            await problem(response, 401, "unauthorized")
        other = (await (await client.post("/api/tickets", json={"session": "other"})).json())["ticket"]
        response = await client.get(f"{address}?ticket={other}", headers=nobody)
        await problem(response, 401, "unauthorized")


@asynctest
async def test_pages_load_nothing_from_elsewhere(tmp_path) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        for path in ("/", "/api/docs", "/api/config", "/nothing", "/problems/full"):
            response = await client.get(path)
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "http" not in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "aiohttp" not in response.headers["Server"]


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"])
@asynctest
async def test_only_the_clients_files_are_served(tmp_path, path) -> None:
    import yarl

    async with running(scripted(tmp_path), ready=0) as (client, _):
        response = await client.get(client._base_url.join(yarl.URL(path, encoded=True)))
        assert response.status in (403, 404)
        assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.9", "example.org"])
def test_others_are_let_in_by_token_only(tmp_path, host) -> None:
    with pytest.raises(SettingsError, match="--token-file"):
        ServeConfig(tmp_path, host=host)
    ServeConfig(tmp_path, host=host, token=TOKEN)
    ServeConfig(tmp_path, host=host, insecure=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_who_is_on_this_machine_needs_none(tmp_path, host) -> None:
    ServeConfig(tmp_path, host=host)


def test_a_weak_token_is_refused_and_none_is_shown(tmp_path) -> None:
    with pytest.raises(SettingsError, match="at least 8"):
        ServeConfig(tmp_path, token="short")
    assert TOKEN not in repr(ServeConfig(tmp_path, token=TOKEN))
