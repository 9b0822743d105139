"""How the resident wants it: what may be chosen, and until when it can be changed."""

from __future__ import annotations

from typing import Any

import pytest

from backend import jobs
from backend.clock import now
from backend.database import execute, fetch_row, fetch_value
from backend.deliveries import cancelling, choosing, subject_deliveries
from backend.deliveries.choosing import DeliveryChoice
from backend.deliveries.errors import (
    AddressNotFound,
    CourierOrderInProgress,
    DeliveryAddressFixed,
    DeliveryAlreadyChosen,
    DeliveryNotFound,
    DeliveryNotOffered,
    DeliveryTransitionRefused,
    PickupPointNotFound,
)
from backend.identity.principals import AsResident
from backend.partners.courier.port import CourierOrderRefused, PartnerUnreachable
from models.deliveries import DeliveryState as D
from models.deliveries import Method, Postage
from tests.backend.deliveries.choices import an_offer, by_post
from tests.backend.deliveries.couriers import ACourier, served_by
from tests.factories.appointments import somebody
from tests.factories.deliveries import (
    PHONE,
    STREET,
    a_delivery,
    a_pickup_point,
    a_shipment,
    address_of,
    an_address,
    delivery_state,
    moves_of,
    recorded_states,
)
from tests.factories.regions import a_department, a_hall


async def test_what_exists_is_to_be_sent_at_once_to_a_copy_of_the_address():
    resident = await somebody()
    address = await an_address(resident)

    chosen = await choosing.choose_delivery(
        resident, an_offer(), DeliveryChoice(method=Method.POST, address_id=address.id)
    )

    assert (chosen.state, chosen.postage) == (D.TO_SEND, Postage.OFFICE)
    assert await address_of(chosen.id) == {"name": "田秀英", "phone": PHONE, "street": STREET}
    assert chosen.region_code == address.region_code
    await execute("UPDATE addresses SET street = 'changed', removed_at = now() WHERE id = $1", address.id)
    assert (await address_of(chosen.id))["street"] == STREET
    row = await fetch_row("SELECT * FROM deliveries")
    assert STREET not in str(row)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'delivery.chosen'") == 1


async def test_what_does_not_exist_yet_waits_for_it():
    resident, offer = await somebody(), an_offer(ready=False)
    chosen = await choosing.choose_delivery(resident, offer, await by_post(resident))
    assert chosen.state is D.WAITING

    assert await subject_deliveries.mark_contents_ready("case", offer.subject_id) is True
    assert await subject_deliveries.mark_contents_ready("case", offer.subject_id) is False

    assert await moves_of(chosen.id) == ["waiting", "to_send"]
    assert await recorded_states(chosen.id) == ["to_send"]


async def test_a_counter_may_be_chosen_instead():
    resident, point = await somebody(), await a_pickup_point()

    chosen = await choosing.choose_delivery(
        resident, an_offer(), DeliveryChoice(method=Method.PICKUP, pickup_point_id=point.id)
    )

    assert (chosen.method, chosen.pickup_point_id, chosen.postage) == (Method.PICKUP, point.id, Postage.FREE)
    assert await fetch_value("SELECT street FROM deliveries") is None


async def test_only_what_is_offered_and_ones_own_can_be_chosen():
    resident = await somebody()
    foreign, gone = await an_address(), await an_address(resident, removed_at=now())
    closed = await a_pickup_point(closed_at=now())

    for wish, error in (
        (DeliveryChoice(method=Method.POST, address_id=foreign.id), AddressNotFound),
        (DeliveryChoice(method=Method.POST, address_id=gone.id), AddressNotFound),
        (DeliveryChoice(method=Method.POST), AddressNotFound),
        (DeliveryChoice(method=Method.PICKUP, pickup_point_id=closed.id), PickupPointNotFound),
        (DeliveryChoice(method=Method.PICKUP), PickupPointNotFound),
    ):
        with pytest.raises(error):
            await choosing.choose_delivery(resident, an_offer(), wish)
    with pytest.raises(DeliveryNotOffered):
        await choosing.choose_delivery(resident, an_offer(methods=frozenset({Method.PICKUP})), await by_post(resident))
    assert await fetch_value("SELECT count(*) FROM deliveries") == 0


async def test_one_subject_has_one_delivery_under_way():
    resident, offer = await somebody(), an_offer()
    first = await choosing.choose_delivery(resident, offer, await by_post(resident))

    with pytest.raises(DeliveryAlreadyChosen):
        await choosing.choose_delivery(resident, offer, await by_post(resident))

    await cancelling.cancel_delivery(resident, first.number, couriers={})
    assert (await choosing.choose_delivery(resident, offer, await by_post(resident))).state is D.TO_SEND


# -- until it was picked up ------------------------------------------------------------------------


async def an_ordered_one(courier: ACourier, **changes: Any) -> tuple[AsResident, Any]:
    """A parcel that the courier will fetch, and whose it is."""
    resident = await somebody()
    department = await a_department()
    await a_hall(region=await department.region)
    delivery = await a_delivery(resident, state=D.ORDERED, department_id=department.id)
    shipment = await a_shipment(delivery, **changes)
    courier.waybills[shipment.number] = shipment.waybill
    return resident, shipment


async def test_another_address_after_the_order_takes_it_back_and_orders_anew():
    courier = ACourier()
    resident, first = await an_ordered_one(courier)
    wish = DeliveryChoice(method=Method.POST, address_id=(await an_address(resident, street="新居1号")).id)

    with served_by(courier):
        changed = await choosing.change_delivery(
            resident, first.delivery_id, an_offer(), wish, couriers={"ems": courier}
        )
        await jobs.drain()

    assert courier.cancelled == [first.number]
    assert [parcel.receiver.street for parcel in courier.orders] == ["新居1号"]
    assert [parcel.number for parcel in courier.orders] == [f"{first.number[:-2]}02"]
    assert await moves_of(changed.id) == ["ordered", "to_send", "ordered"]
    assert await fetch_value("SELECT count(*) FROM shipments WHERE ended_at IS NULL") == 1


async def test_once_picked_up_the_address_is_fixed():
    courier = ACourier()
    resident, shipment = await an_ordered_one(courier)
    wish = await by_post(resident)
    courier.failures = [CourierOrderRefused("ems", "too-late")]

    with pytest.raises(DeliveryAddressFixed):  # the courier says so
        await choosing.change_delivery(resident, shipment.delivery_id, an_offer(), wish, couriers={"ems": courier})
    await execute("UPDATE deliveries SET state = 'in_transit'")
    for change in (
        choosing.change_delivery(resident, shipment.delivery_id, an_offer(), wish, couriers={"ems": courier}),
        cancelling.cancel_delivery(resident, shipment.delivery_id, couriers={"ems": courier}),
    ):
        with pytest.raises(DeliveryAddressFixed):  # we know
            await change

    assert (await address_of(shipment.delivery_id))["street"] == STREET


async def test_picked_up_while_the_order_is_being_taken_back_leaves_the_address_as_it_was():
    courier = ACourier()
    resident, shipment = await an_ordered_one(courier)

    async def picked_up() -> None:
        await execute("UPDATE deliveries SET state = 'picked_up'")

    courier.meanwhile = [picked_up]
    with pytest.raises(DeliveryAddressFixed):
        await choosing.change_delivery(
            resident, shipment.delivery_id, an_offer(), await by_post(resident), couriers={"ems": courier}
        )

    assert (await address_of(shipment.delivery_id))["street"] == STREET
    assert await fetch_value("SELECT ended_at FROM shipments") is None


async def test_a_courier_that_does_not_answer_changes_nothing():
    courier = ACourier()
    resident, shipment = await an_ordered_one(courier)
    courier.failures = [PartnerUnreachable("ems")]

    with pytest.raises(PartnerUnreachable):
        await cancelling.cancel_delivery(resident, shipment.delivery_id, couriers={"ems": courier})

    assert await delivery_state(shipment.delivery_id) == "ordered"


async def test_while_the_courier_has_not_answered_nothing_can_be_changed():
    resident = await somebody()
    delivery = await a_delivery(resident)
    await a_shipment(delivery, state=D.TO_SEND, waybill=None, ordered_at=None)

    for change in (
        choosing.change_delivery(resident, delivery.id, an_offer(), await by_post(resident), couriers={}),
        cancelling.cancel_delivery(resident, delivery.id, couriers={}),
    ):
        with pytest.raises(CourierOrderInProgress):
            await change


async def test_cancelling_an_ordered_one_takes_it_back_first():
    courier = ACourier()
    resident, shipment = await an_ordered_one(courier)

    await cancelling.cancel_delivery(resident, shipment.delivery_id, couriers={"ems": courier})

    assert courier.cancelled == [shipment.number]
    assert await moves_of(shipment.delivery_id) == ["ordered", "to_send", "cancelled"]


async def test_another_residents_delivery_can_be_neither_changed_nor_cancelled():
    delivery, stranger = await a_delivery(), await somebody()

    for wrong in (
        choosing.change_delivery(stranger, delivery.id, an_offer(), await by_post(stranger), couriers={}),
        cancelling.cancel_delivery(stranger, delivery.number, couriers={}),
    ):
        with pytest.raises(DeliveryNotFound):
            await wrong


async def test_what_was_signed_for_cannot_be_changed():
    resident = await somebody()
    delivery = await a_delivery(resident, state=D.SIGNED)

    for wrong in (
        choosing.change_delivery(resident, delivery.id, an_offer(), await by_post(resident), couriers={}),
        cancelling.cancel_delivery(resident, delivery.id, couriers={}),
    ):
        with pytest.raises(DeliveryTransitionRefused):
            await wrong


# -- what the domain of the subject does ---------------------------------------------------


async def test_a_subject_that_ends_cancels_what_has_not_been_sent():
    delivery = await a_delivery(state=D.WAITING)

    assert await subject_deliveries.end_subject_delivery("case", delivery.subject_id, "case-ended") is True
    assert await subject_deliveries.end_subject_delivery("case", delivery.subject_id, "case-ended") is False

    assert await delivery_state(delivery.id) == "cancelled"


async def test_a_subject_that_ends_takes_the_order_back_by_a_job():
    courier = ACourier()
    _, shipment = await an_ordered_one(courier)
    subject = await fetch_value("SELECT subject_id FROM deliveries")

    with served_by(courier):
        assert await subject_deliveries.end_subject_delivery("case", subject, "case-ended") is True
        assert await delivery_state(shipment.delivery_id) == "ordered"
        await jobs.drain()

    assert await delivery_state(shipment.delivery_id) == "cancelled"
    assert courier.cancelled == [shipment.number]


async def test_what_the_courier_has_goes_its_way_when_the_subject_ends():
    shipment = await a_shipment(state=D.IN_TRANSIT)
    subject = await fetch_value("SELECT subject_id FROM deliveries")

    assert await subject_deliveries.end_subject_delivery("case", subject, "case-ended") is False
    assert await delivery_state(shipment.delivery_id) == "in_transit"


async def test_a_subject_shows_its_deliveries_the_newest_first():
    old = await a_delivery(state=D.CANCELLED)
    new = await a_delivery(subject_id=old.subject_id)
    await a_delivery()

    found = await subject_deliveries.list_subject_deliveries("case", old.subject_id)
    assert [each.id for each in found] == [new.id, old.id]
    assert await subject_deliveries.list_subject_deliveries("licence", old.subject_id) == []
