"""Truth without notices: every open order is asked about in time, closed when it is over, and looked at once more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from backend import clock, jobs, payments
from backend.database import execute, fetch_value, transaction
from backend.identity.principals import AsResident
from backend.partners.paying.port import ChannelOrderState, PartnerUnreachable
from backend.payments.errors import PaymentNotFound
from backend.settings import settings
from models.events import EventRecord
from models.payments import Fee, PaymentState
from tests.factories.identity import a_resident
from tests.factories.payments import a_fee, a_payment, fee_state, payment_row
from tests.factories.till import Till, with_tills


async def an_order(till: Till, **changes: object) -> tuple[AsResident, Fee, str]:
    """A resident who has just been handed what they need to pay."""
    resident = await a_resident()
    fee = await a_fee(resident_id=resident.id, **changes)
    started = await payments.charge(resident, fee.id, till.name, channels={till.name: till})
    return resident, fee, started.number


async def over(number: str) -> None:
    await execute("UPDATE payments SET expires_at = now() - interval '1 second' WHERE number = $1", number)


async def swept(**by: float) -> None:
    """The sweeper runs so much later, and what it wants asked is asked."""
    with clock.travel(by=timedelta(**by)):
        await payments.enqueue_due_checks()
        await jobs.drain()


async def test_money_without_any_notice_is_found_within_the_promised_time(till: Till):
    _, fee, number = await an_order(till)
    till.pay(number)

    await swept(seconds=30)
    assert till.calls["query"] == 0
    await swept(seconds=61)

    assert await fee_state(fee.id) == "paid"
    assert (await payment_row(number))["check_after"] is None
    assert await fetch_value("SELECT cause FROM payment_transitions WHERE to_state = 'paid'") == "query"


async def test_no_pause_between_two_questions_is_longer_than_the_settings_say(till: Till):
    _, _, number = await an_order(till)
    row, pauses = await payment_row(number), []

    now = clock.now()
    while len(pauses) < 12:
        due = (await payment_row(number))["check_after"]
        pauses.append((due - now).total_seconds())
        now = max(due, now)
        with clock.travel(to=now):
            await payments.enqueue_due_checks()

    longest = settings().payment_check_longest_seconds
    assert max(pauses) <= longest + 1
    assert longest + settings().payment_check_seconds < 15 * 60
    assert pauses[:3] == sorted(pauses[:3])
    assert row["expires_at"] + timedelta(seconds=1) == _behind_the_end(row["expires_at"], pauses, row)


def _behind_the_end(end: object, pauses: list[float], row: Mapping[str, object]) -> object:
    """The first question that is asked after the order is over."""
    begin = row["check_after"] - timedelta(seconds=pauses[0])  # type: ignore[operator]
    moment = begin
    for pause in pauses:
        moment += timedelta(seconds=pause)
        if moment > end:  # type: ignore[operator]
            return moment.replace(microsecond=0)
    return None


async def test_an_order_that_is_over_is_closed_there_and_then_here(till: Till):
    _, fee, number = await an_order(till)
    await over(number)

    await swept(minutes=2)

    assert till.orders[number].state is ChannelOrderState.CLOSED
    assert (await payment_row(number))["state"] == "closed"
    assert (await payment_row(number))["problem"] == "expired"
    assert await fee_state(fee.id) == "open"
    assert await EventRecord.filter(name="payment.closed").count() == 1


class PaidInTheLastSecond(Till):
    """The payer confirms while we close."""

    async def close(self, number: str, *, sub_merchant_id: str | None = None) -> None:
        self.pay(number)
        await super().close(number, sub_merchant_id=sub_merchant_id)


async def test_an_order_that_is_paid_while_we_close_it_counts():
    till = PaidInTheLastSecond()
    with_tills(till)
    _, fee, number = await an_order(till)
    await over(number)

    assert await payments.check_payment(number) is PaymentState.PAID

    assert await fee_state(fee.id) == "paid"


async def test_money_that_comes_after_the_close_is_found_by_the_last_look(till: Till):
    _, fee, number = await an_order(till)
    await over(number)
    await swept(minutes=2)
    till.pay(number)

    await swept(minutes=30)

    assert await fee_state(fee.id) == "paid"
    assert (await payment_row(number))["state"] == "paid"


async def test_the_last_look_is_the_last(till: Till):
    _, _, number = await an_order(till)
    await over(number)
    await swept(minutes=2)

    await swept(minutes=30)
    asked = till.calls["query"]
    await swept(hours=5)

    assert till.calls["query"] == asked
    assert (await payment_row(number))["check_after"] is None


async def test_an_order_that_the_channel_does_not_have_is_kept_until_it_is_over(till: Till):
    till.fail("place", PartnerUnreachable("x", "refused"))
    resident, _, number = await an_order(till)

    assert await payments.check_payment(number) is PaymentState.CREATED
    await over(number)
    assert await payments.check_payment(number) is PaymentState.CLOSED

    assert (await payments.charge(resident, (await payment_row(number))["fee_id"], till.name, channels={
        till.name: till
    })).number != number  # fmt: skip


@pytest.mark.parametrize("call", ["query", "close"])
async def test_a_channel_that_is_silent_is_asked_again(till: Till, call: str):
    _, _, number = await an_order(till)
    await over(number)
    till.fail(call, PartnerUnreachable("x", "timeout", maybe_done=True))

    await swept(minutes=2)
    assert (await payment_row(number))["state"] == "prepaid"
    await swept(minutes=10)

    assert (await payment_row(number))["state"] == "closed"


async def test_an_order_whose_fee_is_waived_is_closed_before_it_is_over(till: Till):
    _, fee, number = await an_order(till)
    await execute("UPDATE fees SET state = 'waived', reason = '-' WHERE id = $1", fee.id)

    assert await payments.check_payment(number) is PaymentState.CLOSED

    assert (await payment_row(number))["problem"] == "not-owed"
    assert till.orders[number].state is ChannelOrderState.CLOSED


async def test_an_order_that_still_may_be_paid_is_left_alone(till: Till):
    _, _, number = await an_order(till)

    assert await payments.check_payment(number) is PaymentState.PREPAID

    assert till.calls["close"] == 0


async def test_what_is_settled_is_not_asked_about(till: Till):
    _, _, number = await an_order(till)
    till.pay(number)
    assert await payments.check_payment(number) is PaymentState.PAID
    asked = till.calls["query"]

    assert await payments.check_payment(number) is PaymentState.PAID
    assert await payments.close_order(number, "expired") is PaymentState.PAID

    assert till.calls["query"] == asked
    with pytest.raises(PaymentNotFound):
        await payments.check_payment("P0000000000")


async def test_two_sweepers_take_an_order_once(till: Till):
    _, _, number = await an_order(till)

    with clock.travel(by=timedelta(minutes=2)):
        assert await payments.enqueue_due_checks() == 1
        assert await payments.enqueue_due_checks() == 0
        await jobs.drain()

    assert till.calls["query"] == 1
    assert (await payment_row(number))["checks"] == 1


async def test_a_channel_that_was_switched_off_stops_nothing_else(till: Till):
    await a_payment(channel="alipay", check_after=clock.now())
    _, fee, number = await an_order(till)
    till.pay(number)
    with_tills(till)

    await swept(minutes=2)

    assert await fee_state(fee.id) == "paid"


async def test_handing_a_fee_over_has_the_open_order_looked_at(till: Till):
    _, fee, number = await an_order(till)
    async with transaction():
        await payments.hand_over_fees(fee.subject_kind, fee.subject_id, None)

    assert (await payment_row(number))["check_after"] <= clock.now()
