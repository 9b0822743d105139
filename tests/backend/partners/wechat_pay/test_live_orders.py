"""Orders of the live adapter against the simulated platform over HTTP, and the answers that it accepts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend import clock
from backend.database import transaction
from backend.partners.base import Wire
from backend.partners.errors import CalledInsideTransaction
from backend.partners.paying.port import (
    ChannelOrderClosed,
    ChannelOrderInConflict,
    ChannelOrderNotFound,
    ChannelOrderPaid,
    ChannelOrderState,
    ChannelPayerRefused,
    PartnerBusy,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
)
from backend.partners.sandbox import Sandbox
from backend.partners.wechat_pay.live import LiveWeChatPay
from backend.partners.wechat_pay.sandbox.world import CallFault
from backend.settings import settings
from tests.backend.partners.wechat_pay.live import (
    NUMBER,
    PAYER,
    an_order,
    calls,
    paid,
    with_certificates,
)


async def test_an_order_is_placed_and_the_dialogue_opens_with_what_the_front_end_is_given(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    placed = await channel.place(an_order())

    order = sandbox.pay.confirm(channel.front_end_parameters(placed.prepay_id), PAYER)

    assert order.number == NUMBER
    assert order.total_fen == 1500
    assert order.notify_url == f"{settings().public_base}/v1/callbacks/wechat-pay"
    assert clock.now() < placed.good_until <= order.expires_at + timedelta(seconds=1)


async def test_the_same_order_asked_for_again_is_the_same_order(sandbox: Sandbox, channel: LiveWeChatPay):
    order = an_order()

    first, again = await channel.place(order), await channel.place(order)

    assert again.prepay_id == first.prepay_id
    assert len(sandbox.pay.world.orders) == 1


async def test_the_same_number_with_another_amount_is_a_conflict(channel: LiveWeChatPay):
    order = an_order()
    await channel.place(order)

    with pytest.raises(ChannelOrderInConflict):
        await channel.place(an_order(amount_fen=1600, expires_at=order.expires_at))


@pytest.mark.parametrize("says", ["INVALID_REQUEST", "OUT_TRADE_NO_USED"])
async def test_placing_a_paid_order_again_says_that_it_is_paid(sandbox: Sandbox, channel: LiveWeChatPay, says: Any):
    sandbox.pay.world.rules.paid_says = says
    await paid(sandbox, channel)

    with pytest.raises(ChannelOrderPaid):
        await channel.place(an_order())


async def test_placing_a_closed_order_again_says_that_it_is_closed(channel: LiveWeChatPay):
    order = an_order()
    await channel.place(order)
    await channel.close(NUMBER)

    with pytest.raises(ChannelOrderClosed):
        await channel.place(order)


async def test_an_unpaid_order_is_unpaid_and_an_unknown_one_is_unknown(channel: LiveWeChatPay):
    await channel.place(an_order())

    seen = await channel.query(NUMBER)

    assert (seen.state, seen.transaction_id, seen.raw_state) == (ChannelOrderState.UNPAID, None, "NOTPAY")
    with pytest.raises(ChannelOrderNotFound):
        await channel.query("P20260101NOBODYSORDER000")


async def test_a_paid_order_is_the_same_in_both_queries(sandbox: Sandbox, channel: LiveWeChatPay):
    transaction_id = await paid(sandbox, channel)

    by_number = await channel.query(NUMBER)
    by_transaction = await channel.query_by_transaction(transaction_id)

    assert by_number == by_transaction
    assert by_number.state is ChannelOrderState.PAID
    assert (by_number.amount_fen, by_number.currency, by_number.payer) == (1500, "CNY", PAYER)
    assert (by_number.app_id, by_number.merchant_id) == (channel.app_id, channel.merchant_id)
    assert by_number.paid_at is not None
    assert abs(by_number.paid_at - clock.now()) < timedelta(seconds=30)


async def test_closing_is_repeatable_and_a_paid_order_cannot_be_closed(sandbox: Sandbox, channel: LiveWeChatPay):
    await channel.place(an_order())
    await channel.close(NUMBER)
    await channel.close(NUMBER)
    assert (await channel.query(NUMBER)).state is ChannelOrderState.CLOSED

    sandbox.pay.pay(NUMBER, force=True)

    with pytest.raises(ChannelOrderPaid):
        await channel.close(NUMBER)


async def test_an_openid_of_another_app_is_refused_for_good_though_the_status_is_500(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    sandbox.pay.world.is_foreign = lambda openid: openid == "oForeign"

    with pytest.raises(ChannelPayerRefused) as refused:
        await channel.place(an_order(payer="oForeign"))

    assert refused.value.partner_code == "OPENID_MISMATCH"
    assert calls(sandbox, "place") == 1


@pytest.mark.parametrize(
    ("status", "code", "kind", "asked"),
    [
        (500, "SYSTEM_ERROR", PartnerUnreachable, 3),
        (502, "", PartnerUnreachable, 3),
        (429, "FREQUENCY_LIMITED", PartnerBusy, 1),
        (429, "RATELIMIT_EXCEEDED", PartnerBusy, 1),
        (401, "SIGN_ERROR", PartnerMisconfigured, 1),
        (403, "NO_AUTH", PartnerMisconfigured, 1),
        (400, "APPID_MCHID_NOT_MATCH", PartnerMisconfigured, 1),
        (400, "MCH_NOT_EXISTS", PartnerMisconfigured, 1),
        (400, "PARAM_ERROR", PartnerRefused, 1),
        (403, "RULE_LIMIT", ChannelPayerRefused, 1),
        (403, "ACCOUNT_ERROR", ChannelPayerRefused, 1),
        (403, "SOMETHING_NEW", PartnerMisconfigured, 1),
        (400, "SOMETHING_NEW", PartnerRefused, 1),
    ],
)
async def test_an_error_code_is_the_error_of_the_table_and_only_failures_are_repeated(
    sandbox: Sandbox, channel: LiveWeChatPay, status: int, code: str, kind: Any, asked: int
):
    sandbox.pay.world.faults.append(CallFault("place", status, code, times=99))

    with pytest.raises(kind) as refused:
        await channel.place(an_order())

    assert type(refused.value) is kind
    assert calls(sandbox, "place") == asked


async def test_an_order_whose_answer_was_lost_is_asked_for_again_under_the_same_number(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    sandbox.pay.world.faults.append(CallFault("place", 500, "SYSTEM_ERROR", after=True))

    placed = await channel.place(an_order())

    # The platform refuses a nonce that it has seen: every attempt was signed anew.
    assert [call for call in sandbox.pay.world.calls if call[0] == "place"] == [("place", 500), ("place", 200)]
    assert [order.prepay_id for order in sandbox.pay.world.orders.values()] == [placed.prepay_id]


async def test_no_call_is_made_while_a_transaction_is_open(channel: LiveWeChatPay):
    async with transaction():
        with pytest.raises(CalledInsideTransaction):
            await channel.query(NUMBER)


# -- whose answer it is ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["unsigned", "bad_signature", "probe", "stale", "future", "other_key", "doubled"])
async def test_an_answer_that_the_platform_did_not_sign_is_requested_again_and_never_accepted(
    sandbox: Sandbox, channel: LiveWeChatPay, fault: Any
):
    await channel.place(an_order())
    sandbox.pay.answers[:] = [fault]
    assert (await channel.query(NUMBER)).state is ChannelOrderState.UNPAID

    sandbox.pay.answers[:] = [fault] * 3
    with pytest.raises(PartnerUnreachable) as refused:
        await channel.query(NUMBER)

    assert refused.value.partner_code.startswith("not-signed-")
    assert calls(sandbox, "query") == 2 + 3


async def test_an_answer_signed_with_an_unknown_serial_is_refused(sandbox: Sandbox, channel: LiveWeChatPay):
    await channel.place(an_order())
    sandbox.pay.answers[:] = ["unknown_serial"]

    with pytest.raises(PartnerUnreachable, match="not-signed-unknown-serial"):
        await channel.query(NUMBER)


async def test_an_empty_answer_is_signed_too_and_refused_when_it_is_not(sandbox: Sandbox, channel: LiveWeChatPay):
    await channel.place(an_order())
    sandbox.pay.answers[:] = ["bad_signature"] * 3

    with pytest.raises(PartnerUnreachable):
        await channel.close(NUMBER)

    await channel.close(NUMBER)


async def test_certificates_are_fetched_once_and_followed_when_the_platform_changes_them(sandbox: Sandbox, wire: Wire):
    channel = with_certificates(wire, wechat_pay_certificate_pause=0.0)
    await channel.place(an_order())
    await channel.query(NUMBER)
    assert calls(sandbox, "certificates") == 1

    sandbox.pay.move_keys("rotate")
    await channel.query(NUMBER)

    assert calls(sandbox, "certificates") == 2


async def test_notices_are_accepted_with_either_key_while_the_platform_changes_over(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    await paid(sandbox, channel)
    sandbox.pay.move_keys("percent", percent=50)

    notices = [await channel.open_notice(*sandbox.pay.written(NUMBER)) for _ in range(4)]
    serials = {sandbox.pay.written(NUMBER)[0]["wechatpay-serial"].startswith("PUB_KEY_ID_") for _ in range(4)}

    assert all(notice.order is not None and notice.order.amount_fen == 1500 for notice in notices)
    assert serials == {True, False}
