from __future__ import annotations

import json
import re

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from seedvc_live.service import openapi
from seedvc_live.service.app import make_app
from seedvc_live.service.operations import OPERATIONS
from seedvc_live.service.problems import PROBLEMS
from tests.tools.server import asynctest, running, scripted

DOCUMENT = openapi.build(OPERATIONS)
PAGES = {"/", "/static/{path}", "/api/openapi.json", "/api/docs", "/problems/{slug}"}
"""What people look at, not part of the API."""


def test_the_document_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(json.loads(json.dumps(DOCUMENT))).validate()
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_route_is_described_and_nothing_else(tmp_path) -> None:
    app = make_app(scripted(tmp_path))
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource.canonical not in PAGES and route.method != "HEAD"
    }
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert routes == described
    assert len(described) == len(OPERATIONS)


def test_operations_have_names_of_their_own() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)


def test_every_reference_leads_somewhere() -> None:
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert references <= set(DOCUMENT["components"]["schemas"])


def test_every_kind_of_problem_is_described_somewhere() -> None:
    text = json.dumps(DOCUMENT["paths"])
    # These four are answers to what is not in the description.
    undescribed = {slug for slug in PROBLEMS if f"`{slug}`" not in text}
    assert undescribed == {"not-found", "method-not-allowed"}


def check(schema: str | dict, value: object) -> None:
    if isinstance(schema, str):
        schema = {"$ref": f"#/components/schemas/{schema}"}
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/sessions", {"sdp": "x", "settings": {"block": 0.1}}, 201),
        ("GET", "/api/sessions", None, 200),
        ("GET", "/api/sessions/{id}", None, 200),
        ("PATCH", "/api/sessions/{id}", {"bypass": True}, 200),
        ("POST", "/offer", {"sdp": "x", "type": "offer"}, 200),
        ("POST", "/api/tickets", {}, 200),
        ("GET", "/api/voices", None, 200),
        ("GET", "/api/engines", None, 200),
        ("GET", "/api/ice-servers", None, 200),
        ("GET", "/api/config", None, 200),
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz", None, 200),
        ("POST", "/api/sessions", {"sdp": 1}, 422),
        ("POST", "/api/sessions", {"sdp": "bad"}, 422),
        ("GET", "/api/sessions/nobody", None, 404),
        ("DELETE", "/api/voices/nobody", None, 404),
    ],
)
@asynctest
async def test_answers_are_as_described(tmp_path, method, path, body, status) -> None:
    async with running(scripted(tmp_path)) as (client, _):
        opened = await (await client.post("/api/sessions", json={"sdp": "x"})).json()
        response = await client.request(method, path.replace("{id}", opened["id"]), json=body)
        assert response.status == status
        found = path if path in DOCUMENT["paths"] else re.sub("nobody", "{id}", path)
        described = DOCUMENT["paths"][found][method.lower()]["responses"][str(status)]["content"]
        check(described[response.content_type]["schema"], await response.json(content_type=None))


@asynctest
async def test_it_is_served_and_there_is_a_page_for_people(tmp_path) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        assert await (await client.get("/api/openapi.json")).json() == json.loads(json.dumps(DOCUMENT))
        page = await client.get("/api/docs")
        text = await page.text()
        for operation in OPERATIONS:
            assert f"{operation.method} {operation.path}" in text
            assert operation.summary in text
        assert not re.search(r"(?:src|href|url\()=?[\"']?\s*(?:https?:)?//", text), "nothing from elsewhere"
        assert "<script" not in text
        for slug, kind in PROBLEMS.items():
            shown = await client.get(f"/problems/{slug}")
            assert kind.title in await shown.text()
        assert (await client.get("/problems/unheard-of")).status == 404
