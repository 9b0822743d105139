"""Refunds that we did not request: made in the channel's own console, or lost by us in a restore.

The channel is queried for the truth; then our amounts follow it, and operators are alarmed in any case. A refund of
more than what is left (because ours is on its way as well) moves nothing here: the channel will refuse ours, and a
person has to look.
"""

from __future__ import annotations

import logging
from typing import Any

from uuid_utils.compat import uuid7

from backend import clock, jobs
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.events import record
from backend.partners.paying.port import ChannelRefund, ChannelRefundNotFound, ChannelRefundState
from backend.payments.errors import PaymentNotFound
from backend.payments.events import RefundUnrequested
from backend.payments.refund_sending import channel_of
from backend.payments.refund_settling import next_check, settle_refund
from backend.payments.settling import settle_payment
from backend.payments.transitions import record_transition
from models.payments import Channel, RefundCause, RefundState

log = logging.getLogger("zhangban.payments")

_PAYMENT = "SELECT number, state, sub_merchant_id, merchant_id FROM payments WHERE number = $1 AND channel = $2"
_LOCK_FEE = "SELECT 1 FROM fees WHERE id = (SELECT fee_id FROM payments WHERE number = $1) FOR UPDATE"
_LOCK = "SELECT id, state, paid_fen, refunding_fen, refunded_fen FROM payments WHERE number = $1 FOR UPDATE"
_RESERVE = """
UPDATE payments SET refunding_fen = refunding_fen + $2
WHERE id = $1 AND refunding_fen + refunded_fen + $2 <= paid_fen
"""
_INSERT = """
INSERT INTO refunds (id, created_at, number, payment_id, amount_fen, cause, reason, decided_at, state, state_at,
    channel_refund_id, check_after, checks)
VALUES ($1, $2, $3, $4, $5, 'console', '商户平台退款', $2, 'processing', $2, $6, $7, 0)
"""
_SET_PROBLEM = "UPDATE payments SET problem = 'unrequested-refund' WHERE id = $1"


@jobs.job("payments.unrequested-refund")
async def _adopt(payload: dict[str, Any]) -> None:
    await adopt_refund(Channel(payload["channel"]), payload["payment"], payload["refund"])


async def adopt_refund(channel: Channel, payment_number: str, refund_number: str) -> RefundState | None:
    """Query the refund at its channel and have our books follow; its state, None when they cannot.

    A payment that is not known to be paid is queried first. Raises PaymentNotFound, and PartnerError when the
    channel does not answer.
    """
    payment = await fetch_row(_PAYMENT, payment_number, channel.value)
    if payment is None:
        raise PaymentNotFound
    at_channel = channel_of(channel)
    try:
        observed = await at_channel.query_refund(
            refund_number, payment_number=payment_number, sub_merchant_id=payment["sub_merchant_id"]
        )
    except ChannelRefundNotFound:
        facts = {"event": "payments.refund-not-at-channel", "refund": refund_number}
        log.error("the channel does not know the refund that it reported", extra=facts)
        return None
    if payment["state"] in ("created", "prepaid", "closed"):
        order = await at_channel.query(payment_number, sub_merchant_id=payment["sub_merchant_id"])
        await settle_payment(order, channel=channel, known_by="query")
    async with transaction():
        return await _follow(observed, channel)


async def _follow(observed: ChannelRefund, channel: Channel) -> RefundState | None:
    await fetch_value(_LOCK_FEE, observed.payment_number)
    payment = await fetch_row(_LOCK, observed.payment_number)
    if payment is None:
        raise PaymentNotFound
    if await fetch_value("SELECT 1 FROM refunds WHERE number = $1", observed.number):
        return await settle_refund(observed, channel=channel, known_by="query")
    if observed.state is ChannelRefundState.CLOSED:  # it came to nothing
        return RefundState.CLOSED
    counted = bool(await execute(_RESERVE, payment["id"], observed.amount_fen))
    await record(
        RefundUnrequested(
            payment_id=payment["id"], channel=channel.value, amount_fen=observed.amount_fen, counted=counted
        )
    )
    if not counted:
        facts = {"event": "payments.refund-exceeds-rest", "refund": observed.number, "payment": observed.payment_number}
        log.error("the refund is more than what is left of the payment", extra=facts)
        await execute(_SET_PROBLEM, payment["id"])
        return None
    refund_id, now = uuid7(), clock.now()
    await execute(
        _INSERT, refund_id, now, observed.number, payment["id"], observed.amount_fen, observed.refund_id, next_check(0)
    )
    await record_transition("refund", refund_id, None, RefundState.PROCESSING, RefundCause.CONSOLE)
    return await settle_refund(observed, channel=channel, known_by="query")
