"""After every answer of the channel and every crash: one number is sent, and the refund is made once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from backend import clock, jobs, partners
from backend.database import fetch, transaction
from backend.partners.paying.port import (
    ChannelNotEnoughMoney,
    ChannelOrderNotFound,
    ChannelPayerRefused,
    ChannelRefundState,
    PartnerBusy,
    PartnerError,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
)
from backend.payments import ledger, refund_sending
from backend.payments.errors import RefundNotFound
from backend.payments.refund_sending import check_refund, enqueue_due_refund_checks
from models.payments import Channel, RefundState
from tests.backend.payments.fake_channel import (
    FakeChannel,
    count_events,
    equipped,
    promised,
    refund_of,
    sent,
)
from tests.factories.payments import a_paid_payment, balance, payment_row, states_of

WECHAT = Channel.WECHAT_PAY
S = ChannelRefundState


@pytest.fixture
def channel() -> Iterator[FakeChannel]:
    with equipped(FakeChannel()) as each:
        yield each


RETRIED: list[PartnerError] = [
    PartnerUnreachable("wechat-pay", "500", maybe_done=True),
    PartnerBusy("wechat-pay", "FREQUENCY_LIMITED"),
    ChannelNotEnoughMoney("wechat-pay", "NOT_ENOUGH"),
    ChannelOrderNotFound("wechat-pay", "RESOURCE_NOT_EXISTS"),
    PartnerMisconfigured("wechat-pay", "SIGN_ERROR"),
]


@pytest.mark.parametrize("error", RETRIED, ids=lambda error: str(error.partner_code))
async def test_what_may_pass_is_asked_for_again_with_the_same_number(error: PartnerError, channel: FakeChannel):
    payment = await a_paid_payment()
    channel.before = [error]
    number = await sent(payment)
    waiting = await refund_of(number)

    with clock.travel(by=timedelta(hours=1)):
        assert await enqueue_due_refund_checks() == 1
        await jobs.drain()

    assert (waiting.state, waiting.problem) == (RefundState.APPROVED, error.partner_code)
    assert (await refund_of(number)).state is RefundState.PROCESSING
    assert list(channel.refunds) == [number]
    assert (await payment_row(payment.number))["refunding_fen"] == 2000


async def test_an_answer_that_was_lost_is_asked_for_again_and_the_money_goes_back_once(channel: FakeChannel):
    payment = await a_paid_payment()
    channel.afterwards = [PartnerUnreachable("wechat-pay", "timeout", maybe_done=True)] * 3
    number = await sent(payment)
    for hour in range(1, 4):
        with clock.travel(by=timedelta(hours=hour)):
            await enqueue_due_refund_checks()
            await jobs.drain()

    assert (await refund_of(number)).state is RefundState.PROCESSING
    assert list(channel.refunds) == [number]
    assert channel.calls["refund"] == 4


async def test_an_account_that_takes_nothing_makes_it_abnormal_and_keeps_it_promised(channel: FakeChannel):
    payment = await a_paid_payment()
    channel.before = [ChannelPayerRefused("wechat-pay", "USER_ACCOUNT_ABNORMAL")]
    number = await sent(payment)

    refund = await refund_of(number)
    assert (refund.state, refund.problem) == (RefundState.ABNORMAL, "USER_ACCOUNT_ABNORMAL")
    assert (await payment_row(payment.number))["refunding_fen"] == 2000
    assert await count_events("refund.failed") == 1


async def test_a_refusal_is_checked_by_a_query_before_it_counts(channel: FakeChannel):
    payment = await a_paid_payment()
    channel.afterwards = [PartnerRefused("wechat-pay", "INVALID_REQUEST")]
    number = await sent(payment)

    assert (await refund_of(number)).state is RefundState.PROCESSING
    assert channel.calls["query_refund"] == 1


async def test_a_refusal_of_what_the_channel_does_not_have_waits_for_a_person(channel: FakeChannel):
    payment = await a_paid_payment()
    channel.before = [PartnerRefused("wechat-pay", "PARAM_ERROR")]
    number = await sent(payment)

    refund = await refund_of(number)
    assert (refund.state, refund.problem, refund.check_after) == (RefundState.CLOSED, "PARAM_ERROR", None)
    assert (await payment_row(payment.number))["refunding_fen"] == 2000
    assert await count_events("refund.failed") == 1


async def test_a_refusal_about_which_no_query_answers_is_asked_for_later(channel: FakeChannel):
    payment = await a_paid_payment()
    channel.before = [PartnerRefused("wechat-pay", "PARAM_ERROR"), PartnerBusy("wechat-pay", "429")]
    number = await sent(payment)

    refund = await refund_of(number)
    assert (refund.state, refund.problem) == (RefundState.APPROVED, "429")
    assert refund.check_after is not None


async def test_a_refund_that_the_channel_has_forgotten_is_asked_for_with_the_same_number(channel: FakeChannel):
    payment = await a_paid_payment()
    number = await sent(payment)
    channel.refunds.clear()

    await check_refund(number)

    assert list(channel.refunds) == [number]


async def test_the_job_may_run_twice(channel: FakeChannel):
    payment = await a_paid_payment()
    number = await promised(payment)
    refund = await refund_of(number)

    await asyncio.gather(*(refund_sending.send_refund(refund.id) for _ in range(4)))
    channel.now(number, S.SUCCEEDED)
    await refund_sending.send_refund(refund.id)
    await jobs.drain()

    assert list(channel.refunds) == [number]
    assert (await payment_row(payment.number))["refunded_fen"] == 2000
    assert await states_of(refund.id) == ["approved", "processing", "succeeded"]


class Killed(BaseException):
    """The process is gone: nothing of ours runs after it."""


@pytest.mark.parametrize("step", ["before-the-call", "after-the-call", "in-the-mark", "after-the-mark"])
async def test_after_a_crash_at_any_step_the_refund_goes_on_and_is_made_once(
    step: str, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
):
    payment = await a_paid_payment()
    channel.answers = S.SUCCEEDED
    number = await promised(payment)
    refund = await refund_of(number)
    settle_payment = refund_sending.settle_refund

    async def dying(*args: Any, **more: Any) -> RefundState:
        if step == "after-the-call":
            raise Killed
        async with transaction():
            state = await settle_payment(*args, **more)
            if step == "in-the-mark":
                raise Killed
        raise Killed(state)

    with monkeypatch.context() as patch:
        if step == "before-the-call":
            channel.before = [Killed()]  # type: ignore[list-item]
        else:
            patch.setattr(refund_sending, "settle_refund", dying)
        with pytest.raises(Killed):
            await refund_sending.send_refund(refund.id)
    with clock.travel(by=timedelta(hours=2)):
        await enqueue_due_refund_checks()
        await jobs.drain()

    after = await payment_row(payment.number)
    assert list(channel.refunds) == [number]
    assert (await refund_of(number)).state is RefundState.SUCCEEDED
    assert (after["refunding_fen"], after["refunded_fen"], after["state"]) == (0, 2000, "refunded")
    assert await balance(ledger.channel_account("wechat_pay", payment.merchant_id)) == 0
    assert await count_events("refund.succeeded") == 1


async def test_without_a_notice_the_sweeper_finds_out(channel: FakeChannel):
    payment = await a_paid_payment()
    number = await sent(payment)
    channel.now(number, S.SUCCEEDED)
    asked_now = await enqueue_due_refund_checks()

    with clock.travel(by=timedelta(minutes=15)):
        await enqueue_due_refund_checks()
        await jobs.drain()

    assert asked_now == 0
    assert (await refund_of(number)).state is RefundState.SUCCEEDED
    assert await fetch("SELECT 1 FROM refunds WHERE check_after IS NOT NULL") == []


async def test_questions_become_rarer_and_never_stop_while_money_is_owed(channel: FakeChannel):
    payment = await a_paid_payment()
    number = await sent(payment)
    pauses = []
    for _ in range(9):
        await check_refund(number)
        due = (await refund_of(number)).check_after
        assert due is not None
        pauses.append(round((due - clock.now()).total_seconds()))

    assert pauses == sorted(pauses)
    assert pauses[-1] == 3600


async def test_a_channel_that_is_switched_off_keeps_the_refund_waiting(channel: FakeChannel):
    payment = await a_paid_payment()
    await promised(payment)
    before = partners.in_use()
    partners.equip(partners.Partners(wechat=before.wechat, sms=None, wire=before.wire, channels={}))
    await jobs.drain()

    refund = await refund_of(f"R{payment.number}A")
    assert (refund.state, refund.problem) == (RefundState.APPROVED, "channel-off")


async def test_an_unknown_number_is_not_found(channel: FakeChannel):
    with pytest.raises(RefundNotFound):
        await check_refund("R0")


async def test_an_abnormal_refund_that_is_repaired_on_the_channels_side_is_found_by_asking(channel: FakeChannel):
    payment = await a_paid_payment()
    channel.answers = S.ABNORMAL
    number = await sent(payment)
    stuck = await refund_of(number)
    channel.now(number, S.SUCCEEDED)

    with clock.travel(by=timedelta(hours=2)):
        assert await enqueue_due_refund_checks() == 1
        await jobs.drain()

    assert stuck.state is RefundState.ABNORMAL
    assert (await refund_of(number)).state is RefundState.SUCCEEDED
    assert (await payment_row(payment.number))["refunded_fen"] == 2000
    assert channel.calls["refund"] == 1
