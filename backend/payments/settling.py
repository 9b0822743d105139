"""Applying what a channel states of an order: from a notice, a query or a bill, in any order, repeated.

Money that arrives counts when its fee is still open; otherwise (late, double, of another amount) all of it is refunded
automatically. The same statement twice moves nothing, and neither does one that is older than what is known. Everything
happens in one transaction of two statements: the rows are locked (fee, then payment), then written together with their
transition, their posting, their events and jobs, and the notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from prometheus_client import Counter
from uuid_utils.compat import uuid7

from backend import clock, logs
from backend.crypto import fingerprints, seal
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.errors import raises
from backend.events import Event, record, statement_with_facts, with_facts
from backend.partners.paying.port import ChannelOrder, ChannelOrderState, Notice
from backend.payments import ledger
from backend.payments.closing import mark_closed
from backend.payments.errors import PaymentNoticeOrderNotFound
from backend.payments.events import FeePaid, NoticeRefused, PaymentExceeded, PaymentSucceeded
from backend.payments.fees import check_orders_now
from backend.payments.lifecycle import PAYMENTS, Transition
from backend.payments.refunding import refund_remainder
from backend.payments.transitions import actor_name
from models.payments import Channel, FeeState, PaymentState, RefundCause

SEALED_NOTICE = "inbound_messages.body"
PARTNERS: Mapping[str, str] = {Channel.WECHAT_PAY: "wechat-pay", Channel.ALIPAY: "alipay"}
"""The partner's name in `inbound_messages`, by channel."""
HANDLED = "handled"
PAID_STATES = frozenset({ChannelOrderState.PAID, ChannelOrderState.REFUNDED})
OPEN = frozenset({PaymentState.CREATED, PaymentState.PREPAID})
REASONS = {
    RefundCause.LATE: "费用已无需缴纳，原路退回",
    RefundCause.DOUBLE: "重复支付，原路退回",
    RefundCause.WRONG_AMOUNT: "支付金额与费用不符，原路退回",
}
"""What the payer reads about money that is refunded automatically."""

SETTLED = Counter("zhangban_payments_settled_total", "Money that arrived.", ("channel", "state", "known_by"))

# One statement, so that the locks are taken in the order of the house: fee, payment.
_LOCK = """
SELECT p.id, p.number, p.resident_id, p.channel, p.state, p.amount_fen, p.currency, p.app_id, p.merchant_id,
    p.sub_merchant_id, p.payer_fingerprint, p.transaction_id, p.paid_fen, p.problem, p.expires_at,
    f.id AS fee_id, f.state AS fee_state, f.amount_fen AS fee_fen, f.subject_kind, f.subject_id, f.department_id,
    EXISTS (SELECT 1 FROM payments o WHERE o.fee_id = f.id AND o.id <> p.id AND o.state IN ('created', 'prepaid'))
        AS others_open,
    EXISTS (SELECT 1 FROM payments o WHERE o.channel = p.channel AND o.transaction_id = $4 AND o.id <> p.id)
        AS others_money,
    (SELECT m.state FROM inbound_messages m WHERE m.partner = $5 AND m.partner_id = $3) AS notice_state
FROM payments p JOIN fees f ON f.id = p.fee_id WHERE p.number = $1 AND p.channel = $2 FOR UPDATE OF f, p
"""
_ARRIVE = statement_with_facts("""
paid AS (
    UPDATE payments SET state = :state, state_at = :now, transaction_id = :transaction_id, paid_fen = :fen,
        paid_at = :paid_at, check_after = NULL, problem = NULL
    WHERE id = :payment_id),
settled AS (UPDATE fees SET state = 'paid', state_at = :now, paid_by_id = :payment_id WHERE id = :settled_fee_id),
moved AS (
    INSERT INTO payment_transitions (id, created_at, entity, entity_id, from_state, to_state, at, actor, cause)
    VALUES (:transition_id, :now, 'payment', :payment_id, :from_state, :state, :now, :actor, :known_by)),
grouped AS (
    INSERT INTO ledger_groups (id, created_at, ref, kind, at) VALUES (:group_id, :now, :number, 'payment', :paid_at)),
posted AS (
    INSERT INTO ledger_postings (group_id, account, amount_fen)
    VALUES (:group_id, :channel_account, :fen::bigint), (:group_id, :other_account, -:fen::bigint)),
kept AS (
    INSERT INTO inbound_messages (id, created_at, partner, partner_id, event, body, state, received_at, handled_at)
    SELECT :message_id, :now, :partner, :partner_id, :notice_event, :sealed, 'handled', :now, :now
    WHERE :message_id::uuid IS NOT NULL
    ON CONFLICT (partner, partner_id) DO UPDATE SET state = 'handled', handled_at = excluded.handled_at)
""")
_STORE = """
INSERT INTO inbound_messages (id, created_at, partner, partner_id, event, body, state, received_at, handled_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $2, $8) ON CONFLICT DO NOTHING RETURNING id
"""
_SET_PROBLEM = "UPDATE payments SET problem = $2 WHERE id = $1"


class LockedOrder(NamedTuple):
    """An order, locked together with its fee."""

    row: asyncpg.Record
    state: PaymentState

    @property
    def settled(self) -> bool:
        """Whether its money has come."""
        return bool(self.row["paid_fen"] > 0)


@raises(PaymentNoticeOrderNotFound)
async def lock_order(observed: ChannelOrder, channel: Channel, notice: Notice | None = None) -> LockedOrder:
    """The order of this number, locked with its fee. Belongs inside transaction()."""
    row = await fetch_row(
        _LOCK, observed.number, channel, notice.identity if notice else "", observed.transaction_id, PARTNERS[channel]
    )
    if row is None:
        raise PaymentNoticeOrderNotFound(number=observed.number)
    return LockedOrder(row, PaymentState(row["state"]))


@raises(PaymentNoticeOrderNotFound)
async def settle_payment(
    observed: ChannelOrder, *, channel: Channel, known_by: str, why: str | None = None
) -> PaymentState:
    """Apply the channel's own answer, which is the truth; the state of the order afterwards.

    Joins the open transaction or makes its own. Money of another amount is taken and refunded whole. An answer about
    another merchant, app, currency or another order's money moves nothing and alarms operators. `why` is kept with an
    order that the channel has closed.
    """
    async with transaction():
        found = await lock_order(observed, channel)
        # The payer may be anyone whom the channel let pay; money that was not ours to take is another matter.
        if wrong := [name for name in mismatched_fields(found, observed) if name not in ("amount", "payer")]:
            await _alarm_once(found, wrong)
            return found.state
        return await apply_channel_order(found, observed, known_by, why=why)


def mismatched_fields(found: LockedOrder, observed: ChannelOrder) -> list[str]:
    """The fields in which the channel's order is not ours. Payer, amount and the channel's number are compared only
    once money came."""
    ours = found.row
    wrong = {
        "app_id": observed.app_id != ours["app_id"],
        "merchant_id": observed.merchant_id != ours["merchant_id"],
        "sub_merchant_id": observed.sub_merchant_id != ours["sub_merchant_id"],
        "currency": observed.currency != ours["currency"],
    }
    if observed.state in PAID_STATES:
        known, expected = ours["transaction_id"], ours["paid_fen"] or ours["amount_fen"]
        wrong |= {
            "amount": observed.amount_fen != expected,
            "payer": _is_another(observed.payer, ours["payer_fingerprint"]),
            "transaction_id": observed.transaction_id is None
            or ours["others_money"]
            or (known is not None and observed.transaction_id != known),
        }
    return [name for name, differs in wrong.items() if differs]


async def apply_channel_order(
    found: LockedOrder, observed: ChannelOrder, known_by: str, *, notice: Notice | None = None, why: str | None = None
) -> PaymentState:
    """Apply a compared order, in the transaction that locked the rows; the state of the order afterwards."""
    if observed.state in PAID_STATES and not found.settled and observed.amount_fen:
        return await _arrive(found, observed, known_by, notice)
    if notice is not None:
        await store_notice(notice, found.row["channel"])
    if observed.state is ChannelOrderState.CLOSED and found.state in OPEN:
        await mark_closed(found.row, why or "closed-by-channel", known_by)
        return PaymentState.CLOSED
    return found.state


async def store_notice(notice: Notice, channel: str, *, state: str = HANDLED) -> bool:
    """Store a notice, sealed; False when it was stored before. Belongs inside the transaction of its effect."""
    message_id, now = uuid7(), clock.now()
    body = seal(notice.plaintext, where=SEALED_NOTICE, row=message_id)
    handled_at = now if state == HANDLED else None
    values = (message_id, now, PARTNERS[channel], notice.identity, notice.event[:64], body, state, handled_at)
    return await fetch_value(_STORE, *values) is not None


def reason_not_counted(row: Mapping[str, Any], observed: ChannelOrder) -> RefundCause | None:
    """Why this money does not count for the fee; None when it does."""
    if not observed.amount_fen == row["amount_fen"] == row["fee_fen"]:
        return RefundCause.WRONG_AMOUNT
    if row["fee_state"] == FeeState.OPEN:
        return None
    return RefundCause.DOUBLE if row["fee_state"] == FeeState.PAID else RefundCause.LATE


async def _arrive(found: LockedOrder, observed: ChannelOrder, known_by: str, notice: Notice | None) -> PaymentState:
    row, cause = found.row, reason_not_counted(found.row, observed)
    state = PAYMENTS.after(found.state, Transition.EXCEED if cause else Transition.SUCCEED)
    now, fen = clock.now(), observed.amount_fen or 0
    paid_at = observed.paid_at or now
    message_id: UUID | None = uuid7() if notice else None
    values = {
        "payment_id": row["id"],
        "number": row["number"],
        "state": state.value,
        "now": now,
        "transaction_id": observed.transaction_id,
        "fen": fen,
        "paid_at": paid_at,
        "settled_fee_id": None if cause else row["fee_id"],
        "transition_id": uuid7(),
        "from_state": row["state"],
        "actor": actor_name(),
        "known_by": known_by,
        "group_id": uuid7(),
        "channel_account": ledger.channel_account(row["channel"], row["merchant_id"]),
        "other_account": ledger.OWED if cause else ledger.revenue_account(row["department_id"]),
        "message_id": message_id,
        "partner": PARTNERS[row["channel"]],
        "partner_id": notice and notice.identity,
        "notice_event": notice and notice.event[:64],
        "sealed": seal(notice.plaintext, where=SEALED_NOTICE, row=message_id) if notice and message_id else None,
    }
    async with transaction():
        await execute(*with_facts(_ARRIVE, values, *_facts(row, fen, paid_at, cause, known_by)))
    if cause:
        await refund_remainder(row["id"], cause, REASONS[cause])
    elif row["others_open"]:
        await check_orders_now([row["fee_id"]])
    SETTLED.labels(row["channel"], state.value, known_by).inc()
    return state


def _facts(
    row: Mapping[str, Any], fen: int, paid_at: datetime, cause: RefundCause | None, known_by: str
) -> tuple[Event, ...]:
    payment = {"payment_id": row["id"], "fee_id": row["fee_id"], "resident_id": row["resident_id"]}
    if cause:
        return (PaymentExceeded(**payment, paid_fen=fen, cause=cause.value, known_by=known_by),)
    return (
        PaymentSucceeded(**payment, amount_fen=fen, paid_at=paid_at, known_by=known_by),
        FeePaid(**payment, subject_kind=row["subject_kind"], subject_id=row["subject_id"], amount_fen=fen),
    )


def _is_another(payer: str | None, fingerprint: str | None) -> bool:
    return payer is not None and fingerprint is not None and fingerprint not in fingerprints(payer, "openid")


async def _alarm_once(found: LockedOrder, wrong: list[str]) -> None:
    """Alarm operators about an answer that cannot be about our order: once, not at every query."""
    row, problem = found.row, f"mismatch:{','.join(wrong)}"[:64]
    if row["problem"] == problem:
        return
    async with transaction():
        await execute(_SET_PROBLEM, row["id"], problem)
        await record(NoticeRefused(payment_id=row["id"], channel=row["channel"], fields=wrong))
    facts = {"event": "payments.answer-mismatched", "payment": row["number"], "fields": wrong}
    logs.security.error("the channel's answer does not match our order", extra=facts)
