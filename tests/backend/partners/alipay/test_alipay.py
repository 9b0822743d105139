"""Alipay behind the port: notices in both varieties and two charsets, order strings, and the gateway's answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote_plus

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from backend import clock
from backend.partners import partners_from
from backend.partners.alipay.amounts import fen_of, yuan_of
from backend.partners.alipay.gateway import member
from backend.partners.alipay.live import LiveAlipay
from backend.partners.alipay.merchant import faults, merchant_from
from backend.partners.alipay.notices import open_notice
from backend.partners.alipay.signing import content_of, fits, sign
from backend.partners.base import Wire
from backend.partners.paying.exact_json import Ambiguous
from backend.partners.paying.port import (
    BillNotOffered,
    NotEnoughMoney,
    NoticeForged,
    NoticeKind,
    NoticeMalformed,
    NoticeStale,
    NotOffered,
    OrderAtChannel,
    OrderPaid,
    OrderUnknown,
    PartnerMisconfigured,
    PartnerRefused,
    PartnerUnreachable,
    PayerCard,
    RefundAtChannel,
    RefundOrder,
    RefundUnknown,
    Wanted,
)
from backend.settings import Settings, SettingsError
from tests.backend.partners.wechat_pay.platform import JAVA, pem_of, private, public_pem_of

KNOWN: dict[str, Any] = json.loads((Path(__file__).parents[3] / "fixtures/alipay_notify.json").read_text())
SENT = datetime(2026, 1, 1, 4, 0, 6, tzinfo=UTC)
OURS, THEIRS = generate_private_key(65537, 2048), generate_private_key(65537, 2048)
NUMBER = "P20260101BCDFGHJKLMNPQRST"


def values(**changes: Any) -> Settings:
    base: dict[str, Any] = {
        "alipay_app_id": "2021000000000001",
        "alipay_seller_id": "2088000000000001",
        "alipay_key": pem_of(OURS),
        "alipay_public_key": public_pem_of(THEIRS),
        "public_base": "https://zw.example.gov.cn",
    }
    return Settings(**{**base, **changes})


PUBLISHED = merchant_from(values(sandbox=True, alipay_public_key=JAVA["pem"]["wechat_pay_public_key"]))
MERCHANT = merchant_from(values())


def a_form(fields: dict[str, str], *, charset: str = "utf-8", keep: bool = False, key: RSAPrivateKey = THEIRS) -> bytes:
    """A notice signed as Alipay does."""
    raw = {name: value.encode(charset) for name, value in fields.items()}
    without = frozenset({"sign"} if keep else {"sign", "sign_type"})
    signature = sign(key, content_of(raw, without=without))
    return "&".join([*(f"{n}={quote_plus(v)}" for n, v in raw.items()), f"sign={quote_plus(signature)}"]).encode()


def fields(**changes: str) -> dict[str, str]:
    return {**KNOWN["params_without_sign"], **changes}


# -- notices ---------------------------------------------------------------------------------------


def test_the_signed_contents_of_the_published_notice_are_recomputed():
    raw = {name: value.encode() for name, value in KNOWN["params_without_sign"].items()}
    key = private(JAVA["pem"]["wechat_pay_private_key"])
    plain, kept = content_of(raw, without=frozenset({"sign", "sign_type"})), content_of(raw, without=frozenset())

    assert (plain.decode(), kept.decode()) == (KNOWN["sign_content_v1"], KNOWN["sign_content_keep_sign_type"])
    assert (sign(key, plain), sign(key, kept)) == (KNOWN["sign_v1"], KNOWN["sign_keep_sign_type"])


@pytest.mark.parametrize("variety", ["sign_v1", "sign_keep_sign_type"])
def test_the_published_notice_is_believed_in_both_varieties(variety: str):
    form = KNOWN["form_body"].replace(quote_plus(KNOWN["sign_v1"]), quote_plus(KNOWN[variety]))

    with clock.travel(to=SENT):
        notice = open_notice(PUBLISHED, form.encode())

    assert notice.kind is NoticeKind.ORDER
    assert notice.identity == KNOWN["params_without_sign"]["notify_id"]
    assert notice.order is not None
    assert notice.order.state is OrderAtChannel.PAID
    assert (notice.order.number, notice.order.amount_fen) == ("GOV20260101000002", 1000)
    assert (notice.order.app_id, notice.order.merchant_id) == ("2021000000000001", "2088000000000001")
    assert notice.order.paid_at == SENT - timedelta(seconds=1)


@pytest.mark.parametrize("charset", ["utf-8", "GBK", "gb2312"])
@pytest.mark.parametrize("keep", [False, True])
def test_a_fresh_notice_is_believed_in_the_charset_that_it_names(charset: str, keep: bool):
    with clock.travel(to=SENT):
        notice = open_notice(MERCHANT, a_form(fields(charset=charset), charset=charset, keep=keep))

    assert "subject=工本费 示例&测试" in notice.plaintext


FORGERIES: dict[str, bytes] = {
    "no signature": KNOWN["form_body"].partition("&sign=")[0].encode(),
    "a stranger's": a_form(fields(), key=OURS),
    "other amount": a_form(fields()).replace(b"total_amount=10.00", b"total_amount=0.01"),
    "one more field": a_form(fields()) + b"&passback_params=x",
    "SHA-1": a_form(fields(sign_type="RSA")),
    "no sign_type": a_form({name: value for name, value in fields().items() if name != "sign_type"}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_notice_that_alipay_did_not_sign_is_forged(name: str):
    with pytest.raises(NoticeForged) as refused, clock.travel(to=SENT):
        open_notice(MERCHANT, FORGERIES[name])

    assert not isinstance(refused.value, NoticeStale)


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "no form": b"hello",
    "a field twice": a_form(fields()) + b"&total_amount=10.00",
    "a broken escape": a_form(fields()) + b"&x=%G0",
    "too large": a_form(fields(body="x" * 70_000)),
    "too many": a_form(fields()) + b"&a=1" * 200,
    "unknown charset": a_form(fields(charset="utf-7")),
    "other charset": a_form(fields(charset="utf-8"), charset="gbk"),
    "amount with exponent": a_form(fields(total_amount="1e1")),
    "amount with three places": a_form(fields(total_amount="10.001")),
    "amount zero": a_form(fields(total_amount="0.00")),
    "amount negative": a_form(fields(total_amount="-10.00")),
    "amount in other digits": a_form(fields(total_amount="１０.00")),
    "no id": a_form(fields(notify_id="")),
    "no number": a_form(fields(out_trade_no="")),
    "unknown state": a_form(fields(trade_status="MAYBE")),
    "no time": a_form(fields(notify_time="yesterday")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_form_with_no_single_meaning_is_malformed(name: str):
    with pytest.raises(NoticeMalformed), clock.travel(to=SENT):
        open_notice(MERCHANT, MALFORMED[name])


@pytest.mark.parametrize("off", [timedelta(hours=26, minutes=1), timedelta(minutes=-6)])
def test_a_notice_older_than_every_repeat_or_of_the_future_is_stale(off: timedelta):
    with pytest.raises(NoticeStale), clock.travel(to=SENT + off):
        open_notice(MERCHANT, a_form(fields()))


def test_a_refund_is_told_as_something_to_ask_about():
    told = fields(trade_status="TRADE_CLOSED", refund_fee="10.00", gmt_refund="2026-01-01 12:00:05", out_biz_no="R1")

    with clock.travel(to=SENT):
        notice = open_notice(MERCHANT, a_form(told))

    assert notice.kind is NoticeKind.FOREIGN
    assert notice.refund is not None
    assert (notice.refund.number, notice.refund.amount_fen) == ("R1", 1000)


def test_notices_of_other_kinds_are_kept_and_not_acted_upon():
    with clock.travel(to=SENT):
        assert open_notice(MERCHANT, a_form(fields(notify_type="dut_user_sign"))).kind is NoticeKind.FOREIGN


@given(st.integers(1, 10**13))
def test_every_amount_goes_to_yuan_and_back_to_the_fen(fen: int):
    assert fen_of(yuan_of(fen)) == fen


def test_what_is_no_amount_is_ambiguous():
    for text in ("", "10.", ".5", "+1", "1,000.00", None, 10):
        with pytest.raises(Ambiguous):
            fen_of(text)


# -- the gateway -----------------------------------------------------------------------------------


class Gateway:
    """Answers calls with what a test hands it: member by method, signed unless told otherwise."""

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
        told = found.pop(0) if isinstance(found, list) else found
        name = form["method"].replace(".", "_") + "_response"
        written = json.dumps(told, ensure_ascii=False)
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

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


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
WANTED = RefundOrder(
    number="R1", payment_number=NUMBER, transaction_id="2026010122001", amount_fen=500, total_fen=1500, reason="撤回"
)


def failed(sub_code: str, code: str = "40004") -> dict[str, str]:
    return {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "失败"}


async def test_an_order_is_a_string_that_the_app_brings_to_alipay(channel: LiveAlipay):
    order = Wanted(
        number=NUMBER,
        description="居住证|工本费" * 20,
        amount_fen=1505,
        payer="2088101",
        expires_at=datetime(2026, 1, 1, 4, 30, tzinfo=UTC),
    )

    placed = await channel.place(order)
    string = channel.to_front_end(placed.prepay_id)["orderStr"]

    assert len(placed.prepay_id) <= 128
    assert placed == await channel.place(order)
    told = {name: each[0] for name, each in parse_qs(string, strict_parsing=True).items()}
    signature = told.pop("sign")
    raw = {name: value.encode() for name, value in told.items()}
    assert fits(OURS.public_key(), content_of(raw, without=frozenset()), signature)
    content = json.loads(told["biz_content"])
    assert (content["out_trade_no"], content["total_amount"]) == (NUMBER, "15.05")
    assert content["time_expire"] == "2026-01-01 12:30:00"
    assert told["notify_url"] == "https://zw.example.gov.cn/v1/callbacks/alipay"
    with pytest.raises(PartnerRefused):
        await channel.place(replace_currency(order))


def replace_currency(order: Wanted) -> Wanted:
    import msgspec

    return msgspec.structs.replace(order, currency="USD")


async def test_a_signed_answer_tells_where_an_order_stands(gateway: Gateway, channel: LiveAlipay):
    gateway.answers["alipay.trade.query"] = TRADE

    seen = await channel.query(NUMBER)

    assert (seen.state, seen.amount_fen, seen.transaction_id) == (OrderAtChannel.PAID, 1500, "2026010122001")
    assert seen.paid_at == SENT - timedelta(seconds=1)
    assert gateway.content() == {"out_trade_no": NUMBER}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"trade_status": "WAIT_BUYER_PAY", "send_pay_date": ""}, OrderAtChannel.UNPAID),
        ({"trade_status": "TRADE_CLOSED", "send_pay_date": ""}, OrderAtChannel.CLOSED),
        ({"trade_status": "TRADE_CLOSED"}, OrderAtChannel.REFUNDED),
        ({"trade_status": "TRADE_FINISHED"}, OrderAtChannel.PAID),
    ],
)
async def test_a_closed_order_that_was_paid_has_been_refunded(
    gateway: Gateway, channel: LiveAlipay, changes: dict[str, str], state: OrderAtChannel
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
    ("told", "kind"),
    [
        (failed("ACQ.TRADE_NOT_EXIST"), OrderUnknown),
        (failed("ACQ.SELLER_BALANCE_NOT_ENOUGH"), NotEnoughMoney),
        (failed("ACQ.SYSTEM_ERROR"), PartnerUnreachable),
        (failed("isp.unknow-error", "20000"), PartnerUnreachable),
        (failed("isv.invalid-signature", "40002"), PartnerMisconfigured),
        (failed("isv.insufficient-isv-permissions", "40006"), PartnerMisconfigured),
        (failed("ACQ.SOMETHING_NEW"), PartnerRefused),
    ],
)
async def test_codes_mean_what_the_table_says(gateway: Gateway, channel: LiveAlipay, told: Any, kind: Any):
    gateway.answers["alipay.trade.query"] = told

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
    with pytest.raises(OrderPaid):
        await channel.close(NUMBER)


async def test_a_refund_is_what_the_query_says_it_is(gateway: Gateway, channel: LiveAlipay):
    gateway.answers["alipay.trade.refund"] = {**OK, "refund_fee": "12.00", "fund_change": "Y"}
    gateway.answers["alipay.trade.fastpay.refund.query"] = [BACK, OK, {**BACK, "refund_status": ""}]

    done, unknown, going = [await channel.refund(WANTED) for _ in range(3)]

    assert (done.state, done.amount_fen, done.number) == (RefundAtChannel.SUCCEEDED, 500, "R1")
    assert (unknown.state, going.state) == (RefundAtChannel.PROCESSING, RefundAtChannel.PROCESSING)
    assert gateway.content(0)["out_request_no"] == "R1"
    assert gateway.content(0)["refund_amount"] == "5.00"


async def test_an_unknown_refund_is_unknown(gateway: Gateway, channel: LiveAlipay):
    gateway.answers["alipay.trade.fastpay.refund.query"] = [OK, failed("ACQ.TRADE_NOT_EXIST")]

    for _ in range(2):
        with pytest.raises(RefundUnknown):
            await channel.query_refund("R1", payment_number=NUMBER)


async def test_bills_and_refunds_to_cards_are_not_offered(channel: LiveAlipay):
    with pytest.raises(BillNotOffered):
        await channel.bill(date(2026, 1, 1))
    with pytest.raises(NotOffered):
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
def test_a_fault_is_told_by_the_name_of_its_setting_and_stops_the_start(changes: dict[str, Any], name: str):
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
