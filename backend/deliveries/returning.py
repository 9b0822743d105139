"""A resident sends documents to the office: with their own waybill, or a courier ordered here; the office receives.

Such a delivery begins with `choosing.choose_delivery` like any other. A resident who brings it to a courier pays
there; a collection ordered here is paid by the office on arrival (到付), if the settings allow it
(`documents_fetched`).
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from backend import clock
from backend.database import execute, transaction
from backend.deliveries import acting, anomalies, choosing, dispatching, ordering, parties, transitions
from backend.deliveries.choosing import DeliveryChoice, DeliveryOffer
from backend.deliveries.errors import (
    CourierInvalid,
    CourierOrderInProgress,
    DeliveryNotFound,
    DeliveryNotOffered,
    DeliveryTransitionRefused,
    WaybillInvalid,
    WaybillTaken,
)
from backend.deliveries.lifecycle import Transition
from backend.deliveries.transitions import DeliveryRow
from backend.errors import Fault, raises
from backend.identity import AsResident, AsStaff
from backend.identity.errors import DutyMissing
from backend.partners.courier.port import Ordering, Tracking
from backend.settings import settings
from models.deliveries import DeliveryState, Direction, Method

RECEIVED = "received"
"""Cause of the step when the office confirms the receipt."""
ARRIVED = """
UPDATE shipments SET state = 'signed', state_at = $2, ended_at = $2, query_after = NULL, subscribe_after = NULL
WHERE delivery_id = $1 AND ended_at IS NULL
"""
"""SQL: the shipment has arrived, although its courier has not reported it; later reports change nothing."""


async def begin_sending_in(resident: AsResident, offer: DeliveryOffer, address_id: UUID) -> DeliveryRow:
    """Begin to send documents in, from this address of the resident.

    Raises DeliveryOfficeInvalid when the office has no address; what `choose_delivery` raises.
    """
    await parties.office_party(offer.department_id, offer.hall_id)
    return await choosing.choose_delivery(resident, offer, DeliveryChoice(method=Method.POST, address_id=address_id))


@raises(DeliveryNotFound, DeliveryTransitionRefused, CourierOrderInProgress, WaybillInvalid, WaybillTaken)
async def enter_own_waybill(
    resident: AsResident, number: str, *, company: str, waybill: str, trackers: Mapping[str, Tracking]
) -> DeliveryRow:
    """Enter the waybill of a parcel that the resident brought to a courier. `company` is kuaidi100's code."""
    async with transaction():
        delivery = await _own(resident, number)
        await dispatching.order_by_hand(delivery, company, waybill, trackers=trackers)
    return delivery


@raises(DeliveryNotFound, DeliveryTransitionRefused, CourierOrderInProgress, CourierInvalid, DeliveryNotOffered)
async def order_collection(
    resident: AsResident, number: str, courier: str, *, couriers: Mapping[str, Ordering]
) -> DeliveryRow:
    """Order the collection of the parcel at the resident's address; the order itself is a job.

    Raises DeliveryNotFound, DeliveryTransitionRefused, CourierOrderInProgress, CourierInvalid; DeliveryNotOffered
    where the office does not pay for collection.
    """
    async with transaction():
        delivery = await _own(resident, number)
        if not settings().documents_fetched:
            raise DeliveryNotOffered
        chosen = couriers.get(courier)
        if chosen is None:
            raise CourierInvalid(fields=[Fault("/courier", "未接入该快递公司")])
        await ordering.begin_order(delivery, chosen)
    return delivery


@raises(DutyMissing, DeliveryNotFound, DeliveryTransitionRefused, CourierOrderInProgress)
async def receive_documents(staff: AsStaff, number: str) -> DeliveryRow:
    """Confirm that the office has the documents, regardless of the courier. A repeated call changes nothing."""
    staff.require(dispatching.SEND)
    async with transaction():
        delivery = await transitions.lock_row(number, department=staff.department_id)
        if delivery.direction is not Direction.TO_OFFICE:
            raise DeliveryNotFound
        if delivery.state is not DeliveryState.SIGNED:
            await ordering.refuse_while_ordering(delivery)
            await transitions.apply_transition(delivery, Transition.RECEIVE, RECEIVED)
            await mark_arrived(delivery)
    return delivery


async def mark_arrived(delivery: DeliveryRow) -> None:
    """Mark the shipment of a locked delivery as arrived: its polling ends, and its problems are resolved."""
    await execute(ARRIVED, delivery.id, clock.now())
    await anomalies.resolve_problems(delivery.id, (*anomalies.BY_ARRIVAL, *dispatching.FAILED))


async def _own(resident: AsResident, number: str) -> DeliveryRow:
    owner = await acting.owner_of(resident, number)
    delivery = await transitions.lock_row(number, owner=owner.id)
    if delivery.direction is not Direction.TO_OFFICE:
        raise DeliveryNotFound
    if delivery.state is not DeliveryState.TO_SEND:
        raise DeliveryTransitionRefused(state=delivery.state.value, transition=Transition.ORDER.value)
    await ordering.refuse_while_ordering(delivery)
    return delivery
