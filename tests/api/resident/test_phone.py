"""The phone over HTTP: proved, masked, taken away."""

from __future__ import annotations

import httpx
import pytest

from backend import cache, identity
from backend.identity import AsResident
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from tests.factories.identity import a_resident, headers_of

PHONE = "/v1/resident/phone"


async def signed_in_as(sandbox: Sandbox, partners: Partners, name: str) -> AsResident:
    code = sandbox.world.mint("login", sandbox.world.persona(name))
    given = await identity.sign_in_resident(code, device="ios", wechat=partners.wechat)
    return AsResident(given.resident_id, given.session_id)


async def test_a_phone_is_bound_and_taken_away(client: httpx.AsyncClient, sandbox: Sandbox, partners: Partners) -> None:
    resident = await signed_in_as(sandbox, partners, "R001")
    headers, number = headers_of(resident), sandbox.world.persona("R001").phone
    code = sandbox.world.mint("phone", sandbox.world.persona("R001"))

    bound = await client.put(PHONE, json={"code": code}, headers=headers)
    shown = await client.get("/v1/resident/me", headers=headers)
    removed = await client.delete(PHONE, headers=headers)

    assert bound.status_code == 200
    assert bound.json() == shown.json()
    assert shown.json()["phone"] == f"{number[:3]}****{number[-4:]}"
    assert number not in bound.text + shown.text
    assert removed.status_code == 204
    assert (await client.get("/v1/resident/me", headers=headers)).json()["phone"] is None


async def test_the_new_owner_of_a_number_does_not_learn_that_it_had_one(
    client: httpx.AsyncClient, sandbox: Sandbox, partners: Partners
) -> None:
    resident = await signed_in_as(sandbox, partners, "R001")
    await a_resident(phone=sandbox.world.persona("R001").phone)
    code = sandbox.world.mint("phone", sandbox.world.persona("R001"))
    fresh = await signed_in_as(sandbox, partners, "R002")
    other = sandbox.world.mint("phone", sandbox.world.persona("R002"))

    contested = await client.put(PHONE, json={"code": code}, headers=headers_of(resident))
    free = await client.put(PHONE, json={"code": other}, headers=headers_of(fresh))

    assert contested.status_code == free.status_code == 200
    assert contested.json().keys() == free.json().keys()


@pytest.mark.usefixtures("partners")
async def test_a_bad_code_is_a_mistake_in_the_request(client: httpx.AsyncClient) -> None:
    answered = await client.put(PHONE, json={"code": "invented"}, headers=headers_of(await a_resident()))

    assert (answered.status_code, answered.json()["code"]) == (422, "phone-code-invalid")


@pytest.mark.usefixtures("partners")
async def test_codes_can_be_tried_five_times_in_ten_minutes(client: httpx.AsyncClient) -> None:
    headers = headers_of(await a_resident())

    statuses = [(await client.put(PHONE, json={"code": f"c{n}"}, headers=headers)).status_code for n in range(7)]

    assert statuses == [422] * 5 + [429] * 2


@pytest.mark.usefixtures("partners")
async def test_without_a_counter_no_code_is_tried(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = headers_of(await a_resident())

    async def dead(_: object) -> None:
        raise cache.CacheDown

    monkeypatch.setattr(cache, "ask", dead)

    assert (await client.put(PHONE, json={"code": "c"}, headers=headers)).status_code == 503
    assert (await client.get("/v1/resident/me", headers=headers)).status_code == 200
