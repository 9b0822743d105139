"""Refunds against the simulator of WeChat Pay over real HTTP, with its signatures, its states and its old XML."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from backend import clock, jobs, payments
from backend import partners as outside
from backend.database import transaction
from backend.identity.principals import AsStaff
from backend.partners import Partners
from backend.partners.paying.port import OrderRequest
from backend.partners.sandbox import Sandbox
from backend.partners.wechat_pay.live import LiveWeChatPay
from backend.payments import approving
from backend.payments.refund_sending import check_refund, enqueue_due_refund_checks
from backend.payments.refunding import refund_remainder
from models.payments import Fee, Payment, RefundCause, RefundState
from tests.backend.payments.fake_channel import CARD, refund_of
from tests.factories.payments import OPENID, a_fee, a_payment, fee_state, payment_row

S = RefundState


@pytest.fixture
async def channel(sandbox: Sandbox, partners: Partners) -> AsyncIterator[LiveWeChatPay]:
    sandbox.pay.world.rules.notices = "swallow"
    sandbox.pay.world.rules.refund_seconds = None
    outside.equip(partners)
    live = partners.channels["wechat_pay"]
    assert isinstance(live, LiveWeChatPay)
    yield live
    outside.equip(None)


async def paid(sandbox: Sandbox, channel: LiveWeChatPay, fen: int = 2000) -> Payment:
    """An order that is paid there, which only the query reports."""
    payment = await a_payment(
        await a_fee(unit_fen=fen), app_id=channel.app_id, merchant_id=channel.merchant_id, prepay_id=None
    )
    await channel.place(
        OrderRequest(
            number=payment.number,
            description=payment.description,
            amount_fen=payment.amount_fen,
            payer=OPENID,
            expires_at=payment.expires_at,
        )
    )
    sandbox.pay.pay(payment.number)
    await payments.check_payment(payment.number)
    assert (await payment_row(payment.number))["state"] == "paid"
    return payment


async def given_back(payment: Payment) -> str:
    async with transaction():
        number = await refund_remainder(payment.id, RefundCause.CANCELLED, "不再办理，原路退回")
    await jobs.drain()
    assert number is not None
    return number


async def test_a_refund_goes_out_and_its_notice_settles_it(sandbox: Sandbox, channel: LiveWeChatPay):
    payment = await paid(sandbox, channel)
    number = await given_back(payment)
    under_way = (await refund_of(number)).state
    sandbox.pay.finish_refund(number)

    for _ in range(2):
        await payments.ingest_notice(channel, *sandbox.pay.written(number))

    row = await payment_row(payment.number)
    assert under_way is S.PROCESSING
    assert (row["state"], row["refunded_fen"], await fee_state(row["fee_id"])) == ("refunded", 2000, "cancelled")


async def test_a_lost_reply_and_an_empty_account_lead_to_one_refund(sandbox: Sandbox, channel: LiveWeChatPay):
    payment = await paid(sandbox, channel)
    sandbox.pay.world.rules.balance_fen = 0
    number = await given_back(payment)
    waiting = await refund_of(number)
    sandbox.pay.world.rules.balance_fen = None
    sandbox.pay.refuse("refund", 500, "SYSTEM_ERROR", times=3, after=True)
    for hour in (1, 2):
        with clock.travel(by=timedelta(hours=hour)):
            await enqueue_due_refund_checks()
            await jobs.drain()

    refunds = [each for each in sandbox.pay.world.refunds.values() if each.order.number == payment.number]
    assert (waiting.state, waiting.problem) == (S.APPROVED, "NOT_ENOUGH")
    assert (await refund_of(number)).state is S.PROCESSING
    assert [each.number for each in refunds] == [number]


async def test_an_abnormal_refund_goes_to_a_card_and_arrives(sandbox: Sandbox, channel: LiveWeChatPay):
    payment = await paid(sandbox, channel)
    number = await given_back(payment)
    sandbox.pay.finish_refund(number, "ABNORMAL")
    await check_refund(number)
    abnormal = (await refund_of(number)).state
    department = (await Fee.get(id=(await payment_row(payment.number))["fee_id"])).department_id
    assert department is not None

    await approving.refund_to_card(AsStaff(uuid7(), department, frozenset({approving.APPROVE_REFUNDS})), number, CARD)
    sandbox.pay.finish_refund(number)
    await check_refund(number)

    assert abnormal is S.ABNORMAL
    assert (await refund_of(number)).state is S.SUCCEEDED


@pytest.mark.parametrize("xml", [True, False], ids=["old XML", "JSON"])
async def test_a_refund_of_the_console_is_recorded_and_our_amounts_follow(
    xml: bool, sandbox: Sandbox, channel: LiveWeChatPay
):
    payment = await paid(sandbox, channel)
    refund = sandbox.pay.refund_in_console(payment.number, 700, xml=xml)
    (notice,) = [each for each in sandbox.pay.notices.pushes_about(refund.number) if each.xml is xml]

    for _ in range(2):
        if xml:
            await payments.ingest_v2_notice(channel, notice.body)
        else:
            await payments.ingest_notice(channel, *sandbox.pay.written(refund.number))
    await jobs.drain()

    row = await payment_row(payment.number)
    assert (row["state"], row["refunding_fen"], row["refunded_fen"]) == ("part_refunded", 0, 700)
    assert (await refund_of(refund.number)).cause is RefundCause.CONSOLE
