"""A resident's devices over HTTP; what is not theirs does not exist (I-12)."""

from __future__ import annotations

from uuid import uuid4

import httpx

from backend.identity import AsResident
from tests.factories.identity import a_resident, an_openid, headers_of, signed_in

SESSIONS = "/v1/resident/sessions"


async def two_devices() -> tuple[AsResident, AsResident]:
    openid = an_openid()
    phone, tablet = await signed_in(openid=openid), await signed_in(openid=openid, device="android")
    return AsResident(phone.resident_id, phone.session_id), AsResident(tablet.resident_id, tablet.session_id)


async def test_a_device_is_signed_out_from_another_one(client: httpx.AsyncClient) -> None:
    phone, tablet = await two_devices()

    answered = await client.delete(f"{SESSIONS}/{tablet.session_id}", headers=headers_of(phone))

    assert answered.status_code == 204
    assert (await client.get(SESSIONS, headers=headers_of(tablet))).status_code == 401
    listed = (await client.get(SESSIONS, headers=headers_of(phone))).json()["items"]
    assert [(each["id"], each["is_current"]) for each in listed] == [(str(phone.session_id), True)]


async def test_all_other_devices_are_signed_out_at_once(client: httpx.AsyncClient) -> None:
    phone, tablet = await two_devices()

    answered = await client.delete(SESSIONS, headers=headers_of(phone))

    assert (answered.status_code, answered.json()) == (200, {"ended": 1})
    assert (await client.get(SESSIONS, headers=headers_of(tablet))).status_code == 401
    assert (await client.get(SESSIONS, headers=headers_of(phone))).status_code == 200


async def test_another_residents_session_is_answered_like_one_that_never_was(client: httpx.AsyncClient) -> None:
    mine, theirs = await a_resident(), await a_resident()
    same = {"X-Request-Id": "the-same-request"}

    foreign, random, no_id = [
        await client.delete(f"{SESSIONS}/{each}", headers={**headers_of(mine), **same})
        for each in (theirs.session_id, uuid4(), "not-an-id")
    ]

    assert foreign.status_code == random.status_code == no_id.status_code == 404
    assert foreign.content == random.content
    assert (await client.get(SESSIONS, headers=headers_of(theirs))).status_code == 200


async def test_signing_out_ends_the_session_that_asks(client: httpx.AsyncClient) -> None:
    phone, tablet = await two_devices()

    assert (await client.delete("/v1/resident/session", headers=headers_of(phone))).status_code == 204

    assert (await client.get(SESSIONS, headers=headers_of(phone))).status_code == 401
    assert (await client.get(SESSIONS, headers=headers_of(tablet))).status_code == 200
