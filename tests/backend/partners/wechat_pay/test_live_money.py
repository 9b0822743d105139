"""Notices, refunds, bills and partner mode of the live adapter against the simulated platform over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend import clock
from backend.partners.base import Wire
from backend.partners.paying.port import (
    ChannelBillEmpty,
    ChannelBillInvalid,
    ChannelBillNotReady,
    ChannelNotEnoughMoney,
    ChannelOrderNotFound,
    ChannelRefundNotFound,
    ChannelRefundState,
    NoticeKind,
    PartnerMisconfigured,
)
from backend.partners.sandbox import Sandbox
from backend.partners.wechat_pay.live import LiveWeChatPay
from backend.settings import settings
from tests.backend.partners.wechat_pay.live import (
    CARD,
    NUMBER,
    PAYER,
    SUB,
    a_refund,
    an_order,
    paid,
)


async def test_the_platforms_notice_of_a_payment_says_what_its_query_says(sandbox: Sandbox, channel: LiveWeChatPay):
    await paid(sandbox, channel)

    notice = await channel.open_notice(*sandbox.pay.written(NUMBER))

    assert notice.kind is NoticeKind.ORDER
    assert notice.event == "TRANSACTION.SUCCESS"
    assert notice.order == await channel.query(NUMBER)


async def test_the_platforms_notice_of_a_refund_says_what_its_query_says(sandbox: Sandbox, channel: LiveWeChatPay):
    await paid(sandbox, channel)
    asked = await channel.refund(a_refund())
    sandbox.pay.finish_refund(asked.number)

    notice = await channel.open_notice(*sandbox.pay.written(asked.number))

    truth = await channel.query_refund(asked.number, payment_number=NUMBER)
    assert notice.kind is NoticeKind.REFUND
    assert notice.refund == truth
    assert truth.state is ChannelRefundState.SUCCEEDED


async def test_the_xml_notice_of_a_refund_in_the_console_opens_with_the_v2_key(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    await paid(sandbox, channel)
    refund = sandbox.pay.refund_in_console(NUMBER, 500)
    sent = sandbox.pay.notices.pushes_about(refund.number)[-1]

    notice = channel.open_v2_notice(sent.body)

    assert notice.kind is NoticeKind.FOREIGN
    assert notice.refund is not None
    assert (notice.refund.amount_fen, notice.refund.payment_number) == (500, NUMBER)
    assert notice.refund.state is ChannelRefundState.SUCCEEDED


# -- refunds ---------------------------------------------------------------------------------------


async def test_a_refund_asked_for_twice_under_one_number_is_one_refund(sandbox: Sandbox, channel: LiveWeChatPay):
    await paid(sandbox, channel)

    first, again = await channel.refund(a_refund(amount=500)), await channel.refund(a_refund(amount=500))

    assert again == first
    assert first.state is ChannelRefundState.PROCESSING
    assert (first.amount_fen, first.total_fen, first.merchant_id) == (500, 1500, channel.merchant_id)
    assert len(sandbox.pay.world.refunds) == 1


async def test_an_unknown_refund_is_unknown(sandbox: Sandbox, channel: LiveWeChatPay):
    await paid(sandbox, channel)

    with pytest.raises(ChannelRefundNotFound):
        await channel.query_refund("R404", payment_number=NUMBER)


async def test_a_refund_of_an_order_that_does_not_exist_is_refused(channel: LiveWeChatPay):
    with pytest.raises(ChannelOrderNotFound):
        await channel.refund(a_refund())


async def test_a_merchant_without_money_gets_that_error(sandbox: Sandbox, channel: LiveWeChatPay):
    await paid(sandbox, channel)
    sandbox.pay.world.rules.balance_fen = 100

    with pytest.raises(ChannelNotEnoughMoney):
        await channel.refund(a_refund())


async def test_a_refund_that_the_account_does_not_take_goes_to_a_card_whose_number_is_sealed(
    sandbox: Sandbox, channel: LiveWeChatPay, monkeypatch: pytest.MonkeyPatch
):
    await paid(sandbox, channel)
    asked = await channel.refund(a_refund())
    sandbox.pay.finish_refund(asked.number, "ABNORMAL")
    stuck = await channel.query_refund(asked.number, payment_number=NUMBER)
    assert stuck.state is ChannelRefundState.ABNORMAL
    assert stuck.refund_id is not None
    sent: list[dict[str, Any]] = []
    posting = channel.api.post

    async def watched(call: str, path: str, content: Any, **others: Any) -> dict[str, Any]:
        sent.append({**content, **others})
        return await posting(call, path, content, **others)

    monkeypatch.setattr(channel.api, "post", watched)
    seen = await channel.refund_to_card(asked.number, stuck.refund_id, CARD)

    assert seen.state is ChannelRefundState.PROCESSING
    assert sent[0]["serial"] == channel.merchant.public_key_id
    assert CARD.number not in str(sent)
    assert CARD.name not in str(sent)


# -- bills -----------------------------------------------------------------------------------------


async def a_day_of_business(sandbox: Sandbox, channel: LiveWeChatPay) -> None:
    await channel.place(an_order(description='居住证,`工本费",'))
    sandbox.pay.pay(NUMBER)
    await channel.refund(a_refund(amount=500))


@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("crlf", [False, True])
async def test_a_bill_has_both_kinds_of_rows_however_its_lines_end(
    sandbox: Sandbox, channel: LiveWeChatPay, bom: bool, crlf: bool
):
    await a_day_of_business(sandbox, channel)
    day = clock.today()
    sandbox.pay.world.advance(86_400 * 2)
    sandbox.pay.bills.fault.bom, sandbox.pay.bills.fault.crlf = bom, crlf

    bill = await channel.bill(day)

    payment = next(row for row in bill.rows if row.refund_number is None)
    refund = next(row for row in bill.rows if row.refund_number is not None)
    assert len(bill.rows) == 2
    assert (payment.number, payment.amount_fen, payment.state) == (NUMBER, 1500, "SUCCESS")
    assert (refund.number, refund.refund_number, refund.amount_fen) == (NUMBER, f"R{NUMBER}01", 500)
    assert payment.charge_fen > 0 > refund.charge_fen
    assert clock.day_of(payment.at) == day


async def test_a_bill_that_is_not_ready_or_empty_or_of_today_says_so(sandbox: Sandbox, channel: LiveWeChatPay):
    with pytest.raises(ChannelBillNotReady):
        await channel.bill(clock.today())
    with pytest.raises(ChannelBillEmpty):
        await channel.bill(clock.today() - timedelta(days=3))
    sandbox.pay.bills.fault.creating = True
    with pytest.raises(ChannelBillNotReady):
        await channel.bill(clock.today() - timedelta(days=3))


@pytest.mark.parametrize("fault", ["bad_hash", "wrong_sums"])
async def test_a_bill_that_contradicts_its_hash_or_its_sums_is_refused(
    sandbox: Sandbox, channel: LiveWeChatPay, fault: str
):
    await a_day_of_business(sandbox, channel)
    day = clock.today()
    sandbox.pay.world.advance(86_400 * 2)
    setattr(sandbox.pay.bills.fault, fault, True)

    with pytest.raises(ChannelBillInvalid):
        await channel.bill(day)


async def test_our_signature_goes_to_no_address_but_the_platforms(channel: LiveWeChatPay):
    with pytest.raises(ChannelBillInvalid) as refused:
        await channel.api.download("http://127.0.0.1:9/v3/billdownload/file?token=x", errors={})

    assert refused.value.partner_code == "foreign-address"


# -- partner mode, second address ------------------------------------------------------------------


async def test_a_service_provider_takes_money_for_its_sub_merchant(sandbox: Sandbox, wire: Wire):
    channel = LiveWeChatPay(
        wire, replace(settings(), wechat_pay_mode="partner", wechat_pay_sub_merchants=f"gongan={SUB}")
    )
    sandbox.pay.world.rules.notices = "swallow"
    sub = channel.sub_merchants["gongan"]
    placed = await channel.place(an_order(sub_merchant_id=sub))
    sandbox.pay.confirm(channel.front_end_parameters(placed.prepay_id), PAYER)

    seen = await channel.query(NUMBER, sub_merchant_id=sub)
    notice = await channel.open_notice(*sandbox.pay.written(NUMBER))
    refund = await channel.refund(a_refund(sub_merchant_id=sub))
    asked = await channel.query_refund(refund.number, payment_number=NUMBER, sub_merchant_id=sub)

    assert (seen.app_id, seen.merchant_id, seen.sub_merchant_id) == (channel.app_id, channel.merchant_id, SUB)
    assert seen.payer == PAYER
    assert notice.order == seen
    assert asked.number == refund.number
    with pytest.raises(PartnerMisconfigured):
        await channel.query(NUMBER)


async def test_the_second_address_is_used_when_no_connection_to_the_first_comes_about(sandbox: Sandbox, wire: Wire):
    channel = LiveWeChatPay(wire, replace(settings(), wechat_pay_api_base="http://127.0.0.1:9"))

    placed = await channel.place(an_order())
    started = clock.monotonic()
    await channel.query(NUMBER)

    assert placed.prepay_id
    # It is tried first from then on: no call waits for the dead address.
    assert channel.api.client._preferred() == sandbox.base
    assert clock.monotonic() - started < 1
