"""The live adapter against the simulated platform, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend import clock
from backend.database import transaction
from backend.partners.base import Wire
from backend.partners.errors import CalledInsideTransaction
from backend.partners.paying.port import (
    BillEmpty,
    BillNotReady,
    BillUnbelievable,
    NotEnoughMoney,
    NoticeKind,
    OrderAtChannel,
    OrderClosed,
    OrderInConflict,
    OrderPaid,
    OrderUnknown,
    PartnerBusy,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    PayerCard,
    PayerRefused,
    RefundAtChannel,
    RefundOrder,
    RefundUnknown,
    Wanted,
)
from backend.partners.sandbox import Sandbox
from backend.partners.wechat_pay.live import LiveWeChatPay
from backend.partners.wechat_pay.sandbox.world import Trouble
from backend.settings import settings

NUMBER = "P20260101BCDFGHJKLMNPQRST"
PAYER = "oTEST0000000000000000000001"
CARD = PayerCard(bank="ICBC_DEBIT", number="6222020000000000000", name="张三")
SUB = "1900000200"


def an_order(number: str = NUMBER, **changes: Any) -> Wanted:
    values: dict[str, Any] = {
        "number": number,
        "description": "居住证工本费",
        "amount_fen": 1500,
        "payer": PAYER,
        "expires_at": clock.now() + timedelta(minutes=30),
        **changes,
    }
    return Wanted(**values)


def a_refund(number: str = f"R{NUMBER}01", amount: int = 1500, **changes: Any) -> RefundOrder:
    values: dict[str, Any] = {
        "number": number,
        "payment_number": NUMBER,
        "transaction_id": None,
        "amount_fen": amount,
        "total_fen": 1500,
        "reason": "申请撤回",
        **changes,
    }
    return RefundOrder(**values)


@pytest.fixture
async def wire(sandbox: Sandbox) -> AsyncIterator[Wire]:
    opened = Wire(settings())
    yield opened
    await opened.close()


@pytest.fixture
def channel(sandbox: Sandbox, wire: Wire) -> LiveWeChatPay:
    sandbox.pay.world.rules.notices = "swallow"
    sandbox.pay.world.rules.refund_seconds = None
    return LiveWeChatPay(wire, settings())


def with_certificates(wire: Wire, **changes: Any) -> LiveWeChatPay:
    """A merchant who has no public key of the console."""
    values = {"wechat_pay_public_key_id": "", "wechat_pay_public_key": "", **changes}
    return LiveWeChatPay(wire, replace(settings(), **values))


async def paid(sandbox: Sandbox, channel: LiveWeChatPay) -> str:
    await channel.place(an_order())
    return sandbox.pay.pay(NUMBER).transaction_id


def calls(sandbox: Sandbox, name: str) -> int:
    return sum(call == name for call, _ in sandbox.pay.world.calls)


# -- orders ----------------------------------------------------------------------------------------


async def test_an_order_is_placed_and_the_dialogue_opens_with_what_the_front_end_is_given(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    placed = await channel.place(an_order())

    order = sandbox.pay.confirm(channel.to_front_end(placed.prepay_id), PAYER)

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

    with pytest.raises(OrderInConflict):
        await channel.place(an_order(amount_fen=1600, expires_at=order.expires_at))


@pytest.mark.parametrize("says", ["INVALID_REQUEST", "OUT_TRADE_NO_USED"])
async def test_placing_a_paid_order_again_says_that_it_is_paid(sandbox: Sandbox, channel: LiveWeChatPay, says: Any):
    sandbox.pay.world.rules.paid_says = says
    await paid(sandbox, channel)

    with pytest.raises(OrderPaid):
        await channel.place(an_order())


async def test_placing_a_closed_order_again_says_that_it_is_closed(channel: LiveWeChatPay):
    order = an_order()
    await channel.place(order)
    await channel.close(NUMBER)

    with pytest.raises(OrderClosed):
        await channel.place(order)


async def test_an_unpaid_order_is_unpaid_and_an_unknown_one_is_unknown(channel: LiveWeChatPay):
    await channel.place(an_order())

    seen = await channel.query(NUMBER)

    assert (seen.state, seen.transaction_id, seen.raw_state) == (OrderAtChannel.UNPAID, None, "NOTPAY")
    with pytest.raises(OrderUnknown):
        await channel.query("P20260101NOBODYSORDER000")


async def test_a_paid_order_is_told_the_same_by_both_queries(sandbox: Sandbox, channel: LiveWeChatPay):
    transaction_id = await paid(sandbox, channel)

    by_number = await channel.query(NUMBER)
    by_transaction = await channel.query_by_transaction(transaction_id)

    assert by_number == by_transaction
    assert by_number.state is OrderAtChannel.PAID
    assert (by_number.amount_fen, by_number.currency, by_number.payer) == (1500, "CNY", PAYER)
    assert (by_number.app_id, by_number.merchant_id) == (channel.app_id, channel.merchant_id)
    assert by_number.paid_at is not None
    assert abs(by_number.paid_at - clock.now()) < timedelta(seconds=30)


async def test_closing_is_repeatable_and_a_paid_order_cannot_be_closed(sandbox: Sandbox, channel: LiveWeChatPay):
    await channel.place(an_order())
    await channel.close(NUMBER)
    await channel.close(NUMBER)
    assert (await channel.query(NUMBER)).state is OrderAtChannel.CLOSED

    sandbox.pay.pay(NUMBER, force=True)

    with pytest.raises(OrderPaid):
        await channel.close(NUMBER)


async def test_an_openid_of_another_app_is_refused_for_good_though_the_status_is_500(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    sandbox.pay.world.is_foreign = lambda openid: openid == "oForeign"

    with pytest.raises(PayerRefused) as refused:
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
        (403, "RULE_LIMIT", PayerRefused, 1),
        (403, "ACCOUNT_ERROR", PayerRefused, 1),
        (403, "SOMETHING_NEW", PartnerMisconfigured, 1),
        (400, "SOMETHING_NEW", PartnerRefused, 1),
    ],
)
async def test_an_error_code_is_the_trouble_of_the_table_and_only_failures_are_repeated(
    sandbox: Sandbox, channel: LiveWeChatPay, status: int, code: str, kind: Any, asked: int
):
    sandbox.pay.world.troubles.append(Trouble("place", status, code, times=99))

    with pytest.raises(kind) as refused:
        await channel.place(an_order())

    assert type(refused.value) is kind
    assert calls(sandbox, "place") == asked


async def test_an_order_whose_answer_was_lost_is_asked_for_again_under_the_same_number(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    sandbox.pay.world.troubles.append(Trouble("place", 500, "SYSTEM_ERROR", after=True))

    placed = await channel.place(an_order())

    # The platform refuses a nonce that it has seen: every attempt was signed anew.
    assert [call for call in sandbox.pay.world.calls if call[0] == "place"] == [("place", 500), ("place", 200)]
    assert [order.prepay_id for order in sandbox.pay.world.orders.values()] == [placed.prepay_id]


async def test_no_call_is_made_while_a_transaction_is_open(channel: LiveWeChatPay):
    async with transaction():
        with pytest.raises(CalledInsideTransaction):
            await channel.query(NUMBER)


# -- whose answer it is ----------------------------------------------------------------------------


@pytest.mark.parametrize("flaw", ["unsigned", "bad_signature", "probe", "stale", "future", "other_key", "doubled"])
async def test_an_answer_that_the_platform_did_not_sign_is_asked_for_again_and_never_believed(
    sandbox: Sandbox, channel: LiveWeChatPay, flaw: Any
):
    await channel.place(an_order())
    sandbox.pay.answers[:] = [flaw]
    assert (await channel.query(NUMBER)).state is OrderAtChannel.UNPAID

    sandbox.pay.answers[:] = [flaw] * 3
    with pytest.raises(PartnerUnreachable) as refused:
        await channel.query(NUMBER)

    assert refused.value.partner_code.startswith("not-signed-")
    assert calls(sandbox, "query") == 2 + 3


async def test_an_answer_signed_with_a_serial_that_nobody_has_is_not_believed(sandbox: Sandbox, channel: LiveWeChatPay):
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


async def test_notices_are_believed_with_either_key_while_the_platform_changes_over(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    await paid(sandbox, channel)
    sandbox.pay.move_keys("percent", percent=50)

    notices = [await channel.open_notice(*sandbox.pay.written(NUMBER)) for _ in range(4)]
    serials = {sandbox.pay.written(NUMBER)[0]["wechatpay-serial"].startswith("PUB_KEY_ID_") for _ in range(4)}

    assert all(notice.order is not None and notice.order.amount_fen == 1500 for notice in notices)
    assert serials == {True, False}


# -- notices ---------------------------------------------------------------------------------------


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
    assert truth.state is RefundAtChannel.SUCCEEDED


async def test_the_xml_notice_of_a_refund_in_the_console_opens_with_the_v2_key(
    sandbox: Sandbox, channel: LiveWeChatPay
):
    await paid(sandbox, channel)
    refund = sandbox.pay.refund_in_console(NUMBER, 500)
    sent = sandbox.pay.notices_about(refund.number)[-1]

    notice = channel.open_v2_notice(sent.body)

    assert notice.kind is NoticeKind.FOREIGN
    assert notice.refund is not None
    assert (notice.refund.amount_fen, notice.refund.payment_number) == (500, NUMBER)
    assert notice.refund.state is RefundAtChannel.SUCCEEDED


# -- refunds ---------------------------------------------------------------------------------------


async def test_a_refund_asked_for_twice_under_one_number_is_one_refund(sandbox: Sandbox, channel: LiveWeChatPay):
    await paid(sandbox, channel)

    first, again = await channel.refund(a_refund(amount=500)), await channel.refund(a_refund(amount=500))

    assert again == first
    assert first.state is RefundAtChannel.PROCESSING
    assert (first.amount_fen, first.total_fen, first.merchant_id) == (500, 1500, channel.merchant_id)
    assert len(sandbox.pay.world.refunds) == 1


async def test_an_unknown_refund_is_unknown(sandbox: Sandbox, channel: LiveWeChatPay):
    await paid(sandbox, channel)

    with pytest.raises(RefundUnknown):
        await channel.query_refund("R404", payment_number=NUMBER)


async def test_a_refund_of_an_order_that_does_not_exist_is_refused(channel: LiveWeChatPay):
    with pytest.raises(OrderUnknown):
        await channel.refund(a_refund())


async def test_a_merchant_without_money_is_told_so(sandbox: Sandbox, channel: LiveWeChatPay):
    await paid(sandbox, channel)
    sandbox.pay.world.rules.balance_fen = 100

    with pytest.raises(NotEnoughMoney):
        await channel.refund(a_refund())


async def test_a_refund_that_the_account_does_not_take_goes_to_a_card_whose_number_is_sealed(
    sandbox: Sandbox, channel: LiveWeChatPay, monkeypatch: pytest.MonkeyPatch
):
    await paid(sandbox, channel)
    asked = await channel.refund(a_refund())
    sandbox.pay.finish_refund(asked.number, "ABNORMAL")
    stuck = await channel.query_refund(asked.number, payment_number=NUMBER)
    assert stuck.state is RefundAtChannel.ABNORMAL
    assert stuck.refund_id is not None
    sent: list[dict[str, Any]] = []
    posting = channel.api.post

    async def watched(call: str, path: str, content: Any, **others: Any) -> dict[str, Any]:
        sent.append({**content, **others})
        return await posting(call, path, content, **others)

    monkeypatch.setattr(channel.api, "post", watched)
    seen = await channel.refund_to_card(asked.number, stuck.refund_id, CARD)

    assert seen.state is RefundAtChannel.PROCESSING
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
    sandbox.pay.bills.plan.bom, sandbox.pay.bills.plan.crlf = bom, crlf

    bill = await channel.bill(day)

    payment = next(row for row in bill.rows if row.refund_number is None)
    refund = next(row for row in bill.rows if row.refund_number is not None)
    assert len(bill.rows) == 2
    assert (payment.number, payment.amount_fen, payment.state) == (NUMBER, 1500, "SUCCESS")
    assert (refund.number, refund.refund_number, refund.amount_fen) == (NUMBER, f"R{NUMBER}01", 500)
    assert payment.charge_fen > 0 > refund.charge_fen
    assert clock.day_of(payment.at) == day


async def test_a_bill_that_is_not_ready_or_empty_or_of_today_says_so(sandbox: Sandbox, channel: LiveWeChatPay):
    with pytest.raises(BillNotReady):
        await channel.bill(clock.today())
    with pytest.raises(BillEmpty):
        await channel.bill(clock.today() - timedelta(days=3))
    sandbox.pay.bills.plan.creating = True
    with pytest.raises(BillNotReady):
        await channel.bill(clock.today() - timedelta(days=3))


@pytest.mark.parametrize("lie", ["bad_hash", "wrong_sums"])
async def test_a_bill_that_contradicts_its_hash_or_its_sums_is_not_believed(
    sandbox: Sandbox, channel: LiveWeChatPay, lie: str
):
    await a_day_of_business(sandbox, channel)
    day = clock.today()
    sandbox.pay.world.advance(86_400 * 2)
    setattr(sandbox.pay.bills.plan, lie, True)

    with pytest.raises(BillUnbelievable):
        await channel.bill(day)


async def test_our_signature_goes_to_no_address_but_the_platforms(channel: LiveWeChatPay):
    with pytest.raises(BillUnbelievable) as refused:
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
    sandbox.pay.confirm(channel.to_front_end(placed.prepay_id), PAYER)

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
    # It is tried first from then on: nobody waits for the dead address at every call.
    assert channel.api.client._preferred() == sandbox.base
    assert clock.monotonic() - started < 1
