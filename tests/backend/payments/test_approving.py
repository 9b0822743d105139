"""Staff refund what two people agree on, never more than was paid, and never approve their own requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from backend import clock, jobs
from backend.database import execute, fetch_value
from backend.errors import DomainError
from backend.identity.duties import check_duties
from backend.identity.errors import DutiesInConflict, DutyMissing
from backend.identity.principals import AsStaff
from backend.partners.paying.port import ChannelPayerRefused, ChannelRefundState, PartnerUnreachable
from backend.payments import approving
from backend.payments.errors import (
    PaymentNotFound,
    PaymentTransitionRefused,
    RefundCardRejected,
    RefundNotFound,
    RefundOwnRequest,
    RefundTooLate,
    RefundTooMuch,
    RefundTooOften,
)
from backend.payments.refund_sending import enqueue_due_refund_checks
from backend.payments.refund_settling import settle_refund
from models.payments import Channel, Payment, RefundState
from tests.backend.payments.fake_channel import CARD, FakeChannel, a_channel_refund, equipped, refund_of
from tests.factories.payments import a_fee, a_paid_payment, a_payment, fee_state, payment_row, states_of

BOTH = frozenset({approving.REQUEST_REFUNDS, approving.APPROVE_REFUNDS})
S = RefundState


@pytest.fixture
def channel() -> Iterator[FakeChannel]:
    with equipped(FakeChannel()) as each:
        yield each


def a_clerk(department_id: UUID, duties: frozenset[str] = BOTH) -> AsStaff:
    return AsStaff(uuid7(), department_id, duties)


async def paid(fen: int = 50_000) -> tuple[Payment, AsStaff, AsStaff]:
    """A payment of a department, and two of its people."""
    fee = await a_fee(unit_fen=fen)
    assert fee.department_id is not None
    return await a_paid_payment(fee), a_clerk(fee.department_id), a_clerk(fee.department_id)


async def asked(staff: AsStaff, payment: Payment, fen: int) -> str:
    return (await approving.request_refund(staff, payment.number, fen, "多收工本费")).number


async def outcomes(*calls: object) -> list[str]:
    """Codes of those that were refused, `ok` for the others."""
    done = await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[call-overload]
    for each in done:
        if isinstance(each, BaseException) and not isinstance(each, DomainError):
            raise each
    return [each.code if isinstance(each, DomainError) else "ok" for each in done]


async def test_a_small_refund_is_on_its_way_at_once(channel: FakeChannel):
    payment, first, _ = await paid()

    decided = await approving.request_refund(first, payment.number, 20_000, "多收工本费")
    await jobs.drain()

    refund = await refund_of(decided.number)
    assert decided == (f"R{payment.number}01", S.APPROVED)
    assert (refund.state, refund.requested_by, refund.approved_by) == (S.PROCESSING, first.id, None)
    assert (await payment_row(payment.number))["refunding_fen"] == 20_000


async def test_a_large_refund_waits_for_a_second_person(channel: FakeChannel):
    payment, first, second = await paid()
    decided = await approving.request_refund(first, payment.number, 20_001, "多收工本费")
    await jobs.drain()
    before = dict(channel.calls)

    await approving.approve_refund(second, decided.number)
    await jobs.drain()

    refund = await refund_of(decided.number)
    assert (decided.state, before) == (S.REQUESTED, {})
    assert (refund.state, refund.approved_by) == (S.PROCESSING, second.id)
    assert await states_of(refund.id) == ["requested", "approved", "processing"]


async def test_many_small_refunds_do_not_walk_around_the_second_person():
    payment, first, _ = await paid()

    states = [(await approving.request_refund(first, payment.number, 9_000, "多收")).state for _ in range(4)]

    assert states == [S.APPROVED, S.APPROVED, S.REQUESTED, S.REQUESTED]


async def test_the_requester_cannot_approve(channel: FakeChannel):
    payment, first, _ = await paid()
    number = await asked(first, payment, 30_000)

    with pytest.raises(RefundOwnRequest):
        await approving.approve_refund(first, number)

    assert (await refund_of(number)).state is S.REQUESTED


async def test_the_database_refuses_a_second_person_who_is_the_first():
    payment, first, _ = await paid()
    number = await asked(first, payment, 30_000)

    with pytest.raises(asyncpg.CheckViolationError):
        await execute("UPDATE refunds SET state = 'approved', approved_by = $2 WHERE number = $1", number, first.id)


async def test_of_many_who_agree_at_once_one_does_and_the_first_never(channel: FakeChannel):
    payment, first, second = await paid()
    number = await asked(first, payment, 30_000)
    others = [a_clerk(second.department_id) for _ in range(6)]

    codes = await outcomes(*(approving.approve_refund(each, number) for each in (first, *others, first)))
    await jobs.drain()

    assert (codes[0], codes[-1]) == ("refund-own-request", "refund-own-request")
    assert sorted(codes[1:-1]) == ["ok", *["payment-transition-refused"] * 5]
    assert list(channel.refunds) == [number]
    assert (await payment_row(payment.number))["refunding_fen"] == 30_000


async def test_agreeing_and_refusing_at_once_end_in_one_of_the_two():
    payment, first, second = await paid()
    number = await asked(first, payment, 30_000)
    third = a_clerk(second.department_id)

    codes = await outcomes(approving.approve_refund(second, number), approving.reject_refund(third, number, "依据不足"))

    state = (await refund_of(number)).state
    assert sorted(codes) == ["ok", "payment-transition-refused"]
    assert state is (S.APPROVED if codes[0] == "ok" else S.REJECTED)
    reserved = (await payment_row(payment.number))["refunding_fen"]
    assert reserved == (30_000 if state is S.APPROVED else 0)


async def test_twenty_requests_at_once_never_promise_more_than_was_paid():
    payment, first, second = await paid(10_000)

    codes = await outcomes(
        *(approving.request_refund(each, payment.number, 700, "多收") for each in [first, second] * 10)
    )

    row = await payment_row(payment.number)
    assert (codes.count("ok"), codes.count("refund-too-much")) == (14, 6)
    assert row["refunding_fen"] == 9_800
    promised = await fetch_value("SELECT sum(amount_fen)::bigint FROM refunds WHERE payment_id = $1", payment.id)
    assert promised == 9_800


async def test_what_was_refused_can_be_asked_for_again_under_a_new_number():
    payment, first, second = await paid()
    number = await asked(first, payment, 50_000)
    with pytest.raises(RefundTooMuch):
        await asked(first, payment, 1)

    await approving.reject_refund(second, number, "依据不足")
    again = await asked(first, payment, 50_000)

    refund = await refund_of(number)
    assert (refund.state, refund.problem) == (S.REJECTED, "依据不足")
    assert (number[-2:], again[-2:]) == ("01", "02")


async def test_one_may_take_ones_own_request_back():
    payment, first, _ = await paid()
    number = await asked(first, payment, 30_000)

    decided = await approving.reject_refund(first, number, "填错金额")

    assert decided.state is S.REJECTED
    assert (await payment_row(payment.number))["refunding_fen"] == 0


async def test_parts_come_back_one_by_one_until_everything_is_back(channel: FakeChannel):
    payment, first, _ = await paid(3_000)
    channel.answers = ChannelRefundState.SUCCEEDED
    states = []
    for fen in (1_000, 500, 1_500):
        await asked(first, payment, fen)
        await jobs.drain()
        row = await payment_row(payment.number)
        states.append((row["state"], row["refunded_fen"], await fee_state(row["fee_id"])))

    assert states == [
        ("part_refunded", 1_000, "paid"),
        ("part_refunded", 1_500, "paid"),
        ("refunded", 3_000, "cancelled"),
    ]


async def test_fifty_parts_are_the_most():
    payment, first, _ = await paid(5_100)
    for _ in range(50):
        await asked(first, payment, 100)

    with pytest.raises(RefundTooOften):
        await asked(first, payment, 100)


async def test_after_a_year_the_channel_gives_nothing_back():
    payment, first, second = await paid()
    number = await asked(first, payment, 30_000)

    with clock.travel(by=timedelta(days=366)):
        with pytest.raises(RefundTooLate):
            await asked(first, payment, 100)
        with pytest.raises(RefundTooLate):
            await approving.approve_refund(second, number)
    with clock.travel(by=timedelta(days=364)):
        assert (await approving.approve_refund(second, number)).state is S.APPROVED


async def test_nothing_is_refunded_of_an_unpaid_order():
    fee = await a_fee()
    payment = await a_payment(fee)
    assert fee.department_id is not None

    with pytest.raises(PaymentTransitionRefused):
        await asked(a_clerk(fee.department_id), payment, 100)


async def test_another_department_sees_nothing_of_it():
    payment, first, _ = await paid()
    number = await asked(first, payment, 30_000)
    stranger = a_clerk(uuid7())

    with pytest.raises(PaymentNotFound):
        await asked(stranger, payment, 100)
    for attempt in (
        approving.approve_refund(stranger, number),
        approving.reject_refund(stranger, number, "x"),
        approving.repeat_refund(stranger, number),
        approving.refund_to_card(stranger, number, CARD),
    ):
        with pytest.raises(RefundNotFound):
            await attempt


async def test_each_step_needs_its_duty():
    payment, first, _ = await paid()
    number = await asked(first, payment, 30_000)
    asks, agrees, idle = (
        a_clerk(first.department_id, frozenset(duties))
        for duties in ([approving.REQUEST_REFUNDS], [approving.APPROVE_REFUNDS], [])
    )

    for attempt in (
        approving.request_refund(agrees, payment.number, 100, "多收"),
        approving.approve_refund(asks, number),
        approving.reject_refund(asks, number, "x"),
        approving.repeat_refund(asks, number),
        approving.refund_to_card(idle, number, CARD),
    ):
        with pytest.raises(DutyMissing):
            await attempt


@pytest.mark.parametrize("power", ["staff.manage", "duties.grant", "audit.read"])
def test_staff_who_make_accounts_or_grant_duties_cannot_be_both_people_of_a_refund(power: str):
    with pytest.raises(DutiesInConflict):
        check_duties([approving.APPROVE_REFUNDS, power])


async def an_abnormal_one(channel: FakeChannel) -> tuple[Payment, str, AsStaff]:
    payment, first, second = await paid()
    channel.answers = ChannelRefundState.ABNORMAL
    number = await asked(first, payment, 10_000)
    await jobs.drain()
    assert (await refund_of(number)).state is S.ABNORMAL
    return payment, number, second


@pytest.mark.parametrize("state", [ChannelRefundState.ABNORMAL, ChannelRefundState.CLOSED])
async def test_what_did_not_arrive_is_asked_for_again_with_the_same_number(
    state: ChannelRefundState, channel: FakeChannel
):
    payment, first, second = await paid()
    channel.answers = state
    number = await asked(first, payment, 10_000)
    await jobs.drain()
    channel.now(number, ChannelRefundState.SUCCEEDED)

    assert (await approving.repeat_refund(second, number)).state is S.PROCESSING
    await jobs.drain()

    row = await payment_row(payment.number)
    assert list(channel.refunds) == [number]
    assert (await refund_of(number)).state is S.SUCCEEDED
    assert (row["refunding_fen"], row["refunded_fen"]) == (0, 10_000)


async def test_what_is_under_way_is_not_repeated(channel: FakeChannel):
    payment, first, second = await paid()
    number = await asked(first, payment, 10_000)
    await jobs.drain()

    with pytest.raises(PaymentTransitionRefused):
        await approving.repeat_refund(second, number)


async def test_an_abnormal_refund_can_go_to_a_bank_card_of_the_payer_which_is_kept_nowhere(channel: FakeChannel):
    _, number, second = await an_abnormal_one(channel)

    decided = await approving.refund_to_card(second, number, CARD)
    seen = channel.now(number, ChannelRefundState.SUCCEEDED)
    await settle_refund(seen, channel=Channel.WECHAT_PAY, known_by="notice")

    kept = await fetch_value(
        "SELECT count(*) FROM (SELECT r::text AS t FROM refunds r UNION ALL SELECT e::text FROM events e "
        "UNION ALL SELECT convert_from(payload, 'UTF8') FROM pgqueuer) s WHERE t LIKE $1 OR t LIKE $2",
        f"%{CARD.number}%",
        f"%{CARD.name}%",
    )
    assert decided.state is S.PROCESSING
    assert (await refund_of(number)).state is S.SUCCEEDED
    assert kept == 0


async def test_a_card_that_the_channel_does_not_take_leaves_it_abnormal(channel: FakeChannel):
    _, number, second = await an_abnormal_one(channel)
    channel.before = [ChannelPayerRefused("wechat-pay", "PARAM_ERROR")]

    with pytest.raises(ChannelPayerRefused):
        await approving.refund_to_card(second, number, CARD)

    refund = await refund_of(number)
    assert (refund.state, refund.problem) == (S.ABNORMAL, "PARAM_ERROR")


async def test_a_card_about_which_no_answer_came_is_asked_about(channel: FakeChannel):
    _, number, second = await an_abnormal_one(channel)
    channel.before = [PartnerUnreachable("wechat-pay", "timeout", maybe_done=True)]

    with pytest.raises(PartnerUnreachable):
        await approving.refund_to_card(second, number, CARD)
    before = (await refund_of(number)).state
    channel.now(number, ChannelRefundState.SUCCEEDED)
    with clock.travel(by=timedelta(hours=1)):
        await enqueue_due_refund_checks()
        await jobs.drain()

    assert before is S.PROCESSING
    assert (await refund_of(number)).state is S.SUCCEEDED


async def test_only_an_abnormal_refund_that_the_channel_knows_goes_to_a_card(channel: FakeChannel):
    payment, first, second = await paid()
    channel.before = [ChannelPayerRefused("wechat-pay", "USER_ACCOUNT_ABNORMAL")]
    number = await asked(first, payment, 10_000)
    await jobs.drain()

    with pytest.raises(RefundCardRejected):
        await approving.refund_to_card(second, number, CARD)

    assert (await refund_of(number)).state is S.ABNORMAL


async def test_a_success_of_a_refund_that_was_never_sent_is_refused():
    payment, first, _ = await paid()
    number = await asked(first, payment, 30_000)

    with pytest.raises(DomainError):
        await settle_refund(a_channel_refund(payment, number, 30_000), channel=Channel.WECHAT_PAY, known_by="notice")

    assert (await refund_of(number)).state is S.REQUESTED
