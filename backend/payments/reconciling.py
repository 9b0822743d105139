"""A channel's day against ours: the bill is fetched, compared, asked about, repaired, and what remains becomes cases.

Three parties speak of each number on which ours and the bill disagree: our tables, the bill, and the channel's answer
to a query now. What the query says is true is taken over the ordinary way (`settle`, `settle_refund`), so money that
came while we were away is posted, and given back where it does not count. Nothing is ever corrected silently: every
number that disagreed stays as a row, repaired or open. Running a day again keeps its history.
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
    PartnerTrouble,
    PayChannel,
)
from backend.payments import bills, comparing, difference_keeping, refund_settling, settling, unasked_refunds
from backend.payments.comparing import Account, Found
from backend.payments.difference_keeping import Asked, Figures
from backend.settings import settings
from models.reconciliation import BillState, DifferenceKind

log = logging.getLogger("zhangban.payments")

BILLS = Counter("zhangban_bills_total", "Bills by channel and what came of them.", ("channel", "outcome"))
DIFFERENCES = Counter("zhangban_bill_differences_total", "Numbers that disagreed with a bill.", ("channel", "outcome"))


class Compared(Struct, kw_only=True, frozen=True):
    """What came of one channel's day. Amounts are fen."""

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
    """Numbers that disagreed before anything was asked."""
    repaired: int = 0
    """Of these, how many agree now."""
    open: int = 0
    """Differences of the day that nobody has explained yet, those of earlier runs included."""
    trouble: str | None = None
    """Why there is no comparison."""
    unreachable: bool = False
    """The bill could not be fetched; nothing is known of the day."""

    @property
    def well(self) -> bool:
        """Whether ours and theirs agree, or somebody has said why not."""
        return self.state in (BillState.COMPARED, BillState.EMPTY) and self.open == 0


async def reconcile(account: Account, day: date, *, channels: Mapping[str, PayChannel]) -> Compared:
    """Compare the day, repair what the channel's own answer repairs, keep what remains as differences.

    Raises PartnerTrouble when the bill cannot be fetched at all; nothing is recorded then.
    """
    channel = channels[account.channel.value]
    try:
        bill = await bills.bill_of(account, day, channel)
    except ChannelBillNotReady as trouble:
        return await _put_off(account, day, trouble)
    except ChannelBillInvalid as trouble:
        return await _refused(account, day, trouble)
    first = await comparing.differing(account, bill)
    asked = await _ask(account, channel, first)
    left = await comparing.differing(account, bill) if first else []
    remaining = {each.key for each in left}
    repaired = [each for each in first if each.key not in remaining]
    figures = _figures(bill)
    kept = await difference_keeping.keep(account, day, figures, left, repaired, asked)
    await difference_keeping.close_elsewhere(kept.bill_day_id, _agreeing(bill.rows, left))
    return _told(account, day, figures, kept, len(first))


def _told(account: Account, day: date, figures: Figures, kept: difference_keeping.Kept, found: int) -> Compared:
    BILLS.labels(account.channel.value, kept.state.value).inc()
    DIFFERENCES.labels(account.channel.value, "repaired").inc(kept.repaired)
    DIFFERENCES.labels(account.channel.value, "open").inc(kept.new)
    if kept.new:
        facts = {"channel": account.channel.value, "day": str(day), "open": kept.open}
        log.error("the bill and our books differ", extra=facts)
    return Compared(
        channel=account.channel.value,
        merchant_id=account.holder,
        day=day,
        state=kept.state,
        paid_count=figures.paid_count,
        paid_fen=figures.paid_fen,
        refund_count=figures.refund_count,
        refund_fen=figures.refund_fen,
        charge_fen=figures.charge_fen,
        found=found,
        repaired=kept.repaired,
        open=kept.open,
    )


async def _put_off(account: Account, day: date, trouble: PartnerTrouble) -> Compared:
    state = await difference_keeping.wait_for(account, day)
    BILLS.labels(account.channel.value, "not-ready").inc()
    return Compared(
        channel=account.channel.value, merchant_id=account.holder, day=day, state=state, trouble=trouble.code
    )


async def _refused(account: Account, day: date, trouble: PartnerTrouble) -> Compared:
    """The bill is not what the channel's hash or its own sums say: nothing of it is believed, operators are alarmed."""
    why = (trouble.message or trouble.partner_code or trouble.code)[:200]
    await difference_keeping.refuse(account, day, why)
    BILLS.labels(account.channel.value, "refused").inc()
    log.error("bill refused", extra={"channel": account.channel.value, "day": str(day), "why": why})
    return Compared(
        channel=account.channel.value, merchant_id=account.holder, day=day, state=BillState.REFUSED, trouble=why
    )


def _figures(bill: Bill) -> Figures:
    paid = [row.amount_fen for row in bill.rows if row.refund_number is None]
    back = [row.amount_fen for row in bill.rows if row.refund_number is not None]
    charge = sum(row.charge_fen for row in bill.rows)
    return Figures(bill.digest or None, len(paid), sum(paid), len(back), sum(back), charge)


def _agreeing(rows: Iterable[BillRow], left: Iterable[Found]) -> list[tuple[str, str]]:
    """Entity and number of every row of the bill that nobody disputes."""
    disputed = {(each.entity, each.number) for each in left}
    named = [("refund", row.refund_number) if row.refund_number else ("payment", row.number) for row in rows]
    return [each for each in named if each not in disputed]


async def _ask(account: Account, channel: PayChannel, found: list[Found]) -> dict[tuple[str, str], Asked]:
    """Ask the channel about each number, so many at once, and take over what it confirms and we lack."""
    gate = asyncio.Semaphore(settings().bill_questions)

    async def one(each: Found) -> tuple[tuple[str, str], Asked]:
        async with gate:
            ask = _ask_payment if each.entity == "payment" else _ask_refund
            try:
                return (each.entity, each.number), await ask(account, channel, each)
            except PartnerTrouble as trouble:
                return (each.entity, each.number), Asked(trouble.code[:32], None)

    # Payments first: a refund can only be taken over where its payment is known to be paid.
    payments = [one(each) for each in found if each.entity == "payment"]
    refunds = [one(each) for each in found if each.entity == "refund"]
    return dict(await asyncio.gather(*payments)) | dict(await asyncio.gather(*refunds))


async def _ask_payment(account: Account, channel: PayChannel, each: Found) -> Asked:
    seen = await channel.query(each.number, sub_merchant_id=account.sub_merchant_id)
    came = seen.state in settling.CAME
    if came and each.kind is DifferenceKind.MISSING_HERE:
        with _left_as_it_is(each):
            await settling.settle(seen, channel=account.channel, known_by="bill")
    return Asked(seen.state.value, seen.amount_fen if came else None)


async def _ask_refund(account: Account, channel: PayChannel, each: Found) -> Asked:
    assert each.payment_number is not None
    seen = await channel.query_refund(
        each.number, payment_number=each.payment_number, sub_merchant_id=account.sub_merchant_id
    )
    with _left_as_it_is(each):
        if each.kind is DifferenceKind.UNKNOWN:
            await unasked_refunds.adopt(account.channel, each.payment_number, each.number)
        elif each.kind in (DifferenceKind.MISSING_HERE, DifferenceKind.STATE):
            await refund_settling.settle_refund(seen, channel=account.channel, known_by="bill")
    return Asked(seen.state.value, seen.amount_fen)


@contextmanager
def _left_as_it_is(each: Found) -> Iterator[None]:
    """What cannot be taken over stays a difference: a person sees it, the other numbers go on."""
    try:
        yield
    except PartnerTrouble:
        raise
    except DomainError as trouble:
        log.error("what the bill knows was not taken over", extra={each.entity: each.number, "why": trouble.code})
