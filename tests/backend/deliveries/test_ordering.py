"""One order for one number, with every fate of its answer."""

from __future__ import annotations

import asyncio

import pytest

from backend import clock, jobs
from backend.database import fetch_row, fetch_value
from backend.deliveries import dispatching, ordering
from backend.partners.courier.port import (
    CourierAddressRefused,
    CourierOrderRefused,
    CourierWaybillNotFound,
    PartnerBusy,
    PartnerMisconfigured,
)
from models.deliveries import DeliveryState, Direction, Postage
from tests.backend.deliveries.couriers import ACourier, served_by
from tests.backend.deliveries.offices import an_office, jobs_later, one_to_send, shipments, their_time_comes
from tests.factories.deliveries import (
    NAME,
    PHONE,
    STREET,
    a_pickup_point,
    a_shipment,
    delivery_state,
    moves_of,
    problems_of,
)
from tests.factories.identity import a_staff
from tests.factories.regions import a_region


async def test_an_order_names_both_sides_as_a_courier_reads_them():
    staff, department = await an_office()
    region = await a_region(name="南关区", code="980177")
    delivery, courier = await one_to_send(staff, region_code="980177001001"), ACourier()

    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.number, "ems", couriers={"ems": courier})
        assert await delivery_state(delivery.id) == "to_send"
        await jobs.drain()

    [parcel] = courier.orders
    assert parcel.number == f"S{delivery.number[1:]}01"
    assert (parcel.receiver.name, parcel.receiver.phone, parcel.receiver.street) == (NAME, PHONE, STREET)
    assert parcel.receiver.region == ("测试省", "测试市", region.name)
    assert (parcel.sender.name, parcel.sender.street) == (department.name, "政务大道88号")
    assert (parcel.contents, parcel.collect) == ("居住证", False)
    assert await moves_of(delivery.id) == ["to_send", "ordered"]
    assert await shipments() == [("ordered", None, False)]
    row = await fetch_row("SELECT tracker, company, phone_tail, subscribe_after, query_after FROM shipments")
    assert row is not None
    assert (row["tracker"], row["company"], row["phone_tail"]) == ("kuaidi100", "ems", PHONE[-4:])
    assert row["subscribe_after"] <= clock.now() < row["query_after"]


async def test_what_the_resident_sends_in_goes_the_other_way_and_the_office_pays():
    staff, department = await an_office()
    await a_pickup_point(department_id=department.id, address="政务大道88号一楼3窗口")
    delivery = await one_to_send(staff, direction=Direction.TO_OFFICE, postage=Postage.COLLECT)
    shipment, courier = (
        await a_shipment(delivery, state=DeliveryState.TO_SEND, waybill=None, ordered_at=None),
        ACourier(),
    )

    with served_by(courier):
        await ordering.place_order(shipment.id)

    [parcel] = courier.orders
    assert (parcel.sender.name, parcel.receiver.street, parcel.collect) == (NAME, "政务大道88号一楼3窗口", True)


async def test_a_lost_answer_is_asked_for_again_with_the_same_number():
    staff, _ = await an_office()
    delivery, courier = await one_to_send(staff), ACourier()
    courier.lost_answers = 2

    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers={"ems": courier})
        await jobs.drain()
        assert (await delivery_state(delivery.id), await jobs_later()) == ("to_send", 1)
        await their_time_comes()
        await their_time_comes()

    assert len({parcel.number for parcel in courier.orders}) == 1
    assert len({str(parcel) for parcel in courier.orders}) == 1
    assert await fetch_value("SELECT waybill FROM shipments") == courier.waybills[courier.orders[0].number]
    assert await delivery_state(delivery.id) == "ordered"
    assert await shipments() == [("ordered", None, False)]


@pytest.mark.parametrize("error", [PartnerBusy("ems"), PartnerMisconfigured("ems")])
async def test_a_failing_courier_is_waited_for_and_the_office_sees_why(error: Exception):
    staff, _ = await an_office()
    delivery, courier = await one_to_send(staff), ACourier()
    courier.failures = [error]

    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers={"ems": courier})
        await jobs.drain()

    assert await shipments() == [("to_send", error.code, False)]  # type: ignore[attr-defined]
    assert await jobs_later() == 1


async def test_the_same_order_worked_on_twice_at_once_is_one_order():
    staff, _ = await an_office()
    delivery, courier = await one_to_send(staff), ACourier()

    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers={"ems": courier})
        shipment_id = await fetch_value("SELECT id FROM shipments")
        await asyncio.gather(*(ordering.place_order(shipment_id) for _ in range(4)))
        await jobs.drain()

    assert courier.cancelled == []
    assert await moves_of(delivery.id) == ["to_send", "ordered"]


@pytest.mark.parametrize("error", [CourierAddressRefused("ems"), CourierOrderRefused("ems")])
async def test_an_order_that_is_refused_is_for_the_office_which_may_send_otherwise(error: CourierOrderRefused):
    staff, _ = await an_office()
    delivery, ems, sf = await one_to_send(staff), ACourier(), ACourier("sf", "shunfeng")
    ems.failures = [error]
    couriers = {"ems": ems, "sf": sf}

    with served_by(ems, sf):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers=couriers)
        await jobs.drain()
        assert await problems_of(delivery.id) == [("order-failed", None)]
        assert await fetch_value("SELECT count(*) FROM events WHERE name = 'shipment.order-failed'") == 1

        await dispatching.send_delivery(staff, delivery.id, "sf", couriers=couriers)
        await jobs.drain()

    assert await shipments() == [("to_send", error.code, True), ("ordered", None, False)]
    [(_, ended)] = await problems_of(delivery.id)
    assert ended is not None


async def test_an_office_without_an_address_cannot_send():
    staff = await a_staff(duties=[dispatching.SEND])
    delivery, courier = await one_to_send(staff), ACourier()

    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers={"ems": courier})
        await jobs.drain()

    assert courier.orders == []
    assert await shipments() == [("to_send", "delivery-office-invalid", True)]


async def test_a_waybill_that_another_parcel_has_is_taken_back():
    staff, _ = await an_office()
    other = await a_shipment()
    delivery, courier = await one_to_send(staff), ACourier()
    courier.waybills[f"S{delivery.number[1:]}01"] = str(other.waybill)

    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers={"ems": courier})
        await jobs.drain()

    assert courier.cancelled == [f"S{delivery.number[1:]}01"]
    assert await delivery_state(delivery.id) == "to_send"
    assert await problems_of(delivery.id) == [("order-failed", None)]


async def test_an_unanswered_order_can_be_given_up_and_is_cancelled_when_it_was_made():
    staff, _ = await an_office()
    delivery, silent, other = await one_to_send(staff), ACourier(), ACourier("sf", "shunfeng")
    couriers = {"ems": silent, "sf": other}
    silent.lost_answers = 1

    with served_by(silent, other):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers=couriers)
        await jobs.drain()
        await dispatching.undo_order(staff, delivery.id, couriers=couriers)
        await dispatching.send_delivery(staff, delivery.id, "sf", couriers=couriers)
        await jobs.drain()
        await their_time_comes()

    assert silent.cancelled == [silent.orders[0].number]
    assert await fetch_value("SELECT courier FROM shipments WHERE ended_at IS NULL") == "sf"
    assert await delivery_state(delivery.id) == "ordered"


async def test_an_answer_that_comes_after_the_order_was_given_up_is_taken_back():
    staff, _ = await an_office()
    delivery, courier = await one_to_send(staff), ACourier()

    async def give_up() -> None:
        await dispatching.undo_order(staff, delivery.id, couriers={"ems": courier})

    courier.meanwhile = [give_up]
    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers={"ems": courier})
        await jobs.drain()

    assert courier.cancelled == [courier.orders[0].number]
    assert await delivery_state(delivery.id) == "to_send"


async def test_an_order_to_be_taken_back_that_the_courier_does_not_know_is_settled():
    staff, _ = await an_office()
    delivery, courier = await one_to_send(staff), ACourier()

    async def give_up() -> None:
        await dispatching.undo_order(staff, delivery.id, couriers={"ems": courier})
        courier.meanwhile.append(forget_it)

    async def forget_it() -> None:
        courier.failures = [CourierWaybillNotFound("ems", "8024")]

    courier.meanwhile = [give_up]
    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers={"ems": courier})
        await jobs.drain()

    assert (courier.failures, courier.cancelled) == ([], [])
    assert await fetch_value("SELECT count(*) FROM pgqueuer WHERE status = 'queued'") == 0
    assert await fetch_value("SELECT count(*) FROM pgqueuer_log WHERE status = 'exception'") == 0


async def test_an_order_that_the_courier_does_not_know_any_more_counts_as_taken_back():
    staff, _ = await an_office()
    shipment, courier = await a_shipment(await one_to_send(staff, state=DeliveryState.ORDERED)), ACourier()
    courier.failures = [CourierWaybillNotFound("ems", "8024")]

    undone = await dispatching.undo_order(staff, (await shipment.delivery).number, couriers={"ems": courier})

    assert (undone.state, courier.cancelled) == (DeliveryState.TO_SEND, [])
    assert await shipments() == [("ordered", None, True)]


async def test_a_label_that_came_with_the_order_is_kept_sealed():
    staff, _ = await an_office()
    delivery, courier = await one_to_send(staff), ACourier()
    courier.labels = "https://labels.example/13800138000.pdf"

    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers={"ems": courier})
        await jobs.drain()
        label = await dispatching.get_label(staff, delivery.id, couriers={"ems": courier})

    assert label == courier.labels
    assert "labels.example" not in str(await fetch_value("SELECT label FROM shipments"))
