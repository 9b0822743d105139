"""Fees: raised from the published guide, shown to the residents who may pay them, waived by staff with a reason.

A fee belongs to a subject (kind, id): a case, a reprint, a parcel. Nothing here knows what a case is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, convert
from uuid_utils.compat import uuid7

from backend import clock
from backend.database import execute, fetch, fetch_row, fetch_value, require_transaction, transaction
from backend.errors import raises
from backend.events import record
from backend.identity import AsResident, AsStaff
from backend.identity.errors import DutyMissing
from backend.paging import USUAL, CursorInvalid, paged
from backend.payments.errors import FeeNotFound, FeeNotOpen, PaymentBeingMade
from backend.payments.events import FeeRaised, FeeWaived
from backend.payments.transitions import actor_name
from backend.sql import named
from models.payments import OPEN_ORDERS, FeeState

MANAGE_FEES = "fees.manage"
"""The duty of staff who raise and waive fees of their own department."""
FEE_NAMES = {
    FeeState.OPEN: "待缴",
    FeeState.PAID: "已缴",
    FeeState.WAIVED: "已免收",
    FeeState.CANCELLED: "已取消",
}

_RAISE = """
INSERT INTO fees AS f (id, created_at, subject_kind, subject_id, charge_ref, resident_id, department_id,
    item_version_id, name, basis, unit_fen, quantity, amount_fen, state, state_at, raised_by)
VALUES (:id, :now, :subject_kind, :subject_id, :charge_ref, :resident_id, :department_id, :item_version_id, :name,
    :basis, :unit_fen, :quantity::int, :unit_fen::bigint * :quantity::int, 'open', :now, :raised_by)
ON CONFLICT (subject_kind, subject_id, charge_ref) DO UPDATE SET
    state = 'open', state_at = excluded.state_at, reason = NULL, resident_id = excluded.resident_id,
    unit_fen = excluded.unit_fen, quantity = excluded.quantity, amount_fen = excluded.amount_fen
WHERE f.state = 'cancelled' AND f.paid_by_id IS NULL
RETURNING id
"""
_RAISED = "SELECT id FROM fees WHERE subject_kind = $1 AND subject_id = $2 AND charge_ref = $3"
_OF_DEPARTMENT = "SELECT * FROM fees WHERE id = $1 AND department_id = $2 FOR UPDATE"
_WAIVE = "UPDATE fees SET state = 'waived', state_at = $2, waived_by = $3, reason = $4 WHERE id = $1 RETURNING *"
_CHECK_NOW = f"UPDATE payments SET check_after = $2 WHERE fee_id = ANY($1) AND {OPEN_ORDERS}"
_BEING_PAID = f"SELECT EXISTS (SELECT 1 FROM payments WHERE fee_id = $1 AND {OPEN_ORDERS})"
_SET_QUANTITY = "UPDATE fees SET quantity = $2::int, amount_fen = unit_fen * $2::int WHERE id = $1"
_HAND_OVER = """
UPDATE fees SET resident_id = $3 WHERE subject_kind = $1 AND subject_id = $2 AND state = 'open'
AND resident_id IS DISTINCT FROM $3 RETURNING id
"""
_LIST = """
SELECT * FROM fees WHERE resident_id IN (SELECT people_of($1, 'payments'))
    AND ($2::text[] IS NULL OR state = ANY($2)) AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""
_OF_SUBJECT = "SELECT * FROM fees WHERE subject_kind = $1 AND subject_id = $2 ORDER BY id"


class FeeDetail(Struct, kw_only=True):
    """A fee as it is shown."""

    id: UUID
    subject_kind: str
    subject_id: UUID
    charge_ref: str
    name: str
    basis: str
    unit_fen: int
    quantity: int
    amount_fen: int
    state: str
    state_name: str
    state_at: datetime
    raised_at: datetime
    reason: str | None
    """Why it was waived or cancelled."""


async def raise_fee(
    *,
    subject_kind: str,
    subject_id: UUID,
    charge_ref: str,
    name: str,
    basis: str,
    unit_fen: int,
    quantity: int = 1,
    resident_id: UUID | None,
    department_id: UUID | None,
    item_version_id: UUID | None = None,
    raised_by: str | None = None,
) -> UUID:
    """Raise a fee and return its id; for a charge of the subject that was raised before, return the same fee.

    A fee that was cancelled before it was paid is opened again. `raised_by` is the acting caller unless it is given.
    Belongs inside transaction().
    """
    require_transaction("raise_fee")
    values = {
        "id": uuid7(),
        "now": clock.now(),
        "subject_kind": subject_kind,
        "subject_id": subject_id,
        "charge_ref": charge_ref,
        "resident_id": resident_id,
        "department_id": department_id,
        "item_version_id": item_version_id,
        "name": name,
        "basis": basis,
        "unit_fen": unit_fen,
        "quantity": quantity,
        "raised_by": raised_by or actor_name(),
    }
    fee_id: UUID | None = await fetch_value(*named(_RAISE, values))
    if fee_id is None:
        found: UUID = await fetch_value(_RAISED, subject_kind, subject_id, charge_ref)
        return found
    await record(
        FeeRaised(
            fee_id=fee_id,
            subject_kind=subject_kind,
            subject_id=subject_id,
            resident_id=resident_id,
            amount_fen=unit_fen * quantity,
        )
    )
    return fee_id


@raises(FeeNotFound, FeeNotOpen, PaymentBeingMade)
async def set_fee_quantity(fee_id: UUID, quantity: int) -> None:
    """Change how many are owed: another number of pages, of copies.

    Raises FeeNotOpen when the fee is settled already, and PaymentBeingMade while an order of the old amount is open.
    """
    async with transaction():
        fee = await fetch_row("SELECT state, quantity FROM fees WHERE id = $1 FOR UPDATE", fee_id)
        if fee is None:
            raise FeeNotFound
        if fee["quantity"] == quantity:
            return
        if fee["state"] != FeeState.OPEN:
            raise FeeNotOpen
        if await fetch_value(_BEING_PAID, fee_id):
            raise PaymentBeingMade(retry_after=60)
        await execute(_SET_QUANTITY, fee_id, quantity)


@raises(DutyMissing, FeeNotFound, FeeNotOpen)
async def waive_fee(staff: AsStaff, fee_id: UUID, reason: str) -> FeeDetail:
    """Waive a fee of one's own department, for a reason that the payer can read; open orders are closed at their
    channels."""
    staff.require(MANAGE_FEES)
    async with transaction():
        row = await fetch_row(_OF_DEPARTMENT, fee_id, staff.department_id)
        if row is None:
            raise FeeNotFound
        if row["state"] != FeeState.OPEN:
            raise FeeNotOpen
        waived = await fetch_row(_WAIVE, fee_id, clock.now(), staff.id, reason)
        assert waived is not None
        await check_orders_now([fee_id])
        await record(
            FeeWaived(
                fee_id=fee_id,
                subject_kind=row["subject_kind"],
                subject_id=row["subject_id"],
                resident_id=row["resident_id"],
                amount_fen=row["amount_fen"],
            )
        )
    return _detail(waived)


async def check_orders_now(fee_ids: Sequence[UUID]) -> None:
    """Have the sweeper check the open orders of these fees at once: it closes those whose fee is not owed any more."""
    await execute(_CHECK_NOW, list(fee_ids), clock.now())


async def hand_over_fees(subject_kind: str, subject_id: UUID, resident_id: UUID | None) -> int:
    """Set who may pay the open fees of the subject; the number of fees that changed hands."""
    async with transaction():
        fees = [row["id"] for row in await fetch(_HAND_OVER, subject_kind, subject_id, resident_id)]
        if fees:
            await check_orders_now(fees)
    return len(fees)


@raises(CursorInvalid)
async def list_own_fees(
    resident: AsResident, *, states: Sequence[FeeState] | None = None, cursor: str | None = None, limit: int = USUAL
) -> tuple[list[FeeDetail], str | None]:
    """The fees of the resident and of the people they may pay for, the latest first, and the cursor of the next
    page."""
    arguments = (resident.id, list(states) if states else None)
    return await paged(
        _LIST, *arguments, by={"id": UUID}, make=_detail, purpose="resident-fees", cursor=cursor, limit=limit
    )


async def list_subject_fees(subject_kind: str, subject_id: UUID) -> list[FeeDetail]:
    """Every fee of the subject, oldest first. The caller has checked who may know."""
    return [_detail(row) for row in await fetch(_OF_SUBJECT, subject_kind, subject_id)]


def _detail(row: Mapping[str, Any]) -> FeeDetail:
    names = {"state_name": FEE_NAMES[FeeState(row["state"])], "raised_at": row["created_at"]}
    return convert({**row, **names}, FeeDetail)
