"""The fast path answers what the router answers, and accepts no token that the guard would not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Litestar

from api import app as app_module
from api.app import FAST_PATHS, front
from api.edge import REQUESTS, Edge
from backend import cases, database, identity
from backend.identity import AsResident
from tests.factories.cases import PHONE, a_case, a_number, reported
from tests.factories.identity import a_resident, headers_of

BASE = "/v1/resident/cases"


class Both:
    """One client of the router, one of the fast path; and how often the fast path answered."""

    def __init__(self, ordinary: httpx.AsyncClient, short: httpx.AsyncClient) -> None:
        self.ordinary, self.short = ordinary, short
        self.taken = 0

    async def get(self, path: str, headers: dict[str, str]) -> tuple[httpx.Response, httpx.Response]:
        """The same question on both ways."""
        headers = {"x-request-id": "same-request-id", **headers}
        return await self.ordinary.get(path, headers=headers), await self.short.get(path, headers=headers)


@pytest.fixture
async def both(app: Litestar, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Both]:
    ways: list[Both] = []

    async def followed(resident: AsResident, number: str) -> bytes:
        ways[0].taken += 1
        return await cases.get_own_case_json(resident, number)

    monkeypatch.setattr(app_module, "FAST_PATHS", dict.fromkeys(FAST_PATHS, followed))
    transports: list[Any] = [httpx.ASGITransport(app=Edge(each)) for each in (app, front(app))]
    async with (
        httpx.AsyncClient(transport=transports[0], base_url="http://zhangban.test") as ordinary,
        httpx.AsyncClient(transport=transports[1], base_url="http://zhangban.test") as short,
    ):
        ways.append(Both(ordinary, short))
        yield ways[0]


def parts(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    return answer.status_code, answer.content, dict(sorted(answer.headers.items()))


async def test_a_token_is_looked_at_closely_once_and_known_afterwards(both: Both):
    headers = headers_of(await a_resident(phone=PHONE))
    case = await a_case()

    for _ in range(3):
        assert (await both.short.get(f"{BASE}/{case.number}", headers=headers)).status_code == 200

    assert both.taken == 2


@pytest.mark.parametrize("kind", ["own", "unchanged", "foreign", "random", "hostile"])
async def test_both_ways_give_the_same_status_bytes_and_headers(both: Both, kind: str):
    resident = await a_resident(phone=PHONE)
    case, headers = await a_case(), headers_of(resident)
    await reported(case, "受理")
    first = await both.ordinary.get(f"{BASE}/{case.number}", headers=headers)
    if kind == "foreign":
        headers = headers_of(await a_resident(phone="13900139000"))
        await both.ordinary.get(BASE, headers=headers)
    if kind == "unchanged":
        headers |= {"if-none-match": f'"x", {first.headers["etag"]}'}
    number = {"random": a_number(), "hostile": "%00%27%22"}.get(kind, case.number)

    ordinary, short = await both.get(f"{BASE}/{number}", headers)

    assert parts(ordinary) == parts(short)
    assert both.taken == 1


@pytest.mark.parametrize("way", ["missing", "forged", "twice", "in the address", "wrong scheme"])
async def test_a_token_that_the_guard_refuses_is_refused(both: Both, way: str):
    headers = headers_of(await a_resident(phone=PHONE))
    case = await a_case()
    path = f"{BASE}/{case.number}"
    assert (await both.short.get(path, headers=headers)).status_code == 200
    token = headers["Authorization"]
    sent: dict[str, Any] = {
        "missing": {},
        "forged": {"Authorization": token[:-8] + "AAAAAAAA"},
        "twice": [("Authorization", token), ("Authorization", token)],
        "in the address": {"Authorization": token},
        "wrong scheme": {"Authorization": token.replace("Bearer", "Basic")},
    }

    query = "?access_token=x" if way == "in the address" else ""
    answer = await both.short.get(path + query, headers=sent[way])

    assert answer.status_code == 401
    assert both.taken == 0


async def test_a_known_token_of_an_ended_session_is_refused(both: Both):
    resident = await a_resident(phone=PHONE)
    case, headers = await a_case(), headers_of(resident)
    for _ in range(2):
        await both.short.get(f"{BASE}/{case.number}", headers=headers)

    await identity.sign_out_resident(resident)
    answer = await both.short.get(f"{BASE}/{case.number}", headers=headers)

    assert answer.status_code == 401
    assert both.taken == 1


async def test_a_dead_database_is_answered_in_the_same_words(both: Both, monkeypatch: pytest.MonkeyPatch):
    headers = headers_of(await a_resident(phone=PHONE))
    case = await a_case()
    await both.ordinary.get(f"{BASE}/{case.number}", headers=headers)
    monkeypatch.setattr(database, "_semaphore", None)

    ordinary, short = await both.get(f"{BASE}/{case.number}", headers)

    assert (ordinary.status_code, ordinary.json()["code"]) == (503, "database-down")
    assert parts(ordinary) == parts(short)


async def test_both_ways_are_counted_as_one_route(both: Both):
    headers = headers_of(await a_resident(phone=PHONE))
    case = await a_case()
    counted = REQUESTS.labels("GET", f"{BASE}/{{number}}", 200)
    before = counted._value.get()

    for _ in range(3):
        await both.short.get(f"{BASE}/{case.number}", headers=headers)

    assert counted._value.get() == before + 3
    assert both.taken == 2


@pytest.mark.parametrize("path", [f"{BASE}/", BASE, f"{BASE}//x", f"{BASE}/a/b", "/v1/resident/me"])
async def test_other_addresses_go_the_ordinary_way(both: Both, path: str):
    headers = headers_of(await a_resident(phone=PHONE))
    await both.ordinary.get(BASE, headers=headers)

    ordinary, short = await both.get(path, headers)

    assert parts(ordinary) == parts(short)
    assert both.taken == 0


async def test_other_methods_go_the_ordinary_way(both: Both):
    headers = headers_of(await a_resident(phone=PHONE))
    case = await a_case()
    await both.ordinary.get(BASE, headers=headers)

    answer = await both.short.post(f"{BASE}/{case.number}", headers=headers)

    assert answer.status_code == 405
    assert both.taken == 0


async def test_every_fast_path_has_an_ordinary_route(app: Litestar):
    routes = {route.path_format for route in app.routes}

    assert FAST_PATHS.keys() <= routes
