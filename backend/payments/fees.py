"""What is owed: raised from the published guide, shown to whoever may pay it, waived by staff with a reason.

A fee belongs to a subject (kind, id): a case, a reprint, a parcel. Nothing here knows what a case is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock
from backend.database import fetch, in_transaction, transaction
from backend.events import record
from backend.identity.principals import AsResident, AsStaff
from backend.paging import USUAL, cursor_of, place_of
from backend.payments.errors import FeeNotFound, FeeNotOpen, PaymentBeingMade
from backend.payments.events import FeeRaised, FeeWaived
from models.payments import FeeState

MANAGE = "fees.manage"
"""The duty of whoever raises and waives fees of their own department."""
FEE_NAMES = {
    FeeState.OPEN: "待缴",
    FeeState.PAID: "已缴",
    FeeState.WAIVED: "已免收",
    FeeState.CANCELLED: "已取消",
}
_PURPOSE = "resident-fees"

_RAISE = """
INSERT INTO fees AS f (id, created_at, subject_kind, subject_id, charge_ref, resident_id, department_id,
    item_version_id, name, basis, unit_fen, quantity, amount_fen, state, state_at, raised_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::int, $11::bigint * $12::int, 'open', $2, $13)
ON CONFLICT (subject_kind, subject_id, charge_ref) DO UPDATE SET
    state = 'open', state_at = excluded.state_at, reason = NULL, resident_id = excluded.resident_id,
    unit_fen = excluded.unit_fen, quantity = excluded.quantity, amount_fen = excluded.amount_fen
WHERE f.state = 'cancelled' AND f.paid_by_id IS NULL
RETURNING id
"""
_RAISED = "SELECT id FROM fees WHERE subject_kind = $1 AND subject_id = $2 AND charge_ref = $3"
_OF_DEPARTMENT = "SELECT * FROM fees WHERE id = $1 AND department_id = $2 FOR UPDATE"
_WAIVE = "UPDATE fees SET state = 'waived', state_at = $2, waived_by = $3, reason = $4 WHERE id = $1"
_LOOK_NOW = """
UPDATE payments SET check_after = $2 WHERE fee_id = ANY($1) AND state IN ('created', 'prepaid')
"""
_BEING_PAID = "SELECT EXISTS (SELECT 1 FROM payments WHERE fee_id = $1 AND state IN ('created', 'prepaid'))"
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


class FeeSeen(Struct, kw_only=True):
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
    raised_by: str,
) -> UUID:
    """Something is owed from now on; the fee's id. Asked again for the same charge of the subject, the same fee.

    A fee that was cancelled before anybody paid it is opened again. Belongs inside transaction().
    """
    if not in_transaction():
        raise RuntimeError("raise_fee() belongs inside transaction()")
    async with transaction() as connection:
        fee_id: UUID | None = await connection.fetchval(
            _RAISE, uuid7(), clock.now(), subject_kind, subject_id, charge_ref, resident_id, department_id,
            item_version_id, name, basis, unit_fen, quantity, raised_by,
        )  # fmt: skip
        if fee_id is None:
            found: UUID = await connection.fetchval(_RAISED, subject_kind, subject_id, charge_ref)
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


async def set_quantity(fee_id: UUID, quantity: int) -> None:
    """So many of it are owed: another number of pages, of copies. Belongs inside transaction().

    Raises FeeNotOpen when it is settled already, and PaymentBeingMade while somebody is about to pay the old amount.
    """
    async with transaction() as connection:
        fee = await connection.fetchrow("SELECT state, quantity FROM fees WHERE id = $1 FOR UPDATE", fee_id)
        if fee is None:
            raise FeeNotFound
        if fee["quantity"] == quantity:
            return
        if fee["state"] != FeeState.OPEN:
            raise FeeNotOpen
        if await connection.fetchval(_BEING_PAID, fee_id):
            raise PaymentBeingMade(retry_after=60)
        await connection.execute(_SET_QUANTITY, fee_id, quantity)


async def waive(staff: AsStaff, fee_id: UUID, reason: str) -> FeeSeen:
    """It need not be paid, for a reason that the payer can read. Orders that are open are closed at their channels.

    Raises DutyMissing; FeeNotFound, also for a fee of another department; FeeNotOpen when there is nothing to waive.
    """
    staff.require(MANAGE)
    async with transaction() as connection:
        row = await connection.fetchrow(_OF_DEPARTMENT, fee_id, staff.department_id)
        if row is None:
            raise FeeNotFound
        if row["state"] != FeeState.OPEN:
            raise FeeNotOpen
        now = clock.now()
        await connection.execute(_WAIVE, fee_id, now, staff.id, reason)
        await look_at_orders([fee_id])
        await record(
            FeeWaived(
                fee_id=fee_id,
                subject_kind=row["subject_kind"],
                subject_id=row["subject_id"],
                resident_id=row["resident_id"],
                amount_fen=row["amount_fen"],
            )
        )
    return shown({**row, "state": FeeState.WAIVED, "state_at": now, "reason": reason})


async def look_at_orders(fee_ids: Sequence[UUID]) -> None:
    """Have the sweeper look at the open orders of these fees at once: it closes what is not owed any more."""
    async with transaction() as connection:
        await connection.execute(_LOOK_NOW, list(fee_ids), clock.now())


async def hand_over_fees(subject_kind: str, subject_id: UUID, resident_id: UUID | None) -> int:
    """Who may pay what is still owed for the subject is known now, or has changed; how many fees that concerns."""
    async with transaction() as connection:
        fees = [row["id"] for row in await connection.fetch(_HAND_OVER, subject_kind, subject_id, resident_id)]
        if fees:
            await look_at_orders(fees)
    return len(fees)


async def of(
    resident: AsResident, *, states: Sequence[FeeState] | None = None, cursor: str | None = None, limit: int = USUAL
) -> tuple[list[FeeSeen], str | None]:
    """What the resident, or somebody for whom they may pay, owes or owed, and the cursor of the next page.

    The fee raised last comes first. Raises CursorInvalid.
    """
    last = UUID(place_of(cursor, _PURPOSE)[0]) if cursor else None
    rows = await fetch(_LIST, resident.id, list(states) if states else None, last, limit + 1)
    seen = [shown(row) for row in rows[:limit]]
    return seen, cursor_of([str(seen[-1].id)], _PURPOSE) if len(rows) > limit else None


async def of_subject(subject_kind: str, subject_id: UUID) -> list[FeeSeen]:
    """Everything that is or was owed for the subject, oldest first. Whoever asks has checked who may know."""
    return [shown(row) for row in await fetch(_OF_SUBJECT, subject_kind, subject_id)]


def shown(row: object) -> FeeSeen:
    """A row of the table as it is shown."""
    values = dict(row)  # type: ignore[call-overload]
    state = FeeState(values["state"])
    extra = {"state": state.value, "state_name": FEE_NAMES[state], "raised_at": values["created_at"]}
    return FeeSeen(**{name: {**values, **extra}[name] for name in FeeSeen.__struct_fields__})
