"""Beginning to pay: one open order per fee and channel, one number for ever, after any tap, loss or delay."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from backend import clock, jobs, payments
from backend.crypto import open_sealed
from backend.database import execute, transaction
from backend.identity.principals import AsResident
from backend.partners.paying.port import (
    ChannelOrderInConflict,
    ChannelOrderState,
    ChannelPayerRefused,
    PartnerBusy,
    PartnerUnreachable,
)
from backend.payments.errors import (
    FeeNotFound,
    FeeNotOpen,
    PayerNotKnown,
    PaymentBeingMade,
    PaymentChannelInvalid,
    PaymentClosed,
    PaymentNotFound,
)
from backend.settings import using
from models.events import EventRecord
from models.payments import Fee, Payment
from tests.factories.appointments import somebody
from tests.factories.identity import a_resident, an_openid
from tests.factories.payments import a_fee, fee_state, payment_row, states_of
from tests.factories.regions import a_department
from tests.factories.till import Till, with_tills

WECHAT = "wechat_pay"


async def over(number: str) -> None:
    """The order's time is up, by the clock of the database."""
    await execute("UPDATE payments SET expires_at = now() - interval '1 second' WHERE number = $1", number)


async def owing(**changes: object) -> tuple[AsResident, Fee]:
    resident = await a_resident()
    return resident, await a_fee(resident_id=resident.id, **changes)


async def test_a_payer_gets_what_the_front_end_needs(till: Till, channels: Mapping[str, Till]):
    openid = an_openid()
    resident = await a_resident(openid=openid)
    fee = await a_fee(resident_id=resident.id, unit_fen=1500, quantity=2)

    started = await payments.charge(resident, fee.id, WECHAT, channels=channels)

    row = await payment_row(started.number)
    assert (started.state, started.amount_fen) == ("prepaid", 3000)
    assert started.parameters["package"] == f"prepay_id={till.orders[started.number].prepay_id}"
    assert till.orders[started.number].wanted.payer == openid
    assert openid not in row["payer"]
    assert open_sealed(row["payer"], where="payments.payer", row=row["id"]) == openid
    assert await states_of(row["id"]) == ["created", "prepaid"]
    assert timedelta(minutes=29) < row["expires_at"] - clock.now() <= timedelta(minutes=30)
    assert await EventRecord.filter(name="payment.ordered").count() == 1


async def test_tapping_again_is_the_same_order_signed_afresh(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()

    first = await payments.charge(resident, fee.id, WECHAT, channels=channels)
    second = await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert second.number == first.number
    assert second.parameters["package"] == first.parameters["package"]
    assert second.parameters["nonceStr"] != first.parameters["nonceStr"]
    assert till.calls["place"] == 1


async def test_many_taps_at_once_make_one_order(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()

    tapped = await asyncio.gather(*(payments.charge(resident, fee.id, WECHAT, channels=channels) for _ in range(15)))

    assert len({each.number for each in tapped}) == 1
    assert len(till.orders) == 1
    assert await Payment.all().count() == 1
    assert await states_of((await payment_row(tapped[0].number))["id"]) == ["created", "prepaid"]


async def test_an_answer_that_was_lost_costs_nothing(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()
    till.lose("place")

    unanswered = await payments.charge(resident, fee.id, WECHAT, channels=channels)
    answered = await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert unanswered.parameters is None
    assert unanswered.retry_after == 2
    assert answered.number == unanswered.number
    assert answered.parameters is not None
    assert len(till.orders) == 1


@pytest.mark.parametrize("error", [PartnerUnreachable("x", "refused"), PartnerBusy("x", "429", retry_after=7)])
async def test_a_channel_that_does_not_answer_is_no_error_for_the_payer(
    till: Till, channels: Mapping[str, Till], error: Exception
):
    resident, fee = await owing()
    till.fail("place", error)

    started = await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert started.parameters is None
    assert started.state == "created"
    assert started.retry_after in (2, 7)


async def test_a_payer_whom_the_channel_refuses_gets_its_reason(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()
    till.fail("place", ChannelPayerRefused("x", "ACCOUNT_ERROR"))

    with pytest.raises(ChannelPayerRefused):
        await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert await fee_state(fee.id) == "open"


async def test_two_channels_have_an_order_each_and_the_second_money_goes_back(till: Till):
    other = Till("alipay")
    channels = with_tills(till, other)
    resident, fee = await owing()
    one, two = await asyncio.gather(
        payments.charge(resident, fee.id, WECHAT, channels=channels),
        payments.charge(resident, fee.id, "alipay", channels=channels),
    )
    till.pay(one.number)
    other.pay(two.number)

    await asyncio.gather(payments.check_payment(one.number), payments.check_payment(two.number))
    await jobs.drain()

    assert other.orders[two.number].wanted.payer == ""
    assert sorted([(await payment_row(each.number))["state"] for each in (one, two)]) == ["paid", "refunded"]
    assert await fee_state(fee.id) == "paid"
    assert till.calls["refund"] + other.calls["refund"] == 1


async def test_the_order_of_the_other_channel_is_closed_once_the_fee_is_paid(till: Till):
    other = Till("alipay")
    channels = with_tills(till, other)
    resident, fee = await owing()
    one = await payments.charge(resident, fee.id, WECHAT, channels=channels)
    two = await payments.charge(resident, fee.id, "alipay", channels=channels)
    till.pay(one.number)

    await payments.check_payment(one.number)
    await payments.enqueue_due_checks()
    await jobs.drain()

    assert other.orders[two.number].state is ChannelOrderState.CLOSED
    assert (await payment_row(two.number))["problem"] == "not-owed"


async def test_a_channel_that_is_not_offered_is_refused(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()

    with pytest.raises(PaymentChannelInvalid):
        await payments.charge(resident, fee.id, "unionpay", channels=channels)

    assert await Payment.all().count() == 0


async def test_an_order_that_is_over_is_closed_at_the_channel_and_a_new_one_made(
    till: Till, channels: Mapping[str, Till]
):
    resident, fee = await owing()
    first = await payments.charge(resident, fee.id, WECHAT, channels=channels)
    await over(first.number)

    second = await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert second.number != first.number
    assert till.orders[first.number].state is ChannelOrderState.CLOSED
    assert (await payment_row(first.number))["state"] == "closed"
    with pytest.raises(PaymentClosed):
        await payments.start_payment(resident, first.number, channels=channels)


async def test_no_new_order_while_the_old_one_cannot_be_closed(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()
    first = await payments.charge(resident, fee.id, WECHAT, channels=channels)
    await over(first.number)
    till.fail("close", PartnerUnreachable("x", "timeout", maybe_done=True))

    with pytest.raises(PaymentBeingMade):
        await payments.charge(resident, fee.id, WECHAT, channels=channels)
    async with transaction():
        with pytest.raises(PaymentBeingMade):
            await payments.reserve_order(resident, fee.id, WECHAT, channels=channels)

    assert await Payment.all().count() == 1


async def test_an_order_that_was_paid_in_its_last_second_is_found_when_a_new_one_is_wanted(
    till: Till, channels: Mapping[str, Till]
):
    resident, fee = await owing()
    first = await payments.charge(resident, fee.id, WECHAT, channels=channels)
    till.pay(first.number)
    await over(first.number)

    with pytest.raises(FeeNotOpen):
        await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert await fee_state(fee.id) == "paid"


async def test_an_order_that_is_paid_without_a_notice_is_found_by_a_query(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()
    till.lose("place")
    unanswered = await payments.charge(resident, fee.id, WECHAT, channels=channels)
    till.pay(unanswered.number)

    started = await payments.start_payment(resident, unanswered.number, channels=channels)

    assert (started.state, started.parameters) == ("paid", None)
    assert await fee_state(fee.id) == "paid"


async def test_an_order_that_the_channel_closed_or_has_otherwise_is_closed_here(
    till: Till, channels: Mapping[str, Till]
):
    for error in (None, ChannelOrderInConflict("x")):
        resident, fee = await owing()
        till.lose("place")
        unanswered = await payments.charge(resident, fee.id, WECHAT, channels=channels)
        if error is None:
            till.orders[unanswered.number].state = ChannelOrderState.CLOSED
        else:
            till.fail("place", error)

        with pytest.raises(PaymentClosed):
            await payments.start_payment(resident, unanswered.number, channels=channels)

        assert (await payment_row(unanswered.number))["state"] == "closed"
        again = await payments.charge(resident, fee.id, WECHAT, channels=channels)
        assert again.number != unanswered.number


async def test_another_residents_fee_and_order_do_not_exist(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()
    other = await a_resident()
    started = await payments.charge(resident, fee.id, WECHAT, channels=channels)

    with pytest.raises(FeeNotFound):
        await payments.charge(other, fee.id, WECHAT, channels=channels)
    with pytest.raises(PaymentNotFound):
        await payments.start_payment(other, started.number, channels=channels)


async def test_what_is_settled_cannot_be_paid(till: Till, channels: Mapping[str, Till]):
    for state, paid_by in (("waived", None), ("cancelled", None)):
        resident, fee = await owing(state=state, reason="-", paid_by_id=paid_by)
        with pytest.raises(FeeNotOpen):
            await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert till.calls["place"] == 0


async def test_whom_the_channel_does_not_know_cannot_pay_through_it(till: Till, channels: Mapping[str, Till]):
    resident = await somebody()
    fee = await a_fee(resident_id=resident.id)

    with pytest.raises(PayerNotKnown):
        await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert await Payment.all().count() == 0


async def test_the_order_of_another_payer_for_the_same_fee_gives_way(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()
    first = await payments.charge(resident, fee.id, WECHAT, channels=channels)
    heir = await a_resident()
    async with transaction():
        await payments.hand_over_fees(fee.subject_kind, fee.subject_id, heir.id)

    second = await payments.charge(heir, fee.id, WECHAT, channels=channels)

    assert second.number != first.number
    assert till.orders[first.number].state is ChannelOrderState.CLOSED


async def test_in_partner_mode_the_money_goes_to_the_department(till: Till, channels: Mapping[str, Till]):
    department, other = await a_department(), await a_department()
    till.sub_merchants = {department.uscc: "1900000109"}
    resident, fee = await owing(department_id=department.id)

    started = await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert till.orders[started.number].wanted.sub_merchant_id == "1900000109"
    foreign = await a_fee(resident_id=resident.id, department_id=other.id)
    with pytest.raises(PaymentChannelInvalid):
        await payments.charge(resident, foreign.id, WECHAT, channels=channels)


async def test_an_order_lives_as_long_as_the_settings_say_and_no_longer_than_its_parameters(
    till: Till, channels: Mapping[str, Till]
):
    resident, fee = await owing()

    with using(payment_order_minutes=10_000):
        started = await payments.charge(resident, fee.id, WECHAT, channels=channels)

    assert started.expires_at - clock.now() <= timedelta(minutes=110)


async def test_the_amount_cannot_change_while_an_order_is_open(till: Till, channels: Mapping[str, Till]):
    resident, fee = await owing()
    async with transaction():
        await payments.set_fee_quantity(fee.id, 3)
    started = await payments.charge(resident, fee.id, WECHAT, channels=channels)

    with pytest.raises(PaymentBeingMade):
        await payments.set_fee_quantity(fee.id, 4)

    assert started.amount_fen == 6000
