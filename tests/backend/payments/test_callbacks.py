"""Pushes of a channel: each has one effect however often and however many at once, and is answered after it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import permutations

import pytest
from msgspec import structs
from prometheus_client import REGISTRY

from backend import crypto, jobs, payments
from backend.database import fetch, fetch_row, fetch_value, transaction
from backend.partners.paying.port import (
    ChannelOrder,
    ChannelOrderState,
    ChannelRefund,
    ChannelRefundState,
    OrderRequest,
    PaymentNoticeSignatureInvalid,
)
from backend.payments.errors import PaymentNoticeMismatch, PaymentNoticeOrderNotFound
from backend.payments.settling import PARTNERS
from models.callbacks import InboundMessage
from models.events import EventRecord
from models.payments import Channel, Payment, RefundCause
from tests.factories.payments import (
    a_channel_order,
    a_fee,
    a_payment,
    balance,
    fee_state,
    payment_row,
    states_of,
)
from tests.factories.till import StoredOrder, Till

TILL = "channel:wechat_pay:1900000001"


async def ingest(till: Till, body: bytes) -> None:
    await payments.ingest_notice(till, {}, body)


def there(till: Till, payment: Payment, seen: ChannelOrder) -> None:
    """The channel really has it so."""
    wanted = OrderRequest(
        number=payment.number, description="-", amount_fen=payment.amount_fen, payer="-", expires_at=payment.expires_at
    )
    till.orders[payment.number] = StoredOrder(
        wanted, "wx", seen.state, seen.transaction_id, seen.amount_fen, seen.paid_at, seen.payer
    )


async def test_a_notice_is_kept_sealed_with_its_effect(till: Till):
    payment = await a_payment()

    await ingest(till, till.notice(a_channel_order(payment), "notice-1"))

    kept = await InboundMessage.get()
    assert (kept.partner, kept.partner_id, kept.state) == ("wechat-pay", "notice-1", "handled")
    assert "it said" not in kept.body
    assert "it said" in crypto.open_sealed(kept.body, where="inbound_messages.body", row=kept.id)
    assert (await payment_row(payment.number))["state"] == "paid"
    assert await states_of(payment.id) == ["prepaid", "paid"]
    who = await fetch_value("SELECT actor FROM payment_transitions WHERE to_state = 'paid'")
    assert who == "partner:wechat-pay"


def repeated_count() -> float:
    """How many notices were found to be known already."""
    return (
        REGISTRY.get_sample_value("zhangban_callbacks_total", {"partner": "wechat-pay", "outcome": "repeated"}) or 0.0
    )


async def test_forty_copies_at_once_and_fifteen_later_have_one_effect(till: Till):
    payment = await a_payment()
    body = till.notice(a_channel_order(payment), "notice-1")

    await asyncio.gather(*(ingest(till, body) for _ in range(40)))
    before = repeated_count()
    for _ in range(15):
        await ingest(till, body)

    assert repeated_count() - before == 15
    assert await InboundMessage.all().count() == 1
    assert await balance(TILL) == 2000
    assert await states_of(payment.id) == ["prepaid", "paid"]
    assert await EventRecord.filter(name="fee.paid").count() == 1


async def test_another_notice_of_the_same_money_is_kept_and_moves_nothing(till: Till):
    payment = await a_payment()
    seen = a_channel_order(payment)

    await ingest(till, till.notice(seen, "notice-1"))
    await ingest(till, till.notice(seen, "notice-2"))

    assert await InboundMessage.filter(state="handled").count() == 2
    assert await balance(TILL) == 2000


async def test_a_forged_notice_leaves_nothing(till: Till):
    payment = await a_payment()

    with pytest.raises(PaymentNoticeSignatureInvalid):
        await ingest(till, b"forged")

    assert await InboundMessage.all().count() == 0
    assert (await payment_row(payment.number))["state"] == "prepaid"


async def test_a_number_that_we_do_not_have_is_refused_until_we_have_it(till: Till):
    fee = await a_fee()
    payment = await a_payment(fee)
    await fetch("DELETE FROM payments WHERE number = $1", payment.number)
    body = till.notice(a_channel_order(payment))

    with pytest.raises(PaymentNoticeOrderNotFound):
        await ingest(till, body)
    assert await InboundMessage.all().count() == 0
    await a_payment(fee, number=payment.number)
    await ingest(till, body)

    assert (await payment_row(payment.number))["state"] == "paid"


MISMATCHES: dict[str, dict[str, object]] = {
    "amount": {"amount_fen": 1999},
    "currency": {"currency": "USD"},
    "app_id": {"app_id": "wx0000000000000000"},
    "merchant_id": {"merchant_id": "1900000009"},
    "payer": {"payer": "oSomebodyElse0000000000000000"},
    "sub_merchant_id": {"sub_merchant_id": "1900000109"},
    "transaction_id": {"transaction_id": None},
}


@pytest.mark.parametrize("what", MISMATCHES)
async def test_a_notice_that_does_not_fit_is_kept_moves_nothing_and_the_truth_is_asked(till: Till, what: str):
    payment = await a_payment()
    there(till, payment, a_channel_order(payment))
    body = till.notice(a_channel_order(payment, **MISMATCHES[what]))

    for _ in range(3):
        with pytest.raises(PaymentNoticeMismatch):
            await ingest(till, body)

    row = await fetch_row("SELECT state FROM inbound_messages")
    assert row["state"] == "received"
    assert (await payment_row(payment.number))["state"] == "prepaid"
    assert await balance(TILL) == 0
    event = await EventRecord.get(name="payment.notice-mismatched")
    assert what in event.payload
    await jobs.drain()
    assert (await payment_row(payment.number))["state"] == "paid"


async def test_another_amount_that_the_channel_confirms_is_refunded_and_its_notice_is_accepted_then(till: Till):
    fee = await a_fee()
    payment = await a_payment(fee)
    wrong = a_channel_order(payment, amount_fen=1)
    there(till, payment, wrong)
    body = till.notice(wrong)

    with pytest.raises(PaymentNoticeMismatch):
        await ingest(till, body)
    await jobs.drain()
    await ingest(till, body)

    assert (await payment_row(payment.number))["state"] == "refunded"
    assert await fee_state(fee.id) == "open"
    assert await balance(TILL) == 0
    assert await fetch_value("SELECT state FROM inbound_messages") == "handled"


async def test_closed_and_paid_end_the_same_in_either_order(till: Till):
    ends = []
    for order in permutations((ChannelOrderState.CLOSED, ChannelOrderState.PAID)):
        fee = await a_fee()
        payment = await a_payment(fee)
        paid = a_channel_order(payment)
        for state in order:
            seen = paid if state is ChannelOrderState.PAID else a_channel_order(payment, state=state)
            await ingest(till, till.notice(seen))
        ends.append(((await payment_row(payment.number))["state"], await fee_state(fee.id)))

    assert ends == [("paid", "paid")] * 2


async def test_what_we_do_not_act_upon_is_kept(till: Till):
    await ingest(till, till.notice(None, "foreign"))
    await ingest(till, till.notice(None, "foreign"))

    assert await InboundMessage.filter(partner_id="foreign").count() == 1


async def two_refunds(till: Till) -> tuple[Payment, ChannelOrder, ChannelRefund, ChannelRefund]:
    """A payment of 20 yuan with two refunds of 5 and 15 that the channel has taken and not finished."""
    till.refunds_at_once = False
    payment = await a_payment()
    paid = a_channel_order(payment)
    await payments.settle_payment(paid, channel=payment.channel, known_by="query")
    numbers = []
    async with transaction() as connection:
        for count, fen in enumerate((500, 1500), 1):
            number = f"R{payment.number}{count:02d}"
            await connection.execute(
                "INSERT INTO refunds (id, created_at, number, payment_id, amount_fen, cause, reason, requested_by, "
                "state, state_at, checks) VALUES (gen_random_uuid(), now(), $1, $2, $3, 'staff', '退', "
                "gen_random_uuid(), 'processing', now(), 0)",
                number, payment.id, fen,
            )  # fmt: skip
            await connection.execute(
                "UPDATE payments SET refunding_fen = refunding_fen + $2 WHERE id = $1", payment.id, fen
            )
            numbers.append((number, fen))
    seen = [
        ChannelRefund(
            number=number, payment_number=payment.number, state=ChannelRefundState.SUCCEEDED,
            merchant_id=payment.merchant_id, refund_id=f"50{number[-4:]}", transaction_id=paid.transaction_id,
            amount_fen=fen, total_fen=2000, succeeded_at=paid.paid_at,
        )
        for number, fen in numbers
    ]  # fmt: skip
    return payment, paid, seen[0], seen[1]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_payment_and_refunds_end_the_same_in_every_order_with_repeats(till: Till, order: tuple[int, ...]):
    payment, *said = await two_refunds(till)
    bodies = [till.notice(each) for each in said]

    for place in (*order, *reversed(order), *order):
        await ingest(till, bodies[place])
    await asyncio.gather(*(ingest(till, body) for body in bodies * 4))

    row = await payment_row(payment.number)
    assert (row["state"], row["refunded_fen"], row["refunding_fen"]) == ("refunded", 2000, 0)
    assert await fetch_value("SELECT count(*) FROM ledger_groups") == 3
    assert await balance(TILL) == 0
    assert await fetch_value("SELECT sum(amount_fen) FROM ledger_postings") == 0
    assert await InboundMessage.all().count() == 3


async def test_a_refund_that_does_not_fit_is_kept_and_moves_nothing(till: Till):
    payment, _, first, _ = await two_refunds(till)
    wrong = structs.replace(first, amount_fen=501)
    body = till.notice(wrong)

    for _ in range(2):
        with pytest.raises(PaymentNoticeMismatch):
            await ingest(till, body)

    assert (await payment_row(payment.number))["refunded_fen"] == 0
    assert await InboundMessage.filter(state="received").count() == 1
    assert await EventRecord.filter(name="payment.notice-mismatched").count() == 1


async def test_the_refund_of_an_order_that_we_do_not_have_is_refused_and_not_kept(till: Till):
    _, _, first, _ = await two_refunds(till)
    foreign = ChannelRefund(
        **{name: getattr(first, name) for name in ChannelRefund.__struct_fields__}
        | {"number": "R-unknown", "payment_number": "P00000000"}
    )

    with pytest.raises(PaymentNoticeOrderNotFound):
        await ingest(till, till.notice(foreign))

    assert await InboundMessage.all().count() == 0


async def test_a_notice_of_surplus_money_promises_its_refund_in_the_same_transaction(till: Till):
    fee = await a_fee(state="waived", reason="-")
    payment = await a_payment(fee)

    await ingest(till, till.notice(a_channel_order(payment)))

    row = await fetch_row("SELECT number, amount_fen, cause FROM refunds")
    assert tuple(row) == (f"R{payment.number}A", 2000, RefundCause.LATE.value)
    assert (await payment_row(payment.number))["refunding_fen"] == 2000


def test_every_channel_has_a_name_under_which_its_notices_are_kept(channels: Mapping[str, Till]):
    assert set(PARTNERS) == set(Channel)
    assert set(channels) <= set(PARTNERS)
