"""Refunding: promised in a transaction, sent to the channel outside of it, settled in another one.

A promised amount stays reserved on the payment (`refunding_fen`) until the channel reports that it has arrived. The
call is in refund_sending.py, the channel's answers are applied in refund_settling.py.
"""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock, jobs
from backend.database import execute, fetch, fetch_row, fetch_value, require_transaction
from backend.errors import raises
from backend.events import record
from backend.payments.errors import RefundTooMuch
from backend.payments.events import RefundApproved, RefundRejected
from backend.payments.numbering import automatic_refund_number
from backend.payments.refund_settling import next_check
from backend.payments.transitions import record_transition
from models.payments import AUTOMATIC, RefundCause, RefundState

_PAYMENT = (
    "SELECT id, number, resident_id, paid_fen, refunding_fen, refunded_fen FROM payments WHERE id = $1 FOR UPDATE"
)
_EXISTING = f"SELECT number FROM refunds WHERE payment_id = $1 AND ({AUTOMATIC} OR number = $2)"
_RESERVE = """
UPDATE payments SET refunding_fen = refunding_fen + $2
WHERE id = $1 AND refunding_fen + refunded_fen + $2 <= paid_fen
"""
_INSERT = """
INSERT INTO refunds (id, created_at, number, payment_id, amount_fen, cause, reason, decided_at, state, state_at,
    check_after, checks)
VALUES ($1, $2, $3, $4, $5, $6, $7, $2, 'approved', $2, $8, 0)
"""
_SUPERSEDE = """
UPDATE refunds SET state = 'rejected', state_at = $2, decided_at = $2, problem = 'everything-goes-back'
WHERE payment_id = $1 AND state = 'requested' RETURNING id, amount_fen
"""
_RELEASE = "UPDATE payments SET refunding_fen = refunding_fen - $2 WHERE id = $1"


async def refund_remainder(payment_id: UUID, cause: RefundCause, reason: str) -> str | None:
    """Promise everything of the payment that is neither refunded nor being refunded; the refund's number, None when
    nothing is left.

    Belongs inside the transaction that finds the reason (money that does not count, a fee that is cancelled), which
    has locked the fee. A repetition returns the same refund. Requests of staff that wait for a second person are
    superseded.
    """
    require_transaction("refund_remainder")
    payment = await fetch_row(_PAYMENT, payment_id)
    assert payment is not None
    number = automatic_refund_number(payment["number"])
    existing: str | None = await fetch_value(_EXISTING, payment_id, number)
    if existing is not None:
        return existing
    released = await _supersede_requests(payment_id)
    amount = payment["paid_fen"] - payment["refunded_fen"] - payment["refunding_fen"] + released
    if amount < 1:
        return None
    await reserve_amount(payment_id, amount)
    refund_id, now = uuid7(), clock.now()
    await execute(_INSERT, refund_id, now, number, payment_id, amount, cause.value, reason[:80], next_check(0))
    await record_transition("refund", refund_id, None, RefundState.APPROVED, cause.value)
    await dispatch_refund(refund_id, payment_id, payment["resident_id"], amount, cause)
    return number


@raises(RefundTooMuch)
async def reserve_amount(payment_id: UUID, amount_fen: int) -> None:
    """Reserve the amount on the payment, so that it is promised once."""
    if not await execute(_RESERVE, payment_id, amount_fen):
        raise RefundTooMuch


async def release_amount(payment_id: UUID, amount_fen: int) -> None:
    """Release a reservation whose refund was never sent to a channel."""
    await execute(_RELEASE, payment_id, amount_fen)


async def dispatch_refund(
    refund_id: UUID, payment_id: UUID, resident_id: UUID, amount_fen: int, cause: RefundCause
) -> None:
    """Record that the refund is approved and enqueue its sending, both when the open transaction commits."""
    await record(
        RefundApproved(
            refund_id=refund_id,
            payment_id=payment_id,
            resident_id=resident_id,
            amount_fen=amount_fen,
            cause=cause.value,
        )
    )
    await jobs.enqueue("payments.refund", {"refund": str(refund_id)}, key=f"refund:{refund_id}")


async def _supersede_requests(payment_id: UUID) -> int:
    """End requests that were not decided on; the amount that they had reserved."""
    released = 0
    for row in await fetch(_SUPERSEDE, payment_id, clock.now()):
        released += row["amount_fen"]
        await release_amount(payment_id, row["amount_fen"])
        await record_transition("refund", row["id"], RefundState.REQUESTED, RefundState.REJECTED, "superseded")
        await record(RefundRejected(refund_id=row["id"], payment_id=payment_id, rejected_by=None))
    return released
