"""The office and its counter over HTTP: sent in a batch, handed over to its owner, problems answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
from litestar import Litestar

from backend import clock, jobs
from backend.deliveries import resident_views
from backend.partners.courier.port import CourierAddressRefused
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method
from tests.backend.deliveries.couriers import ACourier, served_by
from tests.factories.deliveries import (
    NAME,
    PHONE,
    STREET,
    a_delivery,
    a_pickup_point,
    a_problem,
    a_shipment,
    a_signature,
    delivery_state,
)
from tests.factories.identity import a_department_id, a_resident, a_staff, staff_headers_of
from tests.factories.regions import a_hall, a_region

pytestmark = pytest.mark.usefixtures("unsent")
BASE = "/v1/staff/deliveries"
DUTIES = ("deliveries.send", "deliveries.hand-over", "pickup-points.manage")


class Office(NamedTuple):
    """A department, what opens the door for one of its staff, and for one of another department."""

    id: UUID
    headers: dict[str, str]
    stranger: dict[str, str]


@pytest.fixture
async def office(_clean: None) -> Office:
    department = await a_department_id()
    own, stranger = await a_staff(department_id=department, duties=DUTIES), await a_staff(duties=DUTIES)
    return Office(department, staff_headers_of(own), staff_headers_of(stranger))


@pytest.fixture(autouse=True)
def courier(app: Litestar) -> Iterator[ACourier]:
    """EMS in memory, in the application and in jobs."""
    each = ACourier()
    with served_by(each, app=app):
        yield each


async def test_the_morning_of_one_hall_is_listed_and_sent_by_itself(
    client: httpx.AsyncClient, office: Office, courier: ACourier
):
    hall = await a_hall()
    here = await a_delivery(department_id=office.id, hall_id=hall.id)
    await a_delivery(department_id=office.id)

    seen = await client.get(BASE, params={"hall_id": str(hall.id)}, headers=office.headers)
    sent = await client.post(
        "/v1/staff/delivery-batches", json={"courier": "ems", "hall_id": str(hall.id)}, headers=office.headers
    )

    assert [(each["number"], each["hall_id"]) for each in seen.json()["items"]] == [(here.number, str(hall.id))]
    assert [line["number"] for line in sent.json()["lines"]] == [here.number]


async def test_a_mornings_parcels_go_out_as_one_batch_whose_failures_are_named(
    client: httpx.AsyncClient, office: Office, courier: ACourier
):
    await a_pickup_point(department_id=office.id)
    numbers = [(await a_delivery(department_id=office.id)).number for _ in range(3)]
    await a_delivery()
    courier.failures.append(CourierAddressRefused("ems"))

    sent = await client.post("/v1/staff/delivery-batches", json={"courier": "ems"}, headers=office.headers)
    await jobs.drain()
    there = f"/v1/staff/delivery-batches/{sent.json()['id']}"
    after = (await client.get(there, headers=office.headers)).json()
    listed = (await client.get("/v1/staff/delivery-batches", headers=office.headers)).json()
    foreign = await client.get(there, headers=office.stranger)
    desk = (await client.get(f"{BASE}/desk", headers=office.headers)).json()

    assert (sent.status_code, sent.json()["shipments"], sent.json()["waiting"]) == (201, 3, 3)
    assert (after["ordered"], after["failed"], after["waiting"]) == (2, 1, 0)
    assert {each["number"] for each in after["lines"]} == set(numbers)
    assert [each["error"] for each in after["lines"] if each["error"]] == ["courier-address-refused"]
    assert [(each["id"], each["shipments"]) for each in listed] == [(sent.json()["id"], 3)]
    assert (foreign.status_code, foreign.json()["code"]) == (404, "delivery-batch-not-found")
    assert desk == {"states": {"ordered": 2, "to_send": 1}, "problems": 1, "problems_assigned": 0}


async def test_one_is_sent_labelled_taken_back_and_sent_by_hand(
    client: httpx.AsyncClient, office: Office, courier: ACourier
):
    await a_pickup_point(department_id=office.id)
    delivery = await a_delivery(department_id=office.id)
    there = f"{BASE}/{delivery.number}"

    ordered = await client.post(f"{there}/order", json={"courier": "ems"}, headers=office.headers)
    await jobs.drain()
    label = await client.get(f"{there}/label", headers=office.headers)
    undone = await client.post(f"{there}/order-withdrawal", headers=office.headers)
    by_hand = await client.post(
        f"{there}/waybill", json={"company": "shunfeng", "waybill": "SF1234567890123"}, headers=office.headers
    )
    declared = await client.post(f"{there}/declaration", json={"status": "returned"}, headers=office.headers)
    again = await client.post(f"{there}/resending", headers=office.headers)

    assert ordered.status_code == 200, ordered.text
    assert label.json()["label"] == f"label of {next(iter(courier.waybills.values()))}"
    assert (undone.status_code, undone.json()["state"]) == (200, "to_send")
    assert (by_hand.json()["company_name"], by_hand.json()["waybill"]) == ("顺丰速运", "SF1234567890123")
    assert (declared.json()["state"], declared.json()["steps"][-1]["source"]) == ("returned", "办理部门登记")
    assert (again.status_code, again.json()["state"]) == (200, "to_send")


async def test_a_courier_that_is_not_there_is_pointed_at(client: httpx.AsyncClient, office: Office):
    delivery = await a_delivery(department_id=office.id)

    answer = await client.post(f"{BASE}/{delivery.number}/order", json={"courier": "pigeon"}, headers=office.headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "courier-invalid")
    assert answer.json()["errors"][0]["pointer"] == "/courier"


async def test_the_page_is_masked_and_the_address_is_opened_on_purpose(client: httpx.AsyncClient, office: Office):
    parcel = await a_shipment(delivery_changes={"department_id": office.id})
    there = f"{BASE}/{parcel.delivery.number}"

    page = await client.get(there, headers=office.headers)
    opened = await client.get(f"{there}/receiver", headers=office.headers)
    foreign = await client.get(f"{there}/receiver", headers=office.stranger)

    assert not [each for each in (NAME, PHONE, STREET) if each in page.text]
    assert (opened.json()["name"], opened.json()["phone"], opened.json()["street"]) == (NAME, PHONE, STREET)
    assert foreign.status_code == 404


async def test_at_the_counter_the_code_opens_and_five_wrong_ones_close(client: httpx.AsyncClient, office: Office):
    resident = await a_resident()
    delivery = await a_delivery(resident, method=Method.PICKUP, department_id=office.id)
    there = f"{BASE}/{delivery.number}"
    until = (clock.today()).isoformat()

    ready = await client.post(f"{there}/readiness", json={"kept_days": 10}, headers=office.headers)
    kept = await client.put(f"{there}/kept-until", json={"until": until}, headers=office.headers)
    code = (await resident_views.get_own_delivery(resident, delivery.number)).pickup_code
    wrong = {"name": "王五", "code": "00000000", "signature": a_signature()}
    refused = [await client.post(f"{there}/hand-over", json=wrong, headers=office.headers) for _ in range(2)]
    blank = await client.post(
        f"{there}/hand-over",
        json={"name": NAME, "code": code, "signature": a_signature(drawn=False)},
        headers=office.headers,
    )
    given = await client.post(
        f"{there}/hand-over", json={"name": NAME, "code": code, "signature": a_signature()}, headers=office.headers
    )

    assert (ready.status_code, ready.json()["state_name"]) == (200, "待领取")
    assert (kept.status_code, kept.json()["kept_until"]) == (200, until)
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(403, "hand-over-refused")}
    assert (blank.status_code, blank.json()["code"]) == (422, "signature-unusable")
    assert given.status_code == 200, given.text
    assert (given.json()["hand_over"]["relation"], given.json()["hand_over"]["checked_with"]) == (
        "self",
        "pickup_code",
    )
    assert NAME not in given.text


async def test_too_many_wrong_codes_close_the_counter_for_a_while(client: httpx.AsyncClient, office: Office):
    delivery = await a_delivery(method=Method.PICKUP, department_id=office.id)
    there = f"{BASE}/{delivery.number}"
    await client.post(f"{there}/readiness", json={}, headers=office.headers)
    wrong = {"name": "王五", "code": "00000000", "signature": a_signature()}

    answers = [await client.post(f"{there}/hand-over", json=wrong, headers=office.headers) for _ in range(6)]

    assert [each.status_code for each in answers] == [403] * 5 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 1800
    assert await delivery_state(delivery.id) == "ready"


async def test_the_office_receives_what_a_resident_has_sent(client: httpx.AsyncClient, office: Office):
    parcel = await a_shipment(
        delivery_changes={"department_id": office.id, "direction": Direction.TO_OFFICE}, state=D.IN_TRANSIT
    )
    home = await a_shipment(delivery_changes={"department_id": office.id})

    received = await client.post(f"{BASE}/{parcel.delivery.number}/reception", headers=office.headers)
    wrong = await client.post(f"{BASE}/{home.delivery.number}/reception", headers=office.headers)

    assert (received.status_code, received.json()["state_name"]) == (200, "办理部门已签收")
    assert wrong.status_code == 404


async def test_a_problem_is_taken_and_answered_once(client: httpx.AsyncClient, office: Office):
    delivery = await a_delivery(department_id=office.id, state=D.SIGNED)
    problem = await a_problem(delivery, text="没有收到")
    there = f"/v1/staff/delivery-problems/{problem.id}"

    listed = (await client.get("/v1/staff/delivery-problems?open=true", headers=office.headers)).json()
    taken = await client.put(f"{there}/owner", headers=office.headers)
    mine = (await client.get("/v1/staff/delivery-problems?mine=true", headers=office.headers)).json()
    answered = await client.post(f"{there}/answer", json={"answer": "已放在物业"}, headers=office.headers)
    again = await client.post(f"{there}/answer", json={"answer": "已放在物业"}, headers=office.headers)
    foreign = await client.get(there, headers=office.stranger)

    assert [each["text"] for each in listed["items"]] == ["没有收到"]
    assert taken.json()["owner_id"] is not None
    assert [each["id"] for each in mine["items"]] == [str(problem.id)]
    assert (answered.status_code, answered.json()["answer"]) == (200, "已放在物业")
    assert (again.status_code, again.json()["code"]) == (409, "delivery-problem-resolved")
    assert foreign.status_code == 404


async def test_without_the_duty_nothing_is_seen(client: httpx.AsyncClient, office: Office):
    idle = staff_headers_of(await a_staff(department_id=office.id, duties=("cases.read",)))

    for address in (BASE, f"{BASE}/desk", "/v1/staff/delivery-batches", "/v1/staff/delivery-problems"):
        answer = await client.get(address, headers=idle)
        assert (answer.status_code, answer.json()["code"]) == (403, "duty-missing"), address


async def test_a_counter_is_opened_shown_to_everybody_and_closed(client: httpx.AsyncClient, office: Office):
    form: dict[str, Any] = {
        "code": "east-counter",
        "name": "东区出件窗口",
        "region_code": (await a_region()).code,
        "address": "人民路1号一楼",
        "phone": "0431-88880000",
        "hours": [{"days": [1, 2, 3], "opens": "09:00", "closes": "17:00"}],
        "latitude": 43.8871,
        "longitude": 125.3245,
    }
    own = "/v1/staff/pickup-points"

    opened = await client.post(own, json=form, headers=office.headers)
    there = f"{own}/{opened.json()['id']}"
    public = (await client.get(f"/v1/public/pickup-points?region={form['region_code']}")).json()
    one = await client.get(f"/v1/public/pickup-points/{opened.json()['id']}")
    foreign = await client.post(f"{there}/closure", headers=office.stranger)
    closed = await client.post(f"{there}/closure", headers=office.headers)
    gone = (await client.get(f"/v1/public/pickup-points?region={form['region_code']}")).json()
    wrong = await client.put(there, json={**form, "phone": "call us"}, headers=office.headers)
    nobody = await client.get(f"/v1/public/pickup-points/{uuid4()}")

    assert opened.status_code == 201, opened.text
    assert (opened.json()["latitude"], opened.json()["longitude"]) == ("43.887100", "125.324500")
    assert [each["code"] for each in public["items"]] == ["east-counter"]
    assert one.json()["hours"] == form["hours"]
    assert foreign.status_code == 404
    assert (closed.status_code, closed.json()["open"]) == (200, False)
    assert gone["items"] == []
    assert (wrong.status_code, wrong.json()["code"]) == (422, "pickup-point-invalid")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "pickup-point-not-found")
