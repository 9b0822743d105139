"""The address book over HTTP: once per key, by version, for a delegate too, and never a word too many in a refusal."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from backend.identity import AsResident
from tests.factories.identity import a_delegation, a_resident, headers_of
from tests.factories.regions import a_region

BASE = "/v1/resident/addresses"


def keyed(resident: AsResident, key: str | None = None) -> dict[str, str]:
    return {**headers_of(resident), "Idempotency-Key": key or uuid4().hex}


async def a_body(**changes: Any) -> dict[str, Any]:
    return {
        "name": "田秀英",
        "phone": "13800138000",
        "region_code": (await a_region()).code,
        "street": "人民大街1号2栋3单元404",
        **changes,
    }


async def test_an_address_is_saved_once_per_key_read_changed_and_removed(client: httpx.AsyncClient):
    resident, body, key = await a_resident(), await a_body(), uuid4().hex

    saved = await client.post(BASE, json=body, headers=keyed(resident, key))
    again = await client.post(BASE, json=body, headers=keyed(resident, key))
    address = f"{BASE}/{saved.json()['id']}"
    read = await client.get(address, headers=headers_of(resident))
    tag = {**headers_of(resident), "If-None-Match": read.headers["etag"]}
    unchanged = await client.get(address, headers=tag)
    changed = await client.put(
        address, json={**body, "street": "学府路15号", "version": 1}, headers=headers_of(resident)
    )
    stale = await client.put(address, json={**body, "version": 1}, headers=headers_of(resident))
    fresh = await client.get(address, headers=tag)
    removed = await client.delete(address, headers=headers_of(resident))

    assert (saved.status_code, again.status_code) == (201, 201)
    assert again.content == saved.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert unchanged.status_code == 304
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert (stale.status_code, stale.json()["code"], stale.json()["version"]) == (409, "address-changed", 2)
    assert (fresh.status_code, fresh.json()["street"]) == (200, "学府路15号")
    assert removed.status_code == 204
    assert (await client.get(BASE, headers=headers_of(resident))).json() == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"phone": "123456"}, "/phone"),
        ({"region_code": "999999"}, "/region_code"),
        ({"region_code": "12"}, "/region_code"),
        ({"street": "xx"}, "/street"),
        ({"nickname": "小田"}, "/nickname"),
    ],
)
async def test_a_fault_is_pointed_at(client: httpx.AsyncClient, changes: dict[str, str], pointer: str):
    resident = await a_resident()

    answer = await client.post(BASE, json=await a_body(**changes), headers=keyed(resident))

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_saving_without_a_key_saves_nothing(client: httpx.AsyncClient):
    resident = await a_resident()

    answer = await client.post(BASE, json=await a_body(), headers=headers_of(resident))

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-missing")
    assert (await client.get(BASE, headers=headers_of(resident))).json() == []


async def test_a_delegate_keeps_an_address_for_their_principal_only(client: httpx.AsyncClient):
    mother, daughter = await a_resident(), await a_resident()
    await a_delegation(mother, daughter, matters=("deliveries",))
    body = await a_body(person_id=str(mother.id))

    saved = await client.post(BASE, json=body, headers=keyed(daughter))
    foreign = await client.post(BASE, json={**body, "person_id": str(uuid4())}, headers=keyed(daughter))
    hers = await client.get(f"{BASE}?person_id={mother.id}", headers=headers_of(daughter))

    assert (saved.status_code, saved.json()["person_id"]) == (201, str(mother.id))
    assert (foreign.status_code, foreign.json()["code"]) == (404, "delivery-receiver-not-found")
    assert [each["id"] for each in hers.json()] == [saved.json()["id"]]
