"""The sandbox of Alipay accepts what is rightly signed, signs its answers, and repeats until it receives `success`."""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from backend import clock
from backend.partners.alipay.sandbox.notices import SCHEDULE
from backend.partners.sandbox import Sandbox
from tests.backend.partners.wechat_pay.merchant import Receiver, a_receiver

NUMBER = "P20260101000002"


class App:
    """An app of Alipay: the third hand that writes this signature."""

    def __init__(self, sandbox: Sandbox, client: httpx.AsyncClient, receiver: Receiver) -> None:
        self.alipay, self.client, self.receiver = sandbox.alipay, client, receiver
        self.settings = sandbox.alipay.settings(sandbox.base)

    def form(self, method: str, content: Any, **changes: str) -> str:
        """The signed fields of a call."""
        fields = {
            "app_id": self.settings["alipay_app_id"],
            "method": method,
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": clock.now().astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
            "version": "1.0",
            "notify_url": self.receiver.url,
            "biz_content": json.dumps(content, ensure_ascii=False),
            **changes,
        }
        lines = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if value)
        key: Any = load_pem_private_key(self.settings["alipay_key"].encode(), None)
        encoding = "gb18030" if fields["charset"] == "GBK" else "utf-8"
        fields["sign"] = b64encode(key.sign(lines.encode(encoding), PKCS1v15(), SHA256())).decode()
        return urlencode(fields)

    async def send(self, form: str) -> httpx.Response:
        """A form to the gateway."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.client.post(self.settings["alipay_api_base"], content=form.encode(), headers=headers)

    async def call(self, method: str, content: Any) -> dict[str, Any]:
        """The member that answers, when its signature is right."""
        answer = await self.send(self.form(f"alipay.trade.{method}", content))
        name = f"alipay_trade_{method.replace('.', '_')}_response"
        raw = answer.text
        member = raw[len(f'{{"{name}":') : raw.rindex(',"sign":"')]
        assert self.is_from_alipay(member.encode(), json.loads(raw)["sign"])
        return dict(json.loads(raw)[name])

    def order(self, number: str = NUMBER, **changes: str) -> str:
        """An order string for the app's dialogue."""
        content = {"out_trade_no": number, "total_amount": "10.00", "subject": "工本费 示例&测试", **changes}
        return self.form("alipay.trade.app.pay", {**content, "product_code": "QUICK_MSECURITY_PAY"})

    def is_from_alipay(self, content: bytes, signature: str) -> bool:
        """Whether Alipay's key signed it."""
        key: Any = load_pem_public_key(self.settings["alipay_public_key"].encode())
        try:
            key.verify(b64decode(signature), content, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def read(self, body: bytes, *, keep_sign_type: bool = False) -> tuple[dict[str, str], bool]:
        """The fields of a notice, and whether the signature is right."""
        encoding = "gb18030" if b"charset=GBK" in body else "utf-8"
        fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, encoding=encoding))
        without = {"sign"} if keep_sign_type else {"sign", "sign_type"}
        text = "&".join(f"{k}={fields[k]}" for k in sorted(fields) if fields[k] and k not in without)
        return fields, self.is_from_alipay(text.encode(encoding), fields.get("sign", ""))


@pytest.fixture
async def app(sandbox: Sandbox) -> AsyncIterator[App]:
    """An app whose notices a receiver keeps, a day in two seconds."""
    sandbox.alipay.world.rules.speed = 43_200.0
    async with a_receiver() as receiver, httpx.AsyncClient(base_url=sandbox.base, timeout=60) as client:
        receiver.answers, receiver.words = [200], b"success"
        yield App(sandbox, client, receiver)


async def test_a_trade_begins_when_the_payer_opens_a_rightly_signed_order_string(app: App):
    assert (await app.call("query", {"out_trade_no": NUMBER}))["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    at = "/sandbox/alipay/confirm"
    forged = app.order().replace("10.00", "0.01")
    assert (await app.client.post(at, json={"orderStr": forged})).json()["sub_code"] == "isv.invalid-signature"
    await app.client.post(at, json={"orderStr": app.order(), "pay": False})
    seen = await app.call("query", {"out_trade_no": NUMBER})
    assert (seen["trade_status"], seen["total_amount"]) == ("WAIT_BUYER_PAY", "10.00")
    other = app.order(total_amount="11.00")
    assert (await app.client.post(at, json={"orderStr": other})).json()["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    assert (await app.client.post(at, json={"orderStr": app.order()})).json()["resultStatus"] == "9000"
    seen = await app.call("query", {"trade_no": seen["trade_no"]})
    assert (seen["trade_status"], seen["receipt_amount"]) == ("TRADE_SUCCESS", "10.00")
    assert (await app.client.post(at, json={"orderStr": app.order()})).json()["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"


async def test_calls_that_are_wrongly_signed_are_refused(app: App):
    content = {"out_trade_no": NUMBER}
    wrong = {
        "isv.invalid-signature": app.form("alipay.trade.query", content).replace(NUMBER, "P20260101000003"),
        "isv.invalid-app-id": app.form("alipay.trade.query", content, app_id="2021000000000009"),
        "isv.invalid-timestamp": app.form("alipay.trade.query", content, timestamp="2020-01-01 00:00:00"),
        "isv.invalid-signature-type": app.form("alipay.trade.query", content, sign_type="RSA"),
        "isv.invalid-charset": app.form("alipay.trade.query", content, charset="latin-1"),
        "isv.invalid-method": app.form("alipay.trade.nothing", content),
    }
    for code, form in wrong.items():
        said = (await app.send(form)).json()
        member = next(value for name, value in said.items() if name != "sign")
        assert (member["code"], member["sub_code"]) == ("40002", code)


async def test_an_answer_is_written_and_signed_in_the_charset_of_the_call(app: App):
    app.alipay.confirm(app.order())
    answer = await app.send(app.form("alipay.trade.query", {"out_trade_no": "不存在"}, charset="GBK"))
    raw = answer.content
    member = raw[raw.index(b":") + 1 : raw.rindex(b',"sign":"')]
    assert json.loads(member.decode("gb18030"))["sub_msg"] == "交易不存在"
    assert app.is_from_alipay(member, json.loads(raw.decode("gb18030"))["sign"])


async def test_only_an_open_trade_is_closed_and_time_closes_it_too(app: App):
    app.alipay.open(app.order())
    assert (await app.call("close", {"out_trade_no": NUMBER}))["code"] == "10000"
    assert (await app.call("close", {"out_trade_no": NUMBER}))["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert (await app.call("close", {"out_trade_no": "P-nobody-1"}))["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    until = clock.now().astimezone(clock.SHANGHAI).replace(year=2050).strftime("%Y-%m-%d %H:%M:%S")
    app.alipay.open(app.order("P-expiry-1", time_expire=until))
    app.alipay.world.advance(30 * 365 * 86400)
    assert (await app.call("query", {"out_trade_no": "P-expiry-1"}))["trade_status"] == "TRADE_CLOSED"


async def test_a_created_trade_waits_for_its_buyer(app: App):
    content = {"out_trade_no": NUMBER, "total_amount": "0.01", "subject": "工本费", "buyer_open_id": "074a1C"}
    made = await app.call("create", content)
    assert (await app.call("create", content))["trade_no"] == made["trade_no"]
    app.alipay.pay(NUMBER)
    await app.alipay.settle()
    assert app.read(app.receiver.received[0][1])[0]["buyer_id"] == "074a1C"


async def test_the_same_request_number_refunds_once_and_the_answer_has_the_sum(app: App):
    app.alipay.confirm(app.order())
    first = {"out_trade_no": NUMBER, "out_request_no": "R1", "refund_amount": "4.00", "refund_reason": "多收"}
    said = await app.call("refund", first)
    assert (said["fund_change"], said["refund_fee"]) == ("Y", "4.00")
    said = await app.call("refund", first)
    assert (said["fund_change"], said["refund_fee"]) == ("N", "4.00")
    again = {**first, "refund_amount": "5.00"}
    assert (await app.call("refund", again))["sub_code"] == "ACQ.DISCORDANT_REPEAT_REQUEST"
    too_much = {**first, "out_request_no": "R2", "refund_amount": "6.01"}
    assert (await app.call("refund", too_much))["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    rest = {**first, "out_request_no": "R2", "refund_amount": "6.00"}
    assert (await app.call("refund", rest))["refund_fee"] == "10.00"
    assert (await app.call("query", {"out_trade_no": NUMBER}))["trade_status"] == "TRADE_CLOSED"
    ledger = (await app.client.get("/sandbox/alipay/ledger")).json()
    amounts = [(each["kind"], each["amount_fen"]) for each in ledger]
    assert sorted(amounts) == [("payment", 1000), ("refund", 400), ("refund", 600)]


async def test_an_unknown_refund_is_answered_with_success_and_nothing_in_it(app: App):
    app.alipay.confirm(app.order())
    asked = {"out_trade_no": NUMBER, "out_request_no": "R1", "query_options": ["gmt_refund_pay"]}
    assert await app.call("fastpay.refund.query", asked) == {"code": "10000", "msg": "Success"}
    app.alipay.world.rules.hold_refunds = True
    await app.call("refund", {"out_trade_no": NUMBER, "out_request_no": "R1", "refund_amount": "4"})
    seen = await app.call("fastpay.refund.query", asked)
    assert "refund_status" not in seen
    app.alipay.finish_refunds(NUMBER)
    seen = await app.call("fastpay.refund.query", asked)
    assert (seen["refund_status"], seen["refund_amount"]) == ("REFUND_SUCCESS", "4.00")
    assert seen["gmt_refund_pay"]


async def test_refunds_need_money_and_a_trade_that_is_not_finished(app: App):
    app.alipay.confirm(app.order())
    asked = {"out_trade_no": NUMBER, "out_request_no": "R1", "refund_amount": "4.00"}
    app.alipay.world.rules.balance_fen = 399
    assert (await app.call("refund", asked))["sub_code"] == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    app.alipay.world.rules.balance_fen = None
    app.alipay.fail("alipay.trade.refund", "ACQ.SYSTEM_ERROR", code="20000")
    assert (await app.call("refund", asked))["code"] == "20000"
    app.alipay.finish(NUMBER)
    assert (await app.call("refund", asked))["sub_code"] == "ACQ.TRADE_HAS_FINISHED"


async def test_a_payment_is_notified_until_the_answer_is_exactly_success(app: App):
    app.receiver.words = b"success\n"
    app.alipay.confirm(app.order())
    await app.alipay.settle()
    assert len(app.receiver.received) == 8
    assert sum(SCHEDULE) <= 25 * 3600
    read = [app.read(body) for _, body in app.receiver.received]
    assert all(right for _, right in read)
    assert len({fields["notify_id"] for fields, _ in read}) == 1
    app.receiver.words = b"success"
    app.receiver.received.clear()
    app.alipay.notify(NUMBER)
    await app.alipay.settle()
    ((_, body),) = app.receiver.received
    fields, right = app.read(body)
    assert right
    reported = (fields["out_trade_no"], fields["total_amount"], fields["trade_status"], fields["subject"])
    assert reported == (NUMBER, "10.00", "TRADE_SUCCESS", "工本费 示例&测试")
    assert (fields["seller_id"], fields["app_id"]) == (app.settings["alipay_seller_id"], app.settings["alipay_app_id"])


async def test_refunds_are_notified_at_the_same_address_with_the_sum_so_far(app: App):
    app.alipay.confirm(app.order())
    await app.alipay.settle()
    for number, amount in (("R1", "4.00"), ("R2", "6.00")):
        await app.call("refund", {"out_trade_no": NUMBER, "out_request_no": number, "refund_amount": amount})
        await app.alipay.settle()
    reported = [app.read(body)[0] for _, body in app.receiver.received[1:]]
    seen = [(each["out_biz_no"], each["refund_fee"], each["trade_status"]) for each in reported]
    assert seen == [("R1", "4.00", "TRADE_SUCCESS"), ("R2", "10.00", "TRADE_CLOSED")]
    assert all(each["gmt_refund"] for each in reported)


@pytest.mark.parametrize("charset", ["utf-8", "GBK"])
@pytest.mark.parametrize("keep_sign_type", [False, True])
async def test_both_signed_texts_and_both_charsets_occur(app: App, charset: str, keep_sign_type: bool):
    app.alipay.open(app.order())
    body = app.alipay.written(NUMBER, charset=charset, keep_sign_type=keep_sign_type)
    fields, right = app.read(body, keep_sign_type=keep_sign_type)
    assert right
    assert (fields["subject"], fields["charset"]) == ("工本费 示例&测试", charset)
    assert not app.read(body, keep_sign_type=not keep_sign_type)[1]


@pytest.mark.parametrize(
    "fault", [{"signature": "bad_signature"}, {"signature": "other_key"}, {"signature": "unsigned"}, {"tampered": True}]
)
async def test_a_notice_can_carry_a_signature_that_must_be_refused(app: App, fault: dict[str, Any]):
    app.alipay.open(app.order())
    assert not app.read(app.alipay.written(NUMBER, **fault))[1]


async def test_a_notice_can_be_rightly_signed_and_untrue_or_old_or_repeated(app: App):
    app.alipay.open(app.order())
    app.alipay.forge(NUMBER, total_amount="0.01", seller_id=None)
    await app.alipay.settle()
    fields, right = app.read(app.receiver.received[0][1])
    assert right
    assert (fields["total_amount"], fields["seller_id"], app.alipay.ledger()) == ("0.01", "", [])
    old = app.read(app.alipay.written(NUMBER, stale_seconds=200_000))[0]["notify_time"]
    assert time.strptime(old, "%Y-%m-%d %H:%M:%S") < time.gmtime(time.time() - 86_400)
    app.receiver.received.clear()
    at = f"/sandbox/alipay/trades/{NUMBER}/notify"
    sent = (await app.client.post(at, json={"copies": 3})).json()
    await app.alipay.settle()
    assert {app.read(body)[0]["notify_id"] for _, body in app.receiver.received} == {sent[0]["id"]}
    assert len(app.receiver.received) == 3
    replayed = await app.client.post(f"/sandbox/alipay/notices/{sent[0]['id']}/send")
    assert replayed.json() == {"answer": "200 success"}
    assert app.receiver.received[-1][1] == app.receiver.received[0][1]


async def test_notices_are_held_or_swallowed_and_the_test_control_works_over_http(app: App):
    app.alipay.open(app.order())
    await app.client.put("/sandbox/alipay/rules", json={"notices": "hold"})
    paid = await app.client.post(f"/sandbox/alipay/trades/{NUMBER}/pay", json={})
    assert paid.json()["trade_status"] == "TRADE_SUCCESS"
    await app.alipay.settle()
    assert app.receiver.received == []
    assert [each["held"] for each in (await app.client.post("/sandbox/alipay/notices/release")).json()] == [False]
    await app.client.post("/sandbox/alipay/settle")
    assert len(app.receiver.received) == 1
    await app.client.put("/sandbox/alipay/rules", json={"notices": "swallow"})
    refunded = await app.client.post(f"/sandbox/alipay/trades/{NUMBER}/console-refund", json={"amount_fen": 250})
    assert refunded.json()["refunded"] == "2.50"
    await app.alipay.settle()
    assert len(app.receiver.received) == 1
    failing = {"method": "alipay.trade.query", "sub_code": "ACQ.SYSTEM_ERROR", "code": "20000"}
    assert (await app.client.post("/sandbox/alipay/failures", json=failing)).json() == {"failures": 1}
    assert (await app.call("query", {"out_trade_no": NUMBER}))["code"] == "20000"
    assert [each["out_trade_no"] for each in (await app.client.get("/sandbox/alipay/trades")).json()] == [NUMBER]


async def test_a_closed_trade_is_paid_only_when_the_bank_was_late(app: App):
    app.alipay.open(app.order())
    await app.call("close", {"out_trade_no": NUMBER})
    at = f"/sandbox/alipay/trades/{NUMBER}/pay"
    assert (await app.client.post(at, json={})).json()["sub_code"] == "ACQ.TRADE_HAS_CLOSE"
    assert (await app.client.post(at, json={"force": True})).json()["trade_status"] == "TRADE_SUCCESS"
