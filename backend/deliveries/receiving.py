"""What a resident says of a parcel: that it came, or that something is wrong with it."""

from __future__ import annotations

from backend import clock
from backend.database import execute, transaction
from backend.deliveries import acting, anomalies, moving, ordering, returning
from backend.deliveries.errors import DeliveryProblemAlreadyReported, DeliveryTransitionRefused
from backend.deliveries.events import DeliveryConfirmed
from backend.deliveries.lifecycle import Move
from backend.deliveries.moving import Standing
from backend.events import record
from backend.identity.principals import AsResident
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, ProblemKind

CONFIRMED = "confirmed"
"""Cause of the step when the resident says that it came."""
NOTHING_TO_REPORT = frozenset({D.WAITING, D.CANCELLED})
_CONFIRM = "UPDATE deliveries SET confirmed_at = $2, version = version + 1 WHERE id = $1"


async def confirm(resident: AsResident, number: str) -> Standing:
    """The resident has the parcel, whatever its courier says. Said again, nothing happens.

    Raises DeliveryNotFound; DeliveryTransitionRefused for what has not been sent, went back, or is fetched at a
    counter; CourierOrderInProgress.
    """
    owner = await acting.owner_of(resident, number)
    async with transaction():
        standing = await moving.locked(number, owner=owner.id)
        if standing.direction is not Direction.TO_RESIDENT or standing.method is not Method.POST:
            raise DeliveryTransitionRefused(state=standing.state.value, move=Move.CONFIRM.value)
        if standing.confirmed_at is None:
            await _confirm(standing)
    return standing


async def _confirm(standing: Standing) -> None:
    if standing.state is not D.SIGNED:
        await ordering.refuse_while_ordering(standing)
        await moving.move(standing, Move.CONFIRM, CONFIRMED)
        await returning.arrived(standing)
    standing.confirmed_at, standing.version = clock.now(), standing.version + 1
    await execute(_CONFIRM, standing.id, standing.confirmed_at)
    await record(DeliveryConfirmed(delivery_id=standing.id, resident_id=standing.resident_id))


async def report(resident: AsResident, number: str, text: str) -> Standing:
    """Something is wrong, in the resident's words: the office looks into it and answers.

    Raises DeliveryNotFound, DeliveryTransitionRefused before anything has been sent and after it was cancelled;
    DeliveryProblemAlreadyReported while an earlier one is open.
    """
    owner = await acting.owner_of(resident, number)
    async with transaction():
        standing = await moving.locked(number, owner=owner.id)
        if standing.state in NOTHING_TO_REPORT:
            raise DeliveryTransitionRefused(state=standing.state.value, move="report")
        if await anomalies.find(standing.id, ProblemKind.REPORTED, text=text) is None:
            raise DeliveryProblemAlreadyReported
    return standing
