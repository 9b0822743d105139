"""Problems of deliveries for the office: who is assigned, and what the resident is answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend import clock
from backend.crypto import open_sealed
from backend.database import execute, fetch_row, row_as, transaction
from backend.deliveries.dispatching import SEND
from backend.deliveries.errors import DeliveryProblemNotFound, DeliveryProblemResolved
from backend.deliveries.events import ProblemAnswered, ProblemAssigned
from backend.deliveries.naming import PROBLEM_NAMES, state_name
from backend.errors import raises
from backend.events import record
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from backend.paging import USUAL, CursorInvalid, paged
from models.deliveries import DeliveryState, Direction, ProblemKind


class StaffProblemDetail(Struct, frozen=True, kw_only=True):
    """A problem as the office reads it. `text` is what the resident wrote."""

    id: UUID
    number: str
    """Of the delivery."""
    contents: str
    kind: ProblemKind
    kind_name: str
    text: str | None
    state: DeliveryState
    state_name: str
    company: str | None
    waybill: str | None
    found_at: datetime
    owner_id: UUID | None
    answer: str | None
    ended_at: datetime | None


_COLUMNS = """
SELECT p.id, d.id AS delivery_id, d.resident_id, d.number, d.contents, p.kind, p.text, d.state, d.direction, s.company,
       s.waybill, p.found_at, p.owner_id, p.answer, p.ended_at
FROM delivery_problems p JOIN deliveries d ON d.id = p.delivery_id LEFT JOIN shipments s ON s.id = p.shipment_id
"""
_LIST = (
    _COLUMNS
    + """
WHERE d.department_id = $1 AND ($2::bool IS NULL OR (p.ended_at IS NULL) = $2) AND ($3::uuid IS NULL OR p.owner_id = $3)
  AND ($4::uuid IS NULL OR p.id < $4)
ORDER BY p.id DESC LIMIT $5
"""
)
_ONE = _COLUMNS + " WHERE p.id = $1 AND d.department_id = $2"
_ASSIGN = "UPDATE delivery_problems SET owner_id = $2 WHERE id = $1"
_ANSWER = """
UPDATE delivery_problems SET owner_id = coalesce(owner_id, $2), answer = $3, ended_at = $4 WHERE id = $1
"""


@raises(DutyMissing, CursorInvalid)
async def list_problems(
    staff: AsStaff,
    *,
    is_open: bool | None = True,
    owner_id: UUID | None = None,
    cursor: str | None = None,
    limit: int = USUAL,
) -> tuple[list[StaffProblemDetail], str | None]:
    """List a page of the department's problems, the latest first."""
    staff.require(SEND)
    purpose = f"delivery-problems {staff.department_id} {is_open} {owner_id}"
    return await paged(
        _LIST, staff.department_id, is_open, owner_id,
        by={"id": UUID}, make=_detail, purpose=purpose, cursor=cursor, limit=limit,
    )  # fmt: skip


@raises(DutyMissing, DeliveryProblemNotFound)
async def get_problem(staff: AsStaff, problem_id: UUID) -> StaffProblemDetail:
    """Return one problem. Raises DutyMissing; DeliveryProblemNotFound, also for another department's."""
    staff.require(SEND)
    row = await fetch_row(_ONE, problem_id, staff.department_id)
    if row is None:
        raise DeliveryProblemNotFound
    return _detail(row)


@raises(DutyMissing, DeliveryProblemNotFound, DeliveryProblemResolved)
async def assign_problem(staff: AsStaff, problem_id: UUID) -> StaffProblemDetail:
    """Assign a problem to oneself, also from a colleague."""
    staff.require(SEND)
    async with transaction():
        row = await _open(staff, problem_id)
        if row["owner_id"] != staff.id:
            await execute(_ASSIGN, problem_id, staff.id)
            await record(ProblemAssigned(problem_id=problem_id, delivery_id=row["delivery_id"], staff_id=staff.id))
        return await get_problem(staff, problem_id)


@raises(DutyMissing, DeliveryProblemNotFound, DeliveryProblemResolved)
async def answer_problem(staff: AsStaff, problem_id: UUID, text: str) -> StaffProblemDetail:
    """Resolve a problem with an answer for the resident.

    Raises DutyMissing, DeliveryProblemNotFound, DeliveryProblemResolved.
    """
    staff.require(SEND)
    async with transaction():
        row = await _open(staff, problem_id)
        await execute(_ANSWER, problem_id, staff.id, text, clock.now())
        await record(
            ProblemAnswered(
                problem_id=problem_id,
                delivery_id=row["delivery_id"],
                resident_id=row["resident_id"],
                answered_by=staff.id,
            )
        )
        return await get_problem(staff, problem_id)


async def _open(staff: AsStaff, problem_id: UUID) -> Mapping[str, Any]:
    row: Mapping[str, Any] | None = await fetch_row(_ONE + " FOR NO KEY UPDATE OF p", problem_id, staff.department_id)
    if row is None:
        raise DeliveryProblemNotFound
    if row["ended_at"] is not None:
        raise DeliveryProblemResolved
    return row


def _detail(row: Mapping[str, Any]) -> StaffProblemDetail:
    kind, state, text = ProblemKind(row["kind"]), DeliveryState(row["state"]), row["text"]
    more = {
        "kind_name": PROBLEM_NAMES[kind],
        "text": open_sealed(text, where="delivery_problems.text", row=row["id"]) if text else None,
        "state_name": state_name(state, Direction(row["direction"])),
    }
    return row_as(StaffProblemDetail, {**row, **more})
