"""A resident confirms the receipt of a parcel, or reports a problem."""

from __future__ import annotations

from backend import clock
from backend.database import execute, transaction
from backend.deliveries import acting, anomalies, ordering, returning, transitions
from backend.deliveries.errors import (
    CourierOrderInProgress,
    DeliveryNotFound,
    DeliveryProblemAlreadyReported,
    DeliveryTransitionRefused,
)
from backend.deliveries.events import DeliveryConfirmed
from backend.deliveries.lifecycle import Transition
from backend.deliveries.transitions import DeliveryRow
from backend.errors import raises
from backend.events import record
from backend.identity import AsResident
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, ProblemKind

CONFIRMED = "confirmed"
"""Cause of the step when the resident confirms the receipt."""
NOTHING_TO_REPORT = frozenset({D.WAITING, D.CANCELLED})
_CONFIRM = "UPDATE deliveries SET confirmed_at = $2, version = version + 1 WHERE id = $1"


@raises(DeliveryNotFound, DeliveryTransitionRefused, CourierOrderInProgress)
async def confirm_receipt(resident: AsResident, number: str) -> DeliveryRow:
    """Confirm the receipt, regardless of the courier. A repeated call changes nothing.

    Raises DeliveryNotFound; DeliveryTransitionRefused for a delivery that has not been sent, was returned, or is
    collected at a counter; CourierOrderInProgress.
    """
    owner = await acting.owner_of(resident, number)
    async with transaction():
        delivery = await transitions.lock_row(number, owner=owner.id)
        if delivery.direction is not Direction.TO_RESIDENT or delivery.method is not Method.POST:
            raise DeliveryTransitionRefused(state=delivery.state.value, transition=Transition.CONFIRM.value)
        if delivery.confirmed_at is None:
            await _confirm(delivery)
    return delivery


async def _confirm(delivery: DeliveryRow) -> None:
    if delivery.state is not D.SIGNED:
        await ordering.refuse_while_ordering(delivery)
        await transitions.apply_transition(delivery, Transition.CONFIRM, CONFIRMED)
        await returning.mark_arrived(delivery)
    delivery.confirmed_at, delivery.version = clock.now(), delivery.version + 1
    await execute(_CONFIRM, delivery.id, delivery.confirmed_at)
    await record(DeliveryConfirmed(delivery_id=delivery.id, resident_id=delivery.resident_id))


@raises(DeliveryNotFound, DeliveryTransitionRefused, DeliveryProblemAlreadyReported)
async def report_problem(resident: AsResident, number: str, text: str) -> DeliveryRow:
    """Report a problem with a text of the resident; the office resolves and answers it.

    Raises DeliveryNotFound, DeliveryTransitionRefused before a delivery is sent and after it was cancelled;
    DeliveryProblemAlreadyReported while an earlier one is open.
    """
    owner = await acting.owner_of(resident, number)
    async with transaction():
        delivery = await transitions.lock_row(number, owner=owner.id)
        if delivery.state in NOTHING_TO_REPORT:
            raise DeliveryTransitionRefused(state=delivery.state.value, transition="report")
        if await anomalies.open_problem(delivery.id, ProblemKind.REPORTED, text=text) is None:
            raise DeliveryProblemAlreadyReported
    return delivery
