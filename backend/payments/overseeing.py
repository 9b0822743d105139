"""What staff see of their department's money: orders, their trail, and refunds. Never who paid from which account.

Whoever asks for refunds or agrees to them may look; payments that belong to no department are everybody's of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend.database import fetch, fetch_row
from backend.identity.errors import DutyMissing
from backend.identity.principals import AsStaff
from backend.paging import USUAL, cursor_of, place_of
from backend.payments.approving import APPROVE, REQUEST
from backend.payments.errors import PaymentNotFound, RefundNotFound
from backend.payments.following import CHANNEL_NAMES, REFUND_STATE_NAMES, STATE_NAMES
from models.payments import PaymentState, RefundState

_COLUMNS = """
SELECT p.id, p.number, p.channel, p.state, p.state_at, p.amount_fen, p.paid_fen, p.refunding_fen, p.refunded_fen,
       p.transaction_id, p.created_at AS ordered_at, p.paid_at, p.trouble, f.id AS fee_id, f.name AS fee_name,
       f.subject_kind, f.subject_id
FROM payments p JOIN fees f ON f.id = p.fee_id
"""
_MINE = "(f.department_id = $1 OR f.department_id IS NULL)"
_PAYMENTS = f"""{_COLUMNS}
WHERE {_MINE} AND ($2::text[] IS NULL OR p.state = ANY($2)) AND ($3::uuid IS NULL OR p.id < $3)
ORDER BY p.id DESC LIMIT $4
"""
_PAYMENT = f"{_COLUMNS} WHERE {_MINE} AND p.number = $2"
_MOVES = """
SELECT at, entity, from_state, to_state, cause, actor FROM payment_moves
WHERE entity_id = $1 OR entity_id IN (SELECT id FROM refunds WHERE payment_id = $1) ORDER BY id
"""
_REFUND_COLUMNS = """
SELECT r.id, r.number, p.number AS payment_number, p.channel, f.name AS fee_name, r.amount_fen, r.cause, r.reason,
       r.state, r.state_at, r.created_at AS asked_at, r.requested_by, r.approved_by, r.decided_at, r.succeeded_at,
       r.account, r.channel_refund_id, r.trouble
FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN fees f ON f.id = p.fee_id
"""
_REFUNDS = f"""{_REFUND_COLUMNS}
WHERE {_MINE} AND ($2::text[] IS NULL OR r.state = ANY($2)) AND ($3::uuid IS NULL OR r.id < $3)
ORDER BY r.id DESC LIMIT $4
"""
_REFUND = f"{_REFUND_COLUMNS} WHERE {_MINE} AND r.number = $2"
_OF_PAYMENT = f"{_REFUND_COLUMNS} WHERE r.payment_id = $1 ORDER BY r.id"


class RefundOverseen(Struct, kw_only=True):
    """One refund as staff see it."""

    number: str
    payment_number: str
    channel: str
    channel_name: str
    fee_name: str
    amount_fen: int
    cause: str
    """`staff`, `late`, `double`, `wrong-amount`, `cancelled`, or `console`: given in the channel's own console."""
    reason: str
    state: str
    state_name: str
    state_at: datetime
    asked_at: datetime
    requested_by: UUID | None
    """Who asked; null when the service itself gives it back."""
    approved_by: UUID | None
    decided_at: datetime | None
    succeeded_at: datetime | None
    account: str | None
    """Where it goes, as the channel masks it."""
    trouble: str | None
    """The channel's code when it did not work, or why it was turned down."""
    to_card: bool
    """Whether it can be sent to a bank card of the payer now, if the channel offers that."""


class PaymentOverseen(Struct, kw_only=True):
    """One order as staff see it in a list."""

    number: str
    channel: str
    channel_name: str
    state: str
    state_name: str
    state_at: datetime
    amount_fen: int
    paid_fen: int
    refunding_fen: int
    refunded_fen: int
    fee_id: UUID
    fee_name: str
    subject_kind: str
    subject_id: UUID
    ordered_at: datetime
    paid_at: datetime | None
    transaction_id: str | None
    trouble: str | None


class MoveSeen(Struct):
    """One step of the order or of one of its refunds; `cause` is how we know."""

    at: datetime
    entity: str
    from_state: str | None
    to_state: str
    cause: str
    actor: str


class PaymentTrail(PaymentOverseen, kw_only=True):
    """One order with its refunds and every step; `refundable_fen` is what staff may still ask for."""

    refundable_fen: int
    refunds: list[RefundOverseen]
    moves: list[MoveSeen]


async def payments(
    staff: AsStaff, *, states: Sequence[PaymentState] | None = None, cursor: str | None = None, limit: int = USUAL
) -> tuple[list[PaymentOverseen], str | None]:
    """One page of the department's orders, the newest first. Raises DutyMissing, CursorInvalid."""
    _may_look(staff)
    rows, more = await _page(_PAYMENTS, staff, "staff-payments", states, cursor, limit)
    return [PaymentOverseen(**_order(row)) for row in rows], more


async def payment(staff: AsStaff, number: str) -> PaymentTrail:
    """One order. Raises DutyMissing; PaymentNotFound, also for another department's."""
    _may_look(staff)
    row = await fetch_row(_PAYMENT, staff.department_id, number)
    if row is None:
        raise PaymentNotFound
    counts = row["state"] in (PaymentState.PAID, PaymentState.PART_REFUNDED)
    return PaymentTrail(
        **_order(row),
        refundable_fen=row["paid_fen"] - row["refunding_fen"] - row["refunded_fen"] if counts else 0,
        refunds=[_refund(each) for each in await fetch(_OF_PAYMENT, row["id"])],
        moves=[MoveSeen(**each) for each in await fetch(_MOVES, row["id"])],
    )


async def refunds(
    staff: AsStaff, *, states: Sequence[RefundState] | None = None, cursor: str | None = None, limit: int = USUAL
) -> tuple[list[RefundOverseen], str | None]:
    """One page of the department's refunds, the newest first. Raises DutyMissing, CursorInvalid."""
    _may_look(staff)
    rows, more = await _page(_REFUNDS, staff, "staff-refunds", states, cursor, limit)
    return [_refund(row) for row in rows], more


async def refund(staff: AsStaff, number: str) -> RefundOverseen:
    """One refund. Raises DutyMissing; RefundNotFound, also for another department's."""
    _may_look(staff)
    row = await fetch_row(_REFUND, staff.department_id, number)
    if row is None:
        raise RefundNotFound
    return _refund(row)


async def _page(
    sql: str, staff: AsStaff, purpose: str, states: Sequence[str] | None, cursor: str | None, limit: int
) -> tuple[list[Mapping[str, Any]], str | None]:
    purpose = f"{purpose} {staff.department_id}"
    last = UUID(place_of(cursor, purpose)[0]) if cursor else None
    rows: list[Mapping[str, Any]] = [
        *await fetch(sql, staff.department_id, list(states) if states else None, last, limit + 1)
    ]
    return rows[:limit], cursor_of([str(rows[limit - 1]["id"])], purpose) if len(rows) > limit else None


def _may_look(staff: AsStaff) -> None:
    if staff.duties.isdisjoint({REQUEST, APPROVE}):
        raise DutyMissing(duty=REQUEST)


def _order(row: Mapping[str, Any]) -> dict[str, Any]:
    more = {"channel_name": CHANNEL_NAMES[row["channel"]], "state_name": STATE_NAMES[row["state"]]}
    return {name: {**row, **more}[name] for name in PaymentOverseen.__struct_fields__}


def _refund(row: Mapping[str, Any]) -> RefundOverseen:
    more = {
        "channel_name": CHANNEL_NAMES[row["channel"]],
        "state_name": REFUND_STATE_NAMES[row["state"]],
        "to_card": row["state"] == RefundState.ABNORMAL and row["channel_refund_id"] is not None,
    }
    return RefundOverseen(**{name: {**row, **more}[name] for name in RefundOverseen.__struct_fields__})
