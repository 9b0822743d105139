"""What every request gets, whatever it asks for."""

from __future__ import annotations

import httpx
import pytest


async def test_health_answers_and_readiness_tells_what_it_looked_at(client: httpx.AsyncClient):
    assert (await client.get("/healthz")).json() == {"status": "ok"}

    ready = await client.get("/readyz")

    assert ready.status_code == 200
    assert ready.json() == {
        "ready": True,
        "database": True,
        "cache": True,
        "migrations": True,
        "draining": False,
    }


async def test_an_unknown_address_is_a_problem_with_a_request_id(client: httpx.AsyncClient):
    answer = await client.get("/v1/nowhere", headers={"x-request-id": "front-end-0001"})

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == "no-such-route"
    assert body["request_id"] == answer.headers["x-request-id"] == "front-end-0001"


async def test_a_forged_request_id_is_replaced(client: httpx.AsyncClient):
    answer = await client.get("/healthz", headers={"x-request-id": "x" * 100})

    assert answer.headers["x-request-id"] != "x" * 100


async def test_the_catalogue_lists_every_problem_once(client: httpx.AsyncClient):
    listed = (await client.get("/v1/public/problems")).json()

    codes = [kind["code"] for kind in listed]
    assert {"not-found", "idempotency-key-missing", "took-too-long"} <= set(codes)
    assert len(codes) == len(set(codes))


async def test_the_description_is_openapi_3_1_and_names_every_problem(client: httpx.AsyncClient):
    described = (await client.get("/openapi.json")).json()

    assert described["openapi"].startswith("3.1")
    assert "Problem" in described["components"]["schemas"]


@pytest.mark.parametrize("path", ["/docs", "/docs/files/swagger-ui-bundle.js", "/docs/files/start.js"])
async def test_the_documentation_is_served_from_our_own_files(client: httpx.AsyncClient, path: str):
    answer = await client.get(path)

    assert answer.status_code == 200
    assert "http" not in answer.text[:2000].replace("http-equiv", "")
