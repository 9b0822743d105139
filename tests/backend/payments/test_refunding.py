"""A refund is made once, for every answer of the channel, in any order of its notices, and after every crash."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from backend import clock, jobs
from backend.database import execute, fetch_value, transaction
from backend.partners.paying.port import (
    ChannelRefundState,
)
from backend.payments import ledger
from backend.payments.errors import PaymentNoticeMismatch, PaymentNoticeOrderNotFound
from backend.payments.refund_sending import check_refund
from backend.payments.refund_settling import settle_refund
from backend.payments.refunding import refund_remainder
from models.payments import Channel, Payment, RefundCause, RefundState
from tests.backend.payments.fake_channel import (
    FakeChannel,
    a_channel_refund,
    count_events,
    equipped,
    promised,
    refund_of,
    report,
    sent,
)
from tests.factories.payments import a_fee, a_paid_payment, a_payment, balance, fee_state, payment_row, states_of

WECHAT = Channel.WECHAT_PAY
S = ChannelRefundState


@pytest.fixture
def channel() -> Iterator[FakeChannel]:
    with equipped(FakeChannel()) as each:
        yield each


async def a_surplus(fen: int = 2500) -> Payment:
    """Money of another amount: it is there, and does not count."""
    payment = await a_payment(
        state="surplus", paid_fen=fen, paid_at=clock.now(), transaction_id="4200", check_after=None
    )
    lines = [(ledger.channel_account(payment.channel, payment.merchant_id), fen), (ledger.OWED, -fen)]
    async with transaction():
        await ledger.post(payment.number, "payment", clock.now(), lines)
    return payment


async def test_what_is_promised_is_reserved_sent_and_counted_back_when_it_arrives(channel: FakeChannel):
    payment = await a_paid_payment()
    number = await promised(payment)
    reserved = await payment_row(payment.number)
    await jobs.drain()
    under_way = await refund_of(number)
    channel.now(number, S.SUCCEEDED)

    assert await check_refund(number) is RefundState.SUCCEEDED

    assert number == f"R{payment.number}A"
    assert (reserved["refunding_fen"], reserved["refunded_fen"], reserved["state"]) == (2000, 0, "paid")
    assert under_way.state is RefundState.PROCESSING
    after = await payment_row(payment.number)
    assert (after["refunding_fen"], after["refunded_fen"], after["state"]) == (0, 2000, "refunded")
    refund = await refund_of(number)
    assert refund.account == "招商银行信用卡0403"
    assert refund.check_after is None
    assert await states_of(refund.id) == ["approved", "processing", "succeeded"]
    assert await states_of(payment.id) == ["paid", "refunded"]
    assert await balance(ledger.channel_account("wechat_pay", payment.merchant_id)) == 0
    assert (await count_events("refund.approved"), await count_events("refund.succeeded")) == (1, 1)


async def test_giving_back_again_is_the_same_refund(channel: FakeChannel):
    payment = await a_paid_payment()
    numbers = {await promised(payment) for _ in range(3)}
    await jobs.drain()

    assert len(numbers) == 1
    assert (await payment_row(payment.number))["refunding_fen"] == 2000
    assert channel.calls["refund"] == 1


async def test_giving_back_from_many_sides_at_once_is_one_refund(channel: FakeChannel):
    payment = await a_paid_payment()
    numbers = await asyncio.gather(*(promised(payment) for _ in range(8)))
    await jobs.drain()

    assert len(set(numbers)) == 1
    assert list(channel.refunds) == [numbers[0]]


async def test_giving_back_belongs_into_the_transaction_that_finds_the_reason():
    payment = await a_paid_payment()

    with pytest.raises(RuntimeError):
        await refund_remainder(payment.id, RefundCause.CANCELLED, "不再办理")


async def test_nothing_is_given_back_of_what_is_back_already(channel: FakeChannel):
    payment = await a_paid_payment()
    await execute("UPDATE payments SET refunded_fen = paid_fen, state = 'refunded' WHERE id = $1", payment.id)

    async with transaction():
        assert await refund_remainder(payment.id, RefundCause.CANCELLED, "不再办理") is None


async def test_money_that_does_not_count_goes_back_from_what_is_owed_to_payers(channel: FakeChannel):
    payment = await a_surplus(2500)
    number = await promised(payment, RefundCause.WRONG_AMOUNT)
    await jobs.drain()
    channel.now(number, S.SUCCEEDED)
    await check_refund(number)

    after = await payment_row(payment.number)
    assert (after["state"], after["refunded_fen"]) == ("refunded", 2500)
    assert await balance(ledger.OWED) == 0
    assert await fee_state(after["fee_id"]) == "open"


async def test_a_fee_whose_money_is_all_back_is_not_owed_any_more_and_can_be_raised_anew(channel: FakeChannel):
    payment = await a_paid_payment()
    number = await sent(payment)
    await report(payment, number, 2000, S.SUCCEEDED)
    fee_id = (await payment_row(payment.number))["fee_id"]

    assert await fee_state(fee_id) == "cancelled"
    assert await fetch_value("SELECT paid_by_id FROM fees WHERE id = $1", fee_id) is None
    assert await count_events("fee.cancelled") == 1


ORDERS = list(itertools.permutations([S.PROCESSING, S.ABNORMAL, S.SUCCEEDED]))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: ">".join(order))
async def test_in_any_order_and_however_often_it_is_reported_the_end_is_the_same(
    order: tuple[ChannelRefundState, ...], channel: FakeChannel
):
    payment = await a_paid_payment()
    number = await promised(payment)
    for state in (*order, *order):
        await report(payment, number, 2000, state)

    after = await payment_row(payment.number)
    assert (await refund_of(number)).state is RefundState.SUCCEEDED
    assert (after["refunding_fen"], after["refunded_fen"], after["state"]) == (0, 2000, "refunded")
    assert await fetch_value("SELECT count(*) FROM ledger_groups WHERE ref = $1", number) == 1
    assert await count_events("refund.succeeded") == 1


@pytest.mark.parametrize("order", list(itertools.permutations(["A", "01", "closed"])), ids="-".join)
async def test_two_refunds_of_one_payment_end_alike_in_every_order(order: tuple[str, ...], channel: FakeChannel):
    payment = await a_paid_payment()
    async with transaction():
        await execute("UPDATE payments SET refunding_fen = 500 WHERE id = $1", payment.id)
        await execute(
            "INSERT INTO refunds (id, created_at, number, payment_id, amount_fen, cause, reason, requested_by, state,"
            " state_at, checks) VALUES ($1, now(), $2, $1, 500, 'staff', '多收', $1, 'approved', now(), 0)",
            payment.id,
            f"R{payment.number}01",
        )
    number = await promised(payment)
    for each in (*order, *order):
        if each == "closed":
            await report(payment, number, 1500, S.ABNORMAL)
        else:
            await report(payment, f"R{payment.number}{each}", 1500 if each == "A" else 500, S.SUCCEEDED)

    after = await payment_row(payment.number)
    assert (after["refunding_fen"], after["refunded_fen"], after["state"]) == (0, 2000, "refunded")
    assert await balance(ledger.channel_account("wechat_pay", payment.merchant_id)) == 0


async def test_a_notice_ingested_twenty_times_at_once_counts_once(channel: FakeChannel):
    payment = await a_paid_payment()
    number = await sent(payment)

    await asyncio.gather(*(report(payment, number, 2000, S.SUCCEEDED) for _ in range(20)))

    assert (await payment_row(payment.number))["refunded_fen"] == 2000
    assert await fetch_value("SELECT count(*) FROM ledger_groups WHERE ref = $1", number) == 1


async def test_the_notice_may_come_while_we_wait_for_the_answer(channel: FakeChannel):
    payment = await a_paid_payment()
    number = await promised(payment)

    async def notice() -> None:
        await report(payment, number, 2000, S.SUCCEEDED)

    channel.during = notice
    await jobs.drain()

    assert (await refund_of(number)).state is RefundState.SUCCEEDED


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_fen": 1999},
        {"payment_number": "P20260101BBBBBBBBBBBBBBBB"},
        {"merchant_id": "1900000999"},
        {"transaction_id": "4200009999"},
        {"total_fen": 2001},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_notice_that_is_not_about_our_refund_moves_nothing(changes: dict[str, Any], channel: FakeChannel):
    payment = await a_paid_payment()
    number = await sent(payment)
    seen = a_channel_refund(payment, number, 2000)
    seen = msgspec.structs.replace(seen, **changes)

    with pytest.raises(PaymentNoticeMismatch):
        await settle_refund(seen, channel=WECHAT, known_by="notice")

    assert (await refund_of(number)).state is RefundState.PROCESSING


async def test_a_refund_of_a_payment_that_we_do_not_have_is_to_be_repeated():
    payment = await a_paid_payment()
    seen = a_channel_refund(payment, "R1", 1, payment_number="P20260101BBBBBBBBBBBBBBBB")

    with pytest.raises(PaymentNoticeOrderNotFound):
        await settle_refund(seen, channel=WECHAT, known_by="notice")


async def test_a_refund_of_the_whole_supersedes_undecided_requests(channel: FakeChannel):
    fee = await a_fee()
    payment = await a_paid_payment(fee)
    await execute("UPDATE payments SET refunding_fen = 700 WHERE id = $1", payment.id)
    await execute(
        "INSERT INTO refunds (id, created_at, number, payment_id, amount_fen, cause, reason, requested_by, state,"
        " state_at, checks) VALUES ($1, now(), $2, $1, 700, 'staff', '多收', $1, 'requested', now(), 0)",
        payment.id,
        f"R{payment.number}01",
    )

    number = await promised(payment)

    assert (await refund_of(f"R{payment.number}01")).state is RefundState.REJECTED
    assert (await refund_of(number)).amount_fen == 2000
    assert (await payment_row(payment.number))["refunding_fen"] == 2000
