"""The day's bill against ours: what disagrees is found, asked about, repaired if the channel confirms it, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from backend import clock
from backend.database import fetch_row, fetch_value, transaction
from backend.partners.paying.port import (
    ChannelRefundState,
)
from backend.payments import numbering, refund_settling
from backend.payments.refunding import refund_remainder
from models.payments import Channel, PaymentState, RefundCause
from tests.backend.payments.billing_channel import (
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
    a_channel_order,
    a_fee,
    a_paid_payment,
    a_payment,
    fee_state,
    payment_row,
)


@pytest.fixture
def channel() -> Iterator[BillingChannel]:
    with at_noon() as each:
        yield each


async def test_a_day_on_which_all_agrees_has_figures_and_no_difference(channel: BillingChannel):
    for _ in range(3):
        channel.paid(await a_paid_payment())

    done = await compared(channel)

    assert done.ok
    assert (done.paid_count, done.paid_fen, done.charge_fen) == (3, 6000, 36)
    assert await differences() == []
    assert channel.asked == [], "nothing was in doubt"
    day = await fetch_row("SELECT * FROM bill_days")
    assert (day["state"], day["runs"], day["digest"], day["paid_fen"]) == ("compared", 1, "d" * 40, 6000)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'bill.compared'") == 1


async def test_money_without_a_notice_is_queried_and_counted(channel: BillingChannel):
    fee = await a_fee()
    payment = await a_payment(fee)
    channel.paid(payment)

    done = await compared(channel)

    assert (done.found, done.repaired, done.open) == (1, 1, 0)
    assert (await payment_row(payment.number))["state"] == PaymentState.PAID
    assert await fee_state(fee.id) == "paid"
    assert (await fetch_value("SELECT cause FROM payment_transitions WHERE to_state = 'paid'")) == "bill"
    kept = await the_difference()
    assert (kept["kind"], kept["state"], kept["ours_state"], kept["bill_fen"]) == (
        "missing-here", "repaired", "prepaid", 2000,
    )  # fmt: skip
    assert (kept["query_state"], kept["query_fen"]) == ("paid", 2000)


async def test_money_for_an_order_that_was_closed_and_is_not_owed_goes_back_by_itself(channel: BillingChannel):
    fee = await a_fee()
    closed = await a_payment(fee, state=PaymentState.CLOSED)
    channel.paid(await a_paid_payment(fee))
    channel.paid(closed)

    done = await compared(channel)

    assert (done.repaired, done.open) == (1, 0)
    assert (await payment_row(closed.number))["state"] == PaymentState.SURPLUS
    assert await fetch_value("SELECT cause FROM refunds") == RefundCause.DOUBLE


async def test_a_difference_each_way_names_both_orders_and_corrects_nothing_silently(channel: BillingChannel):
    ours = await a_paid_payment()
    channel.orders[ours.number] = a_channel_order(ours, state=UNPAID)
    theirs = numbering.payment_number()
    channel.list(a_channel_order(ours, number=theirs, transaction_id="4200000000000000000000000099"), at=NOON)

    done = await compared(channel)

    assert (done.found, done.repaired, done.open) == (2, 0, 2)
    found = {row["number"]: row for row in await differences()}
    assert found.keys() == {ours.number, theirs}
    assert (found[ours.number]["kind"], found[ours.number]["query_state"]) == ("missing-there", "unpaid")
    unknown = found[theirs]
    assert (unknown["kind"], unknown["ours_state"], unknown["bill_fen"]) == ("unknown", None, 2000)
    assert (unknown["transaction_id"], unknown["moved_at"]) == ("4200000000000000000000000099", NOON)
    assert unknown["query_state"] == "channel-order-not-found"
    assert (await payment_row(ours.number))["state"] == PaymentState.PAID
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'bill-difference.found'") == 2


async def test_an_amount_that_differs_is_recorded_from_three_sources(channel: BillingChannel):
    payment = await a_paid_payment()
    seen = channel.paid(payment)
    channel.rows.clear()
    channel.list(seen, amount_fen=1999)

    done = await compared(channel)

    kept = await the_difference()
    assert done.open == 1
    assert (kept["kind"], kept["ours_fen"], kept["bill_fen"], kept["query_fen"]) == ("amount", 2000, 1999, 2000)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("transaction_id = '4200000000000000000000009999'", "other-transaction"),
        ("merchant_id = '1999'", "other-merchant"),
    ],
)
async def test_the_same_number_with_other_money_behind_it_is_a_difference(
    channel: BillingChannel, change: str, state: str
):
    channel.paid(await a_paid_payment())
    await tamper(f"UPDATE payments SET {change}")

    await compared(channel)

    kept = await the_difference()
    assert (kept["kind"], kept["bill_state"], kept["state"]) == ("state", state, "open")


async def test_a_refund_that_arrived_without_a_word_is_settled_by_the_bill(channel: BillingChannel):
    payment = await a_paid_payment()
    channel.paid(payment)
    async with transaction():
        number = await refund_remainder(payment.id, RefundCause.CANCELLED, "撤回申请")
    assert number
    channel.refunded(number, payment.number, 2000)

    done = await compared(channel)

    assert (done.refund_count, done.refund_fen, done.repaired, done.open) == (1, 2000, 1, 0)
    assert await fetch_value("SELECT state FROM refunds") == "succeeded"
    assert (await payment_row(payment.number))["state"] == PaymentState.REFUNDED
    assert (await the_difference())["payment_number"] == payment.number


async def test_a_refund_that_the_bill_shows_as_it_was_is_no_difference_when_we_know_more(channel: BillingChannel):
    payment = await a_paid_payment()
    channel.paid(payment)
    async with transaction():
        number = await refund_remainder(payment.id, RefundCause.CANCELLED, "撤回申请")
    assert number
    seen = channel.refunded(number, payment.number, 2000, state=ChannelRefundState.PROCESSING)
    await refund_settling.settle_refund(seen, channel=Channel.WECHAT_PAY, known_by="request")
    arrived = channel.refunds[number] = channel.refunded(number, payment.number, 2000)
    channel.rows.pop()
    with clock.travel(by=timedelta(days=1)):
        await refund_settling.settle_refund(arrived, channel=Channel.WECHAT_PAY, known_by="notice")

    done = await compared(channel)

    assert done.ok
    assert await differences() == []


async def test_a_refund_that_we_lost_is_taken_over_while_its_payment_is_ours(channel: BillingChannel):
    payment = await a_paid_payment()
    channel.paid(payment)
    number = numbering.staff_refund_number(payment.number, 1)
    channel.refunded(number, payment.number, 500)

    done = await compared(channel)

    assert (done.repaired, done.open) == (1, 0)
    row = await payment_row(payment.number)
    assert (row["state"], row["refunded_fen"]) == (PaymentState.PART_REFUNDED, 500)
    assert (await the_difference())["kind"] == "unknown"


async def test_a_refund_of_money_that_we_do_not_know_stays_visible_with_all_its_facts(channel: BillingChannel):
    lost = numbering.payment_number()
    channel.refunded(numbering.automatic_refund_number(lost), lost, 2000)

    done = await compared(channel)

    kept = await the_difference()
    assert done.open == 1
    assert (kept["entity"], kept["kind"], kept["payment_number"], kept["bill_fen"], kept["query_state"]) == (
        "refund", "unknown", lost, 2000, "succeeded",
    )  # fmt: skip


async def test_a_refund_that_we_sent_and_the_bill_lacks_is_missing_there(channel: BillingChannel):
    payment = await a_paid_payment()
    channel.paid(payment)
    async with transaction():
        number = await refund_remainder(payment.id, RefundCause.CANCELLED, "撤回申请")
    assert number
    seen = channel.refunded(number, payment.number, 2000)
    channel.rows.pop()
    await refund_settling.settle_refund(seen, channel=Channel.WECHAT_PAY, known_by="request")

    await compared(channel)

    kept = await the_difference()
    assert (kept["entity"], kept["kind"], kept["ours_state"]) == ("refund", "missing-there", "succeeded")
