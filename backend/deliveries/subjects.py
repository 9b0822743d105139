"""What whoever stands behind a subject tells us: its document exists, or never will; and what they may look up."""

from __future__ import annotations

from uuid import UUID

from backend import clock
from backend.database import execute, fetch, fetch_value, transaction
from backend.deliveries import cancelling, moving, ordering, postage
from backend.deliveries.moving import Standing
from models.deliveries import DeliveryState as D
from models.deliveries import Direction

_READY = "UPDATE deliveries SET ready_at = $2, version = version + 1 WHERE id = $1"
_UNDER_WAY = """
SELECT id FROM deliveries WHERE subject_kind = $1 AND subject_id = $2 AND direction = 'to-resident'
  AND state NOT IN ('signed', 'returned', 'lost', 'handed_over', 'cancelled')
"""
_OF_SUBJECT = " WHERE subject_id = $2 AND subject_kind = $1 AND direction = $3 ORDER BY id DESC"


async def contents_ready(subject_kind: str, subject_id: UUID) -> bool:
    """What the subject's delivery carries exists now: it goes on as soon as the postage is settled. Said again, nothing
    happens. Whether one had waited for it.

    A delivery to a counter becomes TO_SEND too: it is to be brought there. Joins the open transaction.
    """
    async with transaction():
        standing = await _under_way(subject_kind, subject_id)
        if standing is None or standing.ready_at is not None:
            return False
        standing.ready_at, standing.version = clock.now(), standing.version + 1
        await execute(_READY, standing.id, standing.ready_at)
        await postage.go_on(standing, "ready")
    return True


async def subject_ended(subject_kind: str, subject_id: UUID, cause: str) -> bool:
    """Nothing will come of the subject: its delivery is cancelled, and an order at a courier taken back first. Whether
    there was one to cancel; what a courier has already goes its way. Joins the open transaction.
    """
    async with transaction():
        standing = await _under_way(subject_kind, subject_id)
        if standing is None or standing.state in ordering.WITH_COURIER:
            return False
        if standing.state is D.ORDERED or await ordering.is_ordering(standing.id):
            await cancelling.later(standing, cause)
        else:
            await cancelling.end(standing, cause)
    return True


async def of_subject(
    subject_kind: str, subject_id: UUID, direction: Direction = Direction.TO_RESIDENT
) -> list[Standing]:
    """The subject's deliveries, the newest first. Whoever asks has checked who may know."""
    rows = await fetch(moving.STANDING + _OF_SUBJECT, subject_kind, subject_id, direction.value)
    return [moving.standing_of(row) for row in rows]


async def _under_way(subject_kind: str, subject_id: UUID) -> Standing | None:
    found: UUID | None = await fetch_value(_UNDER_WAY, subject_kind, subject_id)
    return await moving.locked(found) if found is not None else None
