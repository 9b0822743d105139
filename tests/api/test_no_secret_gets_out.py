"""A canary's journey through every door of identity: nothing of WeChat's secrets is answered or logged (B-15, B-71)."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import httpx
import pytest

from backend import cache, jobs
from backend.database import fetch
from backend.logs import JsonLines
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from tests.factories.identity import staff_credentials, with_token

PUBLIC = "/v1/public/sessions"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, at the most talkative level, as the service writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


class Journey:
    """Makes requests and keeps every byte of every answer."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.seen: list[str] = []

    async def ask(self, method: str, address: str, **given: object) -> httpx.Response:
        answered = await self.client.request(method, address, **given)  # type: ignore[arg-type]
        self.seen.append(f"{answered.headers}{answered.text}")
        return answered


@pytest.mark.usefixtures("partners")
async def test_openid_session_key_codes_and_tokens_are_neither_answered_nor_logged(
    client: httpx.AsyncClient, sandbox: Sandbox, logged: io.StringIO
) -> None:
    journey, somebody = Journey(client), sandbox.world.persona("R001")
    code, second = (sandbox.world.mint("login", somebody) for _ in range(2))
    phone_code = sandbox.world.mint("phone", somebody)

    given = (await journey.ask("POST", PUBLIC, json={"code": code})).json()
    key = somebody.session_key
    await journey.ask("POST", PUBLIC, json={"code": code})
    sandbox.world.faults.add("/sns/jscode2session", "status", times=9, number=500)
    await journey.ask("POST", PUBLIC, json={"code": second})
    sandbox.world.faults.clear()
    await journey.ask("POST", PUBLIC, content=b'{"code": "' + code.encode() + b'", broken')
    headers = with_token(given["access_token"])
    await journey.ask("PUT", "/v1/resident/phone", json={"code": phone_code}, headers=headers)
    await journey.ask("PUT", "/v1/resident/phone", json={"code": phone_code}, headers=headers)
    await journey.ask("GET", "/v1/resident/me", headers=headers)
    await journey.ask("GET", "/v1/resident/me", params={"access_token": given["access_token"]})
    await journey.ask("GET", "/v1/resident/sessions", headers=headers)
    refreshed = (await journey.ask("POST", f"{PUBLIC}/refresh", json={"refresh_token": given["refresh_token"]})).json()
    await journey.ask("DELETE", "/v1/resident/session", headers=with_token(refreshed["access_token"]))
    await journey.ask("POST", f"{PUBLIC}/refresh", json={"refresh_token": refreshed["refresh_token"]})
    await jobs.drain()

    secrets = {somebody.openid, somebody.oa_openid, somebody.unionid, key, somebody.session_key, somebody.phone}
    answers, lines = "\n".join(journey.seen), logged.getvalue()
    for secret in filter(None, secrets):
        assert secret not in answers
        assert secret not in lines
    for secret in (code, second, phone_code, given["access_token"], given["refresh_token"], refreshed["refresh_token"]):
        assert secret not in lines
    assert "openid" not in answers
    assert "session_key" not in answers


async def test_neither_ledger_nor_queue_nor_cache_knows_them(
    client: httpx.AsyncClient, sandbox: Sandbox, partners: Partners
) -> None:
    somebody = sandbox.world.persona("R001")
    given = (await client.post(PUBLIC, json={"code": sandbox.world.mint("login", somebody)})).json()
    headers = with_token(given["access_token"])
    phone_code = sandbox.world.mint("phone", somebody)
    await client.put("/v1/resident/phone", json={"code": phone_code}, headers=headers)

    tables = [row[0] for row in await fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    kept = [str(tuple(row)) for table in tables for row in await fetch(f'SELECT * FROM "{table}"')]
    redis = cache.redis()
    cached = [f"{key!r}" for key in await redis.keys("*")]

    everything = "\n".join([*kept, *cached])
    assert len(kept) > 5
    for secret in (somebody.openid, somebody.unionid, somebody.session_key, somebody.phone, given["refresh_token"]):
        assert secret not in everything


async def test_passwords_and_one_time_codes_of_staff_are_not_logged(
    client: httpx.AsyncClient, logged: io.StringIO
) -> None:
    who = await staff_credentials()
    code = who.code
    body = {"login": who.login, "password": who.password, "code": code}

    good = await client.post("/v1/staff/sessions", json=body)
    bad = await client.post("/v1/staff/sessions", json=body)
    weak = await client.post("/v1/staff/sessions", json={**body, "new_password": "Weak-one-1"})

    assert [each.status_code for each in (good, bad, weak)] == [201, 401, 422]
    for secret in (who.password, who.secret, "Weak-one-1", good.json()["access_token"]):
        assert secret not in logged.getvalue()
        assert secret not in bad.text + weak.text
