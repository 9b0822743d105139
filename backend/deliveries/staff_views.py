"""Deliveries as the office reads them: to be sent, under way, at the counter, and the batches that went out.

Receivers are masked; staff who have to write an address reveal it for one delivery, and the ledger records it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend import clock
from backend.database import fetch, fetch_row, transaction
from backend.deliveries import batching, timeline
from backend.deliveries.batching import BatchDetail
from backend.deliveries.dispatching import SEND
from backend.deliveries.errors import DeliveryBatchNotFound, DeliveryNotFound
from backend.deliveries.events import ReceiverRevealed
from backend.deliveries.handing_over import HAND_OVER
from backend.deliveries.naming import POSTAGE_NAMES
from backend.deliveries.resident_views import Receiver, receiver_detail
from backend.deliveries.shapes import DeliveryFields, fields_of
from backend.deliveries.timeline import TimelineStep
from backend.errors import raises
from backend.events import record
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from backend.paging import USUAL, CursorInvalid, paged
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, Postage

# The department that runs a counter also reads the deliveries that lie there.
_COLUMNS = """
SELECT d.id, d.number, d.subject_kind, d.subject_id, d.direction, d.method, d.contents, d.state, d.state_at, d.ready_at,
       d.hall_id, d.postage, d.postage_fen, d.kept_until, d.confirmed_at, d.version, d.name, d.phone,
       d.region_code, d.street, s.number AS shipment_number, s.courier, s.company, s.waybill, s.order_error,
       s.hand_over_batch AS batch_id, k.name AS pickup_point,
       (SELECT count(*) FROM delivery_problems p WHERE p.delivery_id = d.id AND p.ended_at IS NULL) AS open_problems
FROM deliveries d LEFT JOIN pickup_points k ON k.id = d.pickup_point_id
LEFT JOIN LATERAL (SELECT * FROM shipments WHERE delivery_id = d.id ORDER BY attempt DESC LIMIT 1) s ON true
"""
_OURS = "(d.department_id = $1 OR (d.method = 'pickup' AND k.department_id = $1))"
_LIST = f"""{_COLUMNS}
WHERE {_OURS} AND ($2::text[] IS NULL OR d.state = ANY($2)) AND ($3::text IS NULL OR d.method = $3)
  AND ($4::text IS NULL OR d.direction = $4)
  AND ($5::bool IS NULL OR (d.state = 'ready' AND d.kept_until < $6) = $5) AND ($7::uuid IS NULL OR d.hall_id = $7)
  AND ($8::uuid IS NULL OR d.id < $8)
ORDER BY d.id DESC LIMIT $9
"""
_ONE = f"{_COLUMNS} WHERE {_OURS} AND d.number = $2"
_HAND_OVER = "SELECT relation, checked_with, staff_id, at FROM hand_overs WHERE delivery_id = $1"
_BATCHES = """
SELECT s.hand_over_batch AS id, min(s.created_at) AS at, count(*) AS shipments, count(s.waybill) AS ordered,
       count(*) FILTER (WHERE s.waybill IS NULL AND s.ended_at IS NOT NULL) AS failed
FROM shipments s JOIN deliveries d ON d.id = s.delivery_id
WHERE s.hand_over_batch IS NOT NULL AND d.department_id = $1
GROUP BY 1 ORDER BY 2 DESC, 1 DESC LIMIT $2
"""
_COUNTS = """
SELECT d.state, count(*) AS n FROM deliveries d LEFT JOIN pickup_points k ON k.id = d.pickup_point_id
WHERE (d.department_id = $1 OR (d.method = 'pickup' AND k.department_id = $1))
  AND d.state NOT IN ('signed', 'returned', 'lost', 'handed_over', 'cancelled')
GROUP BY 1
"""
_OPEN_PROBLEMS = """
SELECT count(*) AS n, count(p.owner_id) AS assigned FROM delivery_problems p JOIN deliveries d ON d.id = p.delivery_id
WHERE d.department_id = $1 AND p.ended_at IS NULL
"""


class StaffDeliverySummary(DeliveryFields, frozen=True, kw_only=True):
    """One delivery in the office's list. `hall_id` is the hall that it is sent from, where the guide names one."""

    hall_id: UUID | None
    ready_at: datetime | None
    postage: Postage
    postage_name: str
    postage_fen: int
    pickup_point: str | None
    overdue: bool
    """Whether it lies at the counter beyond the day until which it is kept."""
    shipment_number: str | None
    courier: str | None
    order_error: str | None
    batch_id: UUID | None
    open_problems: int


class HandOverDetail(Struct, frozen=True):
    """Who handed it over, and what the receiver showed."""

    relation: str
    checked_with: str
    staff_id: UUID
    at: datetime


class StaffDeliveryDetail(StaffDeliverySummary, frozen=True, kw_only=True):
    """One delivery with its timeline; receiver and phone numbers are masked."""

    receiver: Receiver | None
    confirmed_at: datetime | None
    hand_over: HandOverDetail | None
    steps: list[TimelineStep]


class BatchSummary(Struct, frozen=True, kw_only=True):
    """One batch in the list."""

    id: UUID
    at: datetime
    shipments: int
    ordered: int
    waiting: int
    failed: int


class Desk(Struct, frozen=True):
    """Counts of this moment: open deliveries by state, and problems."""

    states: dict[str, int]
    problems: int
    problems_assigned: int


@raises(DutyMissing, CursorInvalid)
async def list_department_deliveries(
    staff: AsStaff,
    *,
    states: Sequence[D] | None = None,
    method: Method | None = None,
    direction: Direction | None = None,
    overdue: bool | None = None,
    hall_id: UUID | None = None,
    cursor: str | None = None,
    limit: int = USUAL,
) -> tuple[list[StaffDeliverySummary], str | None]:
    """List a page of the department's deliveries, the latest first."""
    _require_duty(staff)
    purpose = f"staff-deliveries {staff.department_id} {sorted(states or ())} {method} {direction} {overdue} {hall_id}"
    only = list(states) if states else None
    return await paged(
        _LIST, staff.department_id, only, method, direction, overdue, clock.today(), hall_id,
        by={"id": UUID}, make=_summary, purpose=purpose, cursor=cursor, limit=limit,
    )  # fmt: skip


@raises(DutyMissing, DeliveryNotFound)
async def get_department_delivery(staff: AsStaff, number: str) -> StaffDeliveryDetail:
    """Return one delivery. Raises DutyMissing; DeliveryNotFound, also for another department's."""
    _require_duty(staff)
    row = await _row(staff, number)
    found = await timeline.get_timeline(row["id"], Direction(row["direction"]), own=False)
    hand_over = await fetch_row(_HAND_OVER, row["id"])
    return StaffDeliveryDetail(
        **_fields(row),
        receiver=await receiver_detail(row, masked=True),
        confirmed_at=row["confirmed_at"],
        hand_over=HandOverDetail(**hand_over) if hand_over else None,
        steps=found.steps,
    )


@raises(DutyMissing, DeliveryNotFound)
async def reveal_receiver(staff: AsStaff, number: str) -> Receiver:
    """Return the receiver in full, for staff who have to write the address; the ledger records who read it.

    Raises DutyMissing; DeliveryNotFound, also for a delivery that is not posted.
    """
    staff.require(SEND)
    async with transaction():
        row = await _row(staff, number)
        found = await receiver_detail(row, masked=False)
        if found is None:
            raise DeliveryNotFound
        await record(ReceiverRevealed(delivery_id=row["id"], staff_id=staff.id))
    return found


@raises(DutyMissing)
async def list_batches(staff: AsStaff, *, limit: int = USUAL) -> list[BatchSummary]:
    """List the department's latest batches."""
    staff.require(SEND)
    rows = await fetch(_BATCHES, staff.department_id, limit)
    return [BatchSummary(**row, waiting=row["shipments"] - row["ordered"] - row["failed"]) for row in rows]


@raises(DutyMissing, DeliveryBatchNotFound)
async def get_batch(staff: AsStaff, batch_id: UUID) -> BatchDetail:
    """Return one batch as it is now. Raises DutyMissing; DeliveryBatchNotFound, also for another department's."""
    found = await batching.summarise_batch(staff, batch_id)
    if not found.shipments:
        raise DeliveryBatchNotFound
    return found


@raises(DutyMissing)
async def get_desk(staff: AsStaff) -> Desk:
    """Return what waits for the department now."""
    _require_duty(staff)
    rows, problems = (
        await fetch(_COUNTS, staff.department_id),
        await fetch_row(_OPEN_PROBLEMS, staff.department_id),
    )
    assert problems is not None, "a count is one row"
    return Desk({row["state"]: row["n"] for row in rows}, problems["n"], problems["assigned"])


async def _row(staff: AsStaff, number: str) -> Mapping[str, Any]:
    row: Mapping[str, Any] | None = await fetch_row(_ONE, staff.department_id, number)
    if row is None:
        raise DeliveryNotFound
    return row


def _require_duty(staff: AsStaff) -> None:
    if staff.duties.isdisjoint({SEND, HAND_OVER}):
        raise DutyMissing(duty=SEND)


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    postage, kept = Postage(row["postage"]), row["kept_until"]
    overdue = row["state"] == D.READY and kept is not None and kept < clock.today()
    return fields_of(StaffDeliverySummary, row, postage=postage, postage_name=POSTAGE_NAMES[postage], overdue=overdue)


def _summary(row: Mapping[str, Any]) -> StaffDeliverySummary:
    return StaffDeliverySummary(**_fields(row))
