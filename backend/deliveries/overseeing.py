"""What the office sees of its deliveries: to be sent, under way, at the counter, and the batches that went out.

Receivers are masked; whoever has to write an address opens it for one parcel, and the ledger says that they did.
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
from backend.deliveries.batching import Batch
from backend.deliveries.dispatching import SEND
from backend.deliveries.errors import DeliveryBatchNotFound, DeliveryNotFound
from backend.deliveries.events import ReceiverShown
from backend.deliveries.following import Receiver, receiver_of
from backend.deliveries.handing_over import HAND_OVER
from backend.deliveries.lines import Line, values_of
from backend.deliveries.naming import POSTAGE_NAMES
from backend.deliveries.timeline import TimelineStep
from backend.events import record
from backend.identity.errors import DutyMissing
from backend.identity.principals import AsStaff
from backend.paging import USUAL, cursor_of, place_of
from models.deliveries import DeliveryState as D
from models.deliveries import Direction, Method, Postage

# What lies at a counter is also seen by the department that runs it.
_COLUMNS = """
SELECT d.id, d.number, d.subject_kind, d.subject_id, d.direction, d.method, d.contents, d.state, d.state_at, d.ready_at,
       d.hall_id, d.postage, d.postage_fen, d.kept_until, d.confirmed_at, d.version, d.name, d.phone,
       d.region_code, d.street, s.number AS shipment_number, s.courier, s.company, s.waybill, s.order_trouble,
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
_TAKEN = "SELECT relation, checked_with, staff_id, at FROM hand_overs WHERE delivery_id = $1"
_BATCHES = """
SELECT s.hand_over_batch AS id, min(s.created_at) AS at, count(*) AS parcels, count(s.waybill) AS ordered,
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
SELECT count(*) AS n, count(p.owner_id) AS taken FROM delivery_problems p JOIN deliveries d ON d.id = p.delivery_id
WHERE d.department_id = $1 AND p.ended_at IS NULL
"""


class DeliveryOverseen(Line, frozen=True, kw_only=True):
    """One delivery in the office's list. `hall_id` is the hall that it is sent from, where the guide names one."""

    hall_id: UUID | None
    ready_at: datetime | None
    postage: Postage
    postage_name: str
    postage_fen: int
    pickup_point: str | None
    overdue: bool
    """It lies at the counter for longer than it was to be kept."""
    shipment_number: str | None
    courier: str | None
    order_trouble: str | None
    batch_id: UUID | None
    open_problems: int


class HandOverSeen(Struct, frozen=True):
    """Who handed it over and how they knew to whom."""

    relation: str
    checked_with: str
    staff_id: UUID
    at: datetime


class DeliveryOpened(DeliveryOverseen, frozen=True, kw_only=True):
    """One delivery with its timeline; receiver and phone numbers are masked."""

    receiver: Receiver | None
    confirmed_at: datetime | None
    hand_over: HandOverSeen | None
    steps: list[TimelineStep]


class BatchLine(Struct, frozen=True, kw_only=True):
    """One batch in the list."""

    id: UUID
    at: datetime
    parcels: int
    ordered: int
    waiting: int
    failed: int


class Desk(Struct, frozen=True):
    """How much lies where this moment: open deliveries by state, and problems."""

    states: dict[str, int]
    problems: int
    problems_taken: int


async def deliveries(
    staff: AsStaff,
    *,
    states: Sequence[D] | None = None,
    method: Method | None = None,
    direction: Direction | None = None,
    overdue: bool | None = None,
    hall_id: UUID | None = None,
    cursor: str | None = None,
    limit: int = USUAL,
) -> tuple[list[DeliveryOverseen], str | None]:
    """One page of the department's deliveries, the latest first. Raises DutyMissing, CursorInvalid."""
    _may_look(staff)
    purpose = f"staff-deliveries {staff.department_id} {sorted(states or ())} {method} {direction} {overdue} {hall_id}"
    last = UUID(place_of(cursor, purpose)[0]) if cursor else None
    wanted = list(states) if states else None
    rows = await fetch(
        _LIST, staff.department_id, wanted, method, direction, overdue, clock.today(), hall_id, last, limit + 1
    )  # fmt: skip
    more = cursor_of([str(rows[limit - 1]["id"])], purpose) if len(rows) > limit else None
    return [DeliveryOverseen(**_line(row)) for row in rows[:limit]], more


async def delivery(staff: AsStaff, number: str) -> DeliveryOpened:
    """One delivery. Raises DutyMissing; DeliveryNotFound, also for another department's."""
    _may_look(staff)
    row = await _row(staff, number)
    told = await timeline.of(row["id"], Direction(row["direction"]), own=False)
    taken = await fetch_row(_TAKEN, row["id"])
    return DeliveryOpened(
        **_line(row),
        receiver=await receiver_of(row, shown=False),
        confirmed_at=row["confirmed_at"],
        hand_over=HandOverSeen(**taken) if taken else None,
        steps=told.steps,
    )


async def receiver(staff: AsStaff, number: str) -> Receiver:
    """To whom and where it goes, in full, for whoever has to write it down; the ledger says who read it.

    Raises DutyMissing; DeliveryNotFound, also for what is not posted.
    """
    staff.require(SEND)
    async with transaction():
        row = await _row(staff, number)
        found = await receiver_of(row, shown=True)
        if found is None:
            raise DeliveryNotFound
        await record(ReceiverShown(delivery_id=row["id"], staff_id=staff.id))
    return found


async def batches(staff: AsStaff, *, limit: int = USUAL) -> list[BatchLine]:
    """The department's latest batches. Raises DutyMissing."""
    staff.require(SEND)
    rows = await fetch(_BATCHES, staff.department_id, limit)
    return [BatchLine(**row, waiting=row["parcels"] - row["ordered"] - row["failed"]) for row in rows]


async def batch(staff: AsStaff, batch_id: UUID) -> Batch:
    """One batch as it stands now. Raises DutyMissing; DeliveryBatchNotFound, also for another department's."""
    found = await batching.batch(staff, batch_id)
    if not found.parcels:
        raise DeliveryBatchNotFound
    return found


async def desk(staff: AsStaff) -> Desk:
    """What waits for the department now. Raises DutyMissing."""
    _may_look(staff)
    rows, problems = (
        await fetch(_COUNTS, staff.department_id),
        await fetch_row(_OPEN_PROBLEMS, staff.department_id),
    )
    assert problems is not None, "a count is one row"
    return Desk({row["state"]: row["n"] for row in rows}, problems["n"], problems["taken"])


async def _row(staff: AsStaff, number: str) -> Mapping[str, Any]:
    row: Mapping[str, Any] | None = await fetch_row(_ONE, staff.department_id, number)
    if row is None:
        raise DeliveryNotFound
    return row


def _may_look(staff: AsStaff) -> None:
    if staff.duties.isdisjoint({SEND, HAND_OVER}):
        raise DutyMissing(duty=SEND)


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    postage, kept = Postage(row["postage"]), row["kept_until"]
    overdue = row["state"] == D.READY and kept is not None and kept < clock.today()
    return values_of(DeliveryOverseen, row, postage=postage, postage_name=POSTAGE_NAMES[postage], overdue=overdue)
