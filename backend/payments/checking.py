"""Checking orders without notices: every open order is queried at its channel, less often the longer it takes.

The first query comes `payment_check_seconds` after the order was made, the pauses double up to
`payment_check_longest_seconds`, and one query falls right behind the end of the order. An order that is over, or
whose fee is not owed any more, is closed at the channel and then queried. So with both sides reachable nothing that
was paid stays unknown for longer than that longest pause and the answer: well below fifteen minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import asyncpg

from backend import clock, partners
from backend.database import execute, fetch, fetch_row, transaction
from backend.errors import DomainError
from backend.jobs import enqueue, job
from backend.partners.errors import PartnerError
from backend.partners.paying.port import (
    ChannelOrder,
    ChannelOrderClosed,
    ChannelOrderNotFound,
    ChannelOrderPaid,
    ChannelOrderState,
    PayChannel,
)
from backend.payments.closing import mark_closed
from backend.payments.errors import PaymentChannelInvalid, PaymentNotFound
from backend.payments.settling import OPEN, PAID_STATES, lock_order, settle_payment
from backend.settings import settings
from models.payments import Channel, FeeState, PaymentState

log = logging.getLogger("zhangban.payments")

AT_ONCE = 200
"""Orders per run of the sweeper; a worker that is behind runs again at once."""

# A claim sets the next query already, so a worker that dies loses nothing but one pause.
_CLAIM = """
UPDATE payments p SET checks = p.checks + 1, checked_at = $1,
    check_after = CASE WHEN p.expires_at BETWEEN $1 AND $1 + pause THEN p.expires_at + interval '1 second'
                       ELSE $1 + pause END
FROM (SELECT id, least($2 * power(2, least(checks + 1, 20)), $3) * interval '1 second' AS pause FROM payments
      WHERE check_after <= $1 ORDER BY check_after LIMIT $4 FOR UPDATE SKIP LOCKED) due
WHERE p.id = due.id RETURNING p.number
"""
_ORDER = """
SELECT p.id, p.number, p.fee_id, p.resident_id, p.channel, p.state, p.sub_merchant_id, f.state AS fee_state,
    p.expires_at <= now() OR p.expires_at <= $2 AS over,
    p.amount_fen = f.amount_fen AS same_amount
FROM payments p JOIN fees f ON f.id = p.fee_id WHERE p.number = $1
"""
_CHECKED = "UPDATE payments SET check_after = NULL WHERE number = $1 AND state = 'closed' AND check_after IS NOT NULL"


async def enqueue_due_checks() -> int:
    """Enqueue a check of every order that is due for one; their number."""
    values, now = settings(), clock.now()
    async with transaction():
        rows = await fetch(_CLAIM, now, values.payment_check_seconds, values.payment_check_longest_seconds, AT_ONCE)
        for row in rows:
            await enqueue("payments.check", {"number": row["number"]}, key=f"payment-check:{row['number']}")
    return len(rows)


@job("payments.check")
async def _check_job(payload: dict[str, Any]) -> None:
    try:
        await check_payment(payload["number"])
    except (PartnerError, PaymentChannelInvalid) as error:
        log_unanswered(payload["number"], error)  # the next query is in the row already


async def check_payment(number: str, *, channels: Mapping[str, PayChannel] | None = None) -> PaymentState:
    """Query the order at its channel and apply the answer; the state of the order afterwards.

    An order that is over is closed there first. No transaction may be open. Raises PaymentNotFound, and what the
    channel raises.
    """
    order = await _order(number)
    state = PaymentState(order["state"])
    if state not in OPEN and state is not PaymentState.CLOSED:
        return state
    channel = _channel(order, channels)
    observed = await _query(channel, order)
    if observed is not None and (observed.state in PAID_STATES or observed.state is ChannelOrderState.CLOSED):
        state = await settle_payment(
            observed, channel=Channel(order["channel"]), known_by="query", why=close_reason(order)
        )
    if state in OPEN and (reason := close_reason(order)):
        return await close_order(number, reason, channels=channels)
    if state is PaymentState.CLOSED:
        await execute(_CHECKED, number)
    return state


def close_reason(order: Mapping[str, Any]) -> str | None:
    """Why an open order shall not be paid any more; None when it still may be."""
    if order["fee_state"] != FeeState.OPEN or not order["same_amount"]:
        return "not-owed"
    return "expired" if order["over"] else None


async def close_order(number: str, why: str, *, channels: Mapping[str, PayChannel] | None = None) -> PaymentState:
    """Close the order at its channel, then query it; the state of the order afterwards.

    It stays open while the channel has not closed it: the sweeper checks again. No transaction may be open.
    Raises PaymentNotFound, and what the channel raises.
    """
    order = await _order(number)
    if PaymentState(order["state"]) not in OPEN:
        return PaymentState(order["state"])
    channel, known = _channel(order, channels), True
    try:
        await channel.close(number, sub_merchant_id=order["sub_merchant_id"])
    except (ChannelOrderPaid, ChannelOrderClosed):
        log.info("the order had ended before it was closed", extra={"event": "payments.order-ended", "payment": number})
    except ChannelOrderNotFound:
        known = False
    observed = await _query(channel, order)
    if observed is not None:
        return await settle_payment(observed, channel=Channel(order["channel"]), known_by="query", why=why)
    if known:
        return PaymentState(order["state"])
    return await _close_unknown(order, why)


async def _close_unknown(order: asyncpg.Record, why: str) -> PaymentState:
    """Close an order that the channel does not know: the request to place it was lost."""
    async with transaction():
        unpaid = ChannelOrder(number=order["number"], state=ChannelOrderState.UNPAID, app_id="", merchant_id="")
        found = await lock_order(unpaid, Channel(order["channel"]))
        if found.state not in OPEN:
            return found.state
        await mark_closed(found.row, why, "query")
    return PaymentState.CLOSED


async def _query(channel: PayChannel, order: asyncpg.Record) -> ChannelOrder | None:
    try:
        return await channel.query(order["number"], sub_merchant_id=order["sub_merchant_id"])
    except ChannelOrderNotFound:
        return None


async def _order(number: str) -> asyncpg.Record:
    row = await fetch_row(_ORDER, number, clock.now())
    if row is None:
        raise PaymentNotFound
    return row


def _channel(order: asyncpg.Record, channels: Mapping[str, PayChannel] | None) -> PayChannel:
    """The order's channel. Raises PaymentChannelInvalid when it has been switched off with orders still open."""
    found = (partners.in_use().channels if channels is None else channels).get(order["channel"])
    if found is None:
        raise PaymentChannelInvalid
    return found


def log_unanswered(number: str, error: DomainError) -> None:
    """Log that a channel did not answer a query of the order."""
    facts = {"event": "payments.query-unanswered", "payment": number, "why": error.code}
    log.warning("the channel did not answer about an order", extra=facts)
