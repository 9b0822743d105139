"""A resident sends documents to the office: a waybill of their own, or a courier ordered here; the office receives.

Such a delivery is begun with `choosing.choose` like any other. Whoever brings it to a courier pays there; what a
courier ordered here fetches is paid by the office on arrival (到付), if the place allows that (`documents_fetched`).
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from backend import clock
from backend.database import execute, transaction
from backend.deliveries import acting, anomalies, choosing, dispatching, moving, ordering, parties
from backend.deliveries.choosing import Offer, Wish
from backend.deliveries.errors import CourierInvalid, DeliveryNotFound, DeliveryNotOffered, DeliveryTransitionRefused
from backend.deliveries.lifecycle import Move
from backend.deliveries.moving import Standing
from backend.errors import Fault
from backend.identity.principals import AsResident, AsStaff
from backend.partners.courier.port import Ordering, Tracking
from backend.settings import settings
from models.deliveries import DeliveryState, Direction, Method

RECEIVED = "received"
"""Cause of the step when the office says that it is there."""
ARRIVED = """
UPDATE shipments SET state = 'signed', state_at = $2, ended_at = $2, query_after = NULL, subscribe_after = NULL
WHERE delivery_id = $1 AND ended_at IS NULL
"""
"""SQL: the parcel has arrived, although its courier has not said so; what it says later changes nothing."""


async def begin(resident: AsResident, offer: Offer, address_id: UUID) -> Standing:
    """Say that something is sent in, from this address of the resident's.

    Raises DeliveryOfficeInvalid when nobody knows where the office is; what `choosing.choose` raises.
    """
    await parties.office(offer.department_id, offer.hall_id)
    return await choosing.choose(resident, offer, Wish(method=Method.POST, address_id=address_id))


async def enter_waybill(
    resident: AsResident, number: str, *, company: str, waybill: str, trackers: Mapping[str, Tracking]
) -> Standing:
    """The resident has brought it to a courier: it is followed by this number. `company` in kuaidi100's words.

    Raises DeliveryNotFound, DeliveryTransitionRefused, CourierOrderInProgress, WaybillInvalid, WaybillTaken.
    """
    async with transaction():
        standing = await _own(resident, number)
        await dispatching.carry_by_hand(standing, company, waybill, trackers=trackers)
    return standing


async def order(resident: AsResident, number: str, courier: str, *, couriers: Mapping[str, Ordering]) -> Standing:
    """Have a courier fetch it from the resident; the order is made right after.

    Raises DeliveryNotFound, DeliveryTransitionRefused, CourierOrderInProgress, CourierInvalid; DeliveryNotOffered
    where the office does not pay for that.
    """
    async with transaction():
        standing = await _own(resident, number)
        if not settings().documents_fetched:
            raise DeliveryNotOffered
        with_whom = couriers.get(courier)
        if with_whom is None:
            raise CourierInvalid(fields=[Fault("/courier", "未接入该快递公司")])
        await ordering.begin(standing, with_whom)
    return standing


async def receive(staff: AsStaff, number: str) -> Standing:
    """The office has what the resident sent, whatever the courier says. Said again, nothing happens.

    Raises DutyMissing, DeliveryNotFound, DeliveryTransitionRefused.
    """
    staff.require(dispatching.SEND)
    async with transaction():
        standing = await moving.locked(number, department=staff.department_id)
        if standing.direction is not Direction.TO_OFFICE:
            raise DeliveryNotFound
        if standing.state is not DeliveryState.SIGNED:
            await ordering.refuse_while_ordering(standing)
            await moving.move(standing, Move.RECEIVE, RECEIVED)
            await arrived(standing)
    return standing


async def arrived(standing: Standing) -> None:
    """The parcel of a locked delivery is there: nobody asks about it any more, and what was wrong has mended itself."""
    await execute(ARRIVED, standing.id, clock.now())
    await anomalies.mend(standing.id, (*anomalies.BY_ARRIVAL, *dispatching.FAILED))


async def _own(resident: AsResident, number: str) -> Standing:
    owner = await acting.owner_of(resident, number)
    standing = await moving.locked(number, owner=owner.id)
    if standing.direction is not Direction.TO_OFFICE:
        raise DeliveryNotFound
    if standing.state is not DeliveryState.TO_SEND:
        raise DeliveryTransitionRefused(state=standing.state.value, move=Move.ORDER.value)
    await ordering.refuse_while_ordering(standing)
    return standing
