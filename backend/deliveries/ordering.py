"""Orders at couriers: a transaction, a call, a transaction, and one number for one order.

The number of a shipment is ours and the courier's idempotency key: when the answer is lost, the same number is
ordered again, and the same waybill comes back. A refused order ends its shipment and opens a problem for the office.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock, jobs
from backend.crypto import open_sealed, seal
from backend.database import execute, fetch_row, fetch_value, in_transaction, transaction
from backend.deliveries import anomalies, numbering, parties, transitions, unmatched
from backend.deliveries.errors import (
    CourierInvalid,
    CourierOrderInProgress,
    DeliveryAddressFixed,
    DeliveryOfficeInvalid,
    ReceiverForgotten,
    WaybillTaken,
)
from backend.deliveries.events import ShipmentOrdered, ShipmentOrderFailed
from backend.deliveries.lifecycle import Transition
from backend.deliveries.tracking import MANUAL
from backend.deliveries.transitions import DeliveryRow
from backend.errors import DomainError
from backend.events import record
from backend.partners import in_use
from backend.partners.courier.port import (
    CourierOrderRefused,
    CourierWaybillNotFound,
    OrderedParcel,
    Ordering,
    PartnerError,
)
from backend.settings import settings
from models.deliveries import DeliveryState as D
from models.deliveries import ProblemKind

log = logging.getLogger(__name__)

RETRY_AFTER = timedelta(seconds=30)
"""A courier that did not answer is called again after this time, then after ever longer ones, up to `LONGEST_WAIT`."""
LONGEST_WAIT = timedelta(minutes=30)
GIVEN_UP = "given-up"
WITH_COURIER = frozenset({D.PICKED_UP, D.IN_TRANSIT, D.OUT_FOR_DELIVERY, D.AT_STATION, D.RETURNING})
"""The courier has the parcel: the order cannot be cancelled."""

_BEGIN = """
INSERT INTO shipments (id, created_at, delivery_id, number, attempt, courier, tracker, company, phone_tail, state,
                       state_at, hand_over_batch, subscriptions)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'to_send', $2, $10, 0)
"""
_ATTEMPT = "SELECT coalesce(max(attempt), 0) + 1 FROM shipments WHERE delivery_id = $1"
_PHONE = "SELECT phone FROM deliveries WHERE id = $1"
_OPEN = """
SELECT id, delivery_id, number, attempt, courier, company, waybill, created_at FROM shipments
WHERE id = $1 AND ended_at IS NULL
"""
_OF_DELIVERY = "SELECT id, number, courier, waybill FROM shipments WHERE delivery_id = $1 AND ended_at IS NULL"
_TAKEN = "SELECT 1 FROM shipments WHERE waybill = $1 AND company = $2 AND ended_at IS NULL AND id <> $3"
_ORDERED = """
UPDATE shipments SET waybill = $2, label = $3, ordered_at = $4, state = 'ordered', state_at = $4, tracker = $5,
    order_error = NULL, subscribe_after = $4, query_after = $6
WHERE id = $1 AND ended_at IS NULL AND waybill IS NULL
"""
_END = "UPDATE shipments SET ended_at = $2, query_after = NULL, subscribe_after = NULL, order_error = $3 WHERE id = $1"
_ERROR = "UPDATE shipments SET order_error = $2 WHERE id = $1 AND ended_at IS NULL"
_IS_WAITING = "SELECT 1 FROM shipments WHERE id = $1 AND ended_at IS NULL AND waybill IS NULL"
_IS_ORDERING = "SELECT 1 FROM shipments WHERE delivery_id = $1 AND ended_at IS NULL AND waybill IS NULL"


class CancelledOrder(Struct, frozen=True):
    """An order that the courier has cancelled."""

    shipment_id: UUID
    courier: str


def tracker_of(courier: str) -> str:
    """Return the tracker for a courier's shipments: itself if it pushes, else the tracker of the settings, else itself.

    Without partners in use it is the tracker of the settings.
    """
    trackers = in_use().trackers
    own, usual = trackers.get(courier), settings().courier_tracker
    if own is not None and (own.pushes or usual not in trackers):
        return courier
    return usual


async def begin_order(delivery: DeliveryRow, courier: Ordering, *, batch: UUID | None = None) -> UUID:
    """Begin an order for a locked delivery that is TO_SEND; return the id of the shipment.

    The order itself is a job; the delivery is ORDERED once the courier accepts it. Raises CourierOrderInProgress
    while another order is under way.
    """
    await refuse_while_ordering(delivery)
    return await _insert(delivery, courier.name, courier.company, batch)


async def begin_manual_shipment(delivery: DeliveryRow, company: str) -> UUID:
    """Begin a shipment whose waybill was bought elsewhere; the caller writes the waybill into it."""
    return await _insert(delivery, MANUAL, company, None)


async def _insert(delivery: DeliveryRow, courier: str, company: str, batch: UUID | None) -> UUID:
    if not in_transaction():
        raise RuntimeError("an order belongs inside transaction()")
    identity = uuid7()
    attempt: int = await fetch_value(_ATTEMPT, delivery.id)
    sealed = await fetch_value(_PHONE, delivery.id)
    tail = open_sealed(sealed, where="deliveries.phone", row=delivery.id)[-4:]
    number = numbering.shipment_number(delivery.number, attempt)
    await execute(
        _BEGIN, identity, clock.now(), delivery.id, number, attempt, courier, settings().courier_tracker, company,
        tail if tail.isdecimal() else None, batch,
    )  # fmt: skip
    if courier != MANUAL:
        await jobs.enqueue("deliveries.order", {"shipment_id": str(identity)})
    return identity


@jobs.job("deliveries.order")
async def _order_job(payload: dict[str, Any]) -> None:
    await place_order(UUID(payload["shipment_id"]))


async def place_order(shipment_id: UUID) -> None:
    """Place the shipment's order at its courier, once, however often this is called.

    Raises jobs.Later while the courier does not answer.
    """
    row = await fetch_row(_OPEN, shipment_id)
    if row is None or row["waybill"] is not None:
        return
    courier = in_use().couriers.get(row["courier"])
    try:
        if courier is None:
            raise CourierInvalid(courier=row["courier"])
        ordered = await courier.order(await parties.courier_request(shipment_id))
    except (DeliveryOfficeInvalid, ReceiverForgotten, CourierInvalid, PartnerError) as error:
        await _not_ordered(row, error)
        return
    await accept_order(row, ordered)


async def accept_order(row: asyncpg.Record, ordered: OrderedParcel) -> None:
    """Accept the courier's order: the delivery is ORDERED and its shipment is tracked from now on.

    Pushes about it that came before are applied again. When the office has given the order up meanwhile, or another
    shipment has its number, the order is cancelled at the courier.
    """
    now, waybill = clock.now(), ordered.waybill.strip().upper()
    async with transaction():
        delivery = await transitions.lock_row(row["delivery_id"])
        await unmatched.lock_waybill(waybill)
        if not await fetch_value(_IS_WAITING, row["id"]):
            await _enqueue_take_back(row["id"], waybill)
            return
        if await fetch_value(_TAKEN, waybill, row["company"], row["id"]):
            await _enqueue_take_back(row["id"], waybill)
            await _failed(row, WaybillTaken.code)
            return
        query_after = now + timedelta(minutes=settings().courier_poll_minutes)
        label = sealed_label(row["id"], ordered.label)
        await execute(_ORDERED, row["id"], waybill, label, now, tracker_of(row["courier"]), query_after)
        await transitions.apply_transition(delivery, Transition.ORDER, row["courier"], now)
        await unmatched.reapply_pushes(waybill)
        await record(
            ShipmentOrdered(
                shipment_id=row["id"], delivery_id=delivery.id, courier=row["courier"], attempt=row["attempt"]
            )
        )


def sealed_label(shipment_id: UUID, label: str | None) -> str | None:
    """The label, sealed: it names the receiver."""
    return None if label is None else seal(label, where="shipments.label", row=shipment_id)


async def _not_ordered(row: asyncpg.Record, error: DomainError) -> None:
    final = isinstance(error, CourierOrderRefused | DeliveryOfficeInvalid | ReceiverForgotten | CourierInvalid)
    if not final:
        facts = {"courier": row["courier"], "reason": str(error)}
        log.warning("courier order failed, retrying", extra={"event": "courier-order.failed", **facts})
        await execute(_ERROR, row["id"], error.code)
        raise jobs.Later(min(max(RETRY_AFTER, clock.now() - row["created_at"]), LONGEST_WAIT))
    async with transaction():
        await transitions.lock_row(row["delivery_id"])
        if await fetch_value(_IS_WAITING, row["id"]):
            await _failed(row, error.code)


async def _failed(row: asyncpg.Record, code: str) -> None:
    await execute(_END, row["id"], clock.now(), code)
    await anomalies.open_problem(row["delivery_id"], ProblemKind.ORDER_FAILED, shipment_id=row["id"])
    await record(
        ShipmentOrderFailed(shipment_id=row["id"], delivery_id=row["delivery_id"], courier=row["courier"], error=code)
    )


async def give_up_order(delivery: DeliveryRow) -> bool:
    """Give up the order at a courier that does not answer, so that a locked delivery can be ordered elsewhere.

    Returns whether there was one. That courier may have the order; so it is ordered once more with the same number,
    and then cancelled.
    """
    row = await fetch_row(_OF_DELIVERY, delivery.id)
    if row is None or row["waybill"] is not None:
        return False
    await execute(_END, row["id"], clock.now(), GIVEN_UP)
    await _enqueue_take_back(row["id"], None)
    return True


async def _enqueue_take_back(shipment_id: UUID, waybill: str | None) -> None:
    key = f"deliveries.take-back:{shipment_id}"
    await jobs.enqueue("deliveries.take-back", {"shipment_id": str(shipment_id), "waybill": waybill}, key=key)


@jobs.job("deliveries.take-back")
async def _take_back(payload: dict[str, Any]) -> None:
    """Cancel an order that is not needed; the shipment's own order, if it has this waybill after all, stays.

    An order that the courier does not know, or does not cancel, is left alone: a retry would change nothing.
    """
    row = await fetch_row(
        "SELECT id, number, courier, waybill FROM shipments WHERE id = $1", UUID(payload["shipment_id"])
    )
    courier = None if row is None else in_use().couriers.get(row["courier"])
    if row is None or courier is None:
        return
    try:
        waybill = payload["waybill"] or (await courier.order(await parties.courier_request(row["id"]))).waybill
        if waybill != row["waybill"]:
            await courier.cancel(row["number"], waybill)
    except (DeliveryOfficeInvalid, ReceiverForgotten):
        return
    except (CourierOrderRefused, CourierWaybillNotFound) as error:
        facts = {"event": "courier-order.not-cancelled", "reason": str(error)}
        log.warning("courier order not cancelled: unknown, or too late", extra=facts)


async def is_ordering(delivery_id: UUID) -> bool:
    """Whether an order of the delivery waits for the courier's answer."""
    return bool(await fetch_value(_IS_ORDERING, delivery_id))


async def refuse_while_ordering(delivery: DeliveryRow) -> None:
    """Raise CourierOrderInProgress while the courier has not answered: the order must not change meanwhile."""
    if await is_ordering(delivery.id):
        raise CourierOrderInProgress


async def cancel_at_courier(delivery: DeliveryRow, *, couriers: Mapping[str, Ordering]) -> CancelledOrder | None:
    """Cancel the order of a delivery at its courier, outside of any transaction; None when there is no order.

    An order that the courier does not know will not be collected: it counts as cancelled. Raises
    DeliveryAddressFixed when the courier has the parcel already or refuses, CourierInvalid,
    PartnerBusy, PartnerUnreachable.
    """
    if delivery.state in WITH_COURIER:
        raise DeliveryAddressFixed
    row = await fetch_row(_OF_DELIVERY, delivery.id)
    if delivery.state is not D.ORDERED or row is None or row["waybill"] is None:
        return None
    if row["courier"] != MANUAL:
        courier = couriers.get(row["courier"])
        if courier is None:
            raise CourierInvalid(courier=row["courier"])
        try:
            await courier.cancel(row["number"], row["waybill"])
        except CourierOrderRefused as error:
            raise DeliveryAddressFixed from error
        except CourierWaybillNotFound as error:
            facts = {"event": "courier-order.gone", "reason": str(error)}
            log.warning("courier does not know the order any more", extra=facts)
    return CancelledOrder(row["id"], row["courier"])


async def apply_cancelled(delivery: DeliveryRow, order: CancelledOrder, cause: str) -> None:
    """Apply a cancelled order: a locked delivery is TO_SEND again, its shipment has ended.

    Raises DeliveryAddressFixed when the courier has collected the parcel meanwhile.
    """
    if delivery.state is not D.ORDERED:
        raise DeliveryAddressFixed
    await execute(_END, order.shipment_id, clock.now(), None)
    await transitions.apply_transition(delivery, Transition.UNDO_ORDER, cause)
