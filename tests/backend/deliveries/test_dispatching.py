"""The office sends: a batch for a morning, by hand, again, and not after all."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from backend import clock, jobs
from backend.database import execute, fetch_row, fetch_value
from backend.deliveries import batching, dispatching, parties
from backend.deliveries.errors import (
    CourierInvalid,
    CourierOrderInProgress,
    DeliveryAddressFixed,
    DeliveryAlreadyChosen,
    DeliveryNotFound,
    DeliveryTransitionRefused,
    PostageUnpaid,
    WaybillInvalid,
    WaybillTaken,
)
from backend.identity.errors import DutyMissing
from backend.partners.courier.port import CourierAddressRefused, PartnerBusy
from models.deliveries import DeliveryState, Direction, Method, Postage
from models.shipments import TrackStatus
from tests.backend.deliveries.couriers import ACourier, ATracker, served_by
from tests.backend.deliveries.offices import an_office, one_to_send, shipments
from tests.factories.deliveries import (
    a_delivery,
    a_pickup_point,
    a_shipment,
    a_waybill,
    moves_of,
    problems_of,
)
from tests.factories.identity import a_staff
from tests.factories.regions import a_hall


async def test_only_what_is_ready_and_ones_own_is_sent():
    staff, _ = await an_office()
    courier = {"ems": ACourier()}
    fee_open = await one_to_send(staff, state=DeliveryState.WAITING, postage=Postage.RESIDENT, postage_fen=900)
    for delivery, error in (
        (await one_to_send(staff, state=DeliveryState.WAITING), DeliveryTransitionRefused),
        (await one_to_send(staff, state=DeliveryState.SIGNED), DeliveryTransitionRefused),
        (await one_to_send(staff, method=Method.PICKUP), DeliveryNotFound),
        (await one_to_send(staff, direction=Direction.TO_OFFICE), DeliveryNotFound),
        (await a_delivery(), DeliveryNotFound),
        (fee_open, PostageUnpaid),
    ):
        with pytest.raises(error):
            await dispatching.send_delivery(staff, delivery.id, "ems", couriers=courier)
    with pytest.raises(CourierInvalid):
        await dispatching.send_delivery(staff, (await one_to_send(staff)).id, "nobody", couriers=courier)
    with pytest.raises(DutyMissing):
        await dispatching.send_delivery(await a_staff(), (await one_to_send(staff)).id, "ems", couriers=courier)


async def test_what_is_being_ordered_is_not_ordered_again():
    staff, _ = await an_office()
    delivery = await one_to_send(staff)
    couriers = {"ems": ACourier()}
    await dispatching.send_delivery(staff, delivery.id, "ems", couriers=couriers)

    with pytest.raises(CourierOrderInProgress):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers=couriers)

    assert len(await shipments()) == 1


async def test_a_mornings_batch_goes_out_together_and_has_one_summary():
    staff, _ = await an_office()
    mine = [await one_to_send(staff) for _ in range(5)]
    await one_to_send(staff, state=DeliveryState.WAITING)
    await one_to_send(staff, method=Method.PICKUP)
    foreign = await a_delivery()
    courier = ACourier()
    courier.failures = [CourierAddressRefused("ems")]

    with served_by(courier):
        out = await batching.send_batch(staff, "ems", couriers={"ems": courier})
        assert (out.shipments, out.waiting, out.ordered) == (5, 5, 0)
        await jobs.drain()
        then = await batching.summarise_batch(staff, out.id)
        again = await batching.send_batch(staff, "ems", couriers={"ems": courier})

    assert (then.shipments, then.ordered, then.failed, then.waiting) == (5, 4, 1, 0)
    assert {line.number for line in then.lines} == {delivery.number for delivery in mine}
    assert [line.error for line in then.lines if line.waybill is None] == ["courier-address-refused"]
    assert again.shipments == 1
    assert await fetch_value("SELECT count(*) FROM shipments WHERE delivery_id = $1", foreign.id) == 0
    other, _ = await an_office()
    assert (await batching.summarise_batch(other, out.id)).shipments == 0


async def test_a_batch_may_name_what_lies_in_the_tray():
    staff, _ = await an_office()
    wanted, _, foreign = await one_to_send(staff), await one_to_send(staff), await a_delivery()

    out = await batching.send_batch(
        staff, "ems", couriers={"ems": ACourier()}, numbers=[wanted.number, foreign.number, "D0"]
    )

    assert [line.number for line in out.lines] == [wanted.number]
    assert len(await shipments()) == 1


async def test_a_batch_may_be_that_of_one_hall_and_is_fetched_there():
    staff, department = await an_office()
    hall, other = await a_hall(address="云山路9号"), await a_hall()
    await a_pickup_point(department_id=department.id, address="政务大道88号")
    here = await one_to_send(staff, hall_id=hall.id)
    for elsewhere in (other.id, None):
        await one_to_send(staff, hall_id=elsewhere)
    await a_delivery(hall_id=hall.id)
    courier = ACourier()

    with served_by(courier):
        out = await batching.send_batch(staff, "ems", couriers={"ems": courier}, hall_id=hall.id)
        await jobs.drain()

    assert [line.number for line in out.lines] == [here.number]
    assert [parcel.sender.street for parcel in courier.orders] == ["云山路9号"]
    assert (await batching.send_batch(staff, "ems", couriers={"ems": courier})).shipments == 2


async def test_in_a_hall_the_courier_comes_to_the_counter_of_the_department():
    staff, department = await an_office()
    hall = await a_hall(address="云山路9号")
    await a_pickup_point(department_id=department.id, address="政务大道88号")
    await a_pickup_point(department_id=department.id, address="云山路9号3窗口", hall=hall)
    shipment = await a_shipment(await one_to_send(staff, hall_id=hall.id), waybill=None, ordered_at=None)

    assert (await parties.courier_request(shipment.id)).sender.street == "云山路9号3窗口"


async def test_a_waybill_bought_elsewhere_is_entered_and_followed():
    staff, _ = await an_office()
    delivery, waybill = await one_to_send(staff), a_waybill()

    await dispatching.enter_department_waybill(
        staff, delivery.number, company="ems", waybill=f" {waybill.lower()} ", trackers={"kuaidi100": ATracker()}
    )

    assert await moves_of(delivery.id) == ["to_send", "ordered"]
    row = await fetch_row("SELECT courier, tracker, waybill, subscribe_after FROM shipments")
    assert row is not None
    assert (row["courier"], row["tracker"], row["waybill"]) == ("manual", "kuaidi100", waybill)
    assert row["subscribe_after"] is not None


async def test_a_waybill_must_be_valid_and_unused():
    staff, _ = await an_office()
    delivery, other = await one_to_send(staff), await a_shipment()

    for company, waybill, error in (
        ("ems", "12 34", WaybillInvalid),
        ("EMS!", a_waybill(), WaybillInvalid),
        ("ems", str(other.waybill), WaybillTaken),
    ):
        with pytest.raises(error):
            await dispatching.enter_department_waybill(
                staff, delivery.id, company=company, waybill=waybill, trackers={}
            )
    await dispatching.enter_department_waybill(
        staff, delivery.id, company="yunda", waybill=str(other.waybill), trackers={}
    )


async def test_a_label_is_fetched_once():
    staff, _ = await an_office()
    courier = ACourier()
    shipment = await a_shipment(await one_to_send(staff, state=DeliveryState.ORDERED))

    first = await dispatching.get_label(staff, (await shipment.delivery).number, couriers={"ems": courier})
    courier.failures = [PartnerBusy("ems")]
    again = await dispatching.get_label(staff, (await shipment.delivery).number, couriers={"ems": courier})

    assert first == again == f"label of {shipment.waybill}"
    assert str(shipment.waybill) not in str(await fetch_value("SELECT label FROM shipments"))
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'delivery.receiver-revealed'") == 2
    with pytest.raises(DeliveryTransitionRefused):
        await dispatching.get_label(staff, (await one_to_send(staff)).id, couriers={"ems": courier})


async def test_an_order_is_taken_back_until_the_courier_has_come():
    staff, _ = await an_office()
    courier = ACourier()
    shipment = await a_shipment(await one_to_send(staff, state=DeliveryState.ORDERED))
    courier.waybills[shipment.number] = str(shipment.waybill)
    delivery_id: UUID = shipment.delivery_id  # type: ignore[attr-defined]

    undone = await dispatching.undo_order(staff, delivery_id, couriers={"ems": courier})

    assert (undone.state, courier.cancelled) == (DeliveryState.TO_SEND, [shipment.number])
    with pytest.raises(DeliveryTransitionRefused):
        await dispatching.undo_order(staff, delivery_id, couriers={"ems": courier})
    await execute("UPDATE deliveries SET state = 'picked_up'")
    with pytest.raises(DeliveryAddressFixed):
        await dispatching.undo_order(staff, delivery_id, couriers={"ems": courier})


@pytest.mark.parametrize("state", [DeliveryState.RETURNED, DeliveryState.LOST])
async def test_what_came_back_or_was_lost_is_sent_again_as_another_parcel(state: DeliveryState):
    staff, _ = await an_office()
    courier = ACourier()
    first = await a_shipment(await one_to_send(staff, state=state), ended_at=clock.now())
    delivery_id: UUID = first.delivery_id  # type: ignore[attr-defined]

    await dispatching.resend_delivery(staff, delivery_id)
    with served_by(courier):
        await dispatching.send_delivery(staff, delivery_id, "ems", couriers={"ems": courier})
        await jobs.drain()

    assert courier.orders[0].number.endswith("02")
    assert await moves_of(delivery_id) == [state.value, "to_send", "ordered"]


async def test_nothing_is_sent_again_when_another_delivery_was_begun():
    staff, _ = await an_office()
    returned = await one_to_send(staff, state=DeliveryState.RETURNED)
    await a_delivery(subject_id=returned.subject_id)

    with pytest.raises(DeliveryAlreadyChosen):
        await dispatching.resend_delivery(staff, returned.id)
    with pytest.raises(DeliveryTransitionRefused):
        await dispatching.resend_delivery(staff, (await one_to_send(staff)).id)


async def test_what_the_courier_says_by_phone_is_entered_and_counts():
    staff, _ = await an_office()
    shipment = await a_shipment(
        await one_to_send(staff, state=DeliveryState.IN_TRANSIT), state=DeliveryState.IN_TRANSIT
    )
    delivery_id: UUID = shipment.delivery_id  # type: ignore[attr-defined]

    lost = await dispatching.declare_outcome(staff, delivery_id, TrackStatus.LOST, clock.now() - timedelta(minutes=5))

    assert lost.state is DeliveryState.LOST
    assert [kind for kind, _ in await problems_of(delivery_id)] == ["lost"]
    for which, status in ((delivery_id, TrackStatus.IN_TRANSIT), ((await one_to_send(staff)).id, TrackStatus.LOST)):
        with pytest.raises(DeliveryTransitionRefused):
            await dispatching.declare_outcome(staff, which, status)
