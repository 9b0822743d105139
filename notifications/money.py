"""What residents hear of their money: what they owe, that it came, that it goes back; and what is kept silent, why.

Whoever paid is told about the payment, whoever owes about the fee. Amounts are said, reasons and accounts are not:
those stand behind the sign-in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from backend.database import fetch_row
from backend.events import Event, EventMeta
from backend.payments import events
from backend.payments.following import NOT_COUNTED, yuan
from notifications import wording
from notifications.facts import SOME_DEPARTMENT, moment, spoken
from notifications.telling import GONE, NO_ACCOUNT, Nobody, Silence, Tell, Told

_FEE = """
SELECT f.name, f.state, d.name AS department FROM fees f LEFT JOIN departments d ON d.id = f.department_id
WHERE f.id = $1
"""
_PAYMENT = "SELECT p.number, f.name FROM payments p JOIN fees f ON f.id = p.fee_id WHERE p.id = $1"
_REFUND = "SELECT amount_fen, state, succeeded_at FROM refunds WHERE id = $1"


async def _raised(event: events.FeeRaised, meta: EventMeta) -> Sequence[Told]:
    fee = await fetch_row(_FEE, event.fee_id)
    if event.resident_id is None:
        return NO_ACCOUNT
    if fee is None or fee["state"] != "open":
        return Nobody("paid or dropped before we came to say so")
    said = {
        "fee": spoken(fee["name"]),
        "amount": yuan(event.amount_fen),
        "department": spoken(fee["department"] or SOME_DEPARTMENT),
    }
    return (Told(event.resident_id, "fee_due", said),)


async def _waived(event: events.FeeWaived, meta: EventMeta) -> Sequence[Told]:
    fee = await fetch_row(_FEE, event.fee_id)
    if event.resident_id is None:
        return NO_ACCOUNT
    if fee is None:
        return GONE
    said = {"fee": spoken(fee["name"]), "amount": yuan(event.amount_fen), "at": moment(meta.at)}
    return (Told(event.resident_id, "fee_waived", said),)


async def _of_payment(name: str, resident_id: UUID, payment_id: UUID, fen: int, at: datetime) -> Sequence[Told]:
    row = await fetch_row(_PAYMENT, payment_id)
    if row is None:
        return GONE
    said = {
        "fee": spoken(row["name"]),
        "amount": yuan(fen),
        "at": moment(at),
        "number": wording.clean(row["number"]),
    }
    return (Told(resident_id, name, said),)


async def _succeeded(event: events.PaymentSucceeded, meta: EventMeta) -> Sequence[Told]:
    return await _of_payment("payment_done", event.resident_id, event.payment_id, event.amount_fen, event.paid_at)


async def _exceeded(event: events.PaymentExceeded, meta: EventMeta) -> Sequence[Told]:
    return await _of_payment("payment_not_counted", event.resident_id, event.payment_id, event.paid_fen, meta.at)


async def _promised(event: events.RefundApproved, meta: EventMeta) -> Sequence[Told]:
    if event.cause in NOT_COUNTED:
        return Nobody("told together with the money that does not count")
    return await _of_payment("refund_promised", event.resident_id, event.payment_id, event.amount_fen, meta.at)


async def _given_back(event: events.RefundSucceeded, meta: EventMeta) -> Sequence[Told]:
    row = await fetch_row(_REFUND, event.refund_id)
    at = row["succeeded_at"] if row is not None and row["succeeded_at"] else meta.at
    return await _of_payment("refund_done", event.resident_id, event.payment_id, event.amount_fen, at)


async def _troubled(event: events.RefundTroubled, meta: EventMeta) -> Sequence[Told]:
    row = await fetch_row(_REFUND, event.refund_id)
    if row is None or row["state"] == "succeeded":
        return Nobody("it has arrived before we came to say that it had not")
    return await _of_payment("refund_troubled", event.resident_id, event.payment_id, row["amount_fen"], meta.at)


def _tell(name: str, telling: Any) -> Tell:
    return Tell((name,), telling)


_STAFF = Silence("concerns staff and reconciliation; whoever paid hears of their own money")
_PAYER_SEES = Silence("the resident did it and sees the result at once")

RULES: Mapping[type[Event], Tell | Silence] = {
    events.FeeRaised: _tell("fee_due", _raised),
    events.FeePaid: Silence("told as the payment that succeeded"),
    events.FeeWaived: _tell("fee_waived", _waived),
    events.FeeCancelled: Silence("nothing is to be done; money that goes back is told as a refund"),
    events.PaymentOrdered: _PAYER_SEES,
    events.PaymentSucceeded: _tell("payment_done", _succeeded),
    events.PaymentExceeded: _tell("payment_not_counted", _exceeded),
    events.PaymentClosed: Silence("nobody paid and nothing was taken; the fee still stands among what is owed"),
    events.NoticeRefused: Silence("concerns operators, who watch the alarms"),
    events.RefundRequested: Silence("not promised yet: a second person decides"),
    events.RefundApproved: _tell("refund_promised", _promised),
    events.RefundRejected: Silence("nothing was promised, and the money is where it was"),
    events.RefundSucceeded: _tell("refund_done", _given_back),
    events.RefundTroubled: _tell("refund_troubled", _troubled),
    events.RefundRepeated: Silence("told when it arrives, or when it does not again"),
    events.RefundUnasked: Silence("concerns operators; the refund is told when it has arrived"),
    events.ReceiptIssued: Silence("the message about the payment says where the receipt is"),
    events.ReceiptVoided: Silence("told as the refund of everything"),
    events.BillCompared: _STAFF,
    events.BillRefused: _STAFF,
    events.DifferenceFound: _STAFF,
    events.DifferenceTaken: _STAFF,
    events.DifferenceResolved: _STAFF,
}
