"""Pushes about unknown parcels: recorded by waybill, and applied again when an order brings the waybill.

A courier may push a parcel before it has answered our order, or while we could not order again after a crash. The
transaction that records an unknown waybill and the one that brings a waybill hold the same lock, so one sees the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock, jobs
from backend.database import execute, fetch, fetch_value, in_transaction

REAPPLY = "deliveries.reapply-push"

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('waybill ' || $1, 37))"
_KEEP = """
INSERT INTO unmatched_tracks (id, created_at, waybill, message_id)
SELECT $1, $2, $3, m.id FROM inbound_messages m WHERE m.id = $4 ON CONFLICT DO NOTHING RETURNING id
"""
_IS_KNOWN = "SELECT 1 FROM shipments WHERE waybill = $1 LIMIT 1"
_OF_WAYBILL = "SELECT message_id FROM unmatched_tracks WHERE waybill = $1 ORDER BY id"


async def record_unmatched(message_id: UUID, waybills: Iterable[str]) -> None:
    """Record that a stored push concerns these waybills, none of them ours so far. Belongs inside transaction().

    One that has become ours at this very moment is applied again at once.
    """
    for waybill in sorted(set(waybills)):
        await lock_waybill(waybill)
        new = await fetch_value(_KEEP, uuid7(), clock.now(), waybill, message_id)
        if new is not None and await fetch_value(_IS_KNOWN, waybill):
            await _enqueue(message_id, waybill)


async def lock_waybill(waybill: str) -> None:
    """Lock the waybill until the transaction ends: no other transaction records or brings it."""
    if not in_transaction():
        raise RuntimeError("lock_waybill() belongs inside transaction()")
    await execute(_ONE_AT_A_TIME, waybill)


async def reapply_pushes(waybill: str) -> None:
    """Enqueue the pushes about this waybill, which a shipment of ours has now. After `lock_waybill`."""
    for row in await fetch(_OF_WAYBILL, waybill):
        await _enqueue(row["message_id"], waybill)


async def _enqueue(message_id: UUID, waybill: str) -> None:
    # One job for each waybill: one that runs already may have skipped this waybill.
    key = f"{REAPPLY}:{message_id}:{waybill}"
    await jobs.enqueue(REAPPLY, {"message_id": str(message_id)}, key=key)
