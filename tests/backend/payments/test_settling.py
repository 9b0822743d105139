"""What a channel says of an order: money counts once, what does not count goes back, the same word moves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from backend import clock, jobs, payments
from backend.database import fetch, fetch_value, transaction
from backend.partners.paying.port import ChannelOrderState
from backend.payments.errors import PaymentNoticeOrderNotFound
from models.events import EventRecord
from models.payments import Channel, FeeState, PaymentState, Refund
from tests.factories.payments import (
    a_channel_order,
    a_fee,
    a_paid_payment,
    a_payment,
    balance,
    fee_state,
    payment_row,
    states_of,
)
from tests.factories.till import Till

WECHAT = Channel.WECHAT_PAY
OWED = "owed-to-payers"
TILL = "channel:wechat_pay:1900000001"


async def settled(payment: object, **changes: object) -> PaymentState:
    return await payments.settle_payment(a_channel_order(payment, **changes), channel=WECHAT, known_by="query")  # type: ignore[arg-type]


async def events(name: str) -> int:
    return await EventRecord.filter(name=name).count()


async def test_money_that_arrives_pays_the_fee_and_is_posted_once():
    fee = await a_fee()
    payment = await a_payment(fee)
    seen = a_channel_order(payment, paid_at=clock.now() - timedelta(minutes=3))

    for _ in range(3):
        assert await payments.settle_payment(seen, channel=WECHAT, known_by="query") is PaymentState.PAID

    row = await payment_row(payment.number)
    assert (row["paid_fen"], row["transaction_id"], row["paid_at"]) == (2000, seen.transaction_id, seen.paid_at)
    assert row["check_after"] is None
    assert await fee_state(fee.id) == "paid"
    assert await states_of(payment.id) == ["prepaid", "paid"]
    assert (await balance(TILL), await balance(f"revenue:{fee.department_id}")) == (2000, -2000)
    assert (await events("payment.succeeded"), await events("fee.paid")) == (1, 1)
    assert await fetch_value("SELECT at FROM ledger_groups") == seen.paid_at


async def test_many_who_know_it_at_once_settle_it_once():
    payment = await a_payment()
    seen = a_channel_order(payment)

    states = await asyncio.gather(
        *(payments.settle_payment(seen, channel=WECHAT, known_by="query") for _ in range(20)), return_exceptions=True
    )

    assert set(states) == {PaymentState.PAID}
    assert await balance(TILL) == 2000
    assert await events("fee.paid") == 1


@pytest.mark.parametrize("state", [PaymentState.CREATED, PaymentState.CLOSED])
async def test_money_counts_although_the_order_was_closed_or_never_confirmed(state: PaymentState):
    fee = await a_fee()
    payment = await a_payment(fee, state=state)

    assert await settled(payment) is PaymentState.PAID

    assert await fee_state(fee.id) == "paid"
    assert await Refund.all().count() == 0


@pytest.mark.parametrize("state", [FeeState.WAIVED, FeeState.CANCELLED])
async def test_money_for_what_is_not_owed_any_more_goes_back_whole(till: Till, state: FeeState):
    fee = await a_fee(state=state, reason="-")
    payment = await a_payment(fee, state=PaymentState.CLOSED)

    assert await settled(payment) is PaymentState.SURPLUS
    await jobs.drain()

    refund = await Refund.get()
    assert (refund.amount_fen, refund.cause, refund.state) == (2000, "late", "succeeded")
    assert (await payment_row(payment.number))["state"] == "refunded"
    assert (await balance(TILL), await balance(OWED)) == (0, 0)
    assert await fee_state(fee.id) == state


async def test_two_payments_of_one_fee_at_once_count_once_and_one_goes_back(till: Till):
    fee = await a_fee()
    one, other = await a_payment(fee), await a_payment(fee, channel=Channel.ALIPAY)

    await asyncio.gather(
        payments.settle_payment(a_channel_order(one), channel=WECHAT, known_by="query"),
        payments.settle_payment(a_channel_order(other), channel=Channel.ALIPAY, known_by="query"),
    )

    states = sorted([(await payment_row(each.number))["state"] for each in (one, other)])
    assert states == ["paid", "surplus"]
    assert (await Refund.get()).cause == "double"
    assert await balance(OWED) == -2000
    assert await events("payment.exceeded") == 1


async def test_a_second_order_that_is_open_is_looked_at_once_the_first_is_paid(till: Till):
    fee = await a_fee()
    one, other = await a_payment(fee), await a_payment(fee, channel=Channel.ALIPAY)

    await settled(one)

    assert (await payment_row(other.number))["check_after"] <= clock.now()


@pytest.mark.parametrize("fen", [1, 1999, 2001, 4000])
async def test_another_amount_that_the_channel_confirms_goes_back_whole(till: Till, fen: int):
    fee = await a_fee()
    payment = await a_payment(fee)

    assert await settled(payment, amount_fen=fen) is PaymentState.SURPLUS
    await jobs.drain()

    assert (await Refund.get()).amount_fen == fen
    assert await fee_state(fee.id) == "open"
    assert (await payment_row(payment.number))["state"] == "refunded"
    assert await balance(TILL) == 0


async def test_an_old_order_of_another_amount_than_the_fee_has_now_does_not_count():
    fee = await a_fee()
    payment = await a_payment(fee, state=PaymentState.CLOSED)
    async with transaction():
        await payments.set_fee_quantity(fee.id, 2)

    assert await settled(payment) is PaymentState.SURPLUS

    assert await fee_state(fee.id) == "open"
    assert (await Refund.get()).cause == "wrong-amount"


@pytest.mark.parametrize(
    "change",
    [
        {"app_id": "wx0000000000000000"},
        {"merchant_id": "1900000009"},
        {"currency": "USD"},
        {"sub_merchant_id": "1900000109"},
        {"transaction_id": None},
    ],
)
async def test_an_answer_about_another_order_moves_nothing_and_alarms_once(change: dict[str, object]):
    payment = await a_payment()

    for _ in range(3):
        assert await settled(payment, **change) is PaymentState.PREPAID

    assert await events("payment.notice-mismatched") == 1
    assert await fetch("SELECT 1 FROM ledger_groups") == []
    assert (await payment_row(payment.number))["problem"].endswith(next(iter(change)))


async def test_the_money_of_one_transaction_is_never_taken_twice():
    one, other = await a_payment(), await a_payment()
    seen = a_channel_order(one)
    await payments.settle_payment(seen, channel=WECHAT, known_by="query")

    assert await settled(other, transaction_id=seen.transaction_id) is PaymentState.PREPAID
    assert await settled(one, transaction_id="4200000000000000000000000000") is PaymentState.PAID

    assert await balance(TILL) == 2000
    assert await events("payment.notice-mismatched") == 2


async def test_any_payer_whom_the_channel_reports_has_paid():
    payment = await a_payment()

    assert await settled(payment, payer="oSomebodyElse0000000000000000") is PaymentState.PAID


async def test_the_channel_closes_an_order_and_says_so():
    payment = await a_payment()

    assert await settled(payment, state=ChannelOrderState.CLOSED) is PaymentState.CLOSED
    assert await settled(payment, state=ChannelOrderState.CLOSED) is PaymentState.CLOSED

    row = await payment_row(payment.number)
    assert row["problem"] == "closed-by-channel"
    assert row["check_after"] > clock.now()
    assert await states_of(payment.id) == ["prepaid", "closed"]
    assert await events("payment.closed") == 1


@pytest.mark.parametrize("state", [ChannelOrderState.UNPAID, ChannelOrderState.PAYING, ChannelOrderState.FAILED])
async def test_an_unpaid_order_stays_as_it_is(state: ChannelOrderState):
    payment = await a_payment()

    assert await settled(payment, state=state) is PaymentState.PREPAID

    assert await states_of(payment.id) == ["prepaid"]


@pytest.mark.parametrize("state", [ChannelOrderState.UNPAID, ChannelOrderState.CLOSED])
async def test_an_older_word_does_not_undo_what_was_paid(state: ChannelOrderState):
    payment = await a_paid_payment()

    assert await settled(payment, state=state) is PaymentState.PAID


async def test_an_order_that_is_refunded_there_was_paid_before():
    payment = await a_payment()

    assert await settled(payment, state=ChannelOrderState.REFUNDED) is PaymentState.PAID


async def test_a_number_that_we_do_not_have_or_have_at_another_channel_is_unknown():
    payment = await a_payment()

    with pytest.raises(PaymentNoticeOrderNotFound):
        await payments.settle_payment(a_channel_order(payment, number="P0000000"), channel=WECHAT, known_by="query")
    with pytest.raises(PaymentNoticeOrderNotFound):
        await payments.settle_payment(a_channel_order(payment), channel=Channel.ALIPAY, known_by="query")


async def test_cancelling_gives_back_what_was_paid_and_closes_what_is_open(till: Till, channels: Mapping[str, Till]):
    case = (await a_fee()).subject_id
    open_, paid = await a_fee(subject_id=case, charge_ref="a"), await a_fee(subject_id=case, charge_ref="b")
    waived = await a_fee(subject_id=case, charge_ref="c", state=FeeState.WAIVED, reason="低保家庭")
    order, payment = await a_payment(open_), await a_paid_payment(paid)

    for _ in range(2):
        async with transaction():
            await payments.cancel_fees("case", case, "申请已撤回")
    await payments.enqueue_due_checks()
    await jobs.drain()

    assert [await fee_state(each.id) for each in (open_, paid, waived)] == ["cancelled", "cancelled", "waived"]
    assert (await payment_row(order.number))["state"] == "closed"
    assert (await payment_row(payment.number))["state"] == "refunded"
    assert (await Refund.get()).cause == "cancelled"
    assert await balance(TILL) == 0
    assert await events("fee.cancelled") == 3
