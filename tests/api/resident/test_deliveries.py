"""A certificate comes home over HTTP: chosen, paid for, followed, redirected, confirmed; and documents go in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar
from uuid_utils.compat import uuid7

from backend import jobs
from backend.database import execute, fetch_value
from backend.deliveries import dispatching, tracking
from backend.identity import AsResident, AsStaff
from backend.partners.courier.port import Track
from backend.settings import using
from models.deliveries import DeliveryState as D
from models.deliveries import Method
from tests.backend.deliveries.couriers import ACourier, served_by
from tests.factories.cases import PHONE, a_case, a_resident_with_phone, reported
from tests.factories.catalogue import a_published_item
from tests.factories.deliveries import a_delivery, a_node, a_pickup_point, a_shipment, an_address
from tests.factories.identity import a_delegation, a_department_id, a_resident, headers_of
from tests.factories.regions import a_region
from tests.factories.till import Till, with_tills

pytestmark = pytest.mark.usefixtures("unsent")
BASE = "/v1/resident/deliveries"
OUTCOMES = [{"name": "居住证", "delivery": ["post", "pickup"]}]


@pytest.fixture(autouse=True)
def courier(app: Litestar) -> Iterator[ACourier]:
    """EMS in memory, in the application and in jobs; and a payment channel."""
    each = ACourier()
    with served_by(each, channels=with_tills(Till()), app=app):
        yield each


def keyed(resident: AsResident, key: str | None = None) -> dict[str, str]:
    return {**headers_of(resident), "Idempotency-Key": key or uuid4().hex}


async def a_case_with_a_document(*codes: str) -> tuple[AsResident, str]:
    """A resident and the number of their case, whose document comes by post or at a counter."""
    resident = await a_resident_with_phone(PHONE)
    case = await a_case(item_code=await a_published_item(outcomes=OUTCOMES))
    department = await a_department_id()
    await a_pickup_point(department_id=department)
    await execute("UPDATE cases SET department_id = $2 WHERE id = $1", case.id, department)
    if codes:
        await reported(case, *codes)
    await jobs.drain()
    return resident, case.number


async def post(client: httpx.AsyncClient, resident: AsResident, address: str, **body: Any) -> httpx.Response:
    return await client.post(address, json=body, headers=keyed(resident))


async def test_a_document_is_chosen_to_come_by_post_once_per_key(client: httpx.AsyncClient):
    resident, number = await a_case_with_a_document("准予许可")
    address, key = await an_address(resident, is_default=True), uuid4().hex
    body = {"method": "post", "address_id": str(address.id)}

    options = await client.get(f"/v1/resident/cases/{number}/delivery-options", headers=headers_of(resident))
    chosen, again = [
        await client.post(f"/v1/resident/cases/{number}/deliveries", json=body, headers=keyed(resident, key))
        for _ in range(2)
    ]
    second = await post(client, resident, f"/v1/resident/cases/{number}/deliveries", **body)
    listed = await client.get(BASE, headers=headers_of(resident))

    assert options.status_code == 200, options.text
    assert options.json()["contents"] == "居住证"
    assert [each["method"] for each in options.json()["methods"]] == ["pickup", "post"]
    assert options.json()["quote"]["postage"] == "office"
    assert (chosen.status_code, chosen.json()["state"]) == (201, "to_send")
    assert again.content == chosen.content
    assert (second.status_code, second.json()["code"]) == (409, "delivery-already-chosen")
    assert [each["number"] for each in listed.json()["items"]] == [chosen.json()["number"]]


async def test_postage_that_the_resident_pays_is_quoted_by_address_and_owed(client: httpx.AsyncClient):
    resident, number = await a_case_with_a_document("准予许可")
    near = await an_address(resident, is_default=True)
    with using(postage_payer="resident"):
        quote = await client.get(
            f"/v1/resident/cases/{number}/delivery-options?address_id={near.id}", headers=headers_of(resident)
        )
        foreign = await client.get(
            f"/v1/resident/cases/{number}/delivery-options?address_id={(await an_address()).id}",
            headers=headers_of(resident),
        )
        chosen = await post(
            client, resident, f"/v1/resident/cases/{number}/deliveries", method="post", address_id=str(near.id)
        )

    assert quote.json()["quote"]["fen"] == chosen.json()["postage_fen"] == 2000
    assert quote.json()["quote"]["collect_possible"] is True
    assert (foreign.status_code, foreign.json()["code"]) == (404, "address-not-found")
    assert (chosen.json()["state"], chosen.json()["postage_name"]) == ("waiting", "在线支付邮费")
    assert chosen.json()["fee_id"]


async def test_a_page_has_the_whole_timeline_and_is_not_sent_twice(client: httpx.AsyncClient):
    resident, region = await a_resident(), await a_region()
    parcel = await a_shipment(delivery_changes={"resident_id": resident.id})
    node = a_node("out_for_delivery", -1, raw_text="派件员13912345678", region_code=region.code)
    track = Track(waybill=str(parcel.waybill), company="ems", nodes=(node,), complete=False)
    await tracking.ingest_tracks([track], source="kuaidi100", trusted=True)
    address = f"{BASE}/{parcel.delivery.number}"

    page = await client.get(address, headers=headers_of(resident))
    again = await client.get(address, headers={**headers_of(resident), "If-None-Match": page.headers["etag"]})

    body = page.json()
    assert (body["state"], body["courier_phone"], body["company_name"]) == ("out_for_delivery", "13912345678", "EMS")
    assert body["steps"][0]["region"] == ["测试省", "测试市", region.name]
    assert body["actions"] == ["confirm", "report"]
    assert again.status_code == 304


async def test_before_the_courier_has_it_the_address_is_changed_and_the_order_made_anew(
    client: httpx.AsyncClient, courier: ACourier
):
    resident, number = await a_case_with_a_document("准予许可")
    department = await _department_of(number)
    old, new = await an_address(resident), await an_address(resident, street="学府路15号5栋")
    chosen = await post(
        client, resident, f"/v1/resident/cases/{number}/deliveries", method="post", address_id=str(old.id)
    )
    await _order(chosen.json()["number"], department, courier)

    changed = await client.post(
        f"{BASE}/{chosen.json()['number']}/change",
        json={"method": "post", "address_id": str(new.id)},
        headers=headers_of(resident),
    )
    await jobs.drain()

    assert changed.status_code == 200, changed.text
    assert changed.json()["receiver"]["street"] == "学府路15号5栋"
    assert len(courier.cancelled) == 1
    assert [each.receiver.street for each in courier.orders] == ["人民大街1号2栋3单元404", "学府路15号5栋"]


async def _department_of(number: str) -> Any:
    return await fetch_value("SELECT department_id FROM cases WHERE number = $1", number)


async def _order(number: str, department: Any, courier: ACourier) -> None:
    staff = AsStaff(uuid7(), department, frozenset({dispatching.SEND}))
    await dispatching.send_delivery(staff, number, "ems", couriers={"ems": courier})
    await jobs.drain()


async def test_what_the_courier_has_is_neither_redirected_nor_cancelled(client: httpx.AsyncClient):
    resident, number = await a_case_with_a_document("准予许可")
    address = await an_address(resident)
    chosen = await post(
        client, resident, f"/v1/resident/cases/{number}/deliveries", method="post", address_id=str(address.id)
    )
    await execute("UPDATE deliveries SET state = 'picked_up' WHERE number = $1", chosen.json()["number"])
    there = f"{BASE}/{chosen.json()['number']}"

    changed = await client.post(
        f"{there}/change", json={"method": "post", "address_id": str(address.id)}, headers=headers_of(resident)
    )
    cancelled = await client.post(f"{there}/cancellation", headers=headers_of(resident))

    assert (changed.status_code, changed.json()["code"]) == (409, "delivery-address-fixed")
    assert (cancelled.status_code, cancelled.json()["code"]) == (409, "delivery-address-fixed")


async def test_a_delivery_is_cancelled_and_can_be_chosen_anew_at_a_counter(client: httpx.AsyncClient):
    resident, number = await a_case_with_a_document("准予许可")
    address, point = await an_address(resident), await a_pickup_point()
    choose = f"/v1/resident/cases/{number}/deliveries"
    chosen = await post(client, resident, choose, method="post", address_id=str(address.id))

    cancelled = await client.post(f"{BASE}/{chosen.json()['number']}/cancellation", headers=headers_of(resident))
    counter = await post(client, resident, choose, method="pickup", pickup_point_id=str(point.id))

    assert (cancelled.status_code, cancelled.json()["state"], cancelled.json()["actions"]) == (200, "cancelled", [])
    assert (counter.status_code, counter.json()["method"]) == (201, "pickup")
    assert counter.json()["pickup_point"]["hours"] == [{"days": [1, 2, 3, 4, 5], "opens": "09:00", "closes": "17:00"}]


async def test_receipt_is_confirmed_and_a_problem_reported_once(client: httpx.AsyncClient):
    resident = await a_resident()
    parcel = await a_shipment(delivery_changes={"resident_id": resident.id}, state=D.OUT_FOR_DELIVERY)
    there = f"{BASE}/{parcel.delivery.number}"

    confirmed = await client.post(f"{there}/receipt", headers=headers_of(resident))
    reported_ = await post(client, resident, f"{there}/problems", text="包装破损")
    again = await post(client, resident, f"{there}/problems", text="包装破损")

    assert (confirmed.status_code, confirmed.json()["state"]) == (200, "signed")
    assert confirmed.json()["confirmed_at"]
    assert (reported_.status_code, reported_.json()["problems"][0]["kind_name"]) == (201, "居民反映问题")
    assert "包装破损" not in reported_.text
    assert (again.status_code, again.json()["code"]) == (409, "delivery-problem-already-reported")


async def test_documents_go_in_by_an_own_waybill_or_a_courier_that_fetches_them(
    client: httpx.AsyncClient, courier: ACourier
):
    resident, number = await a_case_with_a_document("受理")
    address = await an_address(resident)
    begun = await post(client, resident, f"/v1/resident/cases/{number}/documents", address_id=str(address.id))
    there = f"{BASE}/{begun.json()['number']}"

    wrong = await client.post(
        f"{there}/waybill", json={"company": "ems", "waybill": "EA 1;2"}, headers=headers_of(resident)
    )
    fetched = await client.post(f"{there}/courier", json={"courier": "ems"}, headers=headers_of(resident))
    await jobs.drain()
    after = await client.get(there, headers=headers_of(resident))

    assert (begun.status_code, begun.json()["direction"], begun.json()["office"]["name"]) == (201, "to-office", "某局")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "waybill-invalid")
    assert fetched.status_code == 200, fetched.text
    assert (after.json()["state_name"], after.json()["waybill"]) == (
        "已交快递，待揽收",
        next(iter(courier.waybills.values())),
    )


async def test_a_delegate_chooses_follows_and_fetches_with_a_code_of_their_own(client: httpx.AsyncClient):
    mother, number = await a_case_with_a_document("准予许可")
    daughter = await a_resident()
    await a_delegation(mother, daughter, matters=("deliveries",))
    point = await a_pickup_point()

    chosen = await post(
        client, daughter, f"/v1/resident/cases/{number}/deliveries", method="pickup", pickup_point_id=str(point.id),
        person_id=str(mother.id),
    )  # fmt: skip
    await execute(
        "UPDATE deliveries SET state = 'ready', kept_until = '2030-01-01', pickup_code_fingerprint = 'x' "
        "WHERE number = $1",
        chosen.json()["number"],
    )
    seen = [
        (await client.get(f"{BASE}/{chosen.json()['number']}", headers=headers_of(each))).json()
        for each in (mother, daughter)
    ]

    assert chosen.status_code == 201, chosen.text
    assert chosen.json()["person_id"] == str(mother.id)
    assert len({each["pickup_code"] for each in seen}) == 2


async def test_weixins_own_page_is_offered_only_for_what_was_paid_there(client: httpx.AsyncClient):
    resident = await a_resident()
    parcel = await a_shipment(delivery_changes={"resident_id": resident.id})

    answer = await client.post(f"{BASE}/{parcel.delivery.number}/trace-token", headers=headers_of(resident))

    assert (answer.status_code, answer.json()["code"]) == (409, "trace-not-offered")


async def test_repeated_redirections_are_slowed_down(client: httpx.AsyncClient):
    resident = await a_resident()
    delivery = await a_delivery(resident, method=Method.PICKUP)

    answers = [
        await client.post(f"{BASE}/{delivery.number}/cancellation", headers=headers_of(resident)) for _ in range(31)
    ]

    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"]
