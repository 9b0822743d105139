"""A deprecated route announces its end in every answer and in the description."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import date

import httpx
import pytest
from litestar import Litestar, get
from litestar.params import FromQuery

from api.app import FAST_PATHS, build
from api.deprecation import deprecated
from api.etag import HEADERS
from api.openapi import describe
from backend.errors import Conflict
from tests.house.test_doors import routes

DEPRECATION, SUNSET = "@1798732800", "Wed, 30 Jun 2027 16:00:00 GMT"
"""Midnight of 2027-01-01 and of 2027-07-01 in Asia/Shanghai."""


@deprecated(since=date(2027, 1, 1), sunset=date(2027, 7, 1))
@get("/old", response_headers=HEADERS, operation_id="getOld")
async def _old(fail: FromQuery[bool] = False) -> dict[str, int]:
    if fail:
        raise Conflict
    return {"value": 1}


@pytest.fixture
def app() -> Litestar:
    app = build()
    app.register(_old)
    return app


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://zhangban.test") as each:
        yield each


@pytest.mark.parametrize(("path", "status"), [("/old", 200), ("/old?fail=true", 409), ("/old?fail=perhaps", 422)])
async def test_every_answer_of_a_deprecated_route_names_both_moments(client: httpx.AsyncClient, path: str, status: int):
    answer = await client.get(path)

    assert (answer.status_code, answer.headers["deprecation"], answer.headers["sunset"]) == (
        status,
        DEPRECATION,
        SUNSET,
    )


async def test_other_routes_and_unknown_addresses_announce_nothing(client: httpx.AsyncClient):
    for path in ("/v1/public/problems", "/v1/public/nowhere"):
        answer = await client.get(path)

        assert not {"deprecation", "sunset"} & answer.headers.keys()


def test_the_description_marks_the_route_and_keeps_its_other_headers(app: Litestar):
    operation = json.loads(describe(app))["paths"]["/old"]["get"]

    assert operation["deprecated"] is True
    assert {"Deprecation", "Sunset", "ETag"} <= {*operation["responses"]["200"]["headers"]}


def test_a_route_may_not_end_sooner_than_half_a_year_after_the_announcement():
    with pytest.raises(ValueError, match="180 days"):
        deprecated(since=date(2027, 1, 1), sunset=date(2027, 5, 1))


def test_no_route_in_front_of_the_router_is_deprecated():
    marked = {key for key, handler in routes(build()) if handler.deprecated}

    assert not marked & {f"GET {path}" for path in FAST_PATHS}
