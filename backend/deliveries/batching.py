"""A morning's parcels go out together: those of a department, of one of its halls, or those that the staff name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.database import fetch, transaction
from backend.deliveries import anomalies, dispatching, ordering, transitions
from backend.deliveries.dispatching import SEND
from backend.deliveries.errors import CourierInvalid
from backend.errors import raises
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from backend.partners.courier.port import Ordering
from backend.settings import settings

_WAITING = """
SELECT id FROM deliveries d WHERE department_id = $1 AND state = 'to_send' AND method = 'post'
  AND direction = 'to-resident' AND ($2::text[] IS NULL OR number = ANY($2)) AND ($4::uuid IS NULL OR hall_id = $4)
  AND NOT EXISTS (SELECT 1 FROM shipments s WHERE s.delivery_id = d.id AND s.ended_at IS NULL)
ORDER BY ready_at, id LIMIT $3
"""
_BATCH = """
SELECT d.number, s.number AS shipment_number, s.courier, s.waybill, s.label IS NOT NULL AS labelled, s.order_error,
       s.ordered_at, s.ended_at, s.created_at
FROM shipments s JOIN deliveries d ON d.id = s.delivery_id
WHERE s.hand_over_batch = $1 AND d.department_id = $2 ORDER BY s.number
"""


class BatchShipment(Struct, frozen=True, kw_only=True):
    """One parcel of a batch. The courier has not answered while it has neither a waybill nor an error."""

    number: str
    shipment_number: str
    courier: str
    waybill: str | None
    labelled: bool
    error: str | None


class BatchDetail(Struct, frozen=True, kw_only=True):
    """A morning's parcels of a department and their state at the courier."""

    id: UUID
    at: datetime | None
    shipments: int
    ordered: int
    waiting: int
    failed: int
    lines: list[BatchShipment]


@raises(DutyMissing, CourierInvalid)
async def send_batch(
    staff: AsStaff,
    courier: str,
    *,
    couriers: Mapping[str, Ordering],
    numbers: Sequence[str] | None = None,
    hall_id: UUID | None = None,
) -> BatchDetail:
    """Order the department's deliveries that are ready to be posted, these of them, or those of this hall, as one
    batch.

    The oldest come first, up to `delivery_batch`. A delivery that is not ready, or being ordered already, is left out.
    """
    staff.require(SEND)
    with_whom, identity = dispatching.get_courier(courier, couriers), uuid7()
    only = list(numbers) if numbers is not None else None
    async with transaction():
        rows = await fetch(_WAITING, staff.department_id, only, settings().delivery_batch, hall_id)
        for _, delivery in sorted((await transitions.lock_rows([row["id"] for row in rows])).items()):
            if dispatching.may_be_sent(delivery) and not await ordering.is_ordering(delivery.id):
                await ordering.begin_order(delivery, with_whom, batch=identity)
                await anomalies.resolve_problems(delivery.id, dispatching.FAILED)
    return await summarise_batch(staff, identity)


async def summarise_batch(staff: AsStaff, batch_id: UUID) -> BatchDetail:
    """Summarise a batch as it is now; an unknown one, or one of another department, is empty.

    Raises DutyMissing.
    """
    staff.require(SEND)
    rows = await fetch(_BATCH, batch_id, staff.department_id)
    lines = [
        BatchShipment(
            number=row["number"],
            shipment_number=row["shipment_number"],
            courier=row["courier"],
            waybill=row["waybill"],
            labelled=row["labelled"],
            error=row["order_error"],
        )
        for row in rows
    ]
    states = Counter("ordered" if row["waybill"] else "failed" if row["ended_at"] else "waiting" for row in rows)
    return BatchDetail(
        id=batch_id,
        at=min((row["created_at"] for row in rows), default=None),
        shipments=len(rows),
        ordered=states["ordered"],
        waiting=states["waiting"],
        failed=states["failed"],
        lines=lines,
    )
