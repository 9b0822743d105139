"""What a channel says of an order, taken into our books: from a notice, a query or a bill, in any order, repeated.

Money that arrives counts when its fee is still open; otherwise (late, double, of another amount) all of it goes back
by itself. The same word twice moves nothing, and neither does an older word than what we know. Everything happens in
one transaction of two statements: the rows are locked (fee, then payment), then written together with their trail,
their posting, their events and jobs, and the notice that told us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from prometheus_client import Counter
from uuid_utils.compat import uuid7

from backend import clock, logs
from backend.crypto import fingerprints, seal
from backend.database import fetch_row, fetch_value, transaction
from backend.events import Event, fact_parameters, record, statement_with_facts
from backend.partners.paying.port import Notice, OrderAtChannel, OrderSeen
from backend.payments import ledger
from backend.payments.closing import mark_closed
from backend.payments.errors import PaymentNoticeOrderNotFound
from backend.payments.events import FeePaid, NoticeRefused, PaymentExceeded, PaymentSucceeded
from backend.payments.fees import look_at_orders
from backend.payments.lifecycle import Move, after
from backend.payments.moving import who
from backend.payments.refunding import give_back
from models.payments import Channel, FeeState, PaymentState, RefundCause

SEALED_NOTICE = "inbound_messages.body"
PARTNERS: Mapping[str, str] = {Channel.WECHAT_PAY: "wechat-pay", Channel.ALIPAY: "alipay"}
"""Under which name a channel's notices are kept."""
HANDLED = "handled"
CAME = frozenset({OrderAtChannel.PAID, OrderAtChannel.REFUNDED})
OPEN = frozenset({PaymentState.CREATED, PaymentState.PREPAID})
WORDS = {
    RefundCause.LATE: "费用已无需缴纳，原路退回",
    RefundCause.DOUBLE: "重复支付，原路退回",
    RefundCause.WRONG_AMOUNT: "支付金额与费用不符，原路退回",
}
"""What the payer reads about money that goes back by itself."""

SETTLED = Counter("zhangban_payments_settled_total", "Money that arrived.", ("channel", "state", "known_by"))

# One statement, so that the locks are taken in the order of the house: fee, payment.
_LOCK = """
SELECT p.id, p.number, p.resident_id, p.channel, p.state, p.amount_fen, p.currency, p.app_id, p.merchant_id,
    p.sub_merchant_id, p.payer_fingerprint, p.transaction_id, p.paid_fen, p.trouble, p.expires_at,
    f.id AS fee_id, f.state AS fee_state, f.amount_fen AS fee_fen, f.subject_kind, f.subject_id, f.department_id,
    EXISTS (SELECT 1 FROM payments o WHERE o.fee_id = f.id AND o.id <> p.id AND o.state IN ('created', 'prepaid'))
        AS others_open,
    EXISTS (SELECT 1 FROM payments o WHERE o.channel = p.channel AND o.transaction_id = $4 AND o.id <> p.id)
        AS others_money,
    (SELECT m.state FROM inbound_messages m WHERE m.partner = $5 AND m.partner_id = $3) AS heard
FROM payments p JOIN fees f ON f.id = p.fee_id WHERE p.number = $1 AND p.channel = $2 FOR UPDATE OF f, p
"""
_ARRIVE = statement_with_facts("""
paid AS (
    UPDATE payments SET state = $17, state_at = $9, transaction_id = $18, paid_fen = $19, paid_at = $20,
        check_after = NULL, trouble = NULL
    WHERE id = $16),
settled AS (UPDATE fees SET state = 'paid', state_at = $9, paid_by_id = $16 WHERE id = $21),
moved AS (
    INSERT INTO payment_moves (id, created_at, entity, entity_id, from_state, to_state, at, actor, cause)
    VALUES ($22, $9, 'payment', $16, $23, $17, $9, $24, $25)),
grouped AS (INSERT INTO ledger_groups (id, created_at, ref, kind, at) VALUES ($26, $9, $27, 'payment', $20)),
posted AS (
    INSERT INTO ledger_postings (group_id, account, amount_fen)
    VALUES ($26, $28, $19::bigint), ($26, $29, -$19::bigint)),
kept AS (
    INSERT INTO inbound_messages (id, created_at, partner, partner_id, event, body, state, received_at, handled_at)
    SELECT $30, $9, $31, $32, $33, $34, 'handled', $9, $9 WHERE $30::uuid IS NOT NULL
    ON CONFLICT (partner, partner_id) DO UPDATE SET state = 'handled', handled_at = excluded.handled_at)
""")
_KEEP = """
INSERT INTO inbound_messages (id, created_at, partner, partner_id, event, body, state, received_at, handled_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $2, $8) ON CONFLICT DO NOTHING RETURNING id
"""
_TROUBLE = "UPDATE payments SET trouble = $2 WHERE id = $1"


class Found(NamedTuple):
    """An order of ours, locked together with its fee."""

    row: asyncpg.Record
    state: PaymentState

    @property
    def settled(self) -> bool:
        """Whether its money has come."""
        return bool(self.row["paid_fen"] > 0)


async def find(seen: OrderSeen, channel: Channel, notice: Notice | None = None) -> Found:
    """The order of this number, locked with its fee. Belongs inside transaction(). Raises
    PaymentNoticeOrderNotFound."""
    row = await fetch_row(
        _LOCK, seen.number, channel, notice.identity if notice else "", seen.transaction_id, PARTNERS[channel]
    )
    if row is None:
        raise PaymentNoticeOrderNotFound(number=seen.number)
    return Found(row, PaymentState(row["state"]))


async def settle(seen: OrderSeen, *, channel: Channel, known_by: str, why: str | None = None) -> PaymentState:
    """Take what the channel answered, which is the truth; where the order stands afterwards.

    Joins the open transaction or makes its own. Money of another amount is taken and given back whole. An answer that
    speaks of another merchant, app, currency or of another order's money moves nothing and alarms operators. `why` is
    kept with an order that the channel has closed. Raises PaymentNoticeOrderNotFound.
    """
    async with transaction():
        found = await find(seen, channel)
        # The payer may be anybody whom the channel let pay; what was not ours to take is another matter.
        if wrong := [name for name in differences(found, seen) if name not in ("amount", "payer")]:
            await _alarm_once(found, seen, wrong)
            return found.state
        return await take(found, seen, known_by, why=why)


def differences(found: Found, seen: OrderSeen) -> list[str]:
    """In what the channel's order is not ours; empty when it is the same. Only of money that came is there a payer,
    an amount and a number of the channel's to compare."""
    ours = found.row
    wrong = {
        "app_id": seen.app_id != ours["app_id"],
        "merchant_id": seen.merchant_id != ours["merchant_id"],
        "sub_merchant_id": seen.sub_merchant_id != ours["sub_merchant_id"],
        "currency": seen.currency != ours["currency"],
    }
    if seen.state in CAME:
        known, expected = ours["transaction_id"], ours["paid_fen"] or ours["amount_fen"]
        wrong |= {
            "amount": seen.amount_fen != expected,
            "payer": _is_another(seen.payer, ours["payer_fingerprint"]),
            "transaction_id": seen.transaction_id is None
            or ours["others_money"]
            or (known is not None and seen.transaction_id != known),
        }
    return [name for name, differs in wrong.items() if differs]


async def take(
    found: Found, seen: OrderSeen, known_by: str, *, notice: Notice | None = None, why: str | None = None
) -> PaymentState:
    """Take what was compared, in the transaction in which the rows are locked; where the order stands afterwards."""
    if seen.state in CAME and not found.settled and seen.amount_fen:
        return await _arrive(found, seen, known_by, notice)
    if notice is not None:
        await keep(notice, found.row["channel"])
    if seen.state is OrderAtChannel.CLOSED and found.state in OPEN:
        await mark_closed(found.row, why or "closed-by-channel", known_by)
        return PaymentState.CLOSED
    return found.state


async def keep(notice: Notice, channel: str, *, state: str = HANDLED) -> bool:
    """Keep a notice, sealed; False when it was kept before. Belongs inside the transaction of its effect."""
    message_id, now = uuid7(), clock.now()
    body = seal(notice.plaintext, where=SEALED_NOTICE, row=message_id)
    handled_at = now if state == HANDLED else None
    values = (message_id, now, PARTNERS[channel], notice.identity, notice.event[:64], body, state, handled_at)
    return await fetch_value(_KEEP, *values) is not None


def counts_not(row: Mapping[str, Any], seen: OrderSeen) -> RefundCause | None:
    """Why this money does not count for the fee; None when it does."""
    if not seen.amount_fen == row["amount_fen"] == row["fee_fen"]:
        return RefundCause.WRONG_AMOUNT
    if row["fee_state"] == FeeState.OPEN:
        return None
    return RefundCause.DOUBLE if row["fee_state"] == FeeState.PAID else RefundCause.LATE


async def _arrive(found: Found, seen: OrderSeen, known_by: str, notice: Notice | None) -> PaymentState:
    row, cause = found.row, counts_not(found.row, seen)
    state = after(found.state, Move.EXCEED if cause else Move.SUCCEED)
    paid_at, fen = seen.paid_at or clock.now(), seen.amount_fen
    other_side = ledger.OWED if cause else ledger.revenue_account(row["department_id"])
    message_id: UUID | None = uuid7() if notice else None
    sealed = seal(notice.plaintext, where=SEALED_NOTICE, row=message_id) if notice and message_id else None
    facts = _facts(row, seen, cause, known_by)
    async with transaction() as connection:
        await connection.execute(
            _ARRIVE, *fact_parameters(*facts), row["id"], state.value, seen.transaction_id, fen, paid_at,
            None if cause else row["fee_id"], uuid7(), row["state"], who(), known_by, uuid7(), row["number"],
            ledger.channel_account(row["channel"], row["merchant_id"]), other_side, message_id,
            PARTNERS[row["channel"]], notice and notice.identity, notice and notice.event[:64], sealed,
        )  # fmt: skip
    if cause:
        await give_back(row["id"], cause, WORDS[cause])
    elif row["others_open"]:
        await look_at_orders([row["fee_id"]])
    SETTLED.labels(row["channel"], state.value, known_by).inc()
    return state


def _facts(row: Mapping[str, Any], seen: OrderSeen, cause: RefundCause | None, known_by: str) -> tuple[Event, ...]:
    payment = {"payment_id": row["id"], "fee_id": row["fee_id"], "resident_id": row["resident_id"]}
    fen, paid_at = seen.amount_fen or 0, seen.paid_at or clock.now()
    if cause:
        return (PaymentExceeded(**payment, paid_fen=fen, cause=cause.value, known_by=known_by),)
    return (
        PaymentSucceeded(**payment, amount_fen=fen, paid_at=paid_at, known_by=known_by),
        FeePaid(**payment, subject_kind=row["subject_kind"], subject_id=row["subject_id"], amount_fen=fen),
    )


def _is_another(payer: str | None, fingerprint: str | None) -> bool:
    return payer is not None and fingerprint is not None and fingerprint not in fingerprints(payer, "openid")


async def _alarm_once(found: Found, seen: OrderSeen, wrong: list[str]) -> None:
    """An answer that cannot be about our order: say so once, not at every question."""
    row, trouble = found.row, f"mismatch:{','.join(wrong)}"[:64]
    if row["trouble"] == trouble:
        return
    async with transaction() as connection:
        await connection.execute(_TROUBLE, row["id"], trouble)
        await record(NoticeRefused(payment_id=row["id"], channel=row["channel"], fields=wrong))
    logs.security.error("the channel's answer is not about our order", extra={"payment": row["number"], "what": wrong})
