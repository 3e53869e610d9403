from __future__ import annotations

import json

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.service.problems import CONTENT_TYPE, PROBLEMS, ProblemError, problems
from tests.tools.server import asynctest, problem, running, scripted


@given(slug=st.sampled_from(sorted(PROBLEMS)), detail=st.text(), field=st.text() | st.none())
def test_a_problem_is_a_document_whatever_is_in_it(slug, detail, field) -> None:
    response = ProblemError(slug, detail, field=field).response()
    body = json.loads(response.body)
    assert response.content_type == CONTENT_TYPE
    assert body["status"] == response.status == PROBLEMS[slug].status
    assert body["type"] == f"/problems/{slug}"
    assert "\n" not in body["detail"]
    assert ("field" in body) == (field is not None)
    assert ("Retry-After" in response.headers) == ("retry_after" in body)


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/static/nothing", 404, "not-found"),
        ("PUT", "/api/sessions", 405, "method-not-allowed"),
        ("POST", "/healthz", 405, "method-not-allowed"),
        ("GET", "/offer", 405, "method-not-allowed"),
        ("POST", "/api/sessions", 415, "unsupported-media-type"),
        ("POST", "/api/voices", 415, "unsupported-media-type"),
    ],
)
@asynctest
async def test_aiohttps_own_errors_are_problems_too(tmp_path, method, path, status, slug) -> None:
    async with running(scripted(tmp_path), ready=0) as (client, _):
        response = await client.request(method, path, data=b"x")
        body = await problem(response, status, slug)
        if status == 405:
            assert response.headers["Allow"]
            assert response.headers["Allow"] in body["detail"]


@asynctest
async def test_what_nobody_thought_of_is_a_problem_without_its_inside(caplog) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise KeyError("hush")

    class Request:
        method = "GET"

        class match_info:  # noqa: N801
            class route:  # noqa: N801
                resource = None

    response = await problems(Request(), handler)
    assert response.status == 500
    assert b"hush" not in response.body
    assert "hush" in caplog.text
