"""The restore drill: an older copy of the database comes back, and the channel's bill repairs what it lacks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from backend import clock, database, invariants, jobs
from backend.database import fetch, fetch_value, transaction
from backend.payments import settling
from backend.payments.reconciliation_runs import catch_up
from backend.payments.refunding import refund_remainder
from backend.settings import settings, using
from models.payments import Channel, PaymentState, RefundCause
from tests.backend.payments.billing_channel import NOON, BillingChannel, at_noon
from tests.factories.payments import a_fee, a_payment, fee_state, payment_row

_SNAPSHOT = "zb_drill"


@pytest.fixture
async def channel() -> AsyncIterator[BillingChannel]:
    with at_noon() as each:
        yield each


class Drill:
    """A copy of the database as it is at one moment, and the way to work on that copy."""

    def __init__(self) -> None:
        self.url = urlunsplit(urlsplit(settings().database_url)._replace(path=f"/{_SNAPSHOT}_{os.getpid()}"))
        self.name = urlsplit(self.url).path.lstrip("/")

    async def back_up(self) -> None:
        """Copy everything into another database, as a backup that is restored there."""
        source = urlsplit(settings().database_url).path.lstrip("/")
        await database.close()  # a database is copied while it has no connection
        admin = await self._admin()
        await admin.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
            source,
        )
        await admin.execute(f'CREATE DATABASE "{self.name}" TEMPLATE "{source}"')
        await admin.close()
        await database.connect()

    async def drop(self) -> None:
        admin = await self._admin()
        await admin.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
        await admin.close()

    async def _admin(self) -> asyncpg.Connection:
        return await asyncpg.connect(**{**database.credentials(settings().database_url), "database": "postgres"})


@pytest.fixture
async def drill() -> AsyncIterator[Drill]:
    each = Drill()
    yield each
    await each.drop()


async def paid(channel: BillingChannel, payment: object) -> None:
    seen = channel.paid(payment)  # type: ignore[arg-type]
    await settling.settle_payment(seen, channel=Channel.WECHAT_PAY, known_by="notice")


async def test_after_a_restore_the_bill_repairs_what_the_backup_lacks(channel: BillingChannel, drill: Drill):
    before, late_fee, closing_fee = await a_payment(), await a_fee(), await a_fee()
    waiting, given_back = await a_payment(late_fee), await a_payment(closing_fee)
    await paid(channel, before)
    await drill.back_up()

    # What happens after the backup is only in the database that is about to be lost, and in the channel's books.
    await paid(channel, waiting)
    await paid(channel, given_back)
    async with transaction():
        refund = await refund_remainder(given_back.id, RefundCause.CANCELLED, "撤回申请")
    assert refund
    channel.refunded(refund, given_back.number, 2000)
    lost = await a_payment()
    await paid(channel, lost)
    lost_and_returned = await a_payment()
    await paid(channel, lost_and_returned)
    channel.refunded(f"R{lost_and_returned.number}A", lost_and_returned.number, 2000)

    await database.close()
    with using(database_url=drill.url):
        await database.connect()
        try:
            await _repaired(channel, [before.number, waiting.number], given_back.number, late_fee.id)
            await _visible({lost.number, lost_and_returned.number, f"R{lost_and_returned.number}A"})
        finally:
            await database.close()
    await database.connect()


async def _repaired(channel: BillingChannel, whole: list[str], given_back: str, fee_id: object) -> None:
    with clock.travel(to=NOON + timedelta(days=1)):
        done = await catch_up(channels={"wechat_pay": channel})
        again = await catch_up(channels={"wechat_pay": channel})
    day = next(each for each in done.days if each.day == NOON.date())

    assert done.queried == 2, "the open orders were asked about at once"
    assert {(await payment_row(each))["state"] for each in whole} == {PaymentState.PAID}
    assert await fee_state(fee_id) == "paid"  # type: ignore[arg-type]
    row = await payment_row(given_back)
    assert (row["state"], row["refunded_fen"]) == (PaymentState.REFUNDED, 2000)
    assert (day.open, done.ok) == (3, False)
    assert again.days == [], "what was compared is not compared again by itself"


async def _visible(numbers: set[str]) -> None:
    """Money without an owner is a difference with all its facts, and a violated invariant."""
    rows = await fetch("SELECT * FROM bill_differences WHERE state = 'open'")
    assert {row["number"] for row in rows} == numbers
    assert {row["kind"] for row in rows} == {"unknown"}
    for row in rows:
        assert (row["bill_fen"], row["query_fen"]) == (2000, 2000)
        assert row["transaction_id"]
        assert row["moved_at"]
        assert row["query_state"] in ("paid", "succeeded")
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'bill-difference.found'") == 3
    verdicts = {each.id: each for each in await invariants.check()}
    assert {name: verdicts[name].findings for name in ("I-2", "I-3", "I-4", "I-9")} == {
        "I-2": [], "I-3": [], "I-4": [], "I-9": [],
    }  # fmt: skip
    assert len(verdicts["I-1"].findings) == 3


async def test_a_repaired_payment_is_notified_like_any_other(channel: BillingChannel):
    payment = await a_payment()
    channel.paid(payment)

    with clock.travel(to=NOON + timedelta(days=1)):
        await catch_up(channels={"wechat_pay": channel})
    await jobs.drain(strict=False)

    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'payment.succeeded'") == 1
    assert await fetch_value("SELECT count(*) FROM receipts") == 1
