"""For the domain of a subject: its document exists, or never will; and its deliveries."""

from __future__ import annotations

from uuid import UUID

from backend import clock
from backend.database import execute, fetch, fetch_value, transaction
from backend.deliveries import cancelling, ordering, postage, transitions
from backend.deliveries.transitions import DeliveryRow
from models.deliveries import DeliveryState as D
from models.deliveries import Direction

_READY = "UPDATE deliveries SET ready_at = $2, version = version + 1 WHERE id = $1"
_UNDER_WAY = """
SELECT id FROM deliveries WHERE subject_kind = $1 AND subject_id = $2 AND direction = 'to-resident'
  AND state NOT IN ('signed', 'returned', 'lost', 'handed_over', 'cancelled')
"""
_OF_SUBJECT = " WHERE subject_id = $2 AND subject_kind = $1 AND direction = $3 ORDER BY id DESC"


async def mark_contents_ready(subject_kind: str, subject_id: UUID) -> bool:
    """Mark the contents of the subject's delivery as ready: it proceeds as soon as the postage is settled.

    Returns whether a delivery had waited for them; a repeated call changes nothing. A delivery to a counter becomes
    TO_SEND too: it is to be brought there. Joins the open transaction.
    """
    async with transaction():
        delivery = await _under_way(subject_kind, subject_id)
        if delivery is None or delivery.ready_at is not None:
            return False
        delivery.ready_at, delivery.version = clock.now(), delivery.version + 1
        await execute(_READY, delivery.id, delivery.ready_at)
        await postage.proceed(delivery, "ready")
    return True


async def end_subject_delivery(subject_kind: str, subject_id: UUID, cause: str) -> bool:
    """Cancel the delivery of a subject that ended without a document; an order at a courier is cancelled first.

    Returns whether there was one to cancel; a parcel that a courier has already stays on its way. Joins the open
    transaction.
    """
    async with transaction():
        delivery = await _under_way(subject_kind, subject_id)
        if delivery is None or delivery.state in ordering.WITH_COURIER:
            return False
        if delivery.state is D.ORDERED or await ordering.is_ordering(delivery.id):
            await cancelling.enqueue_cancel(delivery, cause)
        else:
            await cancelling.cancel_locked(delivery, cause)
    return True


async def list_subject_deliveries(
    subject_kind: str, subject_id: UUID, direction: Direction = Direction.TO_RESIDENT
) -> list[DeliveryRow]:
    """List the subject's deliveries, the newest first. The caller has checked the reader's rights."""
    rows = await fetch(transitions.SELECT_ROW + _OF_SUBJECT, subject_kind, subject_id, direction.value)
    return [transitions.row_of(row) for row in rows]


async def _under_way(subject_kind: str, subject_id: UUID) -> DeliveryRow | None:
    found: UUID | None = await fetch_value(_UNDER_WAY, subject_kind, subject_id)
    return await transitions.lock_row(found) if found is not None else None
