"""Residents follow their cases over HTTP: only theirs, and not twice over a weak network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from api.app import front
from api.edge import Edge
from backend import cases, clock
from backend.cases import Applicant
from tests.factories.cases import PHONE, a_case, a_number, reported
from tests.factories.identity import a_resident, headers_of

BASE = "/v1/resident/cases"


@pytest.fixture(params=["ordinary", "short"])
async def client(request: pytest.FixtureRequest, app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """The application without and with its fast path: what holds on the one holds on the other."""
    asgi: Any = Edge(app if request.param == "ordinary" else front(app))
    transport = httpx.ASGITransport(app=asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://zhangban.test") as each:
        yield each


async def test_a_case_with_its_timeline_is_the_statements_very_bytes(client: httpx.AsyncClient):
    resident = await a_resident(phone=PHONE)
    case = await a_case()
    await reported(case, "受理", "审查")

    answer = await client.get(f"{BASE}/{case.number}", headers=headers_of(resident))

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.content == await cases.get_own_case_json(resident, case.number)
    assert [line["name"] for line in answer.json()["timeline"]] == ["受理", "审查"]


async def test_what_has_not_changed_is_not_sent_again(client: httpx.AsyncClient):
    resident = await a_resident(phone=PHONE)
    case = await a_case()
    first = await client.get(f"{BASE}/{case.number}", headers=headers_of(resident))

    known = {**headers_of(resident), "if-none-match": first.headers["etag"]}
    same = await client.get(f"{BASE}/{case.number}", headers=known)
    await reported(case, "受理")
    changed = await client.get(f"{BASE}/{case.number}", headers=known)

    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == first.headers["etag"]
    assert changed.status_code == 200
    assert "private" in first.headers["cache-control"]


async def test_another_residents_case_is_answered_like_one_that_does_not_exist(client: httpx.AsyncClient):
    case, stranger = await a_case(), await a_resident(phone="13900139000")
    headers = {**headers_of(stranger), "x-request-id": "same-request-id"}

    foreign, random, odd = [
        await client.get(f"{BASE}/{number}", headers=headers) for number in (case.number, a_number(), "%00%E5%8A%9E")
    ]

    assert (foreign.status_code, foreign.content) == (random.status_code, random.content) == (404, odd.content)
    assert sorted(foreign.headers.items()) == sorted(random.headers.items())


async def test_everybody_sees_their_own_and_only_that(client: httpx.AsyncClient):
    phones = ["13800138001", "13800138002", "13800138003"]
    people = [await a_resident(phone=phone) for phone in phones]
    made = [(await a_case(applicant=Applicant(None, None, None, phone))).number for phone in phones]

    for n, resident in enumerate(people):
        listed = await client.get(BASE, headers=headers_of(resident))
        assert [line["number"] for line in listed.json()["items"]] == [made[n]]
        for m, number in enumerate(made):
            opened = await client.get(f"{BASE}/{number}", headers=headers_of(resident))
            assert opened.status_code == (200 if n == m else 404)


@pytest.mark.parametrize("path", [BASE, f"{BASE}/12441500196720244T3442199806003202603020001"])
async def test_nothing_is_shown_without_a_token(client: httpx.AsyncClient, path: str):
    assert (await client.get(path)).status_code == 401
    assert (await client.get(path, headers={"authorization": "Bearer a.b.c"})).status_code == 401


async def test_pages_follow_each_other_by_cursor(client: httpx.AsyncClient):
    resident = await a_resident(phone=PHONE)
    made = [(await a_case(received_at=clock.now() - timedelta(hours=n))).number for n in range(1, 6)]

    found, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(BASE, params=query, headers=headers_of(resident))).json()
        found += [line["number"] for line in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break

    assert found == made


async def test_the_list_is_narrowed_by_states(client: httpx.AsyncClient):
    resident = await a_resident(phone=PHONE)
    accepted = await a_case()
    await a_case()
    await reported(accepted, "受理")

    answer = await client.get(BASE, params={"state": ["accepted", "closed"]}, headers=headers_of(resident))

    assert [line["number"] for line in answer.json()["items"]] == [accepted.number]


@pytest.mark.parametrize("query", ["state=nonsense", "limit=0", "limit=101", "limit=x", "cursor=AAAA", "cursor=%00"])
async def test_a_question_that_makes_no_sense_is_refused(client: httpx.AsyncClient, query: str):
    answer = await client.get(f"{BASE}?{query}", headers=headers_of(await a_resident()))

    assert answer.status_code == 422
    assert msgspec.json.decode(answer.content)["errors"]


async def test_another_residents_cursor_opens_nothing(client: httpx.AsyncClient):
    owner, other = await a_resident(phone=PHONE), await a_resident(phone="13900139000")
    for n in range(3):
        await a_case(received_at=clock.now() - timedelta(hours=n + 1))
    cursor = (await client.get(BASE, params={"limit": 1}, headers=headers_of(owner))).json()["next_cursor"]

    answer = await client.get(BASE, params={"cursor": cursor}, headers=headers_of(other))

    assert answer.json() == {"items": [], "next_cursor": None}
