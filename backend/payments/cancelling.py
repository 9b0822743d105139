"""Cancelling fees whose subject does not happen: nothing is owed any more, and what had been paid is refunded."""

from __future__ import annotations

from uuid import UUID

from backend import clock
from backend.database import execute, fetch, require_transaction
from backend.events import record
from backend.payments.events import FeeCancelled
from backend.payments.fees import check_orders_now
from backend.payments.refunding import refund_remainder
from models.payments import FeeState, RefundCause

_LOCK = """
SELECT id, state, paid_by_id, resident_id FROM fees
WHERE subject_kind = $1 AND subject_id = $2 AND state IN ('open', 'paid') ORDER BY id FOR UPDATE
"""
_CANCEL = "UPDATE fees SET state = 'cancelled', state_at = $2, reason = $3 WHERE id = $1"


async def cancel_fees(subject_kind: str, subject_id: UUID, reason: str) -> int:
    """Cancel the open and paid fees of the subject; the number of them. A waived fee stays waived.

    Open orders are closed at their channels; money that comes all the same is refunded. Belongs inside transaction().
    """
    require_transaction("cancel_fees")
    fees = await fetch(_LOCK, subject_kind, subject_id)
    for fee in fees:
        paid = fee["state"] == FeeState.PAID
        await execute(_CANCEL, fee["id"], clock.now(), reason[:400])
        if paid:
            await refund_remainder(fee["paid_by_id"], RefundCause.CANCELLED, reason)
        await record(
            FeeCancelled(
                fee_id=fee["id"],
                subject_kind=subject_kind,
                subject_id=subject_id,
                resident_id=fee["resident_id"],
                paid=paid,
            )
        )
    await check_orders_now([fee["id"] for fee in fees])
    return len(fees)
