"""Documents that a resident sends in, by a waybill of their own or a courier ordered here, until they are there."""

from __future__ import annotations

from typing import Any

import pytest
from uuid_utils.compat import uuid7

from backend import jobs
from backend.cases import sending_in
from backend.cases.errors import CaseNotFound
from backend.database import execute, fetch_value
from backend.deliveries import dispatching, receiving, resident_views, returning, tracking
from backend.deliveries.errors import (
    CourierInvalid,
    DeliveryAlreadyChosen,
    DeliveryNotFound,
    DeliveryNotOffered,
    DeliveryOfficeInvalid,
    DeliveryReceiverNotFound,
    DeliveryTransitionRefused,
    WaybillInvalid,
    WaybillTaken,
)
from backend.deliveries.transitions import DeliveryRow
from backend.identity.errors import DutyMissing
from backend.identity.principals import AsResident, AsStaff
from backend.partners.courier.port import Track
from backend.settings import using
from models.cases import Case, CaseState
from models.deliveries import DeliveryState as D
from models.deliveries import Direction
from tests.backend.deliveries.couriers import ACourier, ATracker, served_by
from tests.factories.cases import a_case
from tests.factories.deliveries import (
    a_delivery,
    a_node,
    a_pickup_point,
    a_shipment,
    an_address,
    delivery_state,
    moves_of,
)
from tests.factories.identity import a_delegation, a_department_id, a_resident

TRACKERS: dict[str, Any] = {"kuaidi100": ATracker()}


async def a_case_of(resident: AsResident, state: CaseState = CaseState.CORRECTION) -> Case:
    """A case of the resident at an office with a counter."""
    case, department = await a_case(), await a_department_id()
    await a_pickup_point(department_id=department, address="人民路1号一楼")
    await execute(
        "UPDATE cases SET resident_id = $2, department_id = $3, state = $4 WHERE id = $1",
        case.id, resident.id, department, state.value,
    )  # fmt: skip
    await case.refresh_from_db()
    return case


async def sent_in(resident: AsResident) -> tuple[DeliveryRow, AsStaff]:
    """Documents that are to be sent, and a member of staff."""
    case = await a_case_of(resident)
    delivery = await sending_in.begin_sending_in(resident, case.number, (await an_address(resident)).id)
    assert delivery.department_id is not None
    return delivery, AsStaff(uuid7(), delivery.department_id, frozenset({dispatching.SEND}))


async def test_what_is_missing_is_sent_in_to_the_office_whose_address_the_resident_reads():
    resident = await a_resident()

    delivery, _ = await sent_in(resident)

    assert (delivery.direction, delivery.state, delivery.contents) == (Direction.TO_OFFICE, D.TO_SEND, "补正材料")
    seen = await resident_views.get_own_delivery(resident, delivery.number)
    assert seen.office is not None
    assert (seen.office.name, seen.office.street) == ("某局", "人民路1号一楼")
    assert seen.state_name == "待您寄出"
    assert seen.actions == ["cancel", "enter-waybill", "order-courier", "report"]
    assert seen.origin is not None
    assert seen.goal is not None
    assert (seen.origin.name, seen.goal.name) == ("收件地址", "某局")


async def test_a_parcel_home_and_documents_to_the_office_go_at_the_same_time_but_each_once():
    resident = await a_resident()
    case = await a_case_of(resident)
    await a_delivery(resident, subject_id=case.id)
    address = (await an_address(resident)).id
    await sending_in.begin_sending_in(resident, case.number, address)

    with pytest.raises(DeliveryAlreadyChosen):
        await sending_in.begin_sending_in(resident, case.number, address)


@pytest.mark.parametrize("state", [CaseState.CLOSED, CaseState.WITHDRAWN, CaseState.REJECTED, CaseState.DELIVERED])
async def test_to_a_case_that_is_over_nothing_is_sent(state: CaseState):
    resident = await a_resident()
    case = await a_case_of(resident, state)

    with pytest.raises(DeliveryNotOffered):
        await sending_in.begin_sending_in(resident, case.number, (await an_address(resident)).id)


async def test_a_strangers_case_does_not_exist_and_a_delegate_sends_in_for_their_principal():
    mother, daughter = await a_resident(), await a_resident()
    case, address = await a_case_of(mother), (await an_address(mother)).id

    with pytest.raises(CaseNotFound):
        await sending_in.begin_sending_in(daughter, case.number, address)
    with pytest.raises(DeliveryReceiverNotFound):
        await sending_in.begin_sending_in(daughter, case.number, address, mother.id)
    await a_delegation(mother, daughter, matters=("deliveries",))
    assert (await sending_in.begin_sending_in(daughter, case.number, address, mother.id)).resident_id == mother.id


async def test_to_an_office_without_an_address_nothing_is_sent():
    resident = await a_resident()
    case = await a_case_of(resident)
    await execute("UPDATE cases SET department_id = $2 WHERE id = $1", case.id, uuid7())

    with pytest.raises(DeliveryOfficeInvalid):
        await sending_in.begin_sending_in(resident, case.number, (await an_address(resident)).id)


async def test_a_waybill_of_ones_own_is_followed_until_the_office_says_that_it_is_there():
    resident = await a_resident()
    delivery, staff = await sent_in(resident)

    ordered = await returning.enter_own_waybill(
        resident, delivery.number, company="ems", waybill=" ea123456789cn ", trackers=TRACKERS
    )
    track = Track(waybill="EA123456789CN", company="ems", nodes=(a_node("in_transit", -1),), complete=False)
    await tracking.ingest_tracks([track], source="kuaidi100", trusted=True)
    received = await returning.receive_documents(staff, delivery.number)
    again = await returning.receive_documents(staff, delivery.number)

    assert ordered.state is D.ORDERED
    assert received.state is again.state is D.SIGNED
    assert await moves_of(delivery.id) == ["waiting", "to_send", "ordered", "in_transit", "signed"]
    assert await fetch_value("SELECT state || (query_after IS NULL) FROM shipments") == "signedtrue"
    seen = await resident_views.get_own_delivery(resident, delivery.number)
    assert (seen.state_name, seen.steps[-1].text) == ("办理部门已签收", "办理部门确认已收到")


async def test_a_courier_ordered_here_fetches_it_from_the_resident_and_the_office_pays():
    resident, courier = await a_resident(), ACourier()
    delivery, _ = await sent_in(resident)

    with served_by(courier):
        await returning.order_collection(resident, delivery.number, "ems", couriers={"ems": courier})
        await jobs.drain()

    [parcel] = courier.orders
    assert (parcel.sender.name, parcel.receiver.name, parcel.collect) == ("田秀英", "某局", True)
    assert await delivery_state(delivery.id) == "ordered"


async def test_where_the_office_does_not_pay_no_courier_is_ordered():
    resident, courier = await a_resident(), ACourier()
    delivery, _ = await sent_in(resident)

    with using(documents_fetched=False), pytest.raises(DeliveryNotOffered):
        await returning.order_collection(resident, delivery.number, "ems", couriers={"ems": courier})
    with pytest.raises(CourierInvalid):
        await returning.order_collection(resident, delivery.number, "pigeon", couriers={"ems": courier})


@pytest.mark.parametrize(("company", "waybill"), [("ems", "12"), ("EMS", "EA123456789CN"), ("ems", "EA1234;DROP")])
async def test_a_number_that_is_none_is_refused(company: str, waybill: str):
    resident = await a_resident()
    delivery, _ = await sent_in(resident)

    with pytest.raises(WaybillInvalid):
        await returning.enter_own_waybill(
            resident, delivery.number, company=company, waybill=waybill, trackers=TRACKERS
        )


async def test_a_number_under_which_another_parcel_travels_is_refused():
    resident, other = await a_resident(), await a_shipment()
    delivery, _ = await sent_in(resident)

    with pytest.raises(WaybillTaken):
        await returning.enter_own_waybill(
            resident, delivery.number, company="ems", waybill=str(other.waybill), trackers=TRACKERS
        )
    assert await delivery_state(delivery.id) == "to_send"


async def test_a_second_waybill_and_that_of_a_parcel_home_are_refused():
    resident = await a_resident()
    delivery, _ = await sent_in(resident)
    home = await a_delivery(resident)
    given = {"company": "ems", "waybill": "EA123456789CN", "trackers": TRACKERS}
    await returning.enter_own_waybill(resident, delivery.number, **given)

    with pytest.raises(DeliveryTransitionRefused):
        await returning.enter_own_waybill(resident, delivery.number, **given)
    with pytest.raises(DeliveryNotFound):
        await returning.enter_own_waybill(resident, home.number, **given)
    with pytest.raises(DeliveryNotFound):
        await returning.enter_own_waybill(await a_resident(), delivery.number, **given)


async def test_only_the_office_itself_receives_and_only_what_comes_to_it():
    resident = await a_resident()
    delivery, staff = await sent_in(resident)
    home = await a_delivery(resident, department_id=staff.department_id)

    with pytest.raises(DeliveryNotFound):
        await returning.receive_documents(AsStaff(uuid7(), uuid7(), staff.duties), delivery.number)
    with pytest.raises(DeliveryNotFound):
        await returning.receive_documents(staff, home.number)
    with pytest.raises(DutyMissing):
        await returning.receive_documents(AsStaff(staff.id, staff.department_id, frozenset()), delivery.number)


async def test_what_was_brought_by_hand_is_received_without_a_parcel():
    resident = await a_resident()
    delivery, staff = await sent_in(resident)

    await returning.receive_documents(staff, delivery.number)

    assert await delivery_state(delivery.id) == "signed"
    with pytest.raises(DeliveryTransitionRefused):
        await receiving.confirm_receipt(resident, delivery.number)
