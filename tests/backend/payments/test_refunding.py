"""Money goes back once, whatever the channel answers, in whatever order it is heard, and whoever dies on the way."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from backend import clock, jobs, partners
from backend.database import execute, fetch, fetch_value, transaction
from backend.partners.paying.port import (
    NotEnoughMoney,
    OrderUnknown,
    PartnerBusy,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerTrouble,
    PartnerUnreachable,
    PayerRefused,
    RefundAtChannel,
)
from backend.payments import ledger, refund_sending
from backend.payments.errors import NoticeMismatch, NoticeOfUnknownOrder, RefundNotFound
from backend.payments.refunding import check_refund, give_back, settle_refund, sweep_refunds
from models.events import EventRecord
from models.payments import Channel, Payment, RefundCause, RefundState
from tests.backend.payments.pretend import PretendChannel, a_seen_refund, equipped, refund_of
from tests.factories.payments import a_fee, a_paid_payment, a_payment, balance, fee_state, moves_of, payment_row

WECHAT = Channel.WECHAT_PAY
S = RefundAtChannel


@pytest.fixture
def channel() -> Iterator[PretendChannel]:
    with equipped(PretendChannel()) as each:
        yield each


async def promised(payment: Payment, cause: RefundCause = RefundCause.CANCELLED) -> str:
    async with transaction():
        number = await give_back(payment.id, cause, "不再办理，原路退回")
    assert number is not None
    return number


async def sent(payment: Payment) -> str:
    number = await promised(payment)
    await jobs.drain()
    return number


async def heard(payment: Payment, number: str, amount: int, state: RefundAtChannel, known_by: str = "notice") -> None:
    await settle_refund(a_seen_refund(payment, number, amount, state=state), channel=WECHAT, known_by=known_by)


async def told(name: str) -> int:
    return await EventRecord.filter(name=name).count()


async def a_surplus(fen: int = 2500) -> Payment:
    """Money of another amount: it is there, and does not count."""
    payment = await a_payment(
        state="surplus", paid_fen=fen, paid_at=clock.now(), transaction_id="4200", check_after=None
    )
    lines = [(ledger.channel_account(payment.channel, payment.merchant_id), fen), (ledger.OWED, -fen)]
    async with transaction():
        await ledger.post(payment.number, "payment", clock.now(), lines)
    return payment


async def test_what_is_promised_is_set_aside_sent_and_counted_back_when_it_arrives(channel: PretendChannel):
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
    assert await moves_of(refund.id) == ["approved", "processing", "succeeded"]
    assert await moves_of(payment.id) == ["paid", "refunded"]
    assert await balance(ledger.channel_account("wechat_pay", payment.merchant_id)) == 0
    assert (await told("refund.approved"), await told("refund.succeeded")) == (1, 1)


async def test_giving_back_again_is_the_same_refund(channel: PretendChannel):
    payment = await a_paid_payment()
    numbers = {await promised(payment) for _ in range(3)}
    await jobs.drain()

    assert len(numbers) == 1
    assert (await payment_row(payment.number))["refunding_fen"] == 2000
    assert channel.calls["refund"] == 1


async def test_giving_back_from_many_sides_at_once_is_one_refund(channel: PretendChannel):
    payment = await a_paid_payment()
    numbers = await asyncio.gather(*(promised(payment) for _ in range(8)))
    await jobs.drain()

    assert len(set(numbers)) == 1
    assert list(channel.refunds) == [numbers[0]]


async def test_giving_back_belongs_into_the_transaction_that_finds_the_reason():
    payment = await a_paid_payment()

    with pytest.raises(RuntimeError):
        await give_back(payment.id, RefundCause.CANCELLED, "不再办理")


async def test_nothing_is_given_back_of_what_is_back_already(channel: PretendChannel):
    payment = await a_paid_payment()
    await execute("UPDATE payments SET refunded_fen = paid_fen, state = 'refunded' WHERE id = $1", payment.id)

    async with transaction():
        assert await give_back(payment.id, RefundCause.CANCELLED, "不再办理") is None


async def test_money_that_does_not_count_goes_back_from_what_is_owed_to_payers(channel: PretendChannel):
    payment = await a_surplus(2500)
    number = await promised(payment, RefundCause.WRONG_AMOUNT)
    await jobs.drain()
    channel.now(number, S.SUCCEEDED)
    await check_refund(number)

    after = await payment_row(payment.number)
    assert (after["state"], after["refunded_fen"]) == ("refunded", 2500)
    assert await balance(ledger.OWED) == 0
    assert await fee_state(after["fee_id"]) == "open"


async def test_a_fee_whose_money_is_all_back_is_not_owed_any_more_and_can_be_raised_anew(channel: PretendChannel):
    payment = await a_paid_payment()
    number = await sent(payment)
    await heard(payment, number, 2000, S.SUCCEEDED)
    fee_id = (await payment_row(payment.number))["fee_id"]

    assert await fee_state(fee_id) == "cancelled"
    assert await fetch_value("SELECT paid_by_id FROM fees WHERE id = $1", fee_id) is None
    assert await told("fee.cancelled") == 1


ORDERS = list(itertools.permutations([S.PROCESSING, S.ABNORMAL, S.SUCCEEDED]))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: ">".join(order))
async def test_in_whatever_order_and_however_often_it_is_heard_the_end_is_the_same(
    order: tuple[RefundAtChannel, ...], channel: PretendChannel
):
    payment = await a_paid_payment()
    number = await promised(payment)
    for state in (*order, *order):
        await heard(payment, number, 2000, state)

    after = await payment_row(payment.number)
    assert (await refund_of(number)).state is RefundState.SUCCEEDED
    assert (after["refunding_fen"], after["refunded_fen"], after["state"]) == (0, 2000, "refunded")
    assert await fetch_value("SELECT count(*) FROM ledger_groups WHERE ref = $1", number) == 1
    assert await told("refund.succeeded") == 1


@pytest.mark.parametrize("order", list(itertools.permutations(["A", "01", "closed"])), ids="-".join)
async def test_two_refunds_of_one_payment_end_alike_in_every_order(order: tuple[str, ...], channel: PretendChannel):
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
            await heard(payment, number, 1500, S.ABNORMAL)
        else:
            await heard(payment, f"R{payment.number}{each}", 1500 if each == "A" else 500, S.SUCCEEDED)

    after = await payment_row(payment.number)
    assert (after["refunding_fen"], after["refunded_fen"], after["state"]) == (0, 2000, "refunded")
    assert await balance(ledger.channel_account("wechat_pay", payment.merchant_id)) == 0


async def test_a_notice_heard_twenty_times_at_once_counts_once(channel: PretendChannel):
    payment = await a_paid_payment()
    number = await sent(payment)

    await asyncio.gather(*(heard(payment, number, 2000, S.SUCCEEDED) for _ in range(20)))

    assert (await payment_row(payment.number))["refunded_fen"] == 2000
    assert await fetch_value("SELECT count(*) FROM ledger_groups WHERE ref = $1", number) == 1


async def test_the_notice_may_come_while_we_wait_for_the_answer(channel: PretendChannel):
    payment = await a_paid_payment()
    number = await promised(payment)

    async def notice() -> None:
        await heard(payment, number, 2000, S.SUCCEEDED)

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
async def test_a_notice_that_is_not_about_our_refund_moves_nothing(changes: dict[str, Any], channel: PretendChannel):
    payment = await a_paid_payment()
    number = await sent(payment)
    seen = a_seen_refund(payment, number, 2000)
    seen = msgspec.structs.replace(seen, **changes)

    with pytest.raises(NoticeMismatch):
        await settle_refund(seen, channel=WECHAT, known_by="notice")

    assert (await refund_of(number)).state is RefundState.PROCESSING


async def test_a_refund_of_a_payment_that_we_do_not_have_is_to_be_told_again():
    payment = await a_paid_payment()
    seen = a_seen_refund(payment, "R1", 1, payment_number="P20260101BBBBBBBBBBBBBBBB")

    with pytest.raises(NoticeOfUnknownOrder):
        await settle_refund(seen, channel=WECHAT, known_by="notice")


RETRIED: list[PartnerTrouble] = [
    PartnerUnreachable("wechat-pay", "500", maybe_done=True),
    PartnerBusy("wechat-pay", "FREQUENCY_LIMITED"),
    NotEnoughMoney("wechat-pay", "NOT_ENOUGH"),
    OrderUnknown("wechat-pay", "RESOURCE_NOT_EXISTS"),
    PartnerMisconfigured("wechat-pay", "SIGN_ERROR"),
]


@pytest.mark.parametrize("trouble", RETRIED, ids=lambda trouble: str(trouble.partner_code))
async def test_what_may_pass_is_asked_for_again_with_the_same_number(trouble: PartnerTrouble, channel: PretendChannel):
    payment = await a_paid_payment()
    channel.before = [trouble]
    number = await sent(payment)
    waiting = await refund_of(number)

    with clock.travel(by=timedelta(hours=1)):
        assert await sweep_refunds() == 1
        await jobs.drain()

    assert (waiting.state, waiting.trouble) == (RefundState.APPROVED, trouble.partner_code)
    assert (await refund_of(number)).state is RefundState.PROCESSING
    assert list(channel.refunds) == [number]
    assert (await payment_row(payment.number))["refunding_fen"] == 2000


async def test_an_answer_that_was_lost_is_asked_for_again_and_the_money_goes_back_once(channel: PretendChannel):
    payment = await a_paid_payment()
    channel.afterwards = [PartnerUnreachable("wechat-pay", "timeout", maybe_done=True)] * 3
    number = await sent(payment)
    for hour in range(1, 4):
        with clock.travel(by=timedelta(hours=hour)):
            await sweep_refunds()
            await jobs.drain()

    assert (await refund_of(number)).state is RefundState.PROCESSING
    assert list(channel.refunds) == [number]
    assert channel.calls["refund"] == 4


async def test_an_account_that_takes_nothing_makes_it_abnormal_and_keeps_it_promised(channel: PretendChannel):
    payment = await a_paid_payment()
    channel.before = [PayerRefused("wechat-pay", "USER_ACCOUNT_ABNORMAL")]
    number = await sent(payment)

    refund = await refund_of(number)
    assert (refund.state, refund.trouble) == (RefundState.ABNORMAL, "USER_ACCOUNT_ABNORMAL")
    assert (await payment_row(payment.number))["refunding_fen"] == 2000
    assert await told("refund.troubled") == 1


async def test_a_refusal_is_checked_by_a_query_before_it_is_believed(channel: PretendChannel):
    payment = await a_paid_payment()
    channel.afterwards = [PartnerRefused("wechat-pay", "INVALID_REQUEST")]
    number = await sent(payment)

    assert (await refund_of(number)).state is RefundState.PROCESSING
    assert channel.calls["query_refund"] == 1


async def test_a_refusal_of_what_the_channel_does_not_have_waits_for_a_person(channel: PretendChannel):
    payment = await a_paid_payment()
    channel.before = [PartnerRefused("wechat-pay", "PARAM_ERROR")]
    number = await sent(payment)

    refund = await refund_of(number)
    assert (refund.state, refund.trouble, refund.check_after) == (RefundState.CLOSED, "PARAM_ERROR", None)
    assert (await payment_row(payment.number))["refunding_fen"] == 2000
    assert await told("refund.troubled") == 1


async def test_a_refusal_about_which_no_query_answers_is_asked_for_later(channel: PretendChannel):
    payment = await a_paid_payment()
    channel.before = [PartnerRefused("wechat-pay", "PARAM_ERROR"), PartnerBusy("wechat-pay", "429")]
    number = await sent(payment)

    refund = await refund_of(number)
    assert (refund.state, refund.trouble) == (RefundState.APPROVED, "429")
    assert refund.check_after is not None


async def test_a_refund_that_the_channel_has_forgotten_is_asked_for_with_the_same_number(channel: PretendChannel):
    payment = await a_paid_payment()
    number = await sent(payment)
    channel.refunds.clear()

    await check_refund(number)

    assert list(channel.refunds) == [number]


async def test_the_job_may_run_twice(channel: PretendChannel):
    payment = await a_paid_payment()
    number = await promised(payment)
    refund = await refund_of(number)

    await asyncio.gather(*(refund_sending.send(refund.id) for _ in range(4)))
    channel.now(number, S.SUCCEEDED)
    await refund_sending.send(refund.id)
    await jobs.drain()

    assert list(channel.refunds) == [number]
    assert (await payment_row(payment.number))["refunded_fen"] == 2000
    assert await moves_of(refund.id) == ["approved", "processing", "succeeded"]


class Killed(BaseException):
    """The process is gone: nothing of ours runs after it."""


@pytest.mark.parametrize("step", ["before-the-call", "after-the-call", "in-the-mark", "after-the-mark"])
async def test_whoever_dies_at_any_step_is_followed_and_the_money_goes_back_once(
    step: str, channel: PretendChannel, monkeypatch: pytest.MonkeyPatch
):
    payment = await a_paid_payment()
    channel.answers = S.SUCCEEDED
    number = await promised(payment)
    refund = await refund_of(number)
    settle = refund_sending.settle_refund

    async def dying(*args: Any, **more: Any) -> RefundState:
        if step == "after-the-call":
            raise Killed
        async with transaction():
            state = await settle(*args, **more)
            if step == "in-the-mark":
                raise Killed
        raise Killed(state)

    with monkeypatch.context() as patch:
        if step == "before-the-call":
            channel.before = [Killed()]  # type: ignore[list-item]
        else:
            patch.setattr(refund_sending, "settle_refund", dying)
        with pytest.raises(Killed):
            await refund_sending.send(refund.id)
    with clock.travel(by=timedelta(hours=2)):
        await sweep_refunds()
        await jobs.drain()

    after = await payment_row(payment.number)
    assert list(channel.refunds) == [number]
    assert (await refund_of(number)).state is RefundState.SUCCEEDED
    assert (after["refunding_fen"], after["refunded_fen"], after["state"]) == (0, 2000, "refunded")
    assert await balance(ledger.channel_account("wechat_pay", payment.merchant_id)) == 0
    assert await told("refund.succeeded") == 1


async def test_without_a_notice_the_sweeper_finds_out(channel: PretendChannel):
    payment = await a_paid_payment()
    number = await sent(payment)
    channel.now(number, S.SUCCEEDED)
    asked_now = await sweep_refunds()

    with clock.travel(by=timedelta(minutes=15)):
        await sweep_refunds()
        await jobs.drain()

    assert asked_now == 0
    assert (await refund_of(number)).state is RefundState.SUCCEEDED
    assert await fetch("SELECT 1 FROM refunds WHERE check_after IS NOT NULL") == []


async def test_questions_become_rarer_and_never_stop_while_money_is_owed(channel: PretendChannel):
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


async def test_a_channel_that_is_switched_off_keeps_the_refund_waiting(channel: PretendChannel):
    payment = await a_paid_payment()
    await promised(payment)
    before = partners.in_use()
    partners.equip(partners.Partners(wechat=before.wechat, sms=None, wire=before.wire, channels={}))
    await jobs.drain()

    refund = await refund_of(f"R{payment.number}A")
    assert (refund.state, refund.trouble) == (RefundState.APPROVED, "channel-off")


async def test_a_number_that_nobody_gave_out_is_not_found(channel: PretendChannel):
    with pytest.raises(RefundNotFound):
        await check_refund("R0")


async def test_a_refund_of_the_whole_ends_requests_that_nobody_decided_on(channel: PretendChannel):
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
