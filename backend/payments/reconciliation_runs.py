"""What is due now: bills that were not compared yet, and every open order and refund whose fate is unknown.

The worker reconciles due bills by its schedule; the sweeper checks orders and refunds, each in its own time. After a
restore an operator does both at once: `zhangban reconcile --once`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from msgspec import Struct

from backend import clock, jobs, partners
from backend.database import fetch, transaction
from backend.errors import DomainError, Fault, raises
from backend.partners.paying.port import PartnerError, PayChannel
from backend.payments import checking, refund_sending
from backend.payments.comparing import Account
from backend.payments.errors import BillDayOutOfRange
from backend.payments.reconciling import BillComparison, reconcile_bill
from backend.settings import settings
from models.payments import OPEN_ORDERS, Channel
from models.reconciliation import BillState

BILLS_KEPT = timedelta(days=90)
"""The time for which channels keep their bills."""

log = logging.getLogger("zhangban.payments")


class DueBill(NamedTuple):
    """A day of an account that is to be reconciled."""

    account: Account
    day: date


def list_accounts(channels: Mapping[str, PayChannel]) -> list[Account]:
    """The accounts that have bills: one per channel; where it takes money for sub-merchants, one for each of them."""
    found = []
    for name, channel in sorted(channels.items()):
        subs: list[str | None] = [*sorted(set(channel.sub_merchants.values()))] or [None]
        found += [Account(Channel(name), channel.merchant_id, sub) for sub in subs]
    return found


def newest_bill_day() -> date:
    """The last day whose bill may exist: bills of a day are made by 10:00 of the next."""
    now = clock.now().astimezone(clock.SHANGHAI)
    return now.date() - timedelta(days=1 if now.hour >= settings().bill_hour else 2)


async def list_due_bills(channels: Mapping[str, PayChannel]) -> list[DueBill]:
    """The days of the last `bill_days` that have not been compared, the oldest first."""
    newest = newest_bill_day()
    days = [newest - timedelta(days=back) for back in range(settings().bill_days)]
    rows = await fetch(
        "SELECT channel, merchant_id, day FROM bill_days WHERE day = ANY($1) AND state IN ('compared', 'empty')", days
    )
    done = {(row["channel"], row["merchant_id"], row["day"]) for row in rows}
    return [
        DueBill(account, day)
        for day in reversed(days)
        for account in list_accounts(channels)
        if (account.channel.value, account.holder, day) not in done
    ]


class CatchUpReport(Struct, kw_only=True, frozen=True):
    """The result of everything that was due."""

    queried: int
    """Open orders and refunds that were queried at their channels."""
    unanswered: int
    """The number of these that got no answer."""
    days: list[BillComparison]

    @property
    def ok(self) -> bool:
        """Whether everything was answered, and no difference is open."""
        return self.unanswered == 0 and all(
            each.ok or (each.state is BillState.WAITING and not each.unreachable) for each in self.days
        )


async def enqueue_due_bills() -> None:
    """Enqueue a job per due account and day; the schedule runs this every hour."""
    for each in await list_due_bills(partners.in_use().channels):
        async with transaction():
            await enqueue_bill(each)


@jobs.job("payments.reconcile", attempts=1, at_once=1)
async def _reconcile_job(payload: dict[str, Any]) -> None:
    account = Account(Channel(payload["channel"]), payload["merchant_id"], payload["sub_merchant_id"])
    channels = partners.in_use().channels
    if account.channel.value not in channels:
        return
    try:
        await reconcile_bill(account, date.fromisoformat(payload["day"]), channels=channels)
    except PartnerError as error:
        # The day stays due: the next hour tries again, for `bill_days` days.
        facts = {"channel": account.channel.value, "day": payload["day"], "why": error.code}
        log.warning("the bill could not be fetched", extra={"event": "payments.bill-unavailable", **facts})


async def enqueue_bill(each: DueBill) -> None:
    """Enqueue the reconciliation of the day. Belongs inside transaction()."""
    payload = {**each.account._asdict(), "channel": each.account.channel.value, "day": each.day.isoformat()}
    await jobs.enqueue("payments.reconcile", payload, key=f"reconcile:{each.account.holder}:{each.day}")


@raises(BillDayOutOfRange)
async def enqueue_comparison(day: date, *, channels: Mapping[str, PayChannel]) -> int:
    """Enqueue a repeated reconciliation of the day for every account; their number."""
    newest = newest_bill_day()
    if not newest - BILLS_KEPT <= day <= newest:
        raise BillDayOutOfRange(fields=[Fault("/day", "该日期没有可下载的账单")])
    async with transaction():
        for account in (chosen := list_accounts(channels)):
            await enqueue_bill(DueBill(account, day))
    return len(chosen)


async def reconcile_day(
    day: date, *, channels: Mapping[str, PayChannel], only: Channel | None = None
) -> list[BillComparison]:
    """Reconcile the day for every account, or for those of one channel; an unreachable bill is no error."""
    chosen = [each for each in list_accounts(channels) if only is None or each.channel is only]
    return [await _reconcile_due(DueBill(each, day), channels) for each in chosen]


async def catch_up(
    *, channels: Mapping[str, PayChannel], only: Channel | None = None, orders: bool = True
) -> CatchUpReport:
    """Query every open order and refund (unless `orders` is false), then reconcile every day that is due.

    No transaction may be open.
    """
    queried, answered = await _query_open(channels, only) if orders else (0, 0)
    days = [
        await _reconcile_due(each, channels)
        for each in await list_due_bills(channels)
        if only in (None, each.account.channel)
    ]
    return CatchUpReport(queried=queried, unanswered=queried - answered, days=days)


async def _query_open(channels: Mapping[str, PayChannel], only: Channel | None) -> tuple[int, int]:
    """Query open orders and refunds; how many were queried, and how many answered."""
    rows = await fetch(
        f"SELECT number, channel FROM payments WHERE {OPEN_ORDERS} OR state = 'closed' AND check_after IS NOT NULL"
    )
    orders = [row["number"] for row in rows if only is None or row["channel"] == only]
    rows = await fetch(
        "SELECT r.number, p.channel FROM refunds r JOIN payments p ON p.id = r.payment_id "
        "WHERE r.state IN ('approved', 'processing', 'abnormal')"
    )
    refunds = [row["number"] for row in rows if only is None or row["channel"] == only]
    answered = await _query_each(orders, lambda number: checking.check_payment(number, channels=channels))
    answered += await _query_each(refunds, refund_sending.check_refund)
    return len(orders) + len(refunds), answered


async def _query_each(numbers: list[str], query: Callable[[str], Awaitable[object]]) -> int:
    """Query each number, so many at once; how many were answered."""
    gate = asyncio.Semaphore(settings().bill_queries)

    async def one(number: str) -> bool:
        async with gate:
            try:
                await query(number)
            except (DomainError, KeyError) as error:
                facts = {"number": number, "why": getattr(error, "code", "channel-off")}
                log.warning("the channel did not answer", extra={"event": "payments.query-unanswered", **facts})
                return False
        return True

    return sum(await asyncio.gather(*(one(each) for each in numbers)))


async def _reconcile_due(each: DueBill, channels: Mapping[str, PayChannel]) -> BillComparison:
    account = each.account
    try:
        return await reconcile_bill(account, each.day, channels=channels)
    except PartnerError as error:
        return BillComparison(
            channel=account.channel.value,
            merchant_id=account.holder,
            day=each.day,
            state=BillState.WAITING,
            unreachable=True,
            problem=error.code,
        )
