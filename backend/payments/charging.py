"""Paying a fee: a transaction that makes the order, a call that places it at the channel, a transaction again.

The fee fixes the amount; the client names the fee and the channel, and nothing else. An order keeps its number on every
retry, so an answer that was lost costs nothing: a second tap, on any device, gets the same open order with the front
end's parameters signed afresh. There is one open order per fee and channel. Of a fee that is paid through two channels,
the second payment is refunded automatically.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock, identity
from backend.crypto import fingerprint, open_sealed, seal
from backend.database import execute, fetch_row, fetch_value, require_transaction, transaction
from backend.errors import raised_by, raises
from backend.events import record
from backend.identity import AsResident
from backend.partners.errors import PartnerMisconfigured, PartnerRefused
from backend.partners.paying.port import (
    ChannelOrderClosed,
    ChannelOrderInConflict,
    ChannelOrderPaid,
    ChannelPayerRefused,
    OrderRequest,
    PartnerBusy,
    PartnerError,
    PartnerUnreachable,
    PayChannel,
    PrepaidOrder,
)
from backend.payments import checking
from backend.payments.errors import (
    FeeNotFound,
    FeeNotOpen,
    PayerNotKnown,
    PaymentBeingMade,
    PaymentChannelInvalid,
    PaymentClosed,
    PaymentNotFound,
)
from backend.payments.events import PaymentOrdered
from backend.payments.numbering import payment_number
from backend.payments.transitions import record_transition
from backend.settings import settings
from backend.sql import named
from models.payments import Channel, PaymentState

log = logging.getLogger("zhangban.payments")

SEALED_PAYER = "payments.payer"
PAYER_REQUIRED = frozenset({Channel.WECHAT_PAY})
"""Channels whose orders name the payer. Alipay learns the payer at the payment."""
SHORTEST, LONGEST = 1, 110
"""Minutes that an order may be paid: a channel takes no less, and the front end's parameters live two hours."""

# A fee may be paid by the resident who owes it, and by those who may act for them in payments.
_FEE = """
SELECT f.id, f.state, f.amount_fen, f.name, f.department_id, d.uscc
FROM fees f LEFT JOIN departments d ON d.id = f.department_id
WHERE f.id = $1 AND f.resident_id IN (SELECT people_of($2, 'payments')) FOR UPDATE OF f
"""
# Stale: over, or nearly; of another amount, another merchant; another person's, whose openid it carries.
_OPEN = """
SELECT number, expires_at <= now() + interval '15 seconds' OR resident_id <> $3 OR amount_fen <> $4
    OR (app_id, merchant_id) <> ($5, $6) AS stale
FROM payments WHERE fee_id = $1 AND channel = $2 AND state IN ('created', 'prepaid')
"""
_INSERT = """
INSERT INTO payments (id, created_at, number, fee_id, resident_id, channel, amount_fen, currency, app_id, merchant_id,
    sub_merchant_id, payer, payer_fingerprint, description, expires_at, state, state_at, paid_fen, refunding_fen,
    refunded_fen, check_after, checks)
VALUES (:id, :now, :number, :fee_id, :resident_id, :channel, :amount_fen, 'CNY', :app_id, :merchant_id,
    :sub_merchant_id, :payer, :payer_fingerprint, :description, date_trunc('second', now()) + :lifetime, 'created',
    :now, 0, 0, 0, :check_after, 0)
"""
_ORDER = """
SELECT p.*, p.expires_at <= now() AS over FROM payments p WHERE p.number = $1 AND p.resident_id = $2
"""
_PREPAID = """
UPDATE payments SET state = 'prepaid', state_at = $2, prepay_id = $3, prepaid_at = $2
WHERE id = $1 AND state = 'created' RETURNING id
"""


class PaymentAttempt(Struct, kw_only=True):
    """An order, and the parameters that the front end hands to the channel's own dialogue to have it paid."""

    number: str
    fee_id: UUID
    channel: str
    state: str
    amount_fen: int
    expires_at: datetime
    parameters: Mapping[str, str] | None
    """For `wx.requestPayment`, signed afresh. Null when there is nothing to pay (any more), or not yet: the channel has
    not answered, and a repetition in `retry_after` seconds goes on with the same order."""
    retry_after: int | None = None


@raises(FeeNotFound, FeeNotOpen, PaymentChannelInvalid, PaymentBeingMade)
async def close_stale_order(
    resident: AsResident, fee_id: UUID, channel_name: str, *, channels: Mapping[str, PayChannel]
) -> None:
    """Close an open order of the fee that is of no use any more, so that a new one can take its place.

    Raises PaymentBeingMade when the channel has not closed it yet.
    """
    channel = _channel(channel_name, channels)
    async with transaction():
        fee = await _fee(resident, fee_id)
        found = await _open_order(resident, fee, channel)
    if found is None or not found["stale"]:
        return
    try:
        await checking.close_order(found["number"], "replaced", channels=channels)
    except PartnerError as error:
        raise PaymentBeingMade(retry_after=error.retry_after or 3) from error


@raises(FeeNotFound, FeeNotOpen, PaymentChannelInvalid, PayerNotKnown, PaymentBeingMade)
async def reserve_order(
    resident: AsResident, fee_id: UUID, channel_name: str, *, channels: Mapping[str, PayChannel]
) -> str:
    """The number of the fee's open order at this channel; made now when there is none. Belongs inside transaction().

    A fee that the resident may not pay is not found. Raises PaymentBeingMade when a stale order is not closed yet.
    """
    require_transaction("reserve_order")
    channel = _channel(channel_name, channels)
    fee = await _fee(resident, fee_id)
    found = await _open_order(resident, fee, channel)
    if found is not None:
        if found["stale"]:
            raise PaymentBeingMade(retry_after=2)
        return str(found["number"])
    return await _insert(resident, fee, channel)


@raises(PaymentNotFound, PaymentClosed, ChannelPayerRefused, PartnerMisconfigured, PartnerRefused)
async def start_payment(resident: AsResident, number: str, *, channels: Mapping[str, PayChannel]) -> PaymentAttempt:
    """Place the order at its channel, unless it is there already, and sign the front end's parameters.

    A channel that does not answer is no error: the order stands, and the next try goes on with it. No transaction may
    be open.
    """
    order = await _order(resident, number)
    channel = _channel(order["channel"], channels)
    if order["state"] != PaymentState.CREATED or order["over"]:
        return _attempt(order, channel)
    try:
        placed = await channel.place(_request(order))
    except ChannelOrderPaid:
        await _find_out(number, channels)
    except (ChannelOrderClosed, ChannelOrderInConflict) as error:
        facts = {"event": "payments.order-not-payable", "payment": number, "why": error.code}
        log.warning("the order cannot be paid at its channel", extra=facts)
        await _find_out(number, channels, close=True)
    except (PartnerBusy, PartnerUnreachable) as error:
        facts = {"event": "payments.order-unanswered", "payment": number, "why": error.code}
        log.warning("the channel did not answer to an order", extra=facts)
        return _attempt(order, channel, retry_after=round(error.retry_after or 2) or 1)
    else:
        await _mark_prepaid(order, placed)
    return _attempt(await _order(resident, number), channel)


@raises(*dict.fromkeys((*raised_by(close_stale_order), *raised_by(reserve_order), *raised_by(start_payment))))
async def charge(
    resident: AsResident, fee_id: UUID, channel_name: str, *, channels: Mapping[str, PayChannel]
) -> PaymentAttempt:
    """Begin to pay the fee, or go on with the order that is open. No transaction may be open."""
    await close_stale_order(resident, fee_id, channel_name, channels=channels)
    async with transaction():
        number = await reserve_order(resident, fee_id, channel_name, channels=channels)
    return await start_payment(resident, number, channels=channels)


def sub_merchant(channel: PayChannel, department: str | None) -> str | None:
    """The sub-merchant that takes the department's money; None when the service's own merchant does.

    Raises PaymentChannelInvalid when the department (by its code) takes no money through this channel.
    """
    if not channel.sub_merchants:
        return None
    found = channel.sub_merchants.get(department or "")
    if found is None:
        raise PaymentChannelInvalid
    return found


def _channel(name: str, channels: Mapping[str, PayChannel]) -> PayChannel:
    if name not in channels:
        raise PaymentChannelInvalid
    return channels[name]


async def _fee(resident: AsResident, fee_id: UUID) -> asyncpg.Record:
    fee = await fetch_row(_FEE, fee_id, resident.id)
    if fee is None:
        raise FeeNotFound
    if fee["state"] != "open":
        raise FeeNotOpen
    return fee


async def _open_order(resident: AsResident, fee: asyncpg.Record, channel: PayChannel) -> asyncpg.Record | None:
    expected = (resident.id, fee["amount_fen"], channel.app_id, channel.merchant_id)
    return await fetch_row(_OPEN, fee["id"], channel.name, *expected)


async def _insert(resident: AsResident, fee: asyncpg.Record, channel: PayChannel) -> str:
    openid = await identity.openid_of(resident.id) if channel.name in PAYER_REQUIRED else None
    if openid is None and channel.name in PAYER_REQUIRED:
        raise PayerNotKnown
    payment_id, number, now, values = uuid7(), payment_number(), clock.now(), settings()
    order = {
        "id": payment_id,
        "now": now,
        "number": number,
        "fee_id": fee["id"],
        "resident_id": resident.id,
        "channel": channel.name,
        "amount_fen": fee["amount_fen"],
        "app_id": channel.app_id,
        "merchant_id": channel.merchant_id,
        "sub_merchant_id": sub_merchant(channel, fee["uscc"]),
        "payer": openid and seal(openid, where=SEALED_PAYER, row=payment_id),
        "payer_fingerprint": openid and fingerprint(openid, "openid"),
        "description": fee["name"][:127],
        "lifetime": timedelta(minutes=min(max(values.payment_order_minutes, SHORTEST), LONGEST)),
        "check_after": now + timedelta(seconds=values.payment_check_seconds),
    }
    await execute(*named(_INSERT, order))
    await record_transition("payment", payment_id, None, PaymentState.CREATED, "request")
    await record(
        PaymentOrdered(
            payment_id=payment_id,
            fee_id=fee["id"],
            resident_id=resident.id,
            channel=channel.name,
            amount_fen=fee["amount_fen"],
        )
    )
    return number


async def _order(resident: AsResident, number: str) -> asyncpg.Record:
    order = await fetch_row(_ORDER, number, resident.id)
    if order is None:
        raise PaymentNotFound
    return order


def _request(order: Mapping[str, Any]) -> OrderRequest:
    return OrderRequest(
        number=order["number"],
        description=order["description"],
        amount_fen=order["amount_fen"],
        currency=order["currency"],
        payer=open_sealed(order["payer"], where=SEALED_PAYER, row=order["id"]) if order["payer"] else "",
        expires_at=order["expires_at"].astimezone(clock.SHANGHAI),
        sub_merchant_id=order["sub_merchant_id"],
    )


async def _mark_prepaid(order: Mapping[str, Any], prepaid: PrepaidOrder) -> None:
    """Mark a created order as prepaid; a second tap gets the same from the channel, and a payer may even have been
    faster than this answer."""
    async with transaction():
        if await fetch_value(_PREPAID, order["id"], clock.now(), prepaid.prepay_id) is not None:
            await record_transition("payment", order["id"], PaymentState.CREATED, PaymentState.PREPAID, "request")


async def _find_out(number: str, channels: Mapping[str, PayChannel], *, close: bool = False) -> None:
    """Query the order at its channel, or close it there; when the channel does not answer, the sweeper goes on."""
    try:
        if close:
            await checking.close_order(number, "refused-by-channel", channels=channels)
        else:
            await checking.check_payment(number, channels=channels)
    except PartnerError as error:
        checking.log_unanswered(number, error)


def _attempt(order: Mapping[str, Any], channel: PayChannel, *, retry_after: int | None = None) -> PaymentAttempt:
    state = PaymentState(order["state"])
    payable = state is PaymentState.PREPAID and not order["over"]
    if state is PaymentState.CLOSED or (order["over"] and state in (PaymentState.CREATED, PaymentState.PREPAID)):
        raise PaymentClosed
    return PaymentAttempt(
        number=order["number"],
        fee_id=order["fee_id"],
        channel=order["channel"],
        state=state.value,
        amount_fen=order["amount_fen"],
        expires_at=order["expires_at"],
        parameters=channel.front_end_parameters(order["prepay_id"]) if payable else None,
        retry_after=retry_after,
    )
