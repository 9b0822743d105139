"""Regions, departments and halls over HTTP."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from backend import catalogue

BASE = "/v1/public"


@pytest.fixture(autouse=True)
async def sample() -> None:
    await catalogue.seed()


async def test_regions_are_listed_by_parent_and_day(client: httpx.AsyncClient):
    now = await client.get(f"{BASE}/regions", params={"parent": "990100"})
    then = await client.get(f"{BASE}/regions", params={"parent": "990100", "on": "2020-01-01"})

    assert [each["name"] for each in now.json()["items"]] == ["城中区", "东溪区", "云山县"]
    assert then.json()["items"][-1] == {
        "code": "990122",
        "name": "东溪县",
        "level": "county",
        "parent_code": "990100",
        "valid_from": "2000-01-01",
        "valid_to": "2021-06-01",
        "successor_code": "990103",
    }


async def test_departments_are_listed(client: httpx.AsyncClient):
    answer = await client.get(f"{BASE}/departments", params={"region": "990121100000", "domain": "民政"})

    (department,) = answer.json()["items"]
    assert (department["name"], department["uscc"]) == ("云山县民政局", "11990121001210042D")


async def test_halls_are_listed_page_by_page_and_read_one_by_one(client: httpx.AsyncClient):
    first = (await client.get(f"{BASE}/halls", params={"limit": 4})).json()
    rest = (await client.get(f"{BASE}/halls", params={"limit": 4, "cursor": first["next_cursor"]})).json()
    halls = first["items"] + rest["items"]

    assert len(halls) == 6
    assert rest["next_cursor"] is None
    for hall in halls:
        assert (await client.get(f"{BASE}/halls/{hall['id']}")).json() == hall
        assert hall["hours"]


@pytest.mark.parametrize(
    "path", ["/regions?parent=990100", "/departments", "/halls?region=990100", "/items?q=sfz", "/guide-words"]
)
async def test_a_page_that_did_not_change_is_304(client: httpx.AsyncClient, path: str):
    first = await client.get(BASE + path)

    again = await client.get(BASE + path, headers={"if-none-match": first.headers["etag"]})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert "public" in again.headers["cache-control"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/departments?region=123456", 404, "region-not-found"),
        ("/halls?region=123456", 404, "region-not-found"),
        ("/items?region=123456", 404, "region-not-found"),
        ("/regions?parent=12", 422, "invalid"),
        ("/regions?parent=9901%30x", 422, "invalid"),
        ("/regions?on=yesterday", 422, "invalid"),
        ("/regions?cursor=abc", 422, "cursor-invalid"),
        ("/departments?cursor=abc", 422, "cursor-invalid"),
        ("/departments?domain=%00", 422, "invalid"),
        ("/halls?limit=0", 422, "invalid"),
        ("/halls?limit=101", 422, "invalid"),
        ("/halls/not-an-id", 404, "route-not-found"),
    ],
)
async def test_what_cannot_be_answered_is_a_clear_problem(client: httpx.AsyncClient, path: str, status: int, code: str):
    answer = await client.get(BASE + path)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["cache-control"] == "no-store"


async def test_a_hall_that_does_not_exist_is_not_found(client: httpx.AsyncClient):
    answer = await client.get(f"{BASE}/halls/{uuid4()}")

    assert (answer.status_code, answer.json()["code"]) == (404, "hall-not-found")
