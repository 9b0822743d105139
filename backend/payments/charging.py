"""A resident pays a fee: a transaction that makes the order, a call that has it at the channel, a transaction again.

The fee says how much; the client says which fee and through which channel, and nothing else. An order keeps its number
on every retry, so an answer that was lost costs nothing: whoever taps again, on whatever device, gets the same open
order with what the front end needs signed afresh. There is one open order per fee and channel. Should somebody pay
through two channels, what comes second goes back by itself.
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
from backend.database import fetch_row, fetch_value, in_transaction, transaction
from backend.events import record
from backend.identity.principals import AsResident
from backend.partners.paying.port import (
    ChannelOrderClosed,
    ChannelOrderInConflict,
    ChannelOrderPaid,
    PartnerBusy,
    PartnerTrouble,
    PartnerUnreachable,
    PayChannel,
    Placed,
    Wanted,
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
from backend.payments.moving import note
from backend.payments.numbering import payment_number
from backend.settings import settings
from models.payments import Channel, PaymentState

log = logging.getLogger("zhangban.payments")

SEALED_PAYER = "payments.payer"
ASKS_FOR_PAYER = frozenset({Channel.WECHAT_PAY})
"""Channels whose orders name who shall pay. Alipay learns it from whoever pays."""
SHORTEST, LONGEST = 1, 110
"""Minutes that an order may be paid: a channel takes no less, and what the front end is handed lives two hours."""

# Whoever may pay: who owes it, and whoever may act for them in payments.
_FEE = """
SELECT f.id, f.state, f.amount_fen, f.name, f.department_id, d.uscc
FROM fees f LEFT JOIN departments d ON d.id = f.department_id
WHERE f.id = $1 AND f.resident_id IN (SELECT people_of($2, 'payments')) FOR UPDATE OF f
"""
# Of no use any more: over, or nearly; of another amount, another merchant; another person's, whose openid it carries.
_OPEN = """
SELECT number, expires_at <= now() + interval '15 seconds' OR resident_id <> $3 OR amount_fen <> $4
    OR (app_id, merchant_id) <> ($5, $6) AS useless
FROM payments WHERE fee_id = $1 AND channel = $2 AND state IN ('created', 'prepaid')
"""
_MAKE = """
INSERT INTO payments (id, created_at, number, fee_id, resident_id, channel, amount_fen, currency, app_id, merchant_id,
    sub_merchant_id, payer, payer_fingerprint, description, expires_at, state, state_at, paid_fen, refunding_fen,
    refunded_fen, check_after, checks)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'CNY', $8, $9, $10, $11, $12, $13, date_trunc('second', now()) + $14, 'created', $2,
    0, 0, 0, $15, 0)
"""
_ORDER = """
SELECT p.*, p.expires_at <= now() AS over FROM payments p WHERE p.number = $1 AND p.resident_id = $2
"""
_PREPAID = """
UPDATE payments SET state = 'prepaid', state_at = $2, prepay_id = $3, prepaid_at = $2
WHERE id = $1 AND state = 'created' RETURNING id
"""


class Started(Struct, kw_only=True):
    """An order, and what the front end hands to the channel's own dialogue to have it paid."""

    number: str
    fee_id: UUID
    channel: str
    state: str
    amount_fen: int
    expires_at: datetime
    parameters: Mapping[str, str] | None
    """For `wx.requestPayment`, signed afresh. Null when there is nothing to pay (any more), or not yet: the channel has
    not answered, and asking again in `retry_after` seconds goes on with the same order."""
    retry_after: int | None = None


async def charge(
    resident: AsResident, fee_id: UUID, channel_name: str, *, channels: Mapping[str, PayChannel]
) -> Started:
    """Begin to pay the fee, or go on with the order that is open. No transaction may be open.

    Raises what `reserve` and `start` raise.
    """
    await clear(resident, fee_id, channel_name, channels=channels)
    async with transaction():
        number = await reserve(resident, fee_id, channel_name, channels=channels)
    return await start(resident, number, channels=channels)


async def clear(resident: AsResident, fee_id: UUID, channel_name: str, *, channels: Mapping[str, PayChannel]) -> None:
    """Close an open order of the fee that is of no use any more, so that a new one can take its place.

    Raises FeeNotFound, FeeNotOpen, PaymentChannelInvalid; PaymentBeingMade when the channel has not closed it yet.
    """
    channel = _channel(channel_name, channels)
    async with transaction():
        fee = await _fee(resident, fee_id)
        found = await _open_order(resident, fee, channel)
    if found is None or not found["useless"]:
        return
    try:
        await checking.close(found["number"], "replaced", channels=channels)
    except PartnerTrouble as trouble:
        raise PaymentBeingMade(retry_after=trouble.retry_after or 3) from trouble


async def reserve(resident: AsResident, fee_id: UUID, channel_name: str, *, channels: Mapping[str, PayChannel]) -> str:
    """The number of the fee's open order at this channel; made now when there is none. Belongs inside transaction().

    Raises FeeNotFound, also for a fee that somebody else owes; FeeNotOpen; PaymentChannelInvalid; PayerNotKnown;
    PaymentBeingMade when an order that is of no use any more has not been closed yet.
    """
    if not in_transaction():
        raise RuntimeError("reserve() belongs inside transaction()")
    channel = _channel(channel_name, channels)
    fee = await _fee(resident, fee_id)
    found = await _open_order(resident, fee, channel)
    if found is not None:
        if found["useless"]:
            raise PaymentBeingMade(retry_after=2)
        return str(found["number"])
    return await _make(resident, fee, channel)


async def start(resident: AsResident, number: str, *, channels: Mapping[str, PayChannel]) -> Started:
    """Have the order at its channel, unless it is there, and what the front end needs. No transaction may be open.

    A channel that does not answer is no error: the order stands, and the next try goes on with it. Raises
    PaymentNotFound, also for somebody else's; PaymentClosed when it can no longer be paid; ChannelPayerRefused,
    PartnerMisconfigured and PartnerRefused from the channel.
    """
    order = await _order(resident, number)
    channel = _channel(order["channel"], channels)
    if order["state"] != PaymentState.CREATED or order["over"]:
        return _started(order, channel)
    try:
        placed = await channel.place(_wanted(order))
    except ChannelOrderPaid:
        await _ask(number, channels)
    except (ChannelOrderClosed, ChannelOrderInConflict) as trouble:
        log.warning("an order cannot be paid", extra={"payment": number, "why": trouble.code})
        await _ask(number, channels, close=True)
    except (PartnerBusy, PartnerUnreachable) as trouble:
        log.warning("no answer to an order", extra={"payment": number, "why": trouble.code})
        return _started(order, channel, retry_after=round(trouble.retry_after or 2) or 1)
    else:
        await _prepaid(order, placed)
    return _started(await _order(resident, number), channel)


def sub_merchant(channel: PayChannel, department: str | None) -> str | None:
    """Whose account under ours the money goes to; None when it is ours. Raises PaymentChannelInvalid when the
    department (by its code) takes no money through this channel."""
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
    wanted = (resident.id, fee["amount_fen"], channel.app_id, channel.merchant_id)
    return await fetch_row(_OPEN, fee["id"], channel.name, *wanted)


async def _make(resident: AsResident, fee: asyncpg.Record, channel: PayChannel) -> str:
    openid = await identity.openid_of(resident.id) if channel.name in ASKS_FOR_PAYER else None
    if openid is None and channel.name in ASKS_FOR_PAYER:
        raise PayerNotKnown
    payment_id, number, now, values = uuid7(), payment_number(), clock.now(), settings()
    life = timedelta(minutes=min(max(values.payment_order_minutes, SHORTEST), LONGEST))
    async with transaction() as connection:
        await connection.execute(
            _MAKE, payment_id, now, number, fee["id"], resident.id, channel.name, fee["amount_fen"], channel.app_id,
            channel.merchant_id, sub_merchant(channel, fee["uscc"]),
            openid and seal(openid, where=SEALED_PAYER, row=payment_id),
            openid and fingerprint(openid, "openid"), fee["name"][:127], life,
            now + timedelta(seconds=values.payment_check_seconds),
        )  # fmt: skip
        await note("payment", payment_id, None, PaymentState.CREATED, "asked")
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


def _wanted(order: Mapping[str, Any]) -> Wanted:
    return Wanted(
        number=order["number"],
        description=order["description"],
        amount_fen=order["amount_fen"],
        currency=order["currency"],
        payer=open_sealed(order["payer"], where=SEALED_PAYER, row=order["id"]) if order["payer"] else "",
        expires_at=order["expires_at"].astimezone(clock.SHANGHAI),
        sub_merchant_id=order["sub_merchant_id"],
    )


async def _prepaid(order: Mapping[str, Any], placed: Placed) -> None:
    """Whoever taps twice gets the same from the channel twice; a payer may even have been faster than this answer."""
    async with transaction():
        if await fetch_value(_PREPAID, order["id"], clock.now(), placed.prepay_id) is not None:
            await note("payment", order["id"], PaymentState.CREATED, PaymentState.PREPAID, "asked")


async def _ask(number: str, channels: Mapping[str, PayChannel], *, close: bool = False) -> None:
    """Find out what the channel means; when it does not say, the sweeper goes on."""
    try:
        if close:
            await checking.close(number, "refused-by-channel", channels=channels)
        else:
            await checking.check(number, channels=channels)
    except PartnerTrouble as trouble:
        log.warning("no answer about an order", extra={"payment": number, "why": trouble.code})


def _started(order: Mapping[str, Any], channel: PayChannel, *, retry_after: int | None = None) -> Started:
    state = PaymentState(order["state"])
    payable = state is PaymentState.PREPAID and not order["over"]
    if state is PaymentState.CLOSED or (order["over"] and state in (PaymentState.CREATED, PaymentState.PREPAID)):
        raise PaymentClosed
    return Started(
        number=order["number"],
        fee_id=order["fee_id"],
        channel=order["channel"],
        state=state.value,
        amount_fen=order["amount_fen"],
        expires_at=order["expires_at"],
        parameters=channel.to_front_end(order["prepay_id"]) if payable else None,
        retry_after=retry_after,
    )
