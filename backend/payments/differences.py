"""Differences as cases: staff see them, take them over, and say in words what they were."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from backend import clock
from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.events import record
from backend.identity.principals import AsStaff
from backend.paging import USUAL, cursor_of, place_of
from backend.payments.errors import BillDifferenceNotFound, BillDifferenceResolved
from backend.payments.events import DifferenceResolved, DifferenceTaken
from models.reconciliation import DifferenceKind, DifferenceState

DUTY = "payments.reconcile"
"""The duty of whoever looks into differences. Merchants' accounts belong to the platform, not to a department."""
KIND_NAMES: dict[str, str] = {
    DifferenceKind.MISSING_HERE: "平台有、我方无",
    DifferenceKind.MISSING_THERE: "我方有、平台无",
    DifferenceKind.AMOUNT: "金额不一致",
    DifferenceKind.STATE: "状态不一致",
    DifferenceKind.UNKNOWN: "单号无法识别",
}


class BillDaySeen(Struct, kw_only=True):
    """One channel's day as the last comparison left it. Amounts are fen."""

    id: UUID
    channel: str
    merchant_id: str
    day: date
    state: str
    """`waiting`, `empty`, `compared` or `refused`."""
    runs: int
    compared_at: datetime
    paid_count: int
    paid_fen: int
    refund_count: int
    refund_fen: int
    charge_fen: int
    open: int
    """Differences that nobody has explained yet."""
    repaired: int
    resolved: int
    trouble: str | None


class DifferenceSeen(Struct, kw_only=True):
    """One number on which our books, the bill and the channel's answer to a query do not agree. Amounts are fen."""

    id: UUID
    channel: str
    merchant_id: str
    day: date
    kind: str
    kind_name: str
    entity: str
    """`payment` or `refund`."""
    number: str
    payment_number: str | None
    transaction_id: str | None
    moved_at: datetime | None
    ours_state: str | None
    ours_fen: int | None
    bill_state: str | None
    bill_fen: int | None
    query_state: str | None
    query_fen: int | None
    state: str
    """`open`, `repaired` or `resolved`."""
    owner_id: UUID | None
    resolution: str | None
    found_at: datetime
    ended_at: datetime | None
    reopened: int


_DAYS = """
SELECT b.*, count(d.id) FILTER (WHERE d.state = 'open') AS open,
       count(d.id) FILTER (WHERE d.state = 'repaired') AS repaired,
       count(d.id) FILTER (WHERE d.state = 'resolved') AS resolved
FROM bill_days b LEFT JOIN bill_differences d ON d.bill_day_id = b.id
WHERE ($1::date IS NULL OR (b.day, b.id) < ($1, $2)) GROUP BY b.id ORDER BY b.day DESC, b.id DESC LIMIT $3
"""
_SEEN = """
SELECT d.*, b.channel, b.merchant_id, b.day FROM bill_differences d JOIN bill_days b ON b.id = d.bill_day_id
"""
_LIST = f"""{_SEEN}
WHERE ($1::text IS NULL OR d.state = $1) AND ($2::uuid IS NULL OR d.id < $2) ORDER BY d.id DESC LIMIT $3
"""
_ONE = f"{_SEEN} WHERE d.id = $1"


async def days(
    staff: AsStaff, *, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[BillDaySeen], str | None]:
    """One page of the days that were compared, the latest first."""
    staff.require(DUTY)
    day, after = place_of(cursor, "bill days") if cursor else (None, None)
    rows = await fetch(_DAYS, date.fromisoformat(day) if day else None, UUID(after) if after else None, limit + 1)
    seen = [BillDaySeen(**{name: row[name] for name in BillDaySeen.__struct_fields__}) for row in rows[:limit]]
    return seen, cursor_of([seen[-1].day, seen[-1].id], "bill days") if len(rows) > limit else None


async def listed(
    staff: AsStaff, *, state: DifferenceState | None = None, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[DifferenceSeen], str | None]:
    """One page of the differences, the latest first; only those in this state, if one is given."""
    staff.require(DUTY)
    purpose = f"bill differences {state or ''}"
    after = UUID(place_of(cursor, purpose)[0]) if cursor else None
    rows = await fetch(_LIST, state.value if state else None, after, limit + 1)
    seen = [_seen(row) for row in rows[:limit]]
    return seen, cursor_of([seen[-1].id], purpose) if len(rows) > limit else None


async def one(staff: AsStaff, difference_id: UUID) -> DifferenceSeen:
    """One difference with all that is known of it. Raises BillDifferenceNotFound."""
    staff.require(DUTY)
    row = await fetch_row(_ONE, difference_id)
    if row is None:
        raise BillDifferenceNotFound
    return _seen(row)


async def take_over(staff: AsStaff, difference_id: UUID) -> DifferenceSeen:
    """Look into it from now on, also when somebody else did before. Raises BillDifferenceNotFound,
    BillDifferenceResolved."""
    staff.require(DUTY)
    async with transaction():
        await _open_one(difference_id)
        await execute("UPDATE bill_differences SET owner_id = $2 WHERE id = $1", difference_id, staff.id)
        await record(DifferenceTaken(difference_id=difference_id, owner_id=staff.id))
    return await one(staff, difference_id)


async def resolve(staff: AsStaff, difference_id: UUID, words: str) -> DifferenceSeen:
    """Say what it was. Whoever says so owns it from then on. Raises BillDifferenceNotFound, BillDifferenceResolved."""
    staff.require(DUTY)
    async with transaction():
        await _open_one(difference_id)
        await execute(
            "UPDATE bill_differences SET state = 'resolved', resolution = $2, owner_id = $3, ended_at = $4 "
            "WHERE id = $1",
            difference_id,
            words,
            staff.id,
            clock.now(),
        )
        await record(DifferenceResolved(difference_id=difference_id, resolved_by=staff.id))
    return await one(staff, difference_id)


async def _open_one(difference_id: UUID) -> None:
    """Lock it. Raises BillDifferenceNotFound, BillDifferenceResolved."""
    state: Any = await fetch_value("SELECT state FROM bill_differences WHERE id = $1 FOR UPDATE", difference_id)
    if state is None:
        raise BillDifferenceNotFound
    if state != DifferenceState.OPEN:
        raise BillDifferenceResolved


def _seen(row: asyncpg.Record) -> DifferenceSeen:
    values = {name: row[name] for name in DifferenceSeen.__struct_fields__ if name not in ("kind_name", "found_at")}
    return DifferenceSeen(**values, kind_name=KIND_NAMES[row["kind"]], found_at=row["created_at"])
