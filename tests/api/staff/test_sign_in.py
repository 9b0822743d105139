"""Staff over HTTP: in with both factors, out at once."""

from __future__ import annotations

import httpx
import pytest

from backend.settings import using
from tests.factories.identity import staff_credentials, with_token

SESSIONS = "/v1/staff/sessions"


async def test_both_factors_open_the_door_and_signing_out_closes_it(client: httpx.AsyncClient) -> None:
    who = await staff_credentials(duties=["cases.read"])

    answered = await client.post(SESSIONS, json={"login": who.login, "password": who.password, "code": who.code})

    assert answered.status_code == 201
    given = answered.json()
    assert (given["token_type"], given["expires_in"], given["idle_after"]) == ("Bearer", 43_200, 900)
    headers = with_token(given["access_token"])
    me = await client.get("/v1/staff/me", headers=headers)
    assert me.json() == {
        "id": str(who.id),
        "login": who.login,
        "name": "李娜",
        "department_id": str(who.department_id),
        "duties": ["cases.read"],
    }
    assert (await client.delete("/v1/staff/session", headers=headers)).status_code == 204
    assert (await client.get("/v1/staff/me", headers=headers)).status_code == 401


@pytest.mark.parametrize("change", [{"password": "Wrong-Horse-42!"}, {"code": "12345x"}, {"login": "nobody"}])
async def test_the_answer_is_the_same_for_every_fault(client: httpx.AsyncClient, change: dict[str, str]) -> None:
    who = await staff_credentials()
    body = {"login": who.login, "password": who.password, "code": who.code, **change}

    answered = await client.post(SESSIONS, json=body, headers={"X-Request-Id": "the-same-request"})

    assert answered.status_code == 401
    assert (
        answered.content
        == (
            '{"type":"/v1/public/problems#credentials-wrong","title":"账号、密码或动态验证码不正确","status":401,'
            '"code":"credentials-wrong","request_id":"the-same-request","retryable":false}'
        ).encode()
    )


@pytest.mark.parametrize("missing", ["login", "password", "code"])
async def test_one_factor_is_not_enough(client: httpx.AsyncClient, missing: str) -> None:
    who = await staff_credentials()
    body = {"login": who.login, "password": who.password, "code": who.code}
    del body[missing]

    assert (await client.post(SESSIONS, json=body)).status_code == 422


async def test_the_address_that_is_counted_is_not_the_one_the_client_claims(client: httpx.AsyncClient) -> None:
    who = await staff_credentials()
    body = {"login": who.login, "password": "Wrong-Horse-42!", "code": "000000"}

    statuses = [
        (await client.post(SESSIONS, json=body, headers={"X-Forwarded-For": f"10.9.8.{n}"})).status_code
        for n in range(7)
    ]

    assert statuses == [401] * 5 + [429] * 2


async def test_behind_a_trusted_proxy_the_address_is_the_one_it_names(client: httpx.AsyncClient) -> None:
    who = await staff_credentials()
    body = {"login": who.login, "password": "Wrong-Horse-42!", "code": "000000"}

    with using(trusted_proxies="127.0.0.1/32"):
        statuses = [
            (await client.post(SESSIONS, json=body, headers={"X-Forwarded-For": f"10.9.8.{n}"})).status_code
            for n in range(7)
        ]

    assert statuses == [401] * 7


async def test_a_weak_new_password_points_to_the_field(client: httpx.AsyncClient) -> None:
    who = await staff_credentials()
    body = {"login": who.login, "password": who.password, "code": who.code, "new_password": "weak"}

    answered = await client.post(SESSIONS, json=body)

    assert (answered.status_code, answered.json()["code"]) == (422, "password-weak")
    assert answered.json()["errors"][0]["pointer"] == "/new_password"
