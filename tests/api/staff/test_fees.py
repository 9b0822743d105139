"""A department's staff raise what the guide allows and waive with a reason, each only for its own cases."""

from __future__ import annotations

from typing import Any

import httpx
from uuid_utils.compat import uuid7

from backend import jobs
from backend.identity.principals import AsAgency
from models.cases import Case
from models.payments import Fee
from tests.factories.cases import a_case, reported
from tests.factories.catalogue import a_published_item
from tests.factories.identity import a_staff, staff_headers_of
from tests.factories.payments import a_fee, a_paid_payment
from tests.factories.regions import a_department

CHARGES = [
    {"ref": "card", "name": "工本费", "amount_fen": 2000, "per": "证", "basis": ["law-33"]},
    {"ref": "copy", "name": "复制费", "amount_fen": 50, "per": "页", "basis": ["law-33"], "when": "申请复制档案的"},
]


async def an_accepted_case() -> Case:
    agency = AsAgency(uuid7(), (await a_department()).id)
    code = await a_published_item(fee={"free": False, "charges": CHARGES})
    case = await a_case(agency, item_code=code)
    await reported(case, "受理")
    await jobs.drain()
    return case


async def officer_of(department_id: Any) -> dict[str, str]:
    return staff_headers_of(await a_staff(department_id=department_id, duties=("fees.manage",)))


async def test_staff_raise_a_charge_and_say_how_many(client: httpx.AsyncClient):
    case = await an_accepted_case()
    headers, path = await officer_of(case.department_id), f"/v1/staff/cases/{case.number}/fees"

    first = await client.post(path, json={"charge_ref": "copy", "quantity": 12}, headers=headers)
    again = await client.post(path, json={"charge_ref": "copy", "quantity": 12}, headers=headers)
    more = await client.post(path, json={"charge_ref": "copy", "quantity": 20}, headers=headers)
    listed = await client.get(path, headers=headers)

    assert first.status_code == 201
    assert first.json() == again.json()
    assert (first.json()["amount_fen"], more.json()["amount_fen"]) == (600, 1000)
    assert [each["charge_ref"] for each in listed.json()["items"]] == ["card", "copy"]


async def test_what_the_guide_does_not_say_cannot_be_charged(client: httpx.AsyncClient):
    case = await an_accepted_case()
    headers, path = await officer_of(case.department_id), f"/v1/staff/cases/{case.number}/fees"

    unknown = await client.post(path, json={"charge_ref": "service"}, headers=headers)
    priced = await client.post(path, json={"charge_ref": "copy", "unit_fen": 1}, headers=headers)
    many = await client.post(path, json={"charge_ref": "copy", "quantity": 1001}, headers=headers)

    assert (unknown.status_code, unknown.json()["code"]) == (422, "charge-not-in-guide")
    assert unknown.json()["errors"][0]["pointer"] == "/charge_ref"
    assert (priced.status_code, many.status_code) == (422, 422)
    assert await Fee.filter(subject_id=case.id).count() == 1


async def test_a_fee_is_waived_with_a_reason_that_the_payer_reads(client: httpx.AsyncClient):
    department = await a_department()
    fee, headers = await a_fee(department_id=department.id), await officer_of(department.id)
    path = f"/v1/staff/fees/{fee.id}/waiver"

    without = await client.post(path, json={"reason": ""}, headers=headers)
    waived = await client.post(path, json={"reason": "低保家庭，按规定免收"}, headers=headers)
    again = await client.post(path, json={"reason": "低保家庭，按规定免收"}, headers=headers)

    assert without.status_code == 422
    assert (waived.status_code, waived.json()["state_name"], waived.json()["reason"]) == (
        200,
        "已免收",
        "低保家庭，按规定免收",
    )
    assert (again.status_code, again.json()["code"]) == (409, "fee-not-open")


async def test_a_paid_fee_cannot_be_waived(client: httpx.AsyncClient):
    department = await a_department()
    fee = await a_fee(department_id=department.id)
    await a_paid_payment(fee)

    answer = await client.post(
        f"/v1/staff/fees/{fee.id}/waiver", json={"reason": "低保家庭"}, headers=await officer_of(department.id)
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "fee-not-open")


async def test_without_the_duty_nothing_is_revealed(client: httpx.AsyncClient):
    case = await an_accepted_case()
    reader = staff_headers_of(await a_staff(department_id=case.department_id, duties=("cases.read",)))

    for number in (case.number, "NO-SUCH-CASE"):
        answer = await client.get(f"/v1/staff/cases/{number}/fees", headers=reader)
        assert (answer.status_code, answer.json()["code"]) == (403, "duty-missing")
