"""Refunds of the sandbox: once per number, never more than was paid, through on the platform's own time."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from hashlib import md5
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from wechatpayv3.utils import load_public_key, rsa_encrypt

from backend.partners.sandbox import Sandbox
from tests.backend.partners.wechat_pay.merchant import OPENID, Merchant, a_receiver

NUMBER = "P20260101000001"
AT = "/v3/refund/domestic/refunds"


@pytest.fixture
async def merchant(sandbox: Sandbox) -> AsyncIterator[Merchant]:
    """One with a paid order, and refunds that wait for the test control."""
    async with httpx.AsyncClient(base_url=sandbox.base) as client:
        each = Merchant(sandbox, client)
        sandbox.pay.world.rules.notices = "swallow"
        sandbox.pay.world.rules.refund_seconds = None
        await each.place()
        sandbox.pay.pay(NUMBER)
        yield each


async def test_a_refund_number_refunds_once_however_often_it_is_asked_for(merchant: Merchant):
    first = (await merchant.refund("R1", 400, reason="多收")).json()
    assert first["status"] == "PROCESSING"
    assert [first["amount"][each] for each in ("total", "refund", "payer_refund")] == [1000, 400, 400]
    again = (await merchant.refund("R1", 400)).json()
    assert again == first
    assert (await merchant.refund("R1", 401)).json()["code"] == "INVALID_REQUEST"
    by_transaction = {"transaction_id": first["transaction_id"], "out_trade_no": None}
    assert (await merchant.refund("R1", 400, **by_transaction)).json() == first
    assert (await merchant.query())["trade_state"] == "REFUND"
    merchant.sandbox.pay.finish_refund("R1")
    seen = (await merchant.call("GET", f"{AT}/R1")).json()
    assert (seen["status"], seen["success_time"][-6:]) == ("SUCCESS", "+08:00")
    assert (await merchant.refund("R1", 400)).json() == seen


async def test_refunds_never_exceed_what_was_paid_and_a_closed_one_frees_its_share(merchant: Merchant):
    assert (await merchant.refund("R1", 600)).status_code == 200
    assert (await merchant.refund("R2", 401)).json()["code"] == "INVALID_REQUEST"
    merchant.sandbox.pay.finish_refund("R1", "CLOSED")
    assert (await merchant.refund("R3", 1000)).status_code == 200
    assert (await merchant.refund("R4", 1)).json()["code"] == "INVALID_REQUEST"


async def test_an_order_takes_fifty_partial_refunds(merchant: Merchant):
    for number in range(50):
        assert (await merchant.refund(f"R{number}", 1)).status_code == 200
    assert (await merchant.refund("R50", 1)).json()["message"] == "单笔订单最多支持50次部分退款"


async def test_an_order_is_refunded_within_a_year(merchant: Merchant):
    merchant.sandbox.pay.world.advance(366 * 86400)
    assert (await merchant.refund("R1", 1)).json()["code"] == "INVALID_REQUEST"


async def test_a_refund_runs_on_the_clock_of_the_platform(merchant: Merchant):
    rules = merchant.sandbox.pay.world.rules
    rules.refund_seconds, rules.speed = 60.0, 600.0
    assert (await merchant.refund("R1", 400)).json()["status"] == "PROCESSING"
    rules.refund_outcome = "ABNORMAL"
    await merchant.sandbox.pay.settle()
    assert (await merchant.call("GET", f"{AT}/R1")).json()["status"] == "ABNORMAL"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"out_trade_no": None}, (400, "PARAM_ERROR")),
        ({"out_trade_no": "P-nobody-1"}, (404, "RESOURCE_NOT_EXISTS")),
        ({"out_trade_no": "P-unpaid-1"}, (400, "INVALID_REQUEST")),
        ({"out_refund_no": "R 1"}, (400, "PARAM_ERROR")),
        ({"out_refund_no": "R" * 65}, (400, "PARAM_ERROR")),
        ({"reason": "长" * 81}, (400, "PARAM_ERROR")),
        ({"amount": {"refund": 0, "total": 1000, "currency": "CNY"}}, (400, "PARAM_ERROR")),
        ({"amount": {"refund": 1, "total": 999, "currency": "CNY"}}, (400, "PARAM_ERROR")),
        ({"amount": {"refund": 1, "total": 1000}}, (400, "PARAM_ERROR")),
        ({"amount": {"refund": "1", "total": 1000, "currency": "CNY"}}, (400, "PARAM_ERROR")),
    ],
)
async def test_a_refund_that_is_badly_asked_for_is_refused(
    merchant: Merchant, changes: dict[str, Any], expected: tuple[int, str]
):
    await merchant.place("P-unpaid-1")
    answer = await merchant.refund("R1", 1, **changes)
    assert (answer.status_code, answer.json()["code"]) == expected
    assert not merchant.sandbox.pay.world.refunds


async def test_a_merchant_without_money_and_a_payer_without_account_are_refused(merchant: Merchant):
    rules = merchant.sandbox.pay.world.rules
    rules.balance_fen = 300
    assert (await merchant.refund("R1", 400)).json()["code"] == "NOT_ENOUGH"
    assert (await merchant.refund("R1", 300)).status_code == 200
    assert rules.balance_fen == 0
    merchant.sandbox.pay.finish_refund("R1", "CLOSED")
    assert rules.balance_fen == 300
    rules.balance_fen, rules.abnormal_payers = None, {OPENID}
    answer = await merchant.refund("R2", 400)
    assert (answer.status_code, answer.json()["code"]) == (403, "USER_ACCOUNT_ABNORMAL")


async def test_a_stuck_refund_sets_out_again_to_a_bank_card(merchant: Merchant):
    refund_id = (await merchant.refund("R1", 400)).json()["refund_id"]
    at = f"{AT}/{refund_id}/apply-abnormal-refund"
    public = {"Wechatpay-Serial": merchant.settings["wechat_pay_public_key_id"]}
    key = load_public_key(merchant.settings["wechat_pay_public_key"])
    sealed = {"bank_account": rsa_encrypt("6222020000000000000", key), "real_name": rsa_encrypt("张三", key)}
    card = {"out_refund_no": "R1", "type": "USER_BANK_CARD", "bank_type": "ICBC_DEBIT", **sealed}
    early = await merchant.call("POST", at, card, **public)
    assert early.json()["code"] == "INVALID_REQUEST"
    merchant.sandbox.pay.finish_refund("R1", "ABNORMAL")
    assert (await merchant.code("POST", at, {"out_refund_no": "R1", "type": "USER_BANK_CARD"}))[1] == "PARAM_ERROR"
    assert (await merchant.code("POST", at, {**card, "out_refund_no": "R2"}))[1] == "RESOURCE_NOT_EXISTS"
    plain = await merchant.call("POST", at, {**card, "bank_account": "6222020000000000000"}, **public)
    assert plain.json()["code"] == "PARAM_ERROR"
    assert (await merchant.code("POST", at, card))[1] == "PARAM_ERROR"
    answer = (await merchant.call("POST", at, card, **public)).json()
    seen = (answer["status"], answer["channel"], answer["user_received_account"])
    assert seen == ("PROCESSING", "OTHER_BANKCARD", "ICBC_DEBIT0000")
    merchant.sandbox.pay.finish_refund("R1")
    assert (await merchant.call("GET", f"{AT}/R1")).json()["status"] == "SUCCESS"


async def test_an_unknown_refund_is_not_there(merchant: Merchant):
    assert await merchant.code("GET", f"{AT}/R1") == (404, "RESOURCE_NOT_EXISTS")


async def test_a_refund_of_the_console_is_notified_in_xml_sealed_with_the_v2_key(merchant: Merchant):
    pay = merchant.sandbox.pay
    async with a_receiver() as receiver:
        pay.world.rules.notices, pay.world.rules.console_notify_url = "send", receiver.url
        refund = pay.refund_in_console(NUMBER, 250)
        await pay.settle()
    headers, body = receiver.received[0]
    assert headers["content-type"] == "text/xml"
    assert "wechatpay-signature" not in headers
    outer = {each.tag: each.text or "" for each in ElementTree.fromstring(body)}
    assert (outer["return_code"], outer["mch_id"]) == ("SUCCESS", merchant.settings["wechat_pay_mchid"])
    key = md5(merchant.settings["wechat_pay_v2_key"].encode(), usedforsecurity=False).hexdigest().encode()
    opener = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    padded = opener.update(b64decode(outer["req_info"])) + opener.finalize()
    inner = {each.tag: each.text or "" for each in ElementTree.fromstring(padded[: -padded[-1]])}
    reported = (inner["refund_id"], inner["refund_fee"], inner["total_fee"], inner["out_trade_no"])
    assert reported == (refund.refund_id, "250", "1000", NUMBER)
    assert (inner["refund_status"], inner["refund_request_source"]) == ("SUCCESS", "VENDOR_PLATFORM")


async def test_the_ledger_shows_every_fen_that_moved(merchant: Merchant):
    await merchant.refund("R1", 400)
    await merchant.refund("R2", 100)
    merchant.sandbox.pay.finish_refund("R1")
    rows = (await merchant.client.get("/sandbox/pay/ledger")).json()
    (payment,) = [each for each in rows if each["kind"] == "payment"]
    assert (payment["out_trade_no"], payment["amount_fen"], payment["refunded_fen"]) == (NUMBER, 1000, 400)
    assert (payment["openid"], payment["state"]) == (OPENID, "REFUND")
    refunds = {each["out_refund_no"]: (each["amount_fen"], each["state"]) for each in rows if each["kind"] == "refund"}
    assert refunds == {"R1": (400, "SUCCESS"), "R2": (100, "PROCESSING")}
