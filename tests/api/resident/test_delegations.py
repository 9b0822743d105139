"""Delegation over HTTP: offered, shown as a code, read, taken, used and ended."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from backend import clock
from backend.identity import AsResident
from tests.factories.appointments import a_line, a_slot, item_of
from tests.factories.identity import a_delegation, a_resident, headers_of

BASE = "/v1/resident/delegations"
INVITATIONS = "/v1/resident/invitations"


def keyed(resident: AsResident) -> dict[str, str]:
    return {**headers_of(resident), "Idempotency-Key": uuid4().hex}


def an_offer(**changes: object) -> dict[str, object]:
    until = (clock.today() + timedelta(days=30)).isoformat()
    return {"name": "田秀英", "matters": ["appointments"], "until": until, **changes}


async def test_a_delegation_is_offered_read_taken_used_and_ended(client: httpx.AsyncClient):
    mother, daughter = await a_resident(), await a_resident()
    line = await a_line()
    slot = await a_slot(2, line)

    offered = await client.post(BASE, json=an_offer(), headers=keyed(mother))
    assert offered.status_code == 201, offered.text
    address = f"{BASE}/{offered.json()['id']}"
    code = (await client.get(f"{address}/invitation", headers=headers_of(mother))).json()["code"]
    picture = await client.get(f"{address}/invitation.png", headers=headers_of(mother))
    read = await client.post(f"{INVITATIONS}/readings", json={"code": code}, headers=headers_of(daughter))
    key = keyed(daughter)
    body = {"code": code, "name": "王小红"}
    taken = await client.post(f"{INVITATIONS}/acceptances", json=body, headers=key)
    again = await client.post(f"{INVITATIONS}/acceptances", json=body, headers=key)
    visit = {"slot_id": str(slot.id), "item_code": await item_of(line), "person_id": taken.json()["person_id"]}
    booked = await client.post("/v1/resident/appointments", json=visit, headers=keyed(daughter))
    shown = await client.get(f"/v1/resident/appointments?person_id={mother.id}", headers=headers_of(daughter))
    ended = await client.delete(address, headers=headers_of(mother))
    after = await client.get(f"/v1/resident/appointments/{booked.json()['id']}", headers=headers_of(daughter))

    assert picture.content.startswith(b"\x89PNG")
    assert (read.status_code, read.json()["name"], read.json()["matters"]) == (200, "田秀英", ["appointments"])
    assert (taken.status_code, taken.json()["state"], taken.json()["role"]) == (201, "active", "delegate")
    assert again.content == taken.content
    assert booked.status_code == 201, booked.text
    assert [each["person_id"] for each in shown.json()["items"]] == [str(mother.id)]
    assert ended.status_code == 204
    assert (after.status_code, after.json()["code"]) == (404, "appointment-not-found")
    [seen] = (await client.get(BASE, headers=headers_of(mother))).json()
    assert (seen["state"], seen["end_reason"], seen["name"]) == ("ended", "revoked", "王小红")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"matters": []}, 422, "invalid"),
        ({"matters": ["houses"]}, 422, "invalid"),
        ({"until": "2020-01-01"}, 422, "delegation-period-invalid"),
        ({"name": ""}, 422, "invalid"),
        ({"principal_id": str(uuid4())}, 422, "invalid"),
    ],
)
async def test_an_offer_that_cannot_be_is_refused(
    client: httpx.AsyncClient, changes: dict[str, object], status: int, code: str
):
    answer = await client.post(BASE, json=an_offer(**changes), headers=keyed(await a_resident()))

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_invitations_cannot_be_tried_until_one_fits(client: httpx.AsyncClient):
    curious = headers_of(await a_resident())

    codes = [
        (await client.post(f"{INVITATIONS}/readings", json={"code": f"ZD1.{n}"}, headers=curious)).status_code
        for n in range(22)
    ]

    assert codes == [404] * 20 + [429] * 2


async def test_one_delegation_is_shown_to_its_two_people_only(client: httpx.AsyncClient):
    mother, daughter = await a_resident(), await a_resident()
    address = f"{BASE}/{await a_delegation(mother, daughter)}"

    statuses = [
        (await client.get(address, headers=headers_of(who))).status_code
        for who in (mother, daughter, await a_resident())
    ]

    assert statuses == [200, 200, 404]
