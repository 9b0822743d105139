"""A day compared again, days that are due, bills that cannot be had, several at once, and a day of a whole province."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from backend import clock, jobs
from backend.database import fetch, fetch_value, transaction
from backend.partners.paying.port import (
    ChannelBillInvalid,
    ChannelBillNotOffered,
    ChannelBillNotReady,
    PartnerUnreachable,
)
from backend.payments import reconciliation_runs
from backend.payments.reconciliation_runs import DueBill, catch_up, list_accounts, list_due_bills, reconcile_day
from backend.payments.refunding import refund_remainder
from models.payments import PaymentState, RefundCause
from models.reconciliation import BillState
from tests.backend.payments.billing_channel import (
    ACCOUNT,
    DAY,
    NOON,
    UNPAID,
    BillingChannel,
    at_noon,
    compared,
    differences,
    the_difference,
)
from tests.factories.ledger import tamper
from tests.factories.payments import (
    MERCHANT_ID,
    a_channel_order,
    a_paid_payment,
    a_payment,
    a_transaction_id,
    payment_row,
    states_of,
)


@pytest.fixture
def channel() -> Iterator[BillingChannel]:
    with at_noon() as each:
        yield each


async def test_the_same_day_again_keeps_its_history_and_closes_what_agrees_by_now(channel: BillingChannel):
    payment = await a_paid_payment()
    seen = a_channel_order(payment, paid_at=NOON)
    other = channel.paid(await a_paid_payment())
    first = await compared(channel)

    channel.list(seen)
    second = await compared(channel)

    assert (first.open, second.open, second.repaired) == (1, 0, 1)
    kept = await the_difference()
    assert (kept["state"], kept["kind"], kept["reopened"]) == ("repaired", "missing-there", 0)
    assert await fetch_value("SELECT runs FROM bill_days") == 2
    channel.rows = [row for row in channel.rows if row.number == other.number]
    third = await compared(channel)
    assert third.open == 1
    assert (await the_difference())["reopened"] == 1


async def test_a_resolved_difference_is_not_reopened_unless_its_amounts_change(channel: BillingChannel):
    payment = await a_paid_payment()
    seen = channel.paid(payment)
    channel.rows.clear()
    channel.list(seen, amount_fen=1999)
    await compared(channel)
    await tamper("UPDATE bill_differences SET state = 'resolved', resolution = '已核实', ended_at = now()")

    again = await compared(channel)
    assert (again.open, (await the_difference())["state"]) == (0, "resolved")

    channel.rows.clear()
    channel.list(seen, amount_fen=1000)
    changed = await compared(channel)
    assert (changed.open, (await the_difference())["state"], (await the_difference())["reopened"]) == (1, "open", 1)


async def test_money_around_midnight_stands_on_the_neighbours_bill(channel: BillingChannel):
    channel.paid(await a_paid_payment())
    last_second = await a_paid_payment(paid_at=NOON.replace(hour=23, minute=59, second=59))
    seen = channel.paid(last_second)
    channel.rows.pop()
    channel.list(seen, at=NOON.replace(hour=0) + timedelta(days=1, seconds=1))
    first = await compared(channel)

    second = await compared(channel, DAY + timedelta(days=1))

    assert (first.open, second.open) == (1, 0)
    assert (await the_difference())["state"] == "repaired"


async def test_a_bill_that_is_not_made_yet_leaves_the_day_due(channel: BillingChannel):
    channel.bill_error = ChannelBillNotReady("wechat-pay", "STATEMENT_CREATING")

    done = await compared(channel)

    assert done.state is BillState.WAITING
    with clock.travel(by=timedelta(days=1)):
        assert DueBill(ACCOUNT, DAY) in await list_due_bills({"wechat_pay": channel})


async def test_a_bill_with_a_wrong_hash_is_refused_and_alarms_once(channel: BillingChannel):
    payment = await a_payment()
    channel.paid(payment)
    channel.bill_error = ChannelBillInvalid("wechat-pay", "hash", "the SHA-1 is another")

    done = [await compared(channel), await compared(channel)]

    assert {each.state for each in done} == {BillState.REFUSED}
    assert (await payment_row(payment.number))["state"] == PaymentState.PREPAID, "nothing of it is used"
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'bill.refused'") == 1
    channel.bill_error = None
    assert (await compared(channel)).ok
    assert await fetch_value("SELECT problem FROM bill_days") is None


async def test_a_day_without_trade_is_empty_only_if_we_have_nothing_either(channel: BillingChannel):
    empty = await compared(channel, DAY - timedelta(days=1))
    ours = await a_paid_payment()

    missing = await compared(channel)

    assert empty.state is BillState.EMPTY
    assert (missing.state, missing.open) == (BillState.COMPARED, 1)
    assert (await the_difference())["number"] == ours.number


async def test_a_channel_without_bills_is_asked_number_by_number(channel: BillingChannel):
    late, phantom = await a_payment(), await a_paid_payment()
    agreed, returned = await a_paid_payment(), await a_paid_payment()
    for each in (late, agreed, returned):
        channel.paid(each)
    async with transaction():
        number = await refund_remainder(returned.id, RefundCause.CANCELLED, "撤回申请")
    assert number
    channel.refunded(number, returned.number, 2000)
    channel.rows.clear()
    channel.bill_error = ChannelBillNotOffered("alipay")
    await tamper("UPDATE payments SET created_at = $1", NOON)
    await tamper("UPDATE refunds SET created_at = $1", NOON)

    done = await compared(channel)

    assert (done.paid_count, done.refund_count, done.repaired, done.open) == (3, 1, 2, 1)
    assert (await payment_row(late.number))["state"] == PaymentState.PAID
    assert (await payment_row(returned.number))["state"] == PaymentState.REFUNDED
    assert {row["number"]: row["kind"] for row in await differences()} == {
        late.number: "missing-here",
        number: "missing-here",
        phantom.number: "missing-there",
    }


async def test_when_the_channel_does_not_answer_nothing_is_recorded_and_the_day_stays_due(channel: BillingChannel):
    channel.bill_error = PartnerUnreachable("wechat-pay", "timeout")

    (done,) = await reconcile_day(DAY, channels={"wechat_pay": channel})

    assert done.unreachable
    assert not done.ok
    assert await fetch_value("SELECT count(*) FROM bill_days") == 0


async def test_two_runs_at_once_leave_one_history(channel: BillingChannel):
    for _ in range(4):
        channel.paid(await a_payment())
    await a_paid_payment()

    done = await asyncio.gather(*(compared(channel) for _ in range(4)))

    assert {each.open for each in done} == {1}
    assert len(await differences()) == 5
    assert await fetch_value("SELECT count(*) FROM ledger_groups") == 5
    assert await fetch_value("SELECT runs FROM bill_days") == 4


async def test_the_clock_asks_for_each_day_once_and_for_what_was_missed(channel: BillingChannel):
    with clock.travel(to=NOON.replace(hour=9) + timedelta(days=1)):
        before_ten = await list_due_bills({"wechat_pay": channel})
    with clock.travel(to=NOON.replace(hour=10) + timedelta(days=1)):
        channel.paid(await a_paid_payment(paid_at=NOON), paid_at=NOON)
        async with transaction():
            await jobs.enqueue("payments.bills", {})
        await jobs.drain()
        after = await list_due_bills({"wechat_pay": channel})

    assert max(each.day for each in before_ten) == DAY - timedelta(days=1)
    assert after == []
    rows = await fetch("SELECT day, state FROM bill_days ORDER BY day")
    assert [row["day"] for row in rows] == [DAY - timedelta(days=back) for back in range(6, -1, -1)]
    assert [row["state"] for row in rows] == ["empty"] * 6 + ["compared"]


def test_in_partner_mode_every_sub_merchant_has_a_bill_of_its_own(channel: BillingChannel):
    channel.sub_merchants = {"a": "1900000109", "b": "1900000110", "c": "1900000109"}

    assert [each.holder for each in list_accounts({"wechat_pay": channel})] == ["1900000109", "1900000110"]


async def test_catching_up_asks_about_everything_that_is_open_and_every_day_that_is_due(channel: BillingChannel):
    waiting, paid = await a_payment(), await a_payment()
    channel.orders[waiting.number] = a_channel_order(waiting, state=UNPAID)
    channel.orders[paid.number] = a_channel_order(paid)

    done = await catch_up(channels={"wechat_pay": channel})

    assert (done.queried, done.unanswered, done.ok) == (2, 0, True)
    assert (await payment_row(paid.number))["state"] == PaymentState.PAID
    assert (await payment_row(waiting.number))["state"] == PaymentState.PREPAID
    assert await states_of(paid.id) == ["prepaid", "paid"]
    assert len(done.days) == 7


@pytest.mark.usefixtures("channel")
async def test_catching_up_says_what_stayed_unanswered():
    await a_payment()

    done = await catch_up(channels={})

    assert (done.queried, done.unanswered, done.ok) == (1, 1, False)
    assert reconciliation_runs.newest_bill_day() == DAY - timedelta(days=1)


async def test_a_province_of_a_day_is_compared_in_a_few_statements(channel: BillingChannel):
    count = 24_000
    await tamper(
        "INSERT INTO payments (id, created_at, number, fee_id, resident_id, channel, amount_fen, currency, app_id, "
        "merchant_id, description, expires_at, state, state_at, transaction_id, paid_fen, paid_at, refunding_fen, "
        "refunded_fen, checks) SELECT gen_random_uuid(), $1, 'P20260302B' || lpad(n::text, 14, '0'), "
        "gen_random_uuid(), gen_random_uuid(), 'wechat_pay', 2000, 'CNY', 'wx', $2, '工本费', $1, 'paid', $1, "
        "'42' || lpad(n::text, 26, '0'), 2000, $1, 0, 0, 0 FROM generate_series(1, $3::int) n",
        NOON, MERCHANT_ID, count,
    )  # fmt: skip
    pattern = a_channel_order(await a_payment(), paid_at=NOON, transaction_id=a_transaction_id())
    for n in range(1, count):
        channel.list(pattern, number=f"P20260302B{n:014d}", transaction_id=f"42{n:026d}")
    started = clock.monotonic()

    done = await compared(channel)

    assert (done.paid_count, done.found, done.open) == (count - 1, 1, 1)
    assert (await the_difference())["number"] == f"P20260302B{count:014d}"
    assert clock.monotonic() - started < 20
