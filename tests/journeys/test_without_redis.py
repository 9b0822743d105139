"""Without Redis reads and reports go on and sign-in refuses; an emptied Redis unlocks no login (A-20, A-21)."""

from __future__ import annotations

from time import monotonic

import httpx
import msgspec
import pytest

from backend import cache, identity
from backend.partners.sandbox import Sandbox
from tests.callers import callers
from tests.factories.cases import PHONE, a_case, facts
from tests.factories.identity import a_resident, headers_of, signed_in, staff_credentials, with_token
from tests.no_redis import no_redis

pytestmark = pytest.mark.usefixtures("partners")


async def timed(client: httpx.AsyncClient, method: str, path: str, **given: object) -> httpx.Response:
    """The answer, which must not have taken longer than anybody waits."""
    began = monotonic()
    answer = await client.request(method, path, **given)  # type: ignore[arg-type]
    assert monotonic() - began < 1.5, path
    return answer


async def test_without_redis_what_everybody_and_residents_read_is_there(client: httpx.AsyncClient):
    resident = await a_resident(phone=PHONE)
    case = await a_case()

    async with no_redis():
        for path in (
            "/v1/public/items",
            "/v1/public/regions",
            "/v1/public/halls",
            "/v1/public/problems",
            "/v1/public/jwks",
        ):
            assert (await timed(client, "GET", path)).status_code == 200, path
        for path in ("me", "cases", f"cases/{case.number}", "messages", "sessions"):
            assert (
                await timed(client, "GET", f"/v1/resident/{path}", headers=headers_of(resident))
            ).status_code == 200, path
        assert (await client.get("/healthz")).status_code == 200


async def test_without_redis_no_sign_in_succeeds_and_no_code_is_tried(client: httpx.AsyncClient, sandbox: Sandbox):
    code = sandbox.world.mint("login", sandbox.world.persona("R001"))
    staff = await staff_credentials()
    asked = {
        "/v1/public/sessions": {"code": code},
        "/v1/staff/sessions": {"login": staff.login, "password": staff.password, "code": staff.code},
        "/v1/public/case-lookups": {"number": "ABCD-0001", "id_tail": "002X"},
    }

    async with no_redis():
        for path, body in asked.items():
            answer = await timed(client, "POST", path, json=body)
            assert answer.status_code == 503, f"{path}: {answer.text}"
            assert answer.json()["retryable"] is True
            assert "retry-after" in answer.headers


async def test_without_redis_departments_go_on_reporting(client: httpx.AsyncClient):
    people = await callers()
    path, said = "/v1/agency/cases/REDIS-0001", facts()
    body = msgspec.json.encode(
        {"item_code": said.item_code, "title": "换领", "applicant": {"name": "张三", "phone": PHONE}}
    )
    headers = {**people.headers("PUT", path, body), "content-type": "application/json"}

    async with no_redis():
        first = await timed(client, "PUT", path, content=body, headers=headers)
        replayed = await timed(client, "PUT", path, content=body, headers=headers)

    assert first.status_code == 201, first.text
    assert replayed.status_code == 401, "a replay is refused by what PostgreSQL remembers"


async def test_an_emptied_redis_gives_no_ended_session_its_life_back(client: httpx.AsyncClient):
    tokens = await signed_in()
    headers = with_token(tokens.access_token)
    assert (await client.delete("/v1/resident/session", headers=headers)).status_code == 204

    await cache.ask(lambda r: r.flushdb())
    identity.clear_watch()

    assert (await client.get("/v1/resident/me", headers=headers)).status_code == 401
    refreshed = await client.post("/v1/public/sessions/refresh", json={"refresh_token": tokens.refresh_token})
    assert refreshed.status_code == 401


async def test_an_emptied_redis_lets_no_code_of_wechat_count_twice(client: httpx.AsyncClient, sandbox: Sandbox):
    code = sandbox.world.mint("login", sandbox.world.persona("R001"))
    assert (await client.post("/v1/public/sessions", json={"code": code})).status_code == 201

    await cache.ask(lambda r: r.flushdb())

    assert (await client.post("/v1/public/sessions", json={"code": code})).status_code == 401


async def test_an_emptied_redis_unlocks_no_locked_login(client: httpx.AsyncClient):
    staff = await staff_credentials()
    for n in range(12):
        await client.post(
            "/v1/staff/sessions", json={"login": staff.login, "password": f"Wrong-Guess-{n}", "code": "000000"}
        )

    await cache.ask(lambda r: r.flushdb())

    right = {"login": staff.login, "password": staff.password, "code": staff.code}
    assert (await client.post("/v1/staff/sessions", json=right)).status_code == 429


async def test_an_emptied_redis_forgets_no_key_of_a_repeated_request(client: httpx.AsyncClient):
    resident = await a_resident()
    headers = {**headers_of(resident), "idempotency-key": "one-and-the-same"}
    asked = (await client.get("/v1/resident/subscriptions?page=case", headers=headers)).json()
    body = {"page": "case", "results": dict.fromkeys(asked["template_ids"], "accept")}
    first = await client.post("/v1/resident/subscriptions", json=body, headers=headers)
    assert first.status_code == 201

    await cache.ask(lambda r: r.flushdb())
    again = await client.post("/v1/resident/subscriptions", json=body, headers=headers)

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
