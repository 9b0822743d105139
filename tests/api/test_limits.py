"""Limits count whom they should, cannot be slipped past, and say what a dead Redis means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from litestar import get

from api.app import build
from api.edge import Edge
from api.limits import client_address, limit, within
from backend import cache
from backend.cache import CacheDown
from backend.errors import TooMany
from backend.settings import using
from tests.no_redis import no_redis


@get("/ten", guards=[limit("ten", 10, 60)])
async def _ten() -> str:
    return "ok"


@get("/guarded", guards=[limit("guarded", 10, 60, fail_closed=True)])
async def _guarded() -> str:
    return "ok"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = build()
    app.register(_ten)
    app.register(_guarded)
    transport = httpx.ASGITransport(app=Edge(app), raise_app_exceptions=False, client=("10.0.0.1", 1234))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://zhangban.test") as each:
        yield each


@pytest.fixture
async def _dead_redis() -> AsyncIterator[None]:
    async with no_redis():
        yield


async def test_past_the_limit_the_answer_is_429_and_says_when_to_come_back(client: httpx.AsyncClient):
    answers = [await client.get("/ten") for _ in range(12)]

    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    last = answers[-1]
    assert last.headers["content-type"] == "application/problem+json"
    assert (last.json()["code"], last.json()["retryable"]) == ("too-many", True)
    assert 1 <= int(last.headers["retry-after"]) <= 60


async def test_two_hundred_at_once_are_ten(client: httpx.AsyncClient):
    answers = await asyncio.gather(*(client.get("/ten") for _ in range(200)))

    assert sum(answer.status_code == 200 for answer in answers) == 10
    assert sum(answer.status_code == 429 for answer in answers) == 190


async def test_a_made_up_forwarding_header_gives_no_fresh_count(client: httpx.AsyncClient):
    names = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP", "True-Client-IP")
    answers = [await client.get("/ten", headers=dict.fromkeys(names, f"203.0.113.{n}")) for n in range(12)]

    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2


async def test_behind_our_own_proxy_everybody_has_their_own_count(client: httpx.AsyncClient):
    with using(trusted_proxies="10.0.0.0/8"):
        mine = [await client.get("/ten", headers={"X-Forwarded-For": "203.0.113.7"}) for _ in range(11)]
        forged = await client.get("/ten", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.7"})
        yours = await client.get("/ten", headers={"X-Forwarded-For": "203.0.113.8"})

    assert [mine[-1].status_code, forged.status_code, yours.status_code] == [429, 429, 200]


@pytest.mark.parametrize(
    ("peer", "header", "trusted"),
    [
        ("10.0.0.1", b"203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", b"1.1.1.1, 203.0.113.7, 10.0.0.9", "203.0.113.7"),
        ("10.0.0.1", b"2001:db8::0001", "2001:db8::1"),
        ("10.0.0.1", b"203.0.113.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"10.0.0.3", "10.0.0.1"),
        ("192.0.2.1", b"203.0.113.7", "192.0.2.1"),
    ],
)
def test_only_what_our_proxy_added_is_trusted(peer: str, header: bytes, trusted: str):
    scope = {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", header)]}

    with using(trusted_proxies="10.0.0.0/8, 192.168.0.0/16"):
        assert client_address(scope) == trusted  # type: ignore[arg-type]
    with using(trusted_proxies=""):
        assert client_address(scope) == peer  # type: ignore[arg-type]


def test_two_forwarding_headers_are_read_as_one_list():
    headers = [(b"x-forwarded-for", b"203.0.113.7"), (b"x-forwarded-for", b"198.51.100.1")]

    with using(trusted_proxies="10.0.0.0/8"):
        assert client_address({"type": "http", "client": ("10.0.0.1", 1), "headers": headers}) == "198.51.100.1"  # type: ignore[arg-type]


@pytest.mark.usefixtures("_dead_redis")
async def test_without_redis_comfort_goes_on_and_security_refuses(client: httpx.AsyncClient):
    opened = [await client.get("/ten") for _ in range(15)]
    closed = [await client.get("/guarded") for _ in range(5)]

    assert {answer.status_code for answer in opened} == {200}
    assert {(answer.status_code, answer.json()["code"]) for answer in closed} == {(503, "cache-down")}


@pytest.mark.usefixtures("_dead_redis")
async def test_a_named_count_obeys_the_same_policy():
    await within("codes", "13800138000", 1, 60, fail_closed=False)
    with pytest.raises(CacheDown):
        await within("codes", "13800138000", 1, 60, fail_closed=True)


async def test_who_is_counted_does_not_stand_in_redis_in_clear():
    await within("codes", "13800138000", 1, 60, fail_closed=True)
    with pytest.raises(TooMany):
        await within("codes", "13800138000", 1, 60, fail_closed=True)

    keys = await cache.ask(lambda r: r.keys("*"))
    assert keys
    assert not any(b"138" in key and b"8000" in key for key in keys)
