"""A channel's bill of a day, or a substitute where the channel makes none that we read."""

from __future__ import annotations

import asyncio
from datetime import date

from backend import clock
from backend.partners.paying.port import (
    Bill,
    BillRow,
    ChannelBillEmpty,
    ChannelBillNotOffered,
    ChannelOrder,
    ChannelOrderNotFound,
    ChannelRefund,
    ChannelRefundNotFound,
    ChannelRefundState,
    PayChannel,
)
from backend.payments import comparing, settling
from backend.payments.comparing import Account
from backend.settings import settings


async def fetch_bill(account: Account, day: date, channel: PayChannel) -> Bill:
    """The day's bill; an empty one where nothing moved. A channel without bills is queried about each of our numbers.

    Raises ChannelBillNotReady, ChannelBillInvalid, PartnerUnreachable, PartnerMisconfigured.
    """
    try:
        return await channel.bill(day, sub_merchant_id=account.sub_merchant_id)
    except ChannelBillEmpty:
        return Bill(day=day, digest="", rows=())
    except ChannelBillNotOffered:
        return await _bill_of_queries(account, day, channel)


async def _bill_of_queries(account: Account, day: date, channel: PayChannel) -> Bill:
    """A bill of the channel's answers about each of our numbers of the day. It cannot show what we have lost."""
    gate = asyncio.Semaphore(settings().bill_queries)

    async def row(number: str, payment_number: str | None) -> BillRow | None:
        async with gate:
            try:
                if payment_number is None:
                    return _row_of_order(await channel.query(number, sub_merchant_id=account.sub_merchant_id))
                observed = await channel.query_refund(
                    number, payment_number=payment_number, sub_merchant_id=account.sub_merchant_id
                )
                return _row_of_refund(observed)
            except (ChannelOrderNotFound, ChannelRefundNotFound):
                return None

    rows = await asyncio.gather(*(row(*each) for each in await comparing.list_our_numbers(account, day)))
    return Bill(day=day, digest="", rows=tuple(each for each in rows if each is not None))


def _row_of_order(observed: ChannelOrder) -> BillRow | None:
    if observed.state not in settling.PAID_STATES or not observed.amount_fen:
        return None
    at, transaction_id = observed.paid_at or clock.now(), observed.transaction_id or ""
    return BillRow(
        number=observed.number, transaction_id=transaction_id, amount_fen=observed.amount_fen, state="SUCCESS", at=at
    )


def _row_of_refund(observed: ChannelRefund) -> BillRow | None:
    if observed.state is ChannelRefundState.CLOSED:
        return None
    return BillRow(
        number=observed.payment_number,
        transaction_id=observed.transaction_id or "",
        amount_fen=observed.amount_fen,
        state="SUCCESS" if observed.state is ChannelRefundState.SUCCEEDED else "PROCESSING",
        at=observed.succeeded_at or clock.now(),
        refund_number=observed.number,
        refund_id=observed.refund_id,
    )
