"""Sending a refund to its channel, and sending it again: what each of the channel's answers leads to.

A refund has one number for ever, and the channel refunds a number once; so the job may run twice, and may die between
the call and the record of its result, and the payer still has the money back once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from backend import clock, jobs
from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.partners import in_use
from backend.partners.paying.port import (
    ChannelNotEnoughMoney,
    ChannelOrderNotFound,
    ChannelPayerRefused,
    ChannelRefundNotFound,
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerUnreachable,
    PayChannel,
    RefundRequest,
)
from backend.payments.errors import PaymentChannelInvalid, PaymentNoticeMismatch, RefundNotFound
from backend.payments.lifecycle import REFUNDS, RefundTransition
from backend.payments.refund_settling import NEVER_SENT, PROBLEMS, lock_refund, mark_failed, next_check, settle_refund
from models.payments import Channel, RefundState

log = logging.getLogger("zhangban.payments")

# The next check is set before the call: the sweeper follows a worker that dies in it.
_BEGIN = """
UPDATE refunds r SET checks = r.checks + 1, check_after = $2 FROM payments p
WHERE r.id = $1 AND p.id = r.payment_id AND r.state IN ('approved', 'processing')
RETURNING r.number, r.amount_fen, r.reason, r.checks, p.number AS payment_number, p.channel, p.transaction_id,
    p.paid_fen, p.currency, p.sub_merchant_id
"""
_BEGIN_QUERY = """
UPDATE refunds r SET checks = r.checks + 1,
    check_after = CASE WHEN r.check_after IS NULL THEN NULL ELSE $2::timestamptz END
FROM payments p WHERE r.id = $1 AND p.id = r.payment_id
RETURNING p.number AS payment_number, p.sub_merchant_id
"""
_PUT_OFF = "UPDATE refunds SET check_after = greatest(check_after, $2), problem = $3 WHERE number = $1"
_DUE = "SELECT number FROM refunds WHERE check_after <= $1 ORDER BY check_after LIMIT $2"
_BATCH = 200


@jobs.job("payments.refund")
async def _send(payload: dict[str, Any]) -> None:
    await send_refund(UUID(payload["refund"]))


@jobs.job("payments.check-refund")
async def _check(payload: dict[str, Any]) -> None:
    await check_refund(payload["number"])


async def send_refund(refund_id: UUID) -> None:
    """Send the refund to its channel and settle by the answer; nothing to do once it is settled.

    An error is kept with the refund and decides when the sweeper tries again, with the same number.
    """
    begun = await fetch_row(_BEGIN, refund_id, next_check(await _checks(refund_id)))
    if begun is None:
        return
    order = RefundRequest(
        number=begun["number"],
        payment_number=begun["payment_number"],
        transaction_id=begun["transaction_id"],
        amount_fen=begun["amount_fen"],
        total_fen=begun["paid_fen"],
        currency=begun["currency"],
        reason=begun["reason"],
        sub_merchant_id=begun["sub_merchant_id"],
    )
    channel = Channel(begun["channel"])
    try:
        observed = await channel_of(channel).refund(order)
        await settle_refund(observed, channel=channel, known_by="request")
    except PaymentNoticeMismatch:
        await _wait_for_operator(order, channel, "mismatch")
    except PaymentChannelInvalid:
        await _wait_for_operator(order, channel, "channel-off")
    except PartnerError as error:
        await _handle_error(order, channel, error)


async def check_refund(number: str) -> RefundState:
    """Query the refund at its channel and settle by the answer; a refund that was never sent is sent.

    Raises RefundNotFound; PartnerError when the channel does not answer.
    """
    row = await fetch_row(
        "SELECT r.id, r.state, r.checks, p.channel FROM refunds r JOIN payments p ON p.id = r.payment_id "
        "WHERE r.number = $1",
        number,
    )
    if row is None:
        raise RefundNotFound
    state, channel = RefundState(row["state"]), Channel(row["channel"])
    if state in NEVER_SENT or state is RefundState.SUCCEEDED:
        return state
    if state is RefundState.APPROVED:
        await send_refund(row["id"])
        return await _state(number)
    query = await fetch_row(_BEGIN_QUERY, row["id"], next_check(row["checks"]))
    assert query is not None
    try:
        observed = await channel_of(channel).query_refund(
            number, payment_number=query["payment_number"], sub_merchant_id=query["sub_merchant_id"]
        )
    except ChannelRefundNotFound:
        # The channel had accepted the refund, or refused it without keeping it: the same number is the same refund.
        await send_refund(row["id"])
        return await _state(number)
    return await settle_refund(observed, channel=channel, known_by="query")


async def enqueue_due_refund_checks() -> int:
    """Enqueue a check of every refund that is due for one; their number. Safe beside itself in another worker."""
    due = await fetch(_DUE, clock.now(), _BATCH)
    for row in due:
        async with transaction():
            await jobs.enqueue("payments.check-refund", {"number": row["number"]}, key=f"check-refund:{row['number']}")
    return len(due)


def channel_of(channel: Channel) -> PayChannel:
    """The channel as this process is equipped with it. Raises PaymentChannelInvalid when it is switched off."""
    try:
        return in_use().channels[channel.value]
    except KeyError:
        raise PaymentChannelInvalid(channel=channel.value) from None


async def _checks(refund_id: UUID) -> int:
    return await fetch_value("SELECT checks FROM refunds WHERE id = $1", refund_id) or 0


async def _state(number: str) -> RefundState:
    return RefundState(await fetch_value("SELECT state FROM refunds WHERE number = $1", number))


async def _handle_error(order: RefundRequest, channel: Channel, error: PartnerError) -> None:
    """Run the reaction to this class of error; the first that fits."""
    for kind, react in _REACTIONS:
        if isinstance(error, kind):
            await react(order, channel, error)
            return


async def _later(order: RefundRequest, channel: Channel, error: PartnerError) -> None:
    """SYSTEM_ERROR, timeouts, limits: it may be done or not, so the same number is sent again."""
    await _put_off(order, channel, error.partner_code or error.code, error.retry_after or 0)


async def _operator(order: RefundRequest, channel: Channel, error: PartnerError) -> None:
    await _wait_for_operator(order, channel, error.partner_code or error.code)


async def _wait_for_operator(order: RefundRequest, channel: Channel, why: str) -> None:
    """NOT_ENOUGH, a wrong key, an order that the channel does not know: an operator is alarmed, the sweeper goes on."""
    facts = {"event": "payments.refund-waits-for-operator", "refund": order.number, "why": why[:64]}
    log.error("the refund waits for an operator", extra=facts)
    await _put_off(order, channel, why, 600)


async def _put_off(order: RefundRequest, channel: Channel, why: str, seconds: float) -> None:
    PROBLEMS.labels(channel.value, why[:64]).inc()
    await execute(_PUT_OFF, order.number, clock.now() + timedelta(seconds=seconds), why[:64])


async def _abnormal(order: RefundRequest, channel: Channel, error: PartnerError) -> None:
    """USER_ACCOUNT_ABNORMAL: the payer's account does not accept it."""
    await _failed(order, RefundState.ABNORMAL, error)


async def _refused(order: RefundRequest, channel: Channel, error: PartnerError) -> None:
    """Refused for another reason: a query finds out whether there is such a refund; if not, a person has to look."""
    try:
        observed = await channel_of(channel).query_refund(
            order.number, payment_number=order.payment_number, sub_merchant_id=order.sub_merchant_id
        )
    except ChannelRefundNotFound:
        await _failed(order, RefundState.CLOSED, error)
    except PartnerError as silent:
        await _later(order, channel, silent)
    else:
        await settle_refund(observed, channel=channel, known_by="query")


async def _failed(order: RefundRequest, after: RefundState, error: PartnerError) -> None:
    transition = RefundTransition.FAIL if after is RefundState.ABNORMAL else RefundTransition.GIVE_UP
    async with transaction():
        found = await lock_refund(order.number)
        assert found is not None
        if REFUNDS.allows(RefundState(found["state"]), transition):
            await mark_failed(found, after, error.partner_code or error.code, "request")


Reaction = Callable[[RefundRequest, Channel, PartnerError], Awaitable[None]]
_REACTIONS: tuple[tuple[type[PartnerError], Reaction], ...] = (
    (PartnerBusy, _later),
    (PartnerUnreachable, _later),
    (ChannelPayerRefused, _abnormal),
    (ChannelNotEnoughMoney, _operator),
    (PartnerMisconfigured, _operator),
    (ChannelOrderNotFound, _operator),
    (PartnerError, _refused),
)
