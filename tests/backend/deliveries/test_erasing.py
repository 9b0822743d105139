"""Who was erased while a parcel was on its way is forgotten when it has come to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from backend import data_subjects, jobs, schedule
from backend.crypto import seal
from backend.database import execute, fetch, fetch_row, transaction
from backend.deliveries import dispatching, erasing, handing_over, ordering, returning, tracking
from backend.deliveries import subject_deliveries as delivery_subjects
from backend.deliveries.errors import ReceiverForgotten
from backend.deliveries.handing_over import IdentityProof
from backend.identity import disable_resident
from backend.identity.principals import AsResident, AsStaff
from backend.partners.courier.port import Track
from models.deliveries import Delivery, Direction, Method
from models.deliveries import DeliveryState as D
from models.shipments import Shipment, TrackStatus
from tests.backend.deliveries.couriers import ACourier, served_by
from tests.backend.deliveries.offices import an_office, one_to_send, their_time_comes
from tests.factories.deliveries import (
    STREET,
    a_delivery,
    a_node,
    a_pickup_point,
    a_shipment,
    a_signature,
    address_of,
    delivery_state,
)
from tests.factories.identity import a_resident, a_staff

PERSONAL = """
SELECT 'address' AS what, name || phone || street AS said FROM deliveries
UNION ALL SELECT 'words', raw_text FROM shipment_nodes
UNION ALL SELECT 'label', label FROM shipments
UNION ALL SELECT 'tail', phone_tail FROM shipments
UNION ALL SELECT 'taker', taken_by || signature FROM hand_overs
UNION ALL SELECT 'report', text FROM delivery_problems
"""


async def left() -> list[str]:
    """What is still said of anybody."""
    return sorted(row["what"] for row in await fetch(PERSONAL) if row["said"])


async def ingest_nodes(shipment: Shipment, *statuses: str) -> None:
    nodes = tuple(a_node(status, n - 9) for n, status in enumerate(statuses))
    track = Track(waybill=str(shipment.waybill), company="ems", nodes=nodes, complete=True)
    await tracking.ingest_tracks([track], source="kuaidi100", trusted=True)


async def one_under_way(resident: AsResident, staff: AsStaff | None = None, state: D = D.IN_TRANSIT) -> Shipment:
    department = staff.department_id if staff else None
    shipment = await a_shipment(await a_delivery(resident, state=state, department_id=department), state=state)
    sealed = seal("https://labels.example/1.pdf", where="shipments.label", row=shipment.id)
    await execute("UPDATE shipments SET label = $2 WHERE id = $1", shipment.id, sealed)
    return shipment


@pytest.mark.parametrize("end", ["delivered", "returned", "lost"])
async def test_the_address_of_an_erased_resident_goes_with_the_end_of_the_parcel(end: str):
    resident = await a_resident()
    shipment = await one_under_way(resident)
    await ingest_nodes(shipment, "collected")
    await data_subjects.erase(resident.id)
    assert (await address_of((await shipment.delivery).id))["street"] == STREET

    await ingest_nodes(shipment, "out_for_delivery")
    assert await left() == ["address", "label", "tail", "words", "words"]
    await ingest_nodes(shipment, end)

    assert await left() == []


async def confirmed_by_phone(delivery: Delivery, staff: AsStaff) -> None:
    await dispatching.declare_outcome(staff, delivery.number, TrackStatus.DELIVERED)


async def nothing_came_of_it(delivery: Delivery, staff: AsStaff) -> None:
    await execute("UPDATE shipments SET ended_at = now()")
    await execute("UPDATE deliveries SET state = 'to_send'")
    async with transaction():
        await delivery_subjects.end_subject_delivery(delivery.subject_kind, delivery.subject_id, "case-ended")


async def received_by_the_office(delivery: Delivery, staff: AsStaff) -> None:
    await execute("UPDATE deliveries SET direction = $1", Direction.TO_OFFICE.value)
    await returning.receive_documents(staff, delivery.number)


@pytest.mark.parametrize("how", [confirmed_by_phone, nothing_came_of_it, received_by_the_office])
async def test_however_it_ends(how: Callable[[Delivery, AsStaff], Awaitable[None]]):
    resident, staff = await a_resident(), await a_staff(duties=[dispatching.SEND])
    shipment = await one_under_way(resident, staff)
    await data_subjects.erase(resident.id)

    await how(await shipment.delivery, staff)

    assert await left() == []


async def test_the_living_keep_their_addresses_and_so_do_those_who_are_only_locked_out():
    living, locked_out = await a_resident(), await a_resident()
    parcels = [await one_under_way(each) for each in (living, locked_out)]
    await disable_resident(locked_out.id)

    for parcel in parcels:
        await ingest_nodes(parcel, "delivered")

    assert await erasing.sweep_erased() == 0
    assert [(await address_of((await each.delivery).id))["street"] for each in parcels] == [STREET, STREET]


async def test_what_is_written_down_after_the_end_goes_at_night():
    resident = await a_resident()
    shipment = await one_under_way(resident)
    staff = await a_staff(duties=[handing_over.HAND_OVER])
    point = await a_pickup_point(department_id=staff.department_id)
    at_counter = await a_delivery(
        resident, method=Method.PICKUP, pickup_point=point, department_id=staff.department_id, state=D.TO_SEND
    )
    await data_subjects.erase(resident.id)
    await ingest_nodes(shipment, "delivered")
    await ingest_nodes(shipment, "in_transit")
    await handing_over.make_ready(staff, at_counter.number)

    async def knows(*shown: object) -> bool:
        return True

    await handing_over.hand_over(
        staff, at_counter.number, IdentityProof(name="田秀英", id_last_four="0048"), a_signature(), identity_check=knows
    )
    assert await left() == ["taker", "words"]

    async with transaction():
        await jobs.enqueue("deliveries.forget", {})
    await jobs.drain()

    assert await left() == []
    assert await erasing.sweep_erased() == 0
    assert "deliveries.forget" in [name for _, name in schedule.CRON]


async def test_what_came_back_for_an_erased_resident_cannot_be_sent_again():
    resident, staff = await a_resident(), await a_staff(duties=[dispatching.SEND])
    shipment = await one_under_way(resident, staff)
    await data_subjects.erase(resident.id)
    await ingest_nodes(shipment, "returned")

    with pytest.raises(ReceiverForgotten):
        await dispatching.resend_delivery(staff, (await shipment.delivery).number)
    assert await delivery_state((await shipment.delivery).id) == "returned"


async def test_an_order_that_was_given_up_is_settled_when_its_address_is_erased():
    staff, _ = await an_office()
    delivery, courier = await one_to_send(staff), ACourier()
    courier.lost_answers = 1
    with served_by(courier):
        await dispatching.send_delivery(staff, delivery.id, "ems", couriers={"ems": courier})
        await jobs.drain()
        await dispatching.undo_order(staff, delivery.id, couriers={"ems": courier})
        await execute("UPDATE deliveries SET name = '', phone = '', street = ''")

        await their_time_comes()

    assert courier.cancelled == []
    row = await fetch_row("SELECT count(*) AS n FROM pgqueuer WHERE entrypoint = 'deliveries.take-back'")
    assert row is not None
    assert row["n"] == 0
    assert (await fetch("SELECT order_error FROM shipments"))[0]["order_error"] == ordering.GIVEN_UP
