"""Pushes about parcels that we do not know: kept by the parcel's number, and worked again when an order brings it.

A courier may tell of a parcel before it has answered our order, or while we could not ask again after a crash. Whoever
notes an unknown number and whoever brings a parcel its number hold the same lock, so one of them sees the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock, jobs
from backend.database import execute, fetch, fetch_value, in_transaction

HEAR_AGAIN = "deliveries.hear-again"

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('waybill ' || $1, 37))"
_KEEP = """
INSERT INTO unmatched_tracks (id, created_at, waybill, message_id)
SELECT $1, $2, $3, m.id FROM inbound_messages m WHERE m.id = $4 ON CONFLICT DO NOTHING RETURNING id
"""
_IS_KNOWN = "SELECT 1 FROM shipments WHERE waybill = $1 LIMIT 1"
_OF_WAYBILL = "SELECT message_id FROM unmatched_tracks WHERE waybill = $1 ORDER BY id"


async def keep(message_id: UUID, waybills: Iterable[str]) -> None:
    """The stored push told of these parcels, and none of them is ours so far. Belongs inside transaction().

    One that has become ours at this very moment is worked again at once.
    """
    for waybill in sorted(set(waybills)):
        await hold(waybill)
        new = await fetch_value(_KEEP, uuid7(), clock.now(), waybill, message_id)
        if new is not None and await fetch_value(_IS_KNOWN, waybill):
            await _again(message_id, waybill)


async def hold(waybill: str) -> None:
    """Let nobody else note or bring this number until the transaction ends."""
    if not in_transaction():
        raise RuntimeError("hold() belongs inside transaction()")
    await execute(_ONE_AT_A_TIME, waybill)


async def work_off(waybill: str) -> None:
    """A parcel of ours has this number now: have everything heard again that was pushed of it. After `hold`."""
    for row in await fetch(_OF_WAYBILL, waybill):
        await _again(row["message_id"], waybill)


async def _again(message_id: UUID, waybill: str) -> None:
    # One job for each parcel: one that runs already may have passed this parcel over.
    key = f"{HEAR_AGAIN}:{message_id}:{waybill}"
    await jobs.enqueue(HEAR_AGAIN, {"message_id": str(message_id)}, key=key)
