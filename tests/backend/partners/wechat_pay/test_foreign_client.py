"""A client that no one here wrote (PyPI `wechatpayv3`) does its whole day against the sandbox.

It is synchronous and knows one address only: it works in a thread, and its address is turned to the sandbox's.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.core import Core

from backend import clock
from backend.partners.sandbox import Sandbox
from tests.backend.partners.wechat_pay.merchant import Receiver, a_receiver

NUMBER = "P20260101000001"
OPENID = "oTEST0000000000000000000001"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with a_receiver() as each:
        yield each


@pytest.fixture
def at_sandbox(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The package writes its address in its constructor; here it cannot."""
    address = property(lambda _: sandbox.base, lambda *_: None)
    monkeypatch.setattr(Core, "_gate_way", address, raising=False)
    sandbox.pay.world.rules.refund_seconds = None
    return sandbox


def made(sandbox: Sandbox, *, public_key: bool = False, **more: Any) -> WeChatPay:
    reported = sandbox.pay.settings(sandbox.base)
    if public_key:
        more |= {"public_key": reported["wechat_pay_public_key"], "public_key_id": reported["wechat_pay_public_key_id"]}
    return WeChatPay(
        wechatpay_type=WeChatPayType.MINIPROG,
        mchid=reported["wechat_pay_mchid"],
        private_key=reported["wechat_pay_key"],
        cert_serial_no=reported["wechat_pay_serial"],
        appid=reported["wechat_pay_appid"],
        apiv3_key=reported["wechat_pay_api_v3_key"],
        **more,
    )


async def asked(method: Any, *given: Any, **named: Any) -> tuple[int, Any]:
    """One call in a thread: status, and the body read."""
    code, message = await asyncio.to_thread(partial(method, *given, **named))
    return code, json.loads(message) if isinstance(message, str) and message else message


async def ordered(client: WeChatPay, receiver: Receiver, number: str = NUMBER, **more: Any) -> str:
    code, said = await asked(
        client.pay,
        description="工本费-示例",
        out_trade_no=number,
        amount={"total": 1000, "currency": "CNY"},
        payer={"openid": OPENID},
        notify_url=receiver.url,
        **more,
    )
    assert code == 200, said
    return str(said["prepay_id"])


@pytest.mark.filterwarnings("ignore:Properties that return a na")
@pytest.mark.parametrize("public_key", [False, True])
async def test_the_foreign_client_pays_queries_refunds_and_accepts_both_callbacks(
    at_sandbox: Sandbox, receiver: Receiver, public_key: bool
):
    pay = at_sandbox.pay
    client = await asyncio.to_thread(made, at_sandbox, public_key=public_key)
    if public_key:
        pay.move_keys("public_key")
    prepay_id = await ordered(client, receiver)
    stamp, nonce, package = str(clock.timestamp()), "0123456789abcdef", f"prepay_id={prepay_id}"
    signed = client.sign([pay.world.appid, stamp, nonce, package])
    pay.confirm({"timeStamp": stamp, "nonceStr": nonce, "package": package, "signType": "RSA", "paySign": signed})
    await pay.settle()
    notice = await asyncio.to_thread(client.callback, *receiver.received[-1])
    assert notice["event_type"] == "TRANSACTION.SUCCESS"
    assert notice["resource"]["amount"]["total"] == 1000
    code, seen = await asked(client.query, out_trade_no=NUMBER)
    assert (code, seen["trade_state"]) == (200, "SUCCESS")
    assert seen["transaction_id"] == notice["resource"]["transaction_id"]
    amount = {"refund": 400, "total": 1000, "currency": "CNY"}
    code, refund = await asked(client.refund, "R1", amount, out_trade_no=NUMBER, reason="多收", notify_url=receiver.url)
    assert (code, refund["status"]) == (200, "PROCESSING")
    pay.finish_refund("R1")
    await pay.settle()
    notice = await asyncio.to_thread(client.callback, *receiver.received[-1])
    assert (notice["event_type"], notice["resource"]["amount"]["refund"]) == ("REFUND.SUCCESS", 400)
    assert (await asked(client.query_refund, "R1"))[1]["status"] == "SUCCESS"
    _, stuck = await asked(client.refund, "R2", {**amount, "refund": 600}, out_trade_no=NUMBER)
    pay.finish_refund("R2", "ABNORMAL")
    card = ("USER_BANK_CARD", "ICBC_DEBIT", "6222020000000000000", "张三")
    code, refund = await asked(client.abnormal_refund, stuck["refund_id"], "R2", *card)
    assert (code, refund["status"], refund["user_received_account"]) == (200, "PROCESSING", "ICBC_DEBIT0000")


async def test_the_foreign_client_closes_an_order_and_verifies_the_empty_answer(
    at_sandbox: Sandbox, receiver: Receiver
):
    client = await asyncio.to_thread(made, at_sandbox)
    await ordered(client, receiver)
    assert await asked(client.close, NUMBER) == (204, b"")
    assert (await asked(client.query, out_trade_no=NUMBER))[1]["trade_state"] == "CLOSED"
    code, said = await asked(client.close, "P-nobody-1")
    assert (code, said["code"]) == (404, "ORDER_NOT_EXIST")


async def test_the_foreign_client_downloads_a_bill_whose_hash_is_right(at_sandbox: Sandbox, receiver: Receiver):
    client = await asyncio.to_thread(made, at_sandbox)
    await ordered(client, receiver, attach="a,b")
    at_sandbox.pay.pay(NUMBER)
    day = clock.day_of(at_sandbox.pay.world.now()).isoformat()
    at_sandbox.pay.world.advance(34 * 3600)
    code, bill = await asked(client.trade_bill, day)
    assert code == 200
    assert urlsplit(bill["download_url"]).path == "/v3/billdownload/file"
    code, file = await asked(client.download_bill, bill["download_url"])
    text = gzip.decompress(file)
    assert (code, hashlib.sha1(text, usedforsecurity=False).hexdigest()) == (200, bill["hash_value"])
    assert f"`{NUMBER},".encode() in text


async def test_the_foreign_client_works_for_a_sub_merchant(at_sandbox: Sandbox, receiver: Receiver):
    client = await asyncio.to_thread(partial(made, at_sandbox, partner_mode=True))
    code, said = await asked(
        client.pay,
        description="工本费",
        out_trade_no=NUMBER,
        amount={"total": 5, "currency": "CNY"},
        payer={"sp_openid": OPENID},
        notify_url=receiver.url,
        sub_mchid="1900000109",
    )
    assert code == 200, said
    at_sandbox.pay.pay(NUMBER)
    await at_sandbox.pay.settle()
    notice = await asyncio.to_thread(client.callback, *receiver.received[-1])
    assert notice["resource"]["sub_mchid"] == "1900000109"
    code, seen = await asked(client.query, out_trade_no=NUMBER, sub_mchid="1900000109")
    assert (seen["trade_state"], seen["payer"]) == ("SUCCESS", {"sp_openid": OPENID})
    amount = {"refund": 5, "total": 5, "currency": "CNY"}
    code, refund = await asked(client.refund, "R1", amount, out_trade_no=NUMBER, sub_mchid="1900000109")
    assert (code, refund["status"]) == (200, "PROCESSING")


async def test_the_foreign_client_follows_a_rotation_and_sees_through_forgeries(
    at_sandbox: Sandbox, receiver: Receiver
):
    client, pay = await asyncio.to_thread(made, at_sandbox), at_sandbox.pay
    await ordered(client, receiver)
    pay.pay(NUMBER)
    pay.move_keys("rotate")
    assert (await asked(client.query, out_trade_no=NUMBER))[0] == 200
    assert await asyncio.to_thread(client.callback, *pay.written(NUMBER)) is not None
    for fault in ("bad_signature", "probe", "other_key", "unknown_serial"):
        assert await asyncio.to_thread(client.callback, *pay.written(NUMBER, signature=fault)) is None, fault
    pay.answers.append("probe")
    with pytest.raises(Exception, match="failed to verify"):
        await asked(client.query, out_trade_no=NUMBER)


async def test_a_foreign_client_with_a_wrong_key_is_refused(at_sandbox: Sandbox, receiver: Receiver):
    client = await asyncio.to_thread(made, at_sandbox)
    client._core._cert_serial_no = "5" * 40
    code, said = await asked(client.query, out_trade_no=NUMBER)
    assert (code, said["code"]) == (401, "SIGN_ERROR")
