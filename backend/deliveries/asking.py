"""Asking trackers: a subscription for every parcel, renewed by rule, and questions when nobody pushes.

快递100 takes at most four subscriptions of one number in a month and none within half an hour of giving up; a tracker
is never asked about one parcel sooner than its interval allows. Each step is a transaction, a call, a transaction.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from backend import clock, jobs
from backend.database import execute, fetch, fetch_row, transaction
from backend.deliveries import anomalies, tracking
from backend.partners import in_use
from backend.partners.courier.port import (
    CourierTooSoon,
    CourierWaybillNotFound,
    Parcel,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerTrouble,
    PartnerUnreachable,
    Tracking,
)
from backend.settings import settings
from models.deliveries import ProblemKind

log = logging.getLogger(__name__)

MOST_SUBSCRIPTIONS = 4
"""Of one number in a month (快递100)."""
MONTH = timedelta(days=31)
TRY_AGAIN = timedelta(minutes=5)
AFTER_REPAIR = timedelta(hours=1)
"""When a tracker that does not accept who we say we are is asked again."""
DAY = timedelta(days=1)

_DUE = """
SELECT id, coalesce(query_after <= $1, false) AS ask, coalesce(subscribe_after <= $1, false) AS subscribe
FROM shipments WHERE ended_at IS NULL AND waybill IS NOT NULL AND (query_after <= $1 OR subscribe_after <= $1)
ORDER BY least(query_after, subscribe_after) LIMIT $2
"""
_PARCEL = """
SELECT id, delivery_id, tracker, company, waybill, phone_tail, ordered_at, last_node_at, subscribed_at, subscriptions,
       last_query_at, query_after, subscribe_after
FROM shipments WHERE id = $1 AND ended_at IS NULL AND waybill IS NOT NULL FOR NO KEY UPDATE
"""
_ASKED = "UPDATE shipments SET last_query_at = $2, query_after = $3 WHERE id = $1"
_PUT_OFF = "UPDATE shipments SET query_after = $2 WHERE id = $1 AND ended_at IS NULL"
_BOTH_LATER = """
UPDATE shipments SET query_after = $2::timestamptz,
    subscribe_after = CASE WHEN subscribe_after IS NOT NULL THEN $2::timestamptz END
WHERE id = $1
"""
_SUBSCRIBING = "UPDATE shipments SET subscribe_after = $2 WHERE id = $1"
_SUBSCRIBED = """
UPDATE shipments SET subscribe_after = NULL, query_after = coalesce(query_after, $3),
    subscriptions = CASE WHEN subscribed_at > $4 THEN subscriptions + 1 ELSE 1 END, subscribed_at = $2
WHERE id = $1 AND ended_at IS NULL
"""
_ONLY_ASK = "UPDATE shipments SET subscribe_after = NULL, query_after = least(query_after, $2) WHERE id = $1"


async def look_out(limit: int = 200) -> int:
    """Clockwork: have the parcels that are due asked about and subscribed to; for how many something is due.

    Whoever is asked about already waits under the same key, so several workers do no harm.
    """
    rows = await fetch(_DUE, clock.now(), limit)
    async with transaction():
        for row in rows:
            for name in ("subscribe", "ask"):
                if row[name]:
                    await jobs.enqueue(
                        f"deliveries.{name}", {"shipment_id": str(row["id"])}, key=f"deliveries.{name}:{row['id']}"
                    )
    return len(rows)


@jobs.job("deliveries.ask")
async def _ask(payload: dict[str, Any]) -> None:
    await ask(UUID(payload["shipment_id"]))


@jobs.job("deliveries.subscribe")
async def _subscribe(payload: dict[str, Any]) -> None:
    await subscribe(UUID(payload["shipment_id"]))


async def ask(shipment_id: UUID) -> bool:
    """Ask the parcel's tracker where it is, if it may be asked by now; whether it answered.

    A tracker in trouble is asked again later; one that does not know the parcel for `delivery_unknown_hours` alarms
    the office.
    """
    async with transaction():
        row = await fetch_row(_PARCEL, shipment_id)
        tracker = None if row is None else _tracker(row)
        if row is None:
            return False
        if tracker is None:
            return await _wait_for_repair(shipment_id)
        now, interval = clock.now(), timedelta(seconds=tracker.query_seconds)
        if row["last_query_at"] is not None and row["last_query_at"] + interval > now:
            await execute(_PUT_OFF, shipment_id, row["last_query_at"] + interval)
            return False
        await execute(_ASKED, shipment_id, now, now + max(interval, timedelta(minutes=settings().courier_poll_minutes)))
    try:
        track = await tracker.query(_parcel(row))
    except PartnerTrouble as trouble:
        await _no_answer(row, trouble, interval)
        return False
    await tracking.hear([track], source=f"{row['tracker']}{tracking.ASKED}", sure=True)
    return True


async def _no_answer(row: asyncpg.Record, trouble: PartnerTrouble, interval: timedelta) -> None:
    facts = {"tracker": row["tracker"], "reason": str(trouble)}
    log.warning("tracking query failed", extra={"event": "tracking.query-failed", **facts})
    if isinstance(trouble, CourierWaybillNotFound):
        late = clock.now() - timedelta(hours=settings().delivery_unknown_hours)
        if row["last_node_at"] is None and row["ordered_at"] < late:
            async with transaction():
                await anomalies.find(row["delivery_id"], ProblemKind.NOT_FOUND, shipment_id=row["id"])
    elif isinstance(trouble, CourierTooSoon | PartnerRefused):
        await execute(_PUT_OFF, row["id"], clock.now() + max(interval, AFTER_REPAIR))
    else:
        await execute(_PUT_OFF, row["id"], clock.now() + max(interval, TRY_AGAIN))


async def subscribe(shipment_id: UUID) -> bool:
    """Have the parcel pushed to us, if that is due and the month's number of subscriptions allows it; whether it is.

    What cannot be subscribed to is asked about instead.
    """
    async with transaction():
        row = await fetch_row(_PARCEL, shipment_id)
        tracker = None if row is None else _tracker(row)
        now = clock.now()
        if row is None or row["subscribe_after"] is None or row["subscribe_after"] > now:
            return False
        if tracker is None:
            return await _wait_for_repair(shipment_id)
        if not tracker.pushes or not _may_subscribe(row, now):
            await execute(_ONLY_ASK, shipment_id, now)
            return False
        # If we die during the call, it is tried again after this.
        await execute(_SUBSCRIBING, shipment_id, now + TRY_AGAIN)
    try:
        await tracker.subscribe(_parcel(row))
    except PartnerTrouble as trouble:
        await _not_subscribed(row, trouble)
        return False
    await _subscribed(row)
    return True


def _may_subscribe(row: asyncpg.Record, now: datetime) -> bool:
    this_month = row["subscribed_at"] is not None and row["subscribed_at"] > now - MONTH
    return not this_month or row["subscriptions"] < MOST_SUBSCRIPTIONS


async def _subscribed(row: asyncpg.Record) -> None:
    now = clock.now()
    quiet_until = now + timedelta(hours=settings().courier_silence_hours)
    await execute(_SUBSCRIBED, row["id"], now, quiet_until, now - MONTH)


async def _not_subscribed(row: asyncpg.Record, trouble: PartnerTrouble) -> None:
    facts = {"tracker": row["tracker"], "reason": str(trouble)}
    log.warning("tracking subscription failed", extra={"event": "tracking.subscription-failed", **facts})
    now = clock.now()
    if isinstance(trouble, PartnerMisconfigured):
        await execute(_SUBSCRIBING, row["id"], now + AFTER_REPAIR)
    elif isinstance(trouble, PartnerRefused):
        await execute(_ONLY_ASK, row["id"], now)
    elif isinstance(trouble, PartnerUnreachable) and trouble.maybe_done:
        await _subscribed(row)  # it counts at theirs, and a question would tell us if nothing comes
    else:
        await execute(_SUBSCRIBING, row["id"], now + TRY_AGAIN)


def _tracker(row: asyncpg.Record) -> Tracking | None:
    """Who is asked about this parcel; None, and a line in the log, when nobody of that name is configured any more."""
    tracker = in_use().trackers.get(row["tracker"])
    if tracker is None:
        facts = {"tracker": row["tracker"]}
        log.error("tracker is not configured", extra={"event": "tracking.tracker-missing", **facts})
    return tracker


async def _wait_for_repair(shipment_id: UUID) -> bool:
    await execute(_BOTH_LATER, shipment_id, clock.now() + AFTER_REPAIR)
    return False


def _parcel(row: asyncpg.Record) -> Parcel:
    return Parcel(waybill=row["waybill"], company=row["company"], phone_tail=row["phone_tail"])
