"""Orders at couriers: a transaction, a call, a transaction, and one number for one order.

The number of a shipment is ours and the courier's idempotency key: when the answer is lost the same number is asked
again, and the same waybill comes back. An order that the courier does not take ends its shipment and is for the office.
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
from backend.deliveries import anomalies, moving, numbering, parties, unmatched
from backend.deliveries.errors import (
    CourierInvalid,
    CourierOrderInProgress,
    DeliveryAddressFixed,
    DeliveryOfficeInvalid,
    ReceiverForgotten,
    WaybillTaken,
)
from backend.deliveries.events import ShipmentOrdered, ShipmentOrderFailed
from backend.deliveries.lifecycle import Move
from backend.deliveries.moving import Standing
from backend.deliveries.tracking import MANUAL
from backend.errors import DomainError
from backend.events import record
from backend.partners import in_use
from backend.partners.courier.port import CourierOrderRefused, CourierWaybillNotFound, Ordered, Ordering, PartnerTrouble
from backend.settings import settings
from models.deliveries import DeliveryState as D
from models.deliveries import ProblemKind

log = logging.getLogger(__name__)

ASK_AGAIN = timedelta(seconds=30)
"""A courier that did not answer is asked again after so long, and ever more, up to `LONGEST_WAIT`."""
LONGEST_WAIT = timedelta(minutes=30)
GIVEN_UP = "given-up"
WITH_COURIER = frozenset({D.PICKED_UP, D.IN_TRANSIT, D.OUT_FOR_DELIVERY, D.AT_STATION, D.RETURNING})
"""The courier has it: nothing can be taken back."""

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
    order_trouble = NULL, subscribe_after = $4, query_after = $6
WHERE id = $1 AND ended_at IS NULL AND waybill IS NULL
"""
_END = (
    "UPDATE shipments SET ended_at = $2, query_after = NULL, subscribe_after = NULL, order_trouble = $3 WHERE id = $1"
)
_TROUBLE = "UPDATE shipments SET order_trouble = $2 WHERE id = $1 AND ended_at IS NULL"
_IS_WAITING = "SELECT 1 FROM shipments WHERE id = $1 AND ended_at IS NULL AND waybill IS NULL"
_IS_ORDERING = "SELECT 1 FROM shipments WHERE delivery_id = $1 AND ended_at IS NULL AND waybill IS NULL"


class Undone(Struct, frozen=True):
    """An order that the courier has taken back."""

    shipment_id: UUID
    courier: str


def tracker_of(courier: str) -> str:
    """Who is asked about the parcels of a courier: itself if it pushes, else the tracker of the settings, else itself.

    Called where the partners are known; without them it is the tracker of the settings.
    """
    trackers = in_use().trackers
    own, usual = trackers.get(courier), settings().courier_tracker
    if own is not None and (own.pushes or usual not in trackers):
        return courier
    return usual


async def begin(standing: Standing, courier: Ordering, *, batch: UUID | None = None) -> UUID:
    """Have a locked delivery that is TO_SEND ordered at the courier; the id of the shipment.

    The order itself is a job; the delivery is ORDERED when the courier has taken it. Raises CourierOrderInProgress
    when one is being made.
    """
    await refuse_while_ordering(standing)
    return await _insert(standing, courier.name, courier.company, batch)


async def begin_by_hand(standing: Standing, company: str) -> UUID:
    """A shipment whose waybill the office has bought elsewhere; whoever enters it writes the waybill into it."""
    return await _insert(standing, MANUAL, company, None)


async def _insert(standing: Standing, courier: str, company: str, batch: UUID | None) -> UUID:
    if not in_transaction():
        raise RuntimeError("an order belongs inside transaction()")
    identity = uuid7()
    attempt: int = await fetch_value(_ATTEMPT, standing.id)
    sealed = await fetch_value(_PHONE, standing.id)
    tail = open_sealed(sealed, where="deliveries.phone", row=standing.id)[-4:]
    number = numbering.shipment_number(standing.number, attempt)
    await execute(
        _BEGIN, identity, clock.now(), standing.id, number, attempt, courier, settings().courier_tracker, company,
        tail if tail.isdecimal() else None, batch,
    )  # fmt: skip
    if courier != MANUAL:
        await jobs.enqueue("deliveries.order", {"shipment_id": str(identity)})
    return identity


@jobs.job("deliveries.order")
async def _order_job(payload: dict[str, Any]) -> None:
    await order(UUID(payload["shipment_id"]))


async def order(shipment_id: UUID) -> None:
    """Order the shipment at its courier, once, however often this is called.

    Raises jobs.Later while the courier does not answer.
    """
    row = await fetch_row(_OPEN, shipment_id)
    if row is None or row["waybill"] is not None:
        return
    courier = in_use().couriers.get(row["courier"])
    try:
        if courier is None:
            raise CourierInvalid(courier=row["courier"])
        ordered = await courier.order(await parties.parcel(shipment_id))
    except (DeliveryOfficeInvalid, ReceiverForgotten, CourierInvalid, PartnerTrouble) as trouble:
        await _not_ordered(row, trouble)
        return
    await take(row, ordered)


async def take(row: asyncpg.Record, ordered: Ordered) -> None:
    """The courier has taken the order: the delivery is ORDERED and its parcel is followed from now on. What was pushed
    of it before is worked again.

    When the office has given it up meanwhile, or another parcel has its number, the order is taken back.
    """
    now, waybill = clock.now(), ordered.waybill.strip().upper()
    async with transaction():
        standing = await moving.locked(row["delivery_id"])
        await unmatched.hold(waybill)
        if not await fetch_value(_IS_WAITING, row["id"]):
            await _have_taken_back(row["id"], waybill)
            return
        if await fetch_value(_TAKEN, waybill, row["company"], row["id"]):
            await _have_taken_back(row["id"], waybill)
            await _failed(row, WaybillTaken.code)
            return
        asked = now + timedelta(minutes=settings().courier_poll_minutes)
        label = sealed_label(row["id"], ordered.label)
        await execute(_ORDERED, row["id"], waybill, label, now, tracker_of(row["courier"]), asked)
        await moving.move(standing, Move.ORDER, row["courier"], now)
        await unmatched.work_off(waybill)
        await record(
            ShipmentOrdered(
                shipment_id=row["id"], delivery_id=standing.id, courier=row["courier"], attempt=row["attempt"]
            )
        )


def sealed_label(shipment_id: UUID, label: str | None) -> str | None:
    """A label as it is kept: it names the receiver."""
    return None if label is None else seal(label, where="shipments.label", row=shipment_id)


async def _not_ordered(row: asyncpg.Record, trouble: DomainError) -> None:
    final = isinstance(trouble, CourierOrderRefused | DeliveryOfficeInvalid | ReceiverForgotten | CourierInvalid)
    if not final:
        facts = {"courier": row["courier"], "reason": str(trouble)}
        log.warning("courier order failed, trying it again", extra={"event": "courier-order.failed", **facts})
        await execute(_TROUBLE, row["id"], trouble.code)
        raise jobs.Later(min(max(ASK_AGAIN, clock.now() - row["created_at"]), LONGEST_WAIT))
    async with transaction():
        await moving.locked(row["delivery_id"])
        if await fetch_value(_IS_WAITING, row["id"]):
            await _failed(row, trouble.code)


async def _failed(row: asyncpg.Record, code: str) -> None:
    await execute(_END, row["id"], clock.now(), code)
    await anomalies.find(row["delivery_id"], ProblemKind.ORDER_FAILED, shipment_id=row["id"])
    await record(
        ShipmentOrderFailed(shipment_id=row["id"], delivery_id=row["delivery_id"], courier=row["courier"], trouble=code)
    )


async def give_up(standing: Standing) -> bool:
    """Wait no longer for a courier that does not answer: a locked delivery can be ordered elsewhere. Whether one was.

    Nobody knows whether that courier has the order; so it is asked once more with the same number, and taken back.
    """
    row = await fetch_row(_OF_DELIVERY, standing.id)
    if row is None or row["waybill"] is not None:
        return False
    await execute(_END, row["id"], clock.now(), GIVEN_UP)
    await _have_taken_back(row["id"], None)
    return True


async def _have_taken_back(shipment_id: UUID, waybill: str | None) -> None:
    key = f"deliveries.take-back:{shipment_id}"
    await jobs.enqueue("deliveries.take-back", {"shipment_id": str(shipment_id), "waybill": waybill}, key=key)


@jobs.job("deliveries.take-back")
async def _take_back(payload: dict[str, Any]) -> None:
    """Take back an order that nobody wants; the shipment's own order, if it has this waybill after all, stays.

    An order that the courier does not know, or does not give back, is settled: nothing can be done about it here.
    """
    row = await fetch_row(
        "SELECT id, number, courier, waybill FROM shipments WHERE id = $1", UUID(payload["shipment_id"])
    )
    courier = None if row is None else in_use().couriers.get(row["courier"])
    if row is None or courier is None:
        return
    try:
        waybill = payload["waybill"] or (await courier.order(await parties.parcel(row["id"]))).waybill
        if waybill != row["waybill"]:
            await courier.cancel(row["number"], waybill)
    except (DeliveryOfficeInvalid, ReceiverForgotten):
        return
    except (CourierOrderRefused, CourierWaybillNotFound) as trouble:
        facts = {"event": "courier-order.not-cancelled", "reason": str(trouble)}
        log.warning("courier order not cancelled: unknown, or too late", extra=facts)


async def is_ordering(delivery_id: UUID) -> bool:
    """Whether an order of the delivery waits for the courier's answer."""
    return bool(await fetch_value(_IS_ORDERING, delivery_id))


async def refuse_while_ordering(standing: Standing) -> None:
    """Raises CourierOrderInProgress while we wait for the courier's answer: what is asked of it must not change
    meanwhile."""
    if await is_ordering(standing.id):
        raise CourierOrderInProgress


async def undo_at_courier(standing: Standing, *, couriers: Mapping[str, Ordering]) -> Undone | None:
    """Take the order of a delivery back at its courier, outside of any transaction; None when there is none to undo.
    One that the courier does not know will not be fetched: it counts as taken back.

    Raises DeliveryAddressFixed when the courier has it already or says that it is too late, CourierInvalid,
    PartnerBusy, PartnerUnreachable.
    """
    if standing.state in WITH_COURIER:
        raise DeliveryAddressFixed
    row = await fetch_row(_OF_DELIVERY, standing.id)
    if standing.state is not D.ORDERED or row is None or row["waybill"] is None:
        return None
    if row["courier"] != MANUAL:
        courier = couriers.get(row["courier"])
        if courier is None:
            raise CourierInvalid(courier=row["courier"])
        try:
            await courier.cancel(row["number"], row["waybill"])
        except CourierOrderRefused as trouble:
            raise DeliveryAddressFixed from trouble
        except CourierWaybillNotFound as trouble:
            facts = {"event": "courier-order.gone", "reason": str(trouble)}
            log.warning("courier does not know the order any more", extra=facts)
    return Undone(row["id"], row["courier"])


async def undone(standing: Standing, order: Undone, cause: str) -> None:
    """The courier has taken the order back: a locked delivery is TO_SEND again, its shipment has ended.

    Raises DeliveryAddressFixed when the courier turned out to have picked it up meanwhile.
    """
    if standing.state is not D.ORDERED:
        raise DeliveryAddressFixed
    await execute(_END, order.shipment_id, clock.now(), None)
    await moving.move(standing, Move.UNDO_ORDER, cause)
