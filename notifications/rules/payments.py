"""Which changes of fees, payments and refunds notify residents, and why the others do not.

The payer is notified of the payment, the debtor of the fee. Messages state amounts, never reasons or accounts: those
stand behind the sign-in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from backend.amounts import in_yuan
from backend.database import fetch_row
from backend.events import Event, EventMeta
from backend.payments import NOT_COUNTED, events
from notifications import wording
from notifications.rules.facts import SOME_DEPARTMENT, moment, short_name
from notifications.rules.types import (
    FOR_OPERATORS,
    GONE,
    NO_ACCOUNT,
    RESIDENT_DID_IT,
    NoNotification,
    Notification,
    Notify,
    Rule,
)

_FEE = """
SELECT f.name, f.state, d.name AS department FROM fees f LEFT JOIN departments d ON d.id = f.department_id
WHERE f.id = $1
"""
_PAYMENT = "SELECT p.number, f.name FROM payments p JOIN fees f ON f.id = p.fee_id WHERE p.id = $1"
_REFUND = "SELECT amount_fen, state, succeeded_at FROM refunds WHERE id = $1"


async def _raised(event: events.FeeRaised, meta: EventMeta) -> Sequence[Notification]:
    fee = await fetch_row(_FEE, event.fee_id)
    if event.resident_id is None:
        return NO_ACCOUNT
    if fee is None or fee["state"] != "open":
        return NoNotification("the fee was paid or dropped before this event was handled")
    context = {
        "fee": short_name(fee["name"]),
        "amount": in_yuan(event.amount_fen),
        "department": short_name(fee["department"] or SOME_DEPARTMENT),
    }
    return (Notification(event.resident_id, "fee_due", context),)


async def _waived(event: events.FeeWaived, meta: EventMeta) -> Sequence[Notification]:
    fee = await fetch_row(_FEE, event.fee_id)
    if event.resident_id is None:
        return NO_ACCOUNT
    if fee is None:
        return GONE
    context = {"fee": short_name(fee["name"]), "amount": in_yuan(event.amount_fen), "at": moment(meta.at)}
    return (Notification(event.resident_id, "fee_waived", context),)


async def _of_payment(name: str, resident_id: UUID, payment_id: UUID, fen: int, at: datetime) -> Sequence[Notification]:
    row = await fetch_row(_PAYMENT, payment_id)
    if row is None:
        return GONE
    context = {
        "fee": short_name(row["name"]),
        "amount": in_yuan(fen),
        "at": moment(at),
        "number": wording.clean(row["number"]),
    }
    return (Notification(resident_id, name, context),)


async def _succeeded(event: events.PaymentSucceeded, meta: EventMeta) -> Sequence[Notification]:
    return await _of_payment("payment_done", event.resident_id, event.payment_id, event.amount_fen, event.paid_at)


async def _exceeded(event: events.PaymentExceeded, meta: EventMeta) -> Sequence[Notification]:
    return await _of_payment("payment_not_counted", event.resident_id, event.payment_id, event.paid_fen, meta.at)


async def _promised(event: events.RefundApproved, meta: EventMeta) -> Sequence[Notification]:
    if event.cause in NOT_COUNTED:
        return NoNotification("the message about the money that does not count says it")
    return await _of_payment("refund_promised", event.resident_id, event.payment_id, event.amount_fen, meta.at)


async def _given_back(event: events.RefundSucceeded, meta: EventMeta) -> Sequence[Notification]:
    row = await fetch_row(_REFUND, event.refund_id)
    at = row["succeeded_at"] if row is not None and row["succeeded_at"] else meta.at
    return await _of_payment("refund_done", event.resident_id, event.payment_id, event.amount_fen, at)


async def _blocked(event: events.RefundFailed, meta: EventMeta) -> Sequence[Notification]:
    row = await fetch_row(_REFUND, event.refund_id)
    if row is None or row["state"] == "succeeded":
        return NoNotification("the refund arrived before this event was handled")
    return await _of_payment("refund_blocked", event.resident_id, event.payment_id, row["amount_fen"], meta.at)


def _notify(name: str, decide: Any) -> Notify:
    return Notify((name,), decide)


_STAFF = NoNotification("concerns staff and reconciliation; payers are notified of their own money")

RULES: Mapping[type[Event], Rule] = {
    events.FeeRaised: _notify("fee_due", _raised),
    events.FeePaid: NoNotification("notified as the payment that succeeded"),
    events.FeeWaived: _notify("fee_waived", _waived),
    events.FeeCancelled: NoNotification("nothing is to be done; money that goes back is notified as a refund"),
    events.PaymentOrdered: RESIDENT_DID_IT,
    events.PaymentSucceeded: _notify("payment_done", _succeeded),
    events.PaymentExceeded: _notify("payment_not_counted", _exceeded),
    events.PaymentClosed: NoNotification("no money was taken; the fee still stands among what is owed"),
    events.NoticeRefused: FOR_OPERATORS,
    events.RefundRequested: NoNotification("not promised yet: a second person decides"),
    events.RefundApproved: _notify("refund_promised", _promised),
    events.RefundRejected: NoNotification("nothing was promised, and the money is where it was"),
    events.RefundSucceeded: _notify("refund_done", _given_back),
    events.RefundFailed: _notify("refund_blocked", _blocked),
    events.RefundRepeated: NoNotification("notified when it arrives, or when it is blocked again"),
    events.RefundUnrequested: NoNotification("concerns operators; the payer is notified when the refund has arrived"),
    events.ReceiptIssued: NoNotification("the message about the payment says where the receipt is"),
    events.ReceiptVoided: NoNotification("notified as the refund of everything"),
    events.BillCompared: _STAFF,
    events.BillRefused: _STAFF,
    events.DifferenceFound: _STAFF,
    events.DifferenceTaken: _STAFF,
    events.DifferenceResolved: _STAFF,
}
