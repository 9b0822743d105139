"""A refund that the channel made without us is queried, our amounts follow it, and operators are alarmed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import msgspec
import pytest

from backend import jobs
from backend.database import fetch, fetch_value, transaction
from backend.partners.paying.port import ChannelOrderState, ChannelRefund, ChannelRefundState
from backend.payments import ledger
from backend.payments.errors import PaymentNotFound
from backend.payments.refund_settling import settle_refund
from backend.payments.refunding import refund_remainder
from backend.payments.settling import settle_payment
from backend.payments.unrequested_refunds import adopt_refund
from models.payments import Channel, Payment, RefundCause, RefundState
from tests.backend.payments.fake_channel import FakeChannel, equipped, refund_of
from tests.factories.payments import a_channel_order, a_paid_payment, a_payment, balance, payment_row

WECHAT = Channel.WECHAT_PAY
DONE = ChannelRefundState.SUCCEEDED


@pytest.fixture
def channel() -> Iterator[FakeChannel]:
    with equipped(FakeChannel()) as each:
        yield each


async def report(seen: ChannelRefund) -> None:
    await settle_refund(seen, channel=WECHAT, known_by="notice")
    await jobs.drain()


async def alarms() -> list[bool]:
    rows = await fetch(
        "SELECT payload::jsonb ->> 'counted' AS counted FROM events WHERE name = 'refund.unrequested' ORDER BY id"
    )
    return [row["counted"] == "true" for row in rows]


async def stands(payment: Payment) -> tuple[str, int, int]:
    row = await payment_row(payment.number)
    return row["state"], row["refunding_fen"], row["refunded_fen"]


async def test_a_refund_of_the_console_is_recorded_counted_and_alarms(channel: FakeChannel):
    payment = await a_paid_payment()
    seen = channel.given(payment, "50000000382019052709732678859", 700, DONE)

    for _ in range(3):
        await report(seen)

    refund = await refund_of(seen.number)
    assert (refund.cause, refund.state, refund.amount_fen) == (RefundCause.CONSOLE, RefundState.SUCCEEDED, 700)
    assert await stands(payment) == ("part_refunded", 0, 700)
    assert await balance(ledger.channel_account("wechat_pay", payment.merchant_id)) == 1300
    assert await alarms() == [True]


async def test_it_counts_as_the_channel_answers_and_not_as_the_notice_states(channel: FakeChannel):
    payment = await a_paid_payment()
    seen = channel.given(payment, "console-1", 700, DONE)

    await report(msgspec.structs.replace(seen, amount_fen=2000))

    assert await stands(payment) == ("part_refunded", 0, 700)


async def test_a_notice_of_what_the_channel_does_not_know_moves_nothing(channel: FakeChannel):
    payment = await a_paid_payment()
    seen = channel.given(payment, "console-1", 700, DONE)
    channel.refunds.clear()

    await report(seen)

    assert await stands(payment) == ("paid", 0, 0)
    assert await adopt_refund(WECHAT, payment.number, "console-1") is None


async def test_one_that_came_to_nothing_at_the_channel_moves_nothing(channel: FakeChannel):
    payment = await a_paid_payment()

    await report(channel.given(payment, "console-1", 700, ChannelRefundState.CLOSED))

    assert await stands(payment) == ("paid", 0, 0)


async def test_one_that_is_under_way_is_followed_to_its_end(channel: FakeChannel):
    payment = await a_paid_payment()
    await report(channel.given(payment, "console-1", 700, ChannelRefundState.PROCESSING))
    under_way = await stands(payment)

    await report(channel.now("console-1", DONE))

    assert under_way == ("paid", 700, 0)
    assert await stands(payment) == ("part_refunded", 0, 700)


async def test_more_than_what_is_left_is_not_counted_and_alarms(channel: FakeChannel):
    payment = await a_paid_payment()
    async with transaction():
        await refund_remainder(payment.id, RefundCause.CANCELLED, "不再办理")
    await jobs.drain()

    await report(channel.given(payment, "console-1", 700, DONE))

    assert await stands(payment) == ("paid", 2000, 0)
    assert await alarms() == [False]
    assert (await payment_row(payment.number))["problem"] == "unrequested-refund"


async def test_part_of_money_that_does_not_count_leaves_it_what_it_is(channel: FakeChannel):
    payment = await a_payment()
    seen = a_channel_order(payment, amount_fen=2500)
    await settle_payment(seen, channel=WECHAT, known_by="query")
    assert (await payment_row(payment.number))["state"] == "surplus"

    await report(channel.given(payment, "console-1", 700, DONE))

    assert await stands(payment) == ("surplus", 2500, 0)
    assert await alarms() == [False]


@pytest.mark.parametrize("order", list(itertools.permutations(["paid", "refund 1", "refund 2"])), ids=">".join)
async def test_payment_and_refunds_reported_in_any_order_and_repeated_end_alike(
    order: tuple[str, ...], channel: FakeChannel
):
    payment = await a_payment()
    paid = a_channel_order(payment, state=ChannelOrderState.REFUNDED)
    channel.orders[payment.number] = paid
    payment.transaction_id = paid.transaction_id
    refunds = {f"refund {each}": channel.given(payment, f"console-{each}", 600, DONE) for each in (1, 2)}

    for what in (*order, *reversed(order)):
        if what == "paid":
            await settle_payment(paid, channel=WECHAT, known_by="notice")
        else:
            await report(refunds[what])
        await jobs.drain()

    assert await stands(payment) == ("part_refunded", 0, 1200)
    assert await balance(ledger.channel_account("wechat_pay", payment.merchant_id)) == 800
    assert await fetch_value("SELECT sum(amount_fen)::bigint FROM ledger_postings") == 0


async def test_taken_over_from_many_sides_at_once_it_counts_once(channel: FakeChannel):
    payment = await a_paid_payment()
    channel.given(payment, "console-1", 700, DONE)

    await asyncio.gather(*(adopt_refund(WECHAT, payment.number, "console-1") for _ in range(6)))

    assert await stands(payment) == ("part_refunded", 0, 700)
    assert await alarms() == [True]


async def test_what_we_lost_in_a_restore_comes_back_under_its_own_number(channel: FakeChannel):
    payment = await a_paid_payment()
    number = f"R{payment.number}A"
    await report(channel.given(payment, number, 2000, DONE))

    async with transaction():
        again = await refund_remainder(payment.id, RefundCause.CANCELLED, "不再办理")

    assert again == number
    assert await stands(payment) == ("refunded", 0, 2000)


async def test_a_payment_that_is_not_ours_is_not_looked_into(channel: FakeChannel):
    with pytest.raises(PaymentNotFound):
        await adopt_refund(WECHAT, "P20260101BBBBBBBBBBBBBBBB", "console-1")
