"""What is due now: bills that were not compared yet, and every open order and refund of whose fate we know nothing.

By the clock the worker does the first; the second is the sweeper's, each in its own time. After a restore an operator
does both at once: `zhangban reconcile --once`.
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
from backend.errors import DomainError, Fault
from backend.partners.paying.port import PartnerTrouble, PayChannel
from backend.payments import checking, refund_sending
from backend.payments.comparing import Account
from backend.payments.errors import BillDayOutOfRange
from backend.payments.reconciling import Compared, reconcile
from backend.settings import settings
from models.payments import OPEN_ORDERS, Channel
from models.reconciliation import BillState

KEPT_THERE = timedelta(days=90)
"""For how long channels keep their bills."""

log = logging.getLogger("zhangban.payments")


class Due(NamedTuple):
    """A day of an account that is to be compared."""

    account: Account
    day: date


def accounts(channels: Mapping[str, PayChannel]) -> list[Account]:
    """Whose bills there are: one per channel; where it takes money for sub-merchants, one for each of them."""
    found = []
    for name, channel in sorted(channels.items()):
        subs: list[str | None] = [*sorted(set(channel.sub_merchants.values()))] or [None]
        found += [Account(Channel(name), channel.merchant_id, sub) for sub in subs]
    return found


def newest_day() -> date:
    """The last day whose bill may be there: bills of a day are made by 10:00 of the next."""
    now = clock.now().astimezone(clock.SHANGHAI)
    return now.date() - timedelta(days=1 if now.hour >= settings().bill_hour else 2)


async def due(channels: Mapping[str, PayChannel]) -> list[Due]:
    """The days of the last `bill_days` that have not been compared, the oldest first."""
    newest = newest_day()
    days = [newest - timedelta(days=back) for back in range(settings().bill_days)]
    rows = await fetch(
        "SELECT channel, merchant_id, day FROM bill_days WHERE day = ANY($1) AND state IN ('compared', 'empty')", days
    )
    done = {(row["channel"], row["merchant_id"], row["day"]) for row in rows}
    return [
        Due(account, day)
        for day in reversed(days)
        for account in accounts(channels)
        if (account.channel.value, account.holder, day) not in done
    ]


class CaughtUp(Struct, kw_only=True, frozen=True):
    """What came of everything that was due."""

    asked: int
    """Open orders and refunds that the channel was asked about."""
    unanswered: int
    """Of these, how many it did not answer."""
    days: list[Compared]

    @property
    def well(self) -> bool:
        """Whether everything was answered, and no difference is open."""
        return self.unanswered == 0 and all(
            each.well or (each.state is BillState.WAITING and not each.unreachable) for each in self.days
        )


async def queue_due() -> None:
    """By the clock, every hour: what is due becomes a job per account and day."""
    for each in await due(partners.in_use().channels):
        async with transaction():
            await enqueue(each)


@jobs.job("payments.reconcile", attempts=1, at_once=1)
async def _reconcile(payload: dict[str, Any]) -> None:
    account = Account(Channel(payload["channel"]), payload["merchant_id"], payload["sub_merchant_id"])
    channels = partners.in_use().channels
    if account.channel.value not in channels:
        return
    try:
        await reconcile(account, date.fromisoformat(payload["day"]), channels=channels)
    except PartnerTrouble as trouble:
        # The day stays due: the next hour asks again, for `bill_days` days.
        log.warning("no bill", extra={"channel": account.channel.value, "day": payload["day"], "why": trouble.code})


async def enqueue(each: Due) -> None:
    """Have the day compared by a worker. Belongs inside transaction()."""
    payload = {**each.account._asdict(), "channel": each.account.channel.value, "day": each.day.isoformat()}
    await jobs.enqueue("payments.reconcile", payload, key=f"reconcile:{each.account.holder}:{each.day}")


async def compare_again(day: date, *, channels: Mapping[str, PayChannel]) -> int:
    """Have a worker compare the day with every account once more; with how many. Raises BillDayOutOfRange."""
    newest = newest_day()
    if not newest - KEPT_THERE <= day <= newest:
        raise BillDayOutOfRange(fields=[Fault("/day", "该日期没有可下载的账单")])
    async with transaction():
        for account in (chosen := accounts(channels)):
            await enqueue(Due(account, day))
    return len(chosen)


async def compare_day(day: date, *, channels: Mapping[str, PayChannel], only: Channel | None = None) -> list[Compared]:
    """Compare the day with every account, or with those of one channel; a bill that cannot be had is said to be so."""
    chosen = [each for each in accounts(channels) if only is None or each.channel is only]
    return [await _compared(Due(each, day), channels) for each in chosen]


async def catch_up(*, channels: Mapping[str, PayChannel], only: Channel | None = None, orders: bool = True) -> CaughtUp:
    """Ask about every open order and refund, unless told not to, then compare every day that is due.

    No transaction may be open.
    """
    asked, answered = await _open_ones(channels, only) if orders else (0, 0)
    days = [await _compared(each, channels) for each in await due(channels) if only in (None, each.account.channel)]
    return CaughtUp(asked=asked, unanswered=asked - answered, days=days)


async def _open_ones(channels: Mapping[str, PayChannel], only: Channel | None) -> tuple[int, int]:
    """Ask about what is open; about how many, and how many were answered."""
    rows = await fetch(
        f"SELECT number, channel FROM payments WHERE {OPEN_ORDERS} OR state = 'closed' AND check_after IS NOT NULL"
    )
    orders = [row["number"] for row in rows if only is None or row["channel"] == only]
    rows = await fetch(
        "SELECT r.number, p.channel FROM refunds r JOIN payments p ON p.id = r.payment_id "
        "WHERE r.state IN ('approved', 'processing', 'abnormal')"
    )
    refunds = [row["number"] for row in rows if only is None or row["channel"] == only]
    answered = await _asked(orders, lambda number: checking.check(number, channels=channels))
    answered += await _asked(refunds, refund_sending.check_refund)
    return len(orders) + len(refunds), answered


async def _asked(numbers: list[str], ask: Callable[[str], Awaitable[object]]) -> int:
    """Ask about each number, so many at once; how many were answered."""
    gate = asyncio.Semaphore(settings().bill_questions)

    async def one(number: str) -> bool:
        async with gate:
            try:
                await ask(number)
            except (DomainError, KeyError) as trouble:
                log.warning("no answer", extra={"number": number, "why": getattr(trouble, "code", "channel-off")})
                return False
        return True

    return sum(await asyncio.gather(*(one(each) for each in numbers)))


async def _compared(each: Due, channels: Mapping[str, PayChannel]) -> Compared:
    account = each.account
    try:
        return await reconcile(account, each.day, channels=channels)
    except PartnerTrouble as trouble:
        return Compared(
            channel=account.channel.value,
            merchant_id=account.holder,
            day=each.day,
            state=BillState.WAITING,
            unreachable=True,
            trouble=trouble.code,
        )
