"""Polling trackers: a subscription for every shipment, renewed by rule, and a query when no push arrives.

快递100 takes at most four subscriptions of one number in a month and none within half an hour of giving up; a tracker
is never queried about one shipment sooner than its interval allows. Each step is a transaction, a call, a transaction.
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
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    Tracking,
    TrackingRequest,
)
from backend.settings import settings
from models.deliveries import ProblemKind

log = logging.getLogger(__name__)

MOST_SUBSCRIPTIONS = 4
"""Of one number in a month (快递100)."""
MONTH = timedelta(days=31)
TRY_AGAIN = timedelta(minutes=5)
AFTER_REPAIR = timedelta(hours=1)
"""When a tracker that rejects our credentials is called again."""
DAY = timedelta(days=1)

_DUE = """
SELECT id, coalesce(query_after <= $1, false) AS query, coalesce(subscribe_after <= $1, false) AS subscribe
FROM shipments WHERE ended_at IS NULL AND waybill IS NOT NULL AND (query_after <= $1 OR subscribe_after <= $1)
ORDER BY least(query_after, subscribe_after) LIMIT $2
"""
_SHIPMENT = """
SELECT id, delivery_id, tracker, company, waybill, phone_tail, ordered_at, last_node_at, subscribed_at, subscriptions,
       last_query_at, query_after, subscribe_after
FROM shipments WHERE id = $1 AND ended_at IS NULL AND waybill IS NOT NULL FOR NO KEY UPDATE
"""
_QUERIED = "UPDATE shipments SET last_query_at = $2, query_after = $3 WHERE id = $1"
_POSTPONE = "UPDATE shipments SET query_after = $2 WHERE id = $1 AND ended_at IS NULL"
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
_ONLY_QUERY = "UPDATE shipments SET subscribe_after = NULL, query_after = least(query_after, $2) WHERE id = $1"


async def enqueue_due_queries(limit: int = 200) -> int:
    """Enqueue the queries and subscriptions that are due; for how many shipments. Scheduled.

    A job that waits already has the same key, so several workers do no harm.
    """
    rows = await fetch(_DUE, clock.now(), limit)
    async with transaction():
        for row in rows:
            for name in ("subscribe", "query"):
                if row[name]:
                    await jobs.enqueue(
                        f"deliveries.{name}", {"shipment_id": str(row["id"])}, key=f"deliveries.{name}:{row['id']}"
                    )
    return len(rows)


@jobs.job("deliveries.query")
async def _query_job(payload: dict[str, Any]) -> None:
    await query_shipment(UUID(payload["shipment_id"]))


@jobs.job("deliveries.subscribe")
async def _subscribe_job(payload: dict[str, Any]) -> None:
    await subscribe_shipment(UUID(payload["shipment_id"]))


async def query_shipment(shipment_id: UUID) -> bool:
    """Query the tracker of the shipment, if its interval allows it by now; whether the tracker answered.

    A tracker that fails is queried again later; one that does not know the shipment for `delivery_unknown_hours`
    opens a problem for the office.
    """
    async with transaction():
        row = await fetch_row(_SHIPMENT, shipment_id)
        tracker = None if row is None else _tracker(row)
        if row is None:
            return False
        if tracker is None:
            return await _wait_for_repair(shipment_id)
        now, interval = clock.now(), timedelta(seconds=tracker.query_seconds)
        if row["last_query_at"] is not None and row["last_query_at"] + interval > now:
            await execute(_POSTPONE, shipment_id, row["last_query_at"] + interval)
            return False
        await execute(
            _QUERIED, shipment_id, now, now + max(interval, timedelta(minutes=settings().courier_poll_minutes))
        )
    try:
        track = await tracker.query(_tracked(row))
    except PartnerError as error:
        await _no_answer(row, error, interval)
        return False
    await tracking.ingest_tracks([track], source=f"{row['tracker']}{tracking.QUERIED}", trusted=True)
    return True


async def _no_answer(row: asyncpg.Record, error: PartnerError, interval: timedelta) -> None:
    facts = {"tracker": row["tracker"], "reason": str(error)}
    log.warning("tracking query failed", extra={"event": "tracking.query-failed", **facts})
    if isinstance(error, CourierWaybillNotFound):
        late = clock.now() - timedelta(hours=settings().delivery_unknown_hours)
        if row["last_node_at"] is None and row["ordered_at"] < late:
            async with transaction():
                await anomalies.open_problem(row["delivery_id"], ProblemKind.NOT_FOUND, shipment_id=row["id"])
    elif isinstance(error, CourierTooSoon | PartnerRefused):
        await execute(_POSTPONE, row["id"], clock.now() + max(interval, AFTER_REPAIR))
    else:
        await execute(_POSTPONE, row["id"], clock.now() + max(interval, TRY_AGAIN))


async def subscribe_shipment(shipment_id: UUID) -> bool:
    """Subscribe to pushes about the shipment, if due and within the month's limit; whether a subscription stands.

    A shipment that cannot be subscribed to is queried instead.
    """
    async with transaction():
        row = await fetch_row(_SHIPMENT, shipment_id)
        tracker = None if row is None else _tracker(row)
        now = clock.now()
        if row is None or row["subscribe_after"] is None or row["subscribe_after"] > now:
            return False
        if tracker is None:
            return await _wait_for_repair(shipment_id)
        if not tracker.pushes or not _may_subscribe(row, now):
            await execute(_ONLY_QUERY, shipment_id, now)
            return False
        # If the worker dies during the call, it tries again after this.
        await execute(_SUBSCRIBING, shipment_id, now + TRY_AGAIN)
    try:
        await tracker.subscribe(_tracked(row))
    except PartnerError as error:
        await _not_subscribed(row, error)
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


async def _not_subscribed(row: asyncpg.Record, error: PartnerError) -> None:
    facts = {"tracker": row["tracker"], "reason": str(error)}
    log.warning("tracking subscription failed", extra={"event": "tracking.subscription-failed", **facts})
    now = clock.now()
    if isinstance(error, PartnerMisconfigured):
        await execute(_SUBSCRIBING, row["id"], now + AFTER_REPAIR)
    elif isinstance(error, PartnerRefused):
        await execute(_ONLY_QUERY, row["id"], now)
    elif isinstance(error, PartnerUnreachable) and error.maybe_done:
        await _subscribed(row)  # the tracker counts it, and a query follows if no push comes
    else:
        await execute(_SUBSCRIBING, row["id"], now + TRY_AGAIN)


def _tracker(row: asyncpg.Record) -> Tracking | None:
    """The tracker of the shipment; None, and an error in the log, when it is not configured any more."""
    tracker = in_use().trackers.get(row["tracker"])
    if tracker is None:
        facts = {"tracker": row["tracker"]}
        log.error("tracker is not configured", extra={"event": "tracking.tracker-missing", **facts})
    return tracker


async def _wait_for_repair(shipment_id: UUID) -> bool:
    await execute(_BOTH_LATER, shipment_id, clock.now() + AFTER_REPAIR)
    return False


def _tracked(row: asyncpg.Record) -> TrackingRequest:
    return TrackingRequest(waybill=row["waybill"], company=row["company"], phone_tail=row["phone_tail"])
