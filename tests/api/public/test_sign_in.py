"""Signing in over HTTP, as the mini-program does it."""

from __future__ import annotations

from uuid import UUID

import httpx
import jwt
import pytest

from backend import cache
from backend.cache import Verdict
from backend.database import fetch_value
from backend.identity import keys, session_watch
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from tests.factories.identity import signed_in, with_token

SESSIONS = "/v1/public/sessions"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) MicroMessenger/8.0.50 NetType/WIFI Language/zh_CN"


async def sign_in(client: httpx.AsyncClient, sandbox: Sandbox, **headers: str) -> httpx.Response:
    code = sandbox.world.mint("login", sandbox.world.persona("R001"))
    return await client.post(SESSIONS, json={"code": code}, headers={"User-Agent": IPHONE, **headers})


@pytest.mark.usefixtures("partners")
async def test_a_code_becomes_tokens_that_open_the_door(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    answered = await sign_in(client, sandbox)

    assert answered.status_code == 201
    given = answered.json()
    assert given["token_type"] == "Bearer"
    assert 810 <= given["expires_in"] <= 990
    assert given["refresh_expires_in"] == 30 * 86_400
    me = await client.get("/v1/resident/me", headers=with_token(given["access_token"]))
    assert me.json()["id"] == given["resident_id"]
    listed = await client.get("/v1/resident/sessions", headers=with_token(given["access_token"]))
    assert [each["device"] for each in listed.json()["items"]] == ["ios"]
    assert answered.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("partners")
async def test_signing_in_with_somebodys_token_in_the_header_starts_a_new_session_and_leaves_theirs(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    theirs = await signed_in()

    answered = await sign_in(client, sandbox, **with_token(theirs.access_token), Cookie=f"sid={theirs.session_id}")

    given = answered.json()
    assert given["session_id"] != str(theirs.session_id)
    assert given["resident_id"] != str(theirs.resident_id)
    assert session_watch.is_live(theirs.session_id)
    assert await fetch_value("SELECT generation FROM sessions WHERE id = $1", theirs.session_id) == 0


@pytest.mark.usefixtures("partners")
async def test_a_code_used_twice_is_refused_like_one_that_never_was(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    code = sandbox.world.mint("login", sandbox.world.persona("R001"))
    await client.post(SESSIONS, json={"code": code})

    used, invented = [await client.post(SESSIONS, json={"code": each}) for each in (code, "invented")]

    assert used.status_code == invented.status_code == 401
    assert {**used.json(), "request_id": ""} == {**invented.json(), "request_id": ""}
    assert "access_token" not in used.text


@pytest.mark.usefixtures("partners")
@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (40029, 401, "sign-in-code-invalid"),
        (40163, 401, "sign-in-code-invalid"),
        (40226, 403, "sign-in-risky"),
        (45011, 429, "sign-in-busy"),
        (-1, 429, "sign-in-busy"),
        (40013, 503, "wechat-misconfigured"),
        (40125, 503, "wechat-misconfigured"),
    ],
)
async def test_each_refusal_of_wechat_has_its_problem(
    client: httpx.AsyncClient, sandbox: Sandbox, number: int, status: int, code: str
) -> None:
    sandbox.world.faults.add("/sns/jscode2session", "errcode", times=50, number=number)

    answered = await sign_in(client, sandbox)

    assert (answered.status_code, answered.json()["code"]) == (status, code)
    assert status != 429 or int(answered.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"code": ""}, 422),
        ({"code": 7}, 422),
        ({"code": "x" * 300}, 422),
        ({"code": "x", "openid": "o123"}, 422),
        ({"code": "x", "resident_id": "1"}, 422),
        ([], 422),
    ],
)
async def test_anything_but_a_code_is_refused(client: httpx.AsyncClient, body: object, status: int) -> None:
    assert (await client.post(SESSIONS, json=body)).status_code == status


async def test_the_sign_in_door_closes_without_a_counter(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dead(_: object) -> None:
        raise cache.CacheDown(retry_after=1)

    monkeypatch.setattr(cache, "ask", dead)
    given = await signed_in_without_counting()

    answered = await client.post(SESSIONS, json={"code": "x"})
    refreshed = await client.post(f"{SESSIONS}/refresh", json={"refresh_token": given})

    assert answered.status_code == 503
    assert refreshed.status_code == 200


async def signed_in_without_counting() -> str:
    async def free(*_: object) -> Verdict:
        return Verdict(True, 1, 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "count_within", free)
        return (await signed_in(device="other")).refresh_token


async def test_one_address_signs_in_only_so_often(client: httpx.AsyncClient, partners: Partners) -> None:
    statuses = {(await client.post(SESSIONS, json={"code": f"c{n}"})).status_code for n in range(125)}

    assert statuses == {401, 429}


async def test_refreshing_over_http(client: httpx.AsyncClient) -> None:
    first = await signed_in(device="ios")
    body = {"refresh_token": first.refresh_token}

    once, twice = [
        await client.post(f"{SESSIONS}/refresh", json=body, headers={"User-Agent": IPHONE}) for _ in range(2)
    ]
    elsewhere = await client.post(f"{SESSIONS}/refresh", json=body, headers={"User-Agent": "curl/8"})
    over = await client.post(f"{SESSIONS}/refresh", json=body, headers={"User-Agent": IPHONE})

    assert once.status_code == twice.status_code == 200
    assert once.json()["refresh_token"] == twice.json()["refresh_token"]
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (401, "refresh-elsewhere")
    assert (over.status_code, over.json()["code"]) == (401, "refresh-invalid")


@pytest.mark.parametrize("address", ["/v1/public/jwks", "/.well-known/jwks.json"])
async def test_the_key_set_checks_our_tokens_and_may_be_kept_for_a_while(
    client: httpx.AsyncClient, address: str
) -> None:
    given = await signed_in()

    answered = await client.get(address)

    assert answered.headers["cache-control"] == "public, max-age=300"
    key_set = jwt.PyJWKSet.from_dict(answered.json())
    claims = jwt.decode(given.access_token, key_set.keys[0].key, ["ES256"], audience="zhangban/resident")
    assert UUID(claims["sid"]) == given.session_id
    assert '"d"' not in answered.text


async def test_both_keys_are_shown_while_they_change(client: httpx.AsyncClient) -> None:
    await signed_in()
    new = await keys.rotate_keys()
    await session_watch.refresh_watch()

    shown = {each["kid"] for each in (await client.get("/v1/public/jwks")).json()["keys"]}

    assert len(shown) == 2
    assert new in shown
