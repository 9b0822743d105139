"""A department's system raises what the guide allows for its own cases and sees what was paid."""

from __future__ import annotations

import httpx

from backend import jobs
from backend.identity.principals import AsAgency
from models.payments import Fee
from tests.api.agency.test_cases import send
from tests.factories.cases import a_case, reported
from tests.factories.catalogue import a_published_item
from tests.factories.identity import an_agency
from tests.factories.payments import a_paid_payment

CHARGES = [
    {"ref": "card", "name": "工本费", "amount_fen": 2000, "per": "证", "basis": ["law-33"]},
    {"ref": "copy", "name": "复制费", "amount_fen": 50, "per": "页", "basis": ["law-33"], "when": "申请复制档案的"},
]


async def test_the_department_charges_and_sees_what_was_paid(client: httpx.AsyncClient):
    agency = await an_agency()
    code = await a_published_item(fee={"free": False, "charges": CHARGES})
    case = await a_case(AsAgency(agency.id, agency.department_id), item_code=code)
    path = f"/v1/agency/cases/{case.number}/fees"

    early = await send(client, agency, "POST", path, {"charge_ref": "copy", "quantity": 3})
    await reported(case, "受理")
    await jobs.drain()
    pushed = await send(client, agency, "POST", path, {"charge_ref": "copy", "quantity": 3})
    again = await send(client, agency, "POST", path, {"charge_ref": "copy", "quantity": 3})
    await a_paid_payment(await Fee.get(id=pushed.json()["id"]))
    seen = await send(client, agency, "GET", path)

    assert (early.status_code, early.json()["code"]) == (409, "case-not-chargeable")
    assert pushed.status_code == 201
    assert pushed.json() == again.json()
    assert [(each["charge_ref"], each["state"]) for each in seen.json()["items"]] == [
        ("card", "open"),
        ("copy", "paid"),
    ]


async def test_another_departments_system_finds_no_case(client: httpx.AsyncClient):
    agency, other = await an_agency(), await an_agency()
    case = await a_case(AsAgency(agency.id, agency.department_id))
    path = f"/v1/agency/cases/{case.number}/fees"

    for answer in (
        await send(client, other, "GET", path),
        await send(client, other, "POST", path, {"charge_ref": "copy"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "case-not-found")
