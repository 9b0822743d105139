"""Applying what a channel states of a refund: from an answer, a notice or a query, in any order, repeated.

The same statement twice moves nothing, and neither does one that is older than what is known; the last state is the
same in any order. Only success posts to the ledger, once, under the number of the refund.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

import asyncpg
from prometheus_client import Counter

from backend import clock, jobs
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.errors import raises
from backend.events import record
from backend.partners.paying.port import ChannelRefund, ChannelRefundState
from backend.payments import ledger
from backend.payments.errors import PaymentNoticeMismatch, PaymentNoticeOrderNotFound
from backend.payments.events import FeeCancelled, RefundFailed, RefundSucceeded
from backend.payments.lifecycle import PAYMENTS, REFUNDS, RefundTransition, Transition
from backend.payments.transitions import record_transition
from backend.settings import settings
from models.payments import Channel, FeeState, PaymentState, RefundState

log = logging.getLogger("zhangban.payments")

PROBLEMS = Counter("zhangban_refund_problems_total", "Refunds that did not go as requested.", ("channel", "why"))

TRANSITION_OF: Mapping[ChannelRefundState, RefundTransition] = {
    ChannelRefundState.PROCESSING: RefundTransition.ACCEPT,
    ChannelRefundState.SUCCEEDED: RefundTransition.SUCCEED,
    ChannelRefundState.ABNORMAL: RefundTransition.FAIL,
    ChannelRefundState.CLOSED: RefundTransition.GIVE_UP,
}
NEVER_SENT = frozenset({RefundState.REQUESTED, RefundState.REJECTED})
"""In these states no channel has got the refund from us."""

# One statement, so that the locks are taken in the order of the house: fee, payment, refund.
_LOCK = """
SELECT r.id, r.number, r.state, r.amount_fen, r.cause, r.reason, r.requested_by, r.channel_refund_id,
       p.id AS payment_id, p.number AS payment_number, p.state AS payment_state, p.channel, p.merchant_id,
       p.sub_merchant_id, p.transaction_id, p.paid_fen, p.refunding_fen, p.refunded_fen, p.resident_id, p.paid_at,
       f.id AS fee_id, f.state AS fee_state, f.department_id, f.paid_by_id, f.subject_kind, f.subject_id,
       f.resident_id AS owed_by
FROM fees f JOIN payments p ON p.fee_id = f.id JOIN refunds r ON r.payment_id = p.id
WHERE r.number = $1 FOR UPDATE OF f, p, r
"""
_SUCCEED = """
UPDATE refunds SET state = 'succeeded', state_at = $2, succeeded_at = $3, check_after = NULL, problem = NULL,
    channel_refund_id = coalesce($4, channel_refund_id), account = coalesce($5, account)
WHERE id = $1
"""
_UPDATE = """
UPDATE refunds SET state = $2, state_at = $3, check_after = $4, problem = $5,
    channel_refund_id = coalesce($6, channel_refund_id), account = coalesce($7, account)
WHERE id = $1
"""
_REFUNDED = """
UPDATE payments SET refunding_fen = refunding_fen - $2, refunded_fen = refunded_fen + $2, state = $3::varchar,
    state_at = CASE WHEN state = $3::varchar THEN state_at ELSE $4::timestamptz END
WHERE id = $1
"""
_NOT_OWED = """
UPDATE fees SET state = 'cancelled', state_at = $2, reason = $3, paid_by_id = NULL WHERE id = $1
"""
_NOTHING_COUNTS = "UPDATE fees SET paid_by_id = NULL WHERE id = $1 AND paid_by_id = $2"


async def lock_refund(number: str) -> asyncpg.Record | None:
    """The refund with its payment and fee, all three locked in the order of the house; None when there is none.

    Belongs inside transaction().
    """
    return await fetch_row(_LOCK, number)


@raises(PaymentNoticeOrderNotFound, PaymentNoticeMismatch)
async def settle_refund(observed: ChannelRefund, *, channel: Channel, known_by: str) -> RefundState:
    """Apply the channel's refund; its state afterwards. Joins an open transaction or makes its own.

    A refund of one of our payments that we never requested (made in the channel's console, or lost by us in a restore)
    is adopted by a job that queries the channel; until then its state is the channel's.

    Raises PaymentNoticeOrderNotFound when neither the refund nor the payment is ours, and PaymentNoticeMismatch when
    amount, payment or merchant are not those of our refund, or when it is one that we never sent: nothing moves.
    """
    async with transaction():
        found = await lock_refund(observed.number)
        if found is None:
            return await _apply_unknown(observed, channel)
        if wrong := mismatched_fields(observed, found, channel):
            raise PaymentNoticeMismatch(fields_that_differ=wrong)
        return await apply_channel_refund(observed, found, known_by)


def mismatched_fields(observed: ChannelRefund, ours: Mapping[str, object], channel: Channel) -> list[str]:
    """The fields in which the channel's refund is not ours; empty when it is the same."""
    known = ours["transaction_id"]
    wrong = {
        "channel": ours["channel"] != channel,
        "payment": observed.payment_number != ours["payment_number"],
        "merchant_id": observed.merchant_id != ours["merchant_id"],
        "amount": observed.amount_fen != ours["amount_fen"],
        "total": observed.total_fen is not None and observed.total_fen != ours["paid_fen"],
        "transaction_id": None not in (observed.transaction_id, known) and observed.transaction_id != known,
        "state": ours["state"] in NEVER_SENT,
    }
    return [name for name, differs in wrong.items() if differs]


async def apply_channel_refund(observed: ChannelRefund, found: asyncpg.Record, known_by: str) -> RefundState:
    """Apply a compared refund, whose rows are locked; its state afterwards."""
    state, transition = RefundState(found["state"]), TRANSITION_OF[observed.state]
    if not REFUNDS.allows(state, transition):  # a repetition, or older than what is known
        return state
    after = REFUNDS.after(state, transition)
    if after is RefundState.SUCCEEDED:
        await _succeed(observed, found, known_by)
    elif after is RefundState.PROCESSING:
        await _update(found, after, known_by, check_after=next_check(0), observed=observed)
    else:
        await mark_failed(found, after, observed.raw_state or observed.state.value, known_by, observed=observed)
    return after


async def mark_failed(
    found: asyncpg.Record, after: RefundState, problem: str, known_by: str, *, observed: ChannelRefund | None = None
) -> None:
    """Mark the refund as abnormal or given up. It stays promised, a person has to act, the payer is notified.

    The channel is queried again about an abnormal one: it may be repaired on its side. Belongs inside transaction().
    """
    problem = problem[:64]
    again = next_check(6) if after is RefundState.ABNORMAL else None
    await _update(found, after, known_by, check_after=again, problem=problem, observed=observed)
    PROBLEMS.labels(found["channel"], after.value).inc()
    facts = {"event": "payments.refund-failed", "refund": found["number"], "state": after.value, "why": problem}
    log.error("the refund failed, a person has to act", extra=facts)
    await record(
        RefundFailed(
            refund_id=found["id"],
            payment_id=found["payment_id"],
            resident_id=found["resident_id"],
            state=after.value,
            problem=problem,
        )
    )


def next_check(checks: int) -> datetime:
    """The time of the next query, after so many: later and later, up to `refund_check_longest_seconds`."""
    values = settings()
    pause = min(values.refund_check_seconds * 2 ** min(checks, 20), values.refund_check_longest_seconds)
    return clock.now() + timedelta(seconds=pause)


async def enqueue_unrequested_refund(channel: Channel, payment_number: str, refund_number: str) -> None:
    """Enqueue the adoption of a refund that we did not request, once the open transaction is over."""
    PROBLEMS.labels(channel.value, "unrequested").inc()
    facts = {"event": "payments.refund-unrequested", "refund": refund_number, "payment": payment_number}
    log.error("the channel reports a refund that was not requested", extra=facts)
    await jobs.enqueue(
        "payments.unrequested-refund",
        {"channel": channel.value, "payment": payment_number, "refund": refund_number},
        key=f"unrequested-refund:{channel.value}:{refund_number}",
    )


async def _update(
    found: asyncpg.Record,
    after: RefundState,
    known_by: str,
    *,
    check_after: datetime | None,
    problem: str | None = None,
    observed: ChannelRefund | None = None,
) -> None:
    refund_id, account = (observed.refund_id, observed.account) if observed else (None, None)
    await execute(_UPDATE, found["id"], after.value, clock.now(), check_after, problem, refund_id, _short(account))
    await record_transition("refund", found["id"], found["state"], after.value, known_by)


async def _succeed(observed: ChannelRefund, found: asyncpg.Record, known_by: str) -> None:
    now, at, amount = clock.now(), observed.succeeded_at or clock.now(), found["amount_fen"]
    before = PaymentState(found["payment_state"])
    whole = found["refunded_fen"] + amount == found["paid_fen"]
    transition = Transition.REFUND_REST if whole else Transition.REFUND_PART
    # A part of money that does not count is only refunded in the channel's console; the payment stays what it is.
    after = PAYMENTS.after(before, transition) if PAYMENTS.allows(before, transition) else before
    await execute(_SUCCEED, found["id"], now, at, observed.refund_id, _short(observed.account))
    await execute(_REFUNDED, found["payment_id"], amount, after.value, now)
    owed_from = ledger.OWED if before is PaymentState.SURPLUS else ledger.revenue_account(found["department_id"])
    taken_from = ledger.channel_account(found["channel"], found["merchant_id"])
    await ledger.post(found["number"], "refund", at, [(taken_from, -amount), (owed_from, amount)])
    await record_transition("refund", found["id"], found["state"], RefundState.SUCCEEDED, known_by)
    if after is not before:
        await record_transition("payment", found["payment_id"], before, after, known_by)
    if after is PaymentState.REFUNDED and found["paid_by_id"] == found["payment_id"]:
        await _cancel_fee(found)
    await record(
        RefundSucceeded(
            refund_id=found["id"],
            payment_id=found["payment_id"],
            resident_id=found["resident_id"],
            amount_fen=amount,
        )
    )


async def _cancel_fee(found: asyncpg.Record) -> None:
    """Cancel the fee whose payment is refunded whole: it is not owed any more, and may be raised anew."""
    if found["fee_state"] != FeeState.PAID:
        await execute(_NOTHING_COUNTS, found["fee_id"], found["payment_id"])
        return
    await execute(_NOT_OWED, found["fee_id"], clock.now(), f"已全额退款：{found['reason']}")
    await record(
        FeeCancelled(
            fee_id=found["fee_id"],
            subject_kind=found["subject_kind"],
            subject_id=found["subject_id"],
            resident_id=found["owed_by"],
            paid=True,
        )
    )


async def _apply_unknown(observed: ChannelRefund, channel: Channel) -> RefundState:
    payment = await fetch_value(
        "SELECT number FROM payments WHERE number = $1 AND channel = $2", observed.payment_number, channel.value
    )
    if payment is None:
        raise PaymentNoticeOrderNotFound(number=observed.payment_number)
    await enqueue_unrequested_refund(channel, payment, observed.number)
    return RefundState(observed.state.value)


def _short(text: str | None) -> str | None:
    return text[:64] if text else None
