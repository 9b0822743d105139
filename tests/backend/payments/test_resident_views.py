"""The payer's page shows every path that money can take, in words, and only to the payer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from backend import clock, jobs
from backend.amounts import in_yuan
from backend.database import execute, transaction
from backend.identity.principals import AsResident, AsStaff
from backend.partners.paying.port import ChannelRefundState, PartnerUnreachable
from backend.payments import approving
from backend.payments.errors import PaymentNotFound
from backend.payments.refund_sending import check_refund
from backend.payments.refunding import refund_remainder
from backend.payments.resident_views import PaymentDetail, get_own_payment
from backend.payments.settling import settle_payment
from models.payments import Channel, Payment, RefundCause
from tests.backend.payments.fake_channel import FakeChannel, equipped
from tests.factories.identity import a_department_id
from tests.factories.payments import a_channel_order, a_fee, a_paid_payment, a_payment


@pytest.fixture
def channel() -> Iterator[FakeChannel]:
    with equipped(FakeChannel()) as each:
        yield each


async def page(payment: Payment) -> PaymentDetail:
    return await get_own_payment(AsResident(payment.resident_id, uuid7()), payment.number)


def way(seen: PaymentDetail) -> list[str]:
    return [each.step for each in seen.steps]


async def given_back(payment: Payment, cause: RefundCause = RefundCause.CANCELLED) -> str:
    async with transaction():
        number = await refund_remainder(payment.id, cause, "不再办理，原路退回")
    assert number is not None
    return number


async def test_an_order_that_waits_says_until_when_and_what_if_one_has_paid():
    with clock.travel(to=datetime(2026, 3, 2, 2, 0, tzinfo=UTC)):
        seen = await page(await a_payment())

    assert way(seen) == ["ordered"]
    assert (seen.amount_fen, seen.amount, seen.state_name) == (2000, "20.00元", "待支付")
    assert seen.where == "尚未收到您的付款。"
    assert seen.next == "请在3月2日10:30前完成支付；如您已付款，我们会在15分钟内核对到账。"
    assert seen.ordered_at.utcoffset() == timedelta(hours=8)


async def test_an_order_that_was_closed_says_that_nothing_came():
    seen = await page(await a_payment(state="closed"))

    assert way(seen) == ["ordered", "unpaid"]
    assert seen.where == "没有收到您的付款。"


async def test_a_payment_that_counts_says_so_and_promises_nothing():
    seen = await page(await a_paid_payment())

    assert way(seen) == ["ordered", "paid", "accepted"]
    assert (seen.where, seen.next, seen.paid) == ("钱已到账，并计入费用。", None, "20.00元")


@pytest.mark.parametrize(
    ("changes", "fee_state", "words"),
    [
        ({"amount_fen": 2500}, "open", "到账金额与应付金额不一致"),
        ({}, "waived", "付款到账时订单已关闭"),
    ],
)
async def test_money_that_does_not_count_says_why_and_that_all_of_it_comes_back(
    changes: dict[str, Any], fee_state: str, words: str, channel: FakeChannel
):
    payment = await a_payment()
    await execute("UPDATE fees SET state = $2, reason = '免' WHERE id = (SELECT fee_id FROM payments WHERE id = $1)",
                  payment.id, fee_state)  # fmt: skip
    await settle_payment(a_channel_order(payment, **changes), channel=Channel.WECHAT_PAY, known_by="query")
    promised = await page(payment)
    await jobs.drain()
    at_channel = await page(payment)
    channel.now(f"R{payment.number}A", ChannelRefundState.SUCCEEDED)
    await check_refund(f"R{payment.number}A")
    back = await page(payment)

    assert way(promised) == ["ordered", "paid", "not-counted", "refund-promised", "refund-at-channel"]
    assert words in promised.steps[2].text
    assert [each.done for each in promised.steps] == [True, True, True, True, False]
    assert "即将提交微信支付" in promised.where
    assert way(at_channel)[-1] == "refund-at-channel"
    assert at_channel.steps[-1].done
    assert "正在由微信支付退回" in at_channel.where
    assert way(back)[-1] == "refunded"
    assert "招商银行信用卡0403" in back.steps[-1].text
    assert back.where.endswith("已退回您的付款账户。")


async def test_a_refund_that_does_not_arrive_says_what_happens_next_and_whom_to_call(channel: FakeChannel):
    department = await a_department_id()
    payment = await a_paid_payment(await a_fee(department_id=department))
    channel.answers = ChannelRefundState.ABNORMAL
    await given_back(payment)
    await jobs.drain()

    seen = await page(payment)

    assert way(seen)[-1] == "refund-failed"
    assert "这笔钱仍为您保留" in seen.where
    assert seen.next is not None
    assert "工作人员" in seen.next
    assert (seen.contact.name, seen.contact.phone) == ("某局", "0100000000")


async def test_without_a_department_the_service_line_is_named():
    seen = await page(await a_paid_payment(await a_fee(department_id=None)))

    assert seen.contact.phone == "12345"


async def test_a_part_that_came_back_leaves_the_rest_counted(channel: FakeChannel):
    fee = await a_fee()
    payment = await a_paid_payment(fee)
    assert fee.department_id is not None
    channel.answers = ChannelRefundState.SUCCEEDED
    staff = AsStaff(uuid7(), fee.department_id, frozenset({approving.REQUEST_REFUNDS}))
    await approving.request_refund(staff, payment.number, 500, "多收工本费")
    await jobs.drain()

    seen = await page(payment)

    assert (seen.refunded, seen.state_name) == ("5.00元", "部分退款")
    assert seen.where == "5.00元已退回您的付款账户，其余15.00元已计入费用。"
    assert "多收工本费" in seen.steps[-2].text


async def test_an_unapproved_refund_is_no_promise(channel: FakeChannel):
    fee = await a_fee(unit_fen=50_000)
    payment = await a_paid_payment(fee)
    assert fee.department_id is not None
    staff = AsStaff(uuid7(), fee.department_id, frozenset({approving.REQUEST_REFUNDS}))
    await approving.request_refund(staff, payment.number, 30_000, "多收")

    seen = await page(payment)

    assert (way(seen), seen.refunds) == (["ordered", "paid", "accepted"], [])


async def test_our_own_errors_with_the_channel_are_not_the_payers_problem(channel: FakeChannel):
    payment = await a_paid_payment()
    channel.before = [PartnerUnreachable("wechat-pay", "timeout", maybe_done=True)]
    await given_back(payment)
    await jobs.drain()

    seen = await page(payment)

    assert way(seen)[-1] == "refund-at-channel"
    assert "timeout" not in str(seen)


async def test_another_residents_payment_and_none_at_all_cannot_be_distinguished():
    payment = await a_paid_payment()
    stranger = AsResident(uuid7(), uuid7())

    for number in (payment.number, "P20260101BBBBBBBBBBBBBBBB"):
        with pytest.raises(PaymentNotFound) as refused:
            await get_own_payment(stranger, number)
        assert refused.value.facts == {}


@pytest.mark.parametrize(("fen", "text"), [(0, "0.00元"), (1, "0.01元"), (100, "1.00元"), (123456, "1234.56元")])
def test_fen_are_read_as_yuan(fen: int, text: str):
    assert in_yuan(fen) == text
