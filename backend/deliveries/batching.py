"""A morning's parcels go out together: those of a department, of one of its halls, or some that are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.database import fetch, transaction
from backend.deliveries import anomalies, dispatching, moving, ordering
from backend.deliveries.dispatching import SEND
from backend.identity.principals import AsStaff
from backend.partners.courier.port import Ordering
from backend.settings import settings

_WAITING = """
SELECT id FROM deliveries d WHERE department_id = $1 AND state = 'to_send' AND method = 'post'
  AND direction = 'to-resident' AND ($2::text[] IS NULL OR number = ANY($2)) AND ($4::uuid IS NULL OR hall_id = $4)
  AND NOT EXISTS (SELECT 1 FROM shipments s WHERE s.delivery_id = d.id AND s.ended_at IS NULL)
ORDER BY ready_at, id LIMIT $3
"""
_BATCH = """
SELECT d.number, s.number AS shipment_number, s.courier, s.waybill, s.label IS NOT NULL AS labelled, s.order_trouble,
       s.ordered_at, s.ended_at, s.created_at
FROM shipments s JOIN deliveries d ON d.id = s.delivery_id
WHERE s.hand_over_batch = $1 AND d.department_id = $2 ORDER BY s.number
"""


class BatchLine(Struct, frozen=True, kw_only=True):
    """One parcel of a batch. It waits for the courier while it has neither a waybill nor a trouble."""

    number: str
    shipment_number: str
    courier: str
    waybill: str | None
    labelled: bool
    trouble: str | None


class Batch(Struct, frozen=True, kw_only=True):
    """A morning's parcels of a department and what has become of them at the courier."""

    id: UUID
    at: datetime | None
    parcels: int
    ordered: int
    waiting: int
    failed: int
    lines: list[BatchLine]


async def send(
    staff: AsStaff,
    courier: str,
    *,
    couriers: Mapping[str, Ordering],
    numbers: Sequence[str] | None = None,
    hall_id: UUID | None = None,
) -> Batch:
    """Everything of the department that lies ready to be posted, or these of it, or what is given out in this hall,
    goes out as one batch, the oldest first, up to `delivery_batch`. What is not ready, or being ordered already, stays.

    Raises DutyMissing, CourierInvalid.
    """
    staff.require(SEND)
    with_whom, identity = dispatching.courier_of(courier, couriers), uuid7()
    wanted = list(numbers) if numbers is not None else None
    async with transaction():
        rows = await fetch(_WAITING, staff.department_id, wanted, settings().delivery_batch, hall_id)
        for _, standing in sorted((await moving.locked_all([row["id"] for row in rows])).items()):
            if dispatching.may_be_sent(standing) and not await ordering.is_ordering(standing.id):
                await ordering.begin(standing, with_whom, batch=identity)
                await anomalies.mend(standing.id, dispatching.FAILED)
    return await batch(staff, identity)


async def batch(staff: AsStaff, batch_id: UUID) -> Batch:
    """The summary of a batch as it stands now; an unknown one, or one of another department, is empty.

    Raises DutyMissing.
    """
    staff.require(SEND)
    rows = await fetch(_BATCH, batch_id, staff.department_id)
    lines = [
        BatchLine(
            number=row["number"],
            shipment_number=row["shipment_number"],
            courier=row["courier"],
            waybill=row["waybill"],
            labelled=row["labelled"],
            trouble=row["order_trouble"],
        )
        for row in rows
    ]
    how = Counter("ordered" if row["waybill"] else "failed" if row["ended_at"] else "waiting" for row in rows)
    return Batch(
        id=batch_id,
        at=min((row["created_at"] for row in rows), default=None),
        parcels=len(rows),
        ordered=how["ordered"],
        waiting=how["waiting"],
        failed=how["failed"],
        lines=lines,
    )
