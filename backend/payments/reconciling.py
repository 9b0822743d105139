"""Reconciling a channel's day: the bill is fetched, compared, queried, repaired, and the rest is stored as differences.

There are three sources for each number on which our tables and the bill disagree: our tables, the bill, and the
channel's answer to a query now. The answer is the truth and is applied as usual (`settle_payment`, `settle_refund`), so
money that came during an outage is posted, and refunded where it does not count. Nothing is ever corrected silently:
every number that disagreed stays as a row, repaired or open. Running a day again keeps its history.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date

from msgspec import Struct
from prometheus_client import Counter

from backend.errors import DomainError
from backend.partners.paying.port import (
    Bill,
    BillRow,
    ChannelBillInvalid,
    ChannelBillNotReady,
    PartnerError,
    PayChannel,
)
from backend.payments import bills, comparing, difference_store, refund_settling, settling, unrequested_refunds
from backend.payments.comparing import Account, Mismatch
from backend.payments.difference_store import BillTotals, ChannelAnswer
from backend.settings import settings
from models.reconciliation import BillState, DifferenceKind

log = logging.getLogger("zhangban.payments")

BILLS = Counter("zhangban_bills_total", "Bills by channel and what came of them.", ("channel", "outcome"))
DIFFERENCES = Counter("zhangban_bill_differences_total", "Numbers that disagreed with a bill.", ("channel", "outcome"))


class BillComparison(Struct, kw_only=True, frozen=True):
    """The result of one channel's day. Amounts are fen."""

    channel: str
    merchant_id: str
    day: date
    state: BillState
    paid_count: int = 0
    paid_fen: int = 0
    refund_count: int = 0
    refund_fen: int = 0
    charge_fen: int = 0
    found: int = 0
    """Numbers that disagreed before any query."""
    repaired: int = 0
    """The number of these that agree now."""
    open: int = 0
    """Differences of the day without an explanation, those of earlier runs included."""
    problem: str | None = None
    """Why there is no comparison."""
    unreachable: bool = False
    """The bill could not be fetched; nothing is known of the day."""

    @property
    def ok(self) -> bool:
        """Whether our tables and the bill agree, or every difference is explained."""
        return self.state in (BillState.COMPARED, BillState.EMPTY) and self.open == 0


async def reconcile_bill(account: Account, day: date, *, channels: Mapping[str, PayChannel]) -> BillComparison:
    """Compare the day, repair what the channel's own answers repair, store the rest as differences.

    Raises PartnerError when the bill cannot be fetched at all; nothing is recorded then.
    """
    channel = channels[account.channel.value]
    try:
        bill = await bills.fetch_bill(account, day, channel)
    except ChannelBillNotReady as error:
        return await _put_off(account, day, error)
    except ChannelBillInvalid as error:
        return await _refused(account, day, error)
    first = await comparing.find_mismatches(account, bill)
    answers = await _query(account, channel, first)
    left = await comparing.find_mismatches(account, bill) if first else []
    remaining = {each.key for each in left}
    repaired = [each for each in first if each.key not in remaining]
    totals = _totals(bill)
    kept = await difference_store.save_comparison(account, day, totals, left, repaired, answers)
    await difference_store.close_on_other_days(kept.bill_day_id, _agreeing(bill.rows, left))
    return _report(account, day, totals, kept, len(first))


def _report(
    account: Account, day: date, totals: BillTotals, kept: difference_store.SavedComparison, found: int
) -> BillComparison:
    channel = account.channel.value
    BILLS.labels(channel, kept.state.value).inc()
    DIFFERENCES.labels(channel, "repaired").inc(kept.repaired)
    DIFFERENCES.labels(channel, "open").inc(kept.new)
    if kept.new:
        facts = {"event": "payments.bill-differs", "channel": channel, "day": str(day), "open": kept.open}
        log.error("the bill and our tables differ", extra=facts)
    sums = {name: value for name, value in totals._asdict().items() if name != "digest"}
    return BillComparison(
        channel=channel,
        merchant_id=account.holder,
        day=day,
        state=kept.state,
        found=found,
        repaired=kept.repaired,
        open=kept.open,
        **sums,
    )


async def _put_off(account: Account, day: date, error: PartnerError) -> BillComparison:
    state = await difference_store.mark_waiting(account, day)
    BILLS.labels(account.channel.value, "not-ready").inc()
    return BillComparison(
        channel=account.channel.value, merchant_id=account.holder, day=day, state=state, problem=error.code
    )


async def _refused(account: Account, day: date, error: PartnerError) -> BillComparison:
    """Refuse a bill that contradicts the channel's hash or its own sums: nothing is used, operators are alarmed."""
    why = (error.message or error.partner_code or error.code)[:200]
    await difference_store.mark_refused(account, day, why)
    BILLS.labels(account.channel.value, "refused").inc()
    facts = {"event": "payments.bill-refused", "channel": account.channel.value, "day": str(day), "why": why}
    log.error("the bill could not be verified and was refused", extra=facts)
    return BillComparison(
        channel=account.channel.value, merchant_id=account.holder, day=day, state=BillState.REFUSED, problem=why
    )


def _totals(bill: Bill) -> BillTotals:
    paid = [row.amount_fen for row in bill.rows if row.refund_number is None]
    back = [row.amount_fen for row in bill.rows if row.refund_number is not None]
    charge = sum(row.charge_fen for row in bill.rows)
    return BillTotals(bill.digest or None, len(paid), sum(paid), len(back), sum(back), charge)


def _agreeing(rows: Iterable[BillRow], left: Iterable[Mismatch]) -> list[tuple[str, str]]:
    """Entity and number of every row of the bill without a difference."""
    disputed = {(each.entity, each.number) for each in left}
    named = [("refund", row.refund_number) if row.refund_number else ("payment", row.number) for row in rows]
    return [each for each in named if each not in disputed]


async def _query(account: Account, channel: PayChannel, found: list[Mismatch]) -> dict[tuple[str, str], ChannelAnswer]:
    """Query each number at the channel, so many at once, and apply what the channel confirms and we lack."""
    gate = asyncio.Semaphore(settings().bill_queries)

    async def one(each: Mismatch) -> tuple[tuple[str, str], ChannelAnswer]:
        async with gate:
            query = _query_payment if each.entity == "payment" else _query_refund
            try:
                return (each.entity, each.number), await query(account, channel, each)
            except PartnerError as error:
                return (each.entity, each.number), ChannelAnswer(error.code[:32], None)

    # Payments first: a refund can only be applied where its payment is known to be paid.
    payments = [one(each) for each in found if each.entity == "payment"]
    refunds = [one(each) for each in found if each.entity == "refund"]
    return dict(await asyncio.gather(*payments)) | dict(await asyncio.gather(*refunds))


async def _query_payment(account: Account, channel: PayChannel, each: Mismatch) -> ChannelAnswer:
    observed = await channel.query(each.number, sub_merchant_id=account.sub_merchant_id)
    came = observed.state in settling.PAID_STATES
    if came and each.kind is DifferenceKind.MISSING_HERE:
        with _leaving_differences(each):
            await settling.settle_payment(observed, channel=account.channel, known_by="bill")
    return ChannelAnswer(observed.state.value, observed.amount_fen if came else None)


async def _query_refund(account: Account, channel: PayChannel, each: Mismatch) -> ChannelAnswer:
    assert each.payment_number is not None
    observed = await channel.query_refund(
        each.number, payment_number=each.payment_number, sub_merchant_id=account.sub_merchant_id
    )
    with _leaving_differences(each):
        if each.kind is DifferenceKind.UNKNOWN:
            await unrequested_refunds.adopt_refund(account.channel, each.payment_number, each.number)
        elif each.kind in (DifferenceKind.MISSING_HERE, DifferenceKind.STATE):
            await refund_settling.settle_refund(observed, channel=account.channel, known_by="bill")
    return ChannelAnswer(observed.state.value, observed.amount_fen)


@contextmanager
def _leaving_differences(each: Mismatch) -> Iterator[None]:
    """Leave a number that cannot be applied as a difference: a person sees it, the other numbers go on."""
    try:
        yield
    except PartnerError:
        raise
    except DomainError as error:
        facts = {"event": "payments.bill-row-not-applied", each.entity: each.number, "why": error.code}
        log.error("a row of the bill could not be applied", extra=facts)
