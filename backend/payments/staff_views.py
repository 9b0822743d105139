"""What staff see of their department's money: orders, their transitions, and refunds. Never the payer's account.

Staff who request refunds or approve them may look; payments that belong to no department are shown to all of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from msgspec import Struct, convert

from backend.database import fetch, fetch_row
from backend.errors import raises
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from backend.paging import USUAL, CursorInvalid, paged
from backend.payments.approving import APPROVE_REFUNDS, REQUEST_REFUNDS
from backend.payments.errors import PaymentNotFound, RefundNotFound
from backend.payments.resident_views import CHANNEL_NAMES, REFUND_STATE_NAMES, STATE_NAMES
from models.payments import PaymentState, RefundState

R = TypeVar("R")

_COLUMNS = """
SELECT p.id, p.number, p.channel, p.state, p.state_at, p.amount_fen, p.paid_fen, p.refunding_fen, p.refunded_fen,
       p.transaction_id, p.created_at AS ordered_at, p.paid_at, p.problem, f.id AS fee_id, f.name AS fee_name,
       f.subject_kind, f.subject_id
FROM payments p JOIN fees f ON f.id = p.fee_id
"""
_MINE = "(f.department_id = $1 OR f.department_id IS NULL)"
_PAYMENTS = f"""{_COLUMNS}
WHERE {_MINE} AND ($2::text[] IS NULL OR p.state = ANY($2)) AND ($3::uuid IS NULL OR p.id < $3)
ORDER BY p.id DESC LIMIT $4
"""
_PAYMENT = f"{_COLUMNS} WHERE {_MINE} AND p.number = $2"
_TRANSITIONS = """
SELECT at, entity, from_state, to_state, cause, actor FROM payment_transitions
WHERE entity_id = $1 OR entity_id IN (SELECT id FROM refunds WHERE payment_id = $1) ORDER BY id
"""
_REFUND_COLUMNS = """
SELECT r.id, r.number, p.number AS payment_number, p.channel, f.name AS fee_name, r.amount_fen, r.cause, r.reason,
       r.state, r.state_at, r.created_at AS requested_at, r.requested_by, r.approved_by, r.decided_at, r.succeeded_at,
       r.account, r.problem, r.state = 'abnormal' AND r.channel_refund_id IS NOT NULL AS to_card
FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN fees f ON f.id = p.fee_id
"""
_REFUNDS = f"""{_REFUND_COLUMNS}
WHERE {_MINE} AND ($2::text[] IS NULL OR r.state = ANY($2)) AND ($3::uuid IS NULL OR r.id < $3)
ORDER BY r.id DESC LIMIT $4
"""
_REFUND = f"{_REFUND_COLUMNS} WHERE {_MINE} AND r.number = $2"
_REFUNDS_OF_PAYMENT = f"{_REFUND_COLUMNS} WHERE r.payment_id = $1 ORDER BY r.id"


class StaffRefundDetail(Struct, kw_only=True):
    """One refund as staff see it."""

    number: str
    payment_number: str
    channel: str
    channel_name: str
    fee_name: str
    amount_fen: int
    cause: str
    """`staff`, `late`, `double`, `wrong-amount`, `cancelled`, or `console`: made in the channel's own console."""
    reason: str
    state: str
    state_name: str
    state_at: datetime
    requested_at: datetime
    requested_by: UUID | None
    """The member of staff; null when the service itself refunds."""
    approved_by: UUID | None
    decided_at: datetime | None
    succeeded_at: datetime | None
    account: str | None
    """Where it goes, as the channel masks it."""
    problem: str | None
    """The channel's code when it did not work, or why it was rejected."""
    to_card: bool
    """Whether it can be sent to a bank card of the payer now, if the channel offers that."""


class StaffPaymentSummary(Struct, kw_only=True):
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
    problem: str | None


class PaymentTransitionDetail(Struct):
    """One transition of the order or of one of its refunds; `cause` is how the service knows."""

    at: datetime
    entity: str
    from_state: str | None
    to_state: str
    cause: str
    actor: str


class StaffPaymentDetail(StaffPaymentSummary, kw_only=True):
    """One order with its refunds and every transition; `refundable_fen` is what staff may still request."""

    refundable_fen: int
    refunds: list[StaffRefundDetail]
    transitions: list[PaymentTransitionDetail]


@raises(DutyMissing, CursorInvalid)
async def list_department_payments(
    staff: AsStaff, *, states: Sequence[PaymentState] | None = None, cursor: str | None = None, limit: int = USUAL
) -> tuple[list[StaffPaymentSummary], str | None]:
    """One page of the department's orders, the newest first."""
    return await _page(_PAYMENTS, staff, _payment, "staff-payments", states, cursor, limit)


@raises(DutyMissing, PaymentNotFound)
async def get_department_payment(staff: AsStaff, number: str) -> StaffPaymentDetail:
    """One order; another department's order raises the same error as none."""
    _require_refund_duty(staff)
    row = await fetch_row(_PAYMENT, staff.department_id, number)
    if row is None:
        raise PaymentNotFound
    counts = row["state"] in (PaymentState.PAID, PaymentState.PART_REFUNDED)
    more = {
        "refundable_fen": row["paid_fen"] - row["refunding_fen"] - row["refunded_fen"] if counts else 0,
        "refunds": [_with_names(each, REFUND_STATE_NAMES) for each in await fetch(_REFUNDS_OF_PAYMENT, row["id"])],
        "transitions": [dict(each) for each in await fetch(_TRANSITIONS, row["id"])],
    }
    return convert(_with_names(row, STATE_NAMES) | more, StaffPaymentDetail)


@raises(DutyMissing, CursorInvalid)
async def list_department_refunds(
    staff: AsStaff, *, states: Sequence[RefundState] | None = None, cursor: str | None = None, limit: int = USUAL
) -> tuple[list[StaffRefundDetail], str | None]:
    """One page of the department's refunds, the newest first."""
    return await _page(_REFUNDS, staff, _refund, "staff-refunds", states, cursor, limit)


@raises(DutyMissing, RefundNotFound)
async def get_department_refund(staff: AsStaff, number: str) -> StaffRefundDetail:
    """One refund; another department's refund raises the same error as none."""
    _require_refund_duty(staff)
    row = await fetch_row(_REFUND, staff.department_id, number)
    if row is None:
        raise RefundNotFound
    return _refund(row)


async def _page(
    sql: str,
    staff: AsStaff,
    make: Callable[[Mapping[str, Any]], R],
    purpose: str,
    states: Sequence[str] | None,
    cursor: str | None,
    limit: int,
) -> tuple[list[R], str | None]:
    _require_refund_duty(staff)
    arguments = (staff.department_id, list(states) if states else None)
    purpose = f"{purpose} {staff.department_id}"
    return await paged(sql, *arguments, by={"id": UUID}, make=make, purpose=purpose, cursor=cursor, limit=limit)


def _require_refund_duty(staff: AsStaff) -> None:
    if staff.duties.isdisjoint({REQUEST_REFUNDS, APPROVE_REFUNDS}):
        raise DutyMissing(duty=REQUEST_REFUNDS)


def _payment(row: Mapping[str, Any]) -> StaffPaymentSummary:
    return convert(_with_names(row, STATE_NAMES), StaffPaymentSummary)


def _refund(row: Mapping[str, Any]) -> StaffRefundDetail:
    return convert(_with_names(row, REFUND_STATE_NAMES), StaffRefundDetail)


def _with_names(row: Mapping[str, Any], state_names: Mapping[str, str]) -> dict[str, Any]:
    return {**row, "channel_name": CHANNEL_NAMES[row["channel"]], "state_name": state_names[row["state"]]}
