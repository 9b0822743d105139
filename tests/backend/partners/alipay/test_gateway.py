"""Alipay behind the port: order strings, the gateway's answers, and the settings."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from backend.partners import partners_from
from backend.partners.alipay.gateway import member
from backend.partners.alipay.live import LiveAlipay
from backend.partners.alipay.merchant import faults, merchant_from
from backend.partners.alipay.signing import content_of, fits, sign
from backend.partners.base import Wire
from backend.partners.paying.port import (
    ChannelBillNotOffered,
    ChannelNotEnoughMoney,
    ChannelNotOffered,
    ChannelOrderNotFound,
    ChannelOrderPaid,
    ChannelOrderState,
    ChannelRefundNotFound,
    ChannelRefundState,
    OrderRequest,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    PayerCard,
    RefundRequest,
)
from backend.settings import Settings, SettingsError
from tests.backend.partners.alipay.platform import (
    NUMBER,
    OURS,
    SENT,
    THEIRS,
    values,
)
from tests.backend.partners.wechat_pay.platform import JAVA, public_pem_of


class Gateway:
    """Answers calls with what a test hands it: member by method, signed by default."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any] | list[dict[str, Any]]] = {}
        self.calls: list[dict[str, str]] = []
        self.signer: RSAPrivateKey | None = THEIRS
        self.written: Callable[[str], str] = lambda member: member

    def content(self, at: int = -1) -> dict[str, Any]:
        return dict(json.loads(self.calls[at]["biz_content"]))

    async def answer(self, request: web.Request) -> web.Response:
        form = dict(parse_qsl((await request.read()).decode(), strict_parsing=True))
        signature = form.pop("sign")
        assert fits(
            OURS.public_key(), content_of({n: v.encode() for n, v in form.items()}, without=frozenset()), signature
        )
        self.calls.append(form)
        found = self.answers[form["method"]]
        reported = found.pop(0) if isinstance(found, list) else found
        name = form["method"].replace(".", "_") + "_response"
        written = json.dumps(reported, ensure_ascii=False)
        signed = f',"sign":"{sign(self.signer, written.encode())}"' if self.signer else ""
        return web.Response(text=f'{{"{name}": {self.written(written)}{signed}}}', content_type="text/html")


@pytest.fixture
async def gateway(unused_tcp_port: int) -> AsyncIterator[Gateway]:
    each, app = Gateway(), web.Application()
    app.router.add_post("/gateway.do", each.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    yield each
    await runner.cleanup()


@pytest.fixture
def unused_tcp_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as subscriber:
        return int(subscriber.getsockname()[1])


@pytest.fixture
async def channel(gateway: Gateway, unused_tcp_port: int) -> AsyncIterator[LiveAlipay]:
    settings = values(alipay_api_base=f"http://127.0.0.1:{unused_tcp_port}/gateway.do")
    wire = Wire(settings)
    yield LiveAlipay(wire, settings)
    await wire.close()


OK = {"code": "10000", "msg": "Success"}
TRADE = {
    **OK,
    "out_trade_no": NUMBER,
    "trade_no": "2026010122001",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "15.00",
    "send_pay_date": "2026-01-01 12:00:05",
    "buyer_user_id": "2088101",
}
BACK = {
    **OK,
    "out_trade_no": NUMBER,
    "out_request_no": "R1",
    "refund_amount": "5.00",
    "total_amount": "15.00",
    "trade_no": "2026010122001",
    "refund_status": "REFUND_SUCCESS",
    "gmt_refund_pay": "2026-01-02 09:00:00",
}
WANTED = RefundRequest(
    number="R1", payment_number=NUMBER, transaction_id="2026010122001", amount_fen=500, total_fen=1500, reason="撤回"
)


def failed(sub_code: str, code: str = "40004") -> dict[str, str]:
    return {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "失败"}


async def test_an_order_is_a_string_that_the_app_brings_to_alipay(channel: LiveAlipay):
    order = OrderRequest(
        number=NUMBER,
        description="居住证|工本费" * 20,
        amount_fen=1505,
        payer="2088101",
        expires_at=datetime(2026, 1, 1, 4, 30, tzinfo=UTC),
    )

    placed = await channel.place(order)
    string = channel.front_end_parameters(placed.prepay_id)["orderStr"]

    assert len(placed.prepay_id) <= 128
    assert placed == await channel.place(order)
    reported = {name: each[0] for name, each in parse_qs(string, strict_parsing=True).items()}
    signature = reported.pop("sign")
    raw = {name: value.encode() for name, value in reported.items()}
    assert fits(OURS.public_key(), content_of(raw, without=frozenset()), signature)
    content = json.loads(reported["biz_content"])
    assert (content["out_trade_no"], content["total_amount"]) == (NUMBER, "15.05")
    assert content["time_expire"] == "2026-01-01 12:30:00"
    assert reported["notify_url"] == "https://zw.example.gov.cn/v1/callbacks/alipay"
    with pytest.raises(PartnerRefused):
        await channel.place(replace_currency(order))


def replace_currency(order: OrderRequest) -> OrderRequest:
    import msgspec

    return msgspec.structs.replace(order, currency="USD")


async def test_a_signed_answer_shows_the_state_of_an_order(gateway: Gateway, channel: LiveAlipay):
    gateway.answers["alipay.trade.query"] = TRADE

    seen = await channel.query(NUMBER)

    assert (seen.state, seen.amount_fen, seen.transaction_id) == (ChannelOrderState.PAID, 1500, "2026010122001")
    assert seen.paid_at == SENT - timedelta(seconds=1)
    assert gateway.content() == {"out_trade_no": NUMBER}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"trade_status": "WAIT_BUYER_PAY", "send_pay_date": ""}, ChannelOrderState.UNPAID),
        ({"trade_status": "TRADE_CLOSED", "send_pay_date": ""}, ChannelOrderState.CLOSED),
        ({"trade_status": "TRADE_CLOSED"}, ChannelOrderState.REFUNDED),
        ({"trade_status": "TRADE_FINISHED"}, ChannelOrderState.PAID),
    ],
)
async def test_a_closed_order_that_was_paid_has_been_refunded(
    gateway: Gateway, channel: LiveAlipay, changes: dict[str, str], state: ChannelOrderState
):
    gateway.answers["alipay.trade.query"] = {**TRADE, **changes}

    assert (await channel.query(NUMBER)).state is state


@pytest.mark.parametrize(
    "lie",
    [
        lambda gateway: setattr(gateway, "signer", None),
        lambda gateway: setattr(gateway, "signer", OURS),
        lambda gateway: setattr(gateway, "written", lambda text: text.replace("15.00", "0.01")),
        lambda gateway: setattr(gateway, "written", lambda text: "[]"),
    ],
    ids=["unsigned", "stranger", "altered", "list"],
)
async def test_a_success_that_alipay_did_not_sign_is_no_answer(gateway: Gateway, channel: LiveAlipay, lie: Any):
    gateway.answers["alipay.trade.query"] = TRADE
    lie(gateway)

    with pytest.raises(PartnerUnreachable):
        await channel.query(NUMBER)


@pytest.mark.parametrize(
    ("reported", "kind"),
    [
        (failed("ACQ.TRADE_NOT_EXIST"), ChannelOrderNotFound),
        (failed("ACQ.SELLER_BALANCE_NOT_ENOUGH"), ChannelNotEnoughMoney),
        (failed("ACQ.SYSTEM_ERROR"), PartnerUnreachable),
        (failed("isp.unknow-error", "20000"), PartnerUnreachable),
        (failed("isv.invalid-signature", "40002"), PartnerMisconfigured),
        (failed("isv.insufficient-isv-permissions", "40006"), PartnerMisconfigured),
        (failed("ACQ.SOMETHING_NEW"), PartnerRefused),
    ],
)
async def test_codes_mean_what_the_table_says(gateway: Gateway, channel: LiveAlipay, reported: Any, kind: Any):
    gateway.answers["alipay.trade.query"] = reported

    with pytest.raises(kind) as refused:
        await channel.query(NUMBER)

    assert type(refused.value) is kind


async def test_another_order_in_the_answer_is_no_answer(gateway: Gateway, channel: LiveAlipay):
    gateway.answers["alipay.trade.query"] = {**TRADE, "out_trade_no": "P2"}

    with pytest.raises(PartnerUnreachable):
        await channel.query(NUMBER)


async def test_closing_what_is_closed_is_closing_and_what_is_paid_stays_paid(gateway: Gateway, channel: LiveAlipay):
    gateway.answers["alipay.trade.close"] = [OK, failed("ACQ.TRADE_STATUS_ERROR"), failed("ACQ.TRADE_STATUS_ERROR")]
    gateway.answers["alipay.trade.query"] = [
        {**TRADE, "trade_status": "TRADE_CLOSED", "send_pay_date": ""},
        TRADE,
    ]

    await channel.close(NUMBER)
    await channel.close(NUMBER)
    with pytest.raises(ChannelOrderPaid):
        await channel.close(NUMBER)


async def test_a_refund_is_what_the_query_says_it_is(gateway: Gateway, channel: LiveAlipay):
    gateway.answers["alipay.trade.refund"] = {**OK, "refund_fee": "12.00", "fund_change": "Y"}
    gateway.answers["alipay.trade.fastpay.refund.query"] = [BACK, OK, {**BACK, "refund_status": ""}]

    done, unknown, going = [await channel.refund(WANTED) for _ in range(3)]

    assert (done.state, done.amount_fen, done.number) == (ChannelRefundState.SUCCEEDED, 500, "R1")
    assert (unknown.state, going.state) == (ChannelRefundState.PROCESSING, ChannelRefundState.PROCESSING)
    assert gateway.content(0)["out_request_no"] == "R1"
    assert gateway.content(0)["refund_amount"] == "5.00"


async def test_an_unknown_refund_is_unknown(gateway: Gateway, channel: LiveAlipay):
    gateway.answers["alipay.trade.fastpay.refund.query"] = [OK, failed("ACQ.TRADE_NOT_EXIST")]

    for _ in range(2):
        with pytest.raises(ChannelRefundNotFound):
            await channel.query_refund("R1", payment_number=NUMBER)


async def test_bills_and_refunds_to_cards_are_not_offered(channel: LiveAlipay):
    with pytest.raises(ChannelBillNotOffered):
        await channel.bill(date(2026, 1, 1))
    with pytest.raises(ChannelNotOffered):
        await channel.refund_to_card("R1", "5", PayerCard(bank="ICBC_DEBIT", number="6222", name="张三"))


def test_the_signed_member_is_found_as_it_was_written_and_only_at_the_top():
    body = b'{"error":{"x_response":{"code":"10000"}}, "x_response" : {"a": "}\\"", "b":[1 ,2]} ,"sign":"s"}'

    assert member(body, "x_response") == b'{"a": "}\\"", "b":[1 ,2]}'
    assert member(body, "y_response") == b""
    assert member(b"nothing", "x_response") == b""


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"alipay_app_id": "app"}, "ALIPAY_APP_ID"),
        ({"alipay_seller_id": "2088"}, "ALIPAY_SELLER_ID"),
        ({"alipay_key": "rubbish"}, "ALIPAY_KEY"),
        ({"alipay_key": "", "alipay_key_file": "/nowhere"}, "ALIPAY_KEY_FILE"),
        ({"alipay_public_key": ""}, "ALIPAY_PUBLIC_KEY"),
        ({"alipay_public_key": JAVA["pem"]["wechat_pay_public_key"]}, "ALIPAY_PUBLIC_KEY"),
        ({"public_base": "http://zw.example.gov.cn"}, "PUBLIC_BASE"),
    ],
)
def test_a_fault_names_its_setting_and_stops_the_start(changes: dict[str, Any], name: str):
    given = values(**changes)

    assert name in {fault[0] for fault in faults(given)}
    with pytest.raises(SettingsError):
        partners_from(given)


def test_bare_base64_of_the_console_is_a_key_too():
    bare = "".join(public_pem_of(THEIRS).splitlines()[1:-1])

    merchant = merchant_from(values(alipay_public_key=bare))

    assert merchant.public_key.public_numbers() == THEIRS.public_key().public_numbers()
    assert repr(merchant) == "AlipayMerchant(2021000000000001)"
    assert list(partners_from(replace(values(), alipay_public_key=bare)).channels) == ["alipay"]
    assert list(faults(Settings())) == []
