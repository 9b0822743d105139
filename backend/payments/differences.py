"""Bill differences as work items: staff see them, take them over, and resolve them with an explanation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct, convert

from backend import clock
from backend.database import execute, fetch_row, fetch_value, row_as, transaction
from backend.errors import raises
from backend.events import record
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from backend.paging import USUAL, CursorInvalid, paged
from backend.payments.errors import BillDifferenceNotFound, BillDifferenceResolved
from backend.payments.events import DifferenceResolved, DifferenceTaken
from models.reconciliation import DifferenceKind, DifferenceState

RECONCILE = "payments.reconcile"
"""The duty of staff who work on differences. Merchants' accounts belong to the platform, not to a department."""
KIND_NAMES: dict[str, str] = {
    DifferenceKind.MISSING_HERE: "平台有、我方无",
    DifferenceKind.MISSING_THERE: "我方有、平台无",
    DifferenceKind.AMOUNT: "金额不一致",
    DifferenceKind.STATE: "状态不一致",
    DifferenceKind.UNKNOWN: "单号无法识别",
}


class BillDaySummary(Struct, kw_only=True):
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
    """Differences without an explanation."""
    repaired: int
    resolved: int
    problem: str | None


class BillDifferenceDetail(Struct, kw_only=True):
    """One number on which our tables, the bill and the channel's answer to a query disagree. Amounts are fen."""

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
_COLUMNS = """
SELECT d.*, b.channel, b.merchant_id, b.day FROM bill_differences d JOIN bill_days b ON b.id = d.bill_day_id
"""
_LIST = f"""{_COLUMNS}
WHERE ($1::text IS NULL OR d.state = $1) AND ($2::uuid IS NULL OR d.id < $2) ORDER BY d.id DESC LIMIT $3
"""
_ONE = f"{_COLUMNS} WHERE d.id = $1"


@raises(DutyMissing, CursorInvalid)
async def list_bill_days(
    staff: AsStaff, *, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[BillDaySummary], str | None]:
    """One page of the days that were compared, the latest first."""
    staff.require(RECONCILE)
    by: dict[str, Callable[[str], Any]] = {"day": date.fromisoformat, "id": UUID}
    return await paged(_DAYS, by=by, make=_day, purpose="bill days", cursor=cursor, limit=limit)


@raises(DutyMissing, CursorInvalid)
async def list_bill_differences(
    staff: AsStaff, *, state: DifferenceState | None = None, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[BillDifferenceDetail], str | None]:
    """One page of the differences, the latest first; only those in this state, if one is given."""
    staff.require(RECONCILE)
    purpose = f"bill differences {state or ''}"
    chosen = state.value if state else None
    return await paged(_LIST, chosen, by={"id": UUID}, make=_detail, purpose=purpose, cursor=cursor, limit=limit)


@raises(DutyMissing, BillDifferenceNotFound)
async def get_bill_difference(staff: AsStaff, difference_id: UUID) -> BillDifferenceDetail:
    """One difference with all that is known of it."""
    staff.require(RECONCILE)
    row = await fetch_row(_ONE, difference_id)
    if row is None:
        raise BillDifferenceNotFound
    return _detail(row)


@raises(DutyMissing, BillDifferenceNotFound, BillDifferenceResolved)
async def take_over_bill_difference(staff: AsStaff, difference_id: UUID) -> BillDifferenceDetail:
    """Make the member of staff the owner of the difference, also when it had another owner."""
    staff.require(RECONCILE)
    async with transaction():
        await _lock_open(difference_id)
        await execute("UPDATE bill_differences SET owner_id = $2 WHERE id = $1", difference_id, staff.id)
        await record(DifferenceTaken(difference_id=difference_id, owner_id=staff.id))
    return await get_bill_difference(staff, difference_id)


@raises(DutyMissing, BillDifferenceNotFound, BillDifferenceResolved)
async def resolve_bill_difference(staff: AsStaff, difference_id: UUID, words: str) -> BillDifferenceDetail:
    """Resolve the difference with an explanation; the member of staff who explains it owns it from then on."""
    staff.require(RECONCILE)
    async with transaction():
        await _lock_open(difference_id)
        await execute(
            "UPDATE bill_differences SET state = 'resolved', resolution = $2, owner_id = $3, ended_at = $4 "
            "WHERE id = $1",
            difference_id,
            words,
            staff.id,
            clock.now(),
        )
        await record(DifferenceResolved(difference_id=difference_id, resolved_by=staff.id))
    return await get_bill_difference(staff, difference_id)


async def _lock_open(difference_id: UUID) -> None:
    """Lock an open difference. Raises BillDifferenceNotFound, BillDifferenceResolved."""
    state: Any = await fetch_value("SELECT state FROM bill_differences WHERE id = $1 FOR UPDATE", difference_id)
    if state is None:
        raise BillDifferenceNotFound
    if state != DifferenceState.OPEN:
        raise BillDifferenceResolved


def _day(row: asyncpg.Record) -> BillDaySummary:
    return row_as(BillDaySummary, row)


def _detail(row: asyncpg.Record) -> BillDifferenceDetail:
    names = {"kind_name": KIND_NAMES[row["kind"]], "found_at": row["created_at"]}
    return convert({**row, **names}, BillDifferenceDetail)
