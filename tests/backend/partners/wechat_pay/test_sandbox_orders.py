"""The sandbox of WeChat Pay checks every call, signs every answer, and keeps the rules of orders."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from wechatpayv3.utils import aes_decrypt, build_authorization

from backend import clock
from backend.partners.sandbox import Sandbox
from backend.partners.sandbox_keys import rsa_key
from tests.backend.partners.wechat_pay.merchant import JSAPI, Merchant

NUMBER = "P20260101000001"
CERTIFICATES = "/v3/certificates"


@pytest.fixture
async def merchant(sandbox: Sandbox) -> AsyncIterator[Merchant]:
    async with httpx.AsyncClient(base_url=sandbox.base) as client:
        yield Merchant(sandbox, client)


async def refused(merchant: Merchant, authorization: str, path: str = CERTIFICATES) -> tuple[int, str]:
    answer = await merchant.client.get(path, headers={"Authorization": authorization, "Accept": "application/json"})
    return answer.status_code, answer.json().get("code", "")


def authorization(merchant: Merchant, path: str = CERTIFICATES, **changes: Any) -> str:
    given = {"mchid": merchant.settings["wechat_pay_mchid"], "serial_no": merchant.serial, "private_key": merchant.key}
    return str(build_authorization(path, "GET", **(given | changes)))


async def test_a_call_is_accepted_once_and_refused_for_any_fault_in_its_signature(merchant: Merchant):
    good = authorization(merchant)
    assert (await refused(merchant, good)) == (200, "")
    flawed = {
        "repeated": good,
        "missing": "",
        "other scheme": authorization(merchant).replace("RSA2048", "RSA4096"),
        "other merchant": authorization(merchant, mchid="1900000009"),
        "other serial": authorization(merchant, serial_no="5" * 40),
        "other key": authorization(merchant, private_key=rsa_key("nobody's")),
        "other path": authorization(merchant, path="/v3/certificates?x=1"),
        "part twice": authorization(merchant) + ',mchid="1900000001"',
        "rubbish after": authorization(merchant) + ",and more",
        "bad nonce": authorization(merchant, nonce_str="x" * 33),
        "not base64": authorization(merchant).replace('signature="', 'signature="*'),
    }
    for why, each in flawed.items():
        assert await refused(merchant, each) == (401, "SIGN_ERROR"), why


async def test_a_signature_is_good_for_five_minutes_only(merchant: Merchant, monkeypatch: pytest.MonkeyPatch):
    true = time.time()
    for seconds, expected in ((-290, 200), (290, 200), (-310, 401), (310, 401)):
        monkeypatch.setattr("wechatpayv3.utils.time.time", lambda at=true + seconds: at)
        made = authorization(merchant)
        monkeypatch.undo()
        assert (await refused(merchant, made))[0] == expected, seconds


async def test_the_signature_covers_the_very_bytes_of_the_body(merchant: Merchant):
    body = json.dumps(merchant.order())
    signed = build_authorization(
        JSAPI, "POST", merchant.settings["wechat_pay_mchid"], merchant.serial, merchant.key, data=body
    )
    headers = {"Authorization": signed, "Content-Type": "application/json", "Accept": "application/json"}
    answer = await merchant.client.post(JSAPI, content=body.replace(": ", ":").encode(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "SIGN_ERROR")


async def test_every_answer_is_signed_the_empty_ones_and_the_refusals_too(merchant: Merchant):
    await merchant.place()
    answers = [
        await merchant.call("GET", CERTIFICATES),
        await merchant.close(),
        await merchant.call("GET", "/v3/nothing"),
        await merchant.call("POST", JSAPI, merchant.order(amount={"total": 0})),
    ]
    assert [each.status_code for each in answers] == [200, 204, 404, 400]
    for each in answers:
        assert merchant.is_from_platform(each.headers, each.content)
        assert each.headers["request-id"]
        assert not merchant.is_from_platform({**each.headers, "wechatpay-nonce": "x"}, each.content)


async def test_certificates_are_sealed_with_the_api_v3_key_and_rotate(merchant: Merchant):
    pay = merchant.sandbox.pay
    before = (await merchant.call("GET", CERTIFICATES)).json()["data"]
    sealed = before[0]["encrypt_certificate"]
    key = merchant.settings["wechat_pay_api_v3_key"]
    opened = aes_decrypt(sealed["nonce"], sealed["ciphertext"], sealed["associated_data"], key)
    assert opened.startswith("-----BEGIN CERTIFICATE-----")
    pay.move_keys("announce")
    answer = await merchant.call("GET", CERTIFICATES)
    assert next(each["serial_no"] for each in answer.json()["data"]) == before[0]["serial_no"]
    assert len(answer.json()["data"]) == 2
    assert answer.headers["wechatpay-serial"] == before[0]["serial_no"]
    pay.move_keys("switch")
    pay.move_keys("retire")
    answer = await merchant.call("GET", CERTIFICATES)
    (listed,) = answer.json()["data"]
    assert listed["serial_no"] == answer.headers["wechatpay-serial"] != before[0]["serial_no"]
    assert merchant.is_from_platform(answer.headers, answer.content)


async def test_the_public_key_signs_when_the_request_asks_and_for_all_after_the_move(merchant: Merchant):
    public = merchant.settings["wechat_pay_public_key_id"]
    asked = await merchant.call("GET", CERTIFICATES, **{"Wechatpay-Serial": public})
    assert asked.headers["wechatpay-serial"] == public
    assert merchant.is_from_platform(asked.headers, asked.content)
    assert (await merchant.call("GET", CERTIFICATES)).headers["wechatpay-serial"] != public
    merchant.sandbox.pay.move_keys("public_key")
    assert (await merchant.call("GET", CERTIFICATES)).headers["wechatpay-serial"] == public
    unknown = await merchant.call("GET", CERTIFICATES, **{"Wechatpay-Serial": "PUB_KEY_ID_0000"})
    assert unknown.status_code == 400


@pytest.mark.parametrize("fault", ["bad_signature", "probe", "other_key"])
async def test_answers_can_carry_a_signature_that_must_be_refused(merchant: Merchant, fault: Any):
    merchant.sandbox.pay.answers.append(fault)
    bad, good = [await merchant.call("GET", CERTIFICATES) for _ in range(2)]
    assert not merchant.is_from_platform(bad.headers, bad.content)
    assert merchant.is_from_platform(good.headers, good.content)
    assert bad.headers["wechatpay-signature"].startswith("WECHATPAY/SIGNTEST/") == (fault == "probe")


async def test_the_same_order_asked_for_again_gives_the_same_prepay_id(merchant: Merchant):
    first = await merchant.place()
    assert await merchant.place() == first
    assert await merchant.code("POST", JSAPI, merchant.order(amount={"total": 1001, "currency": "CNY"})) == (
        400,
        "INVALID_REQUEST",
    )
    merchant.sandbox.pay.world.advance(2 * 3600)
    assert await merchant.place() != first
    assert len(merchant.sandbox.pay.world.orders) == 1


async def test_an_order_lives_seven_days_or_until_its_time(merchant: Merchant):
    expiry = (clock.now().astimezone(clock.SHANGHAI) + timedelta(minutes=10)).isoformat(timespec="seconds")
    await merchant.place("P-short-1", time_expire=expiry)
    await merchant.place("P-long-01")
    merchant.sandbox.pay.world.advance(601)
    assert (await merchant.query("P-short-1"))["trade_state"] == "CLOSED"
    assert (await merchant.query("P-long-01"))["trade_state"] == "NOTPAY"
    assert await merchant.code("POST", JSAPI, merchant.order("P-short-1", time_expire=expiry)) == (400, "ORDER_CLOSED")
    merchant.sandbox.pay.world.advance(7 * 86400)
    assert (await merchant.query("P-long-01"))["trade_state"] == "CLOSED"


async def test_a_paid_order_shows_who_paid_what_and_can_be_looked_up_by_either_number(merchant: Merchant):
    await merchant.place(attach='case=1,"x"')
    unpaid = await merchant.query()
    assert unpaid["trade_state"] == "NOTPAY"
    assert "transaction_id" not in unpaid
    merchant.sandbox.pay.pay(NUMBER)
    paid = await merchant.query()
    assert paid["trade_state"] == "SUCCESS"
    assert paid["attach"] == 'case=1,"x"'
    assert paid["amount"] == {"total": 1000, "payer_total": 1000, "currency": "CNY", "payer_currency": "CNY"}
    assert paid["success_time"].endswith("+08:00")
    assert len(paid["transaction_id"]) == 28
    mchid = merchant.settings["wechat_pay_mchid"]
    path = f"/v3/pay/transactions/id/{paid['transaction_id']}?mchid={mchid}"
    assert (await merchant.call("GET", path)).json() == paid
    assert await merchant.code("POST", JSAPI, merchant.order(attach='case=1,"x"')) == (400, "INVALID_REQUEST")
    assert await merchant.code("POST", JSAPI, merchant.order()) == (403, "OUT_TRADE_NO_USED")


async def test_closing_repeats_and_never_closes_what_is_paid(merchant: Merchant):
    await merchant.place("P-closed-1")
    await merchant.place("P-paid-01")
    merchant.sandbox.pay.pay("P-paid-01")
    assert [(await merchant.close("P-closed-1")).status_code for _ in range(2)] == [204, 204]
    assert (await merchant.query("P-closed-1"))["trade_state"] == "CLOSED"
    assert (await merchant.close("P-paid-01")).status_code == 400
    assert (await merchant.query("P-paid-01"))["trade_state"] == "SUCCESS"
    assert (await merchant.close("P-nobody")).json()["code"] == "ORDER_NOT_EXIST"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"amount": {"total": 0, "currency": "CNY"}}, (400, "PARAM_ERROR")),
        ({"amount": {"total": "1000", "currency": "CNY"}}, (400, "PARAM_ERROR")),
        ({"amount": {"total": 1000.0, "currency": "CNY"}}, (400, "PARAM_ERROR")),
        ({"amount": {"total": True, "currency": "CNY"}}, (400, "PARAM_ERROR")),
        ({"amount": {"total": 1000, "currency": "USD"}}, (400, "PARAM_ERROR")),
        ({"out_trade_no": "short"}, (400, "PARAM_ERROR")),
        ({"out_trade_no": "P" * 33}, (400, "PARAM_ERROR")),
        ({"out_trade_no": "P2026 0101"}, (400, "PARAM_ERROR")),
        ({"description": "长" * 128}, (400, "PARAM_ERROR")),
        ({"description": None}, (400, "PARAM_ERROR")),
        ({"attach": "x" * 129}, (400, "PARAM_ERROR")),
        ({"notify_url": "https://a.example/notify?x=1"}, (400, "PARAM_ERROR")),
        ({"notify_url": "ftp://a.example/"}, (400, "PARAM_ERROR")),
        ({"time_expire": "2026-01-01 12:00:00"}, (400, "PARAM_ERROR")),
        ({"time_expire": "2020-01-01T12:00:00+08:00"}, (400, "PARAM_ERROR")),
        ({"payer": {}}, (400, "PARAM_ERROR")),
        ({"mchid": "1900000009"}, (400, "PARAM_ERROR")),
        ({"appid": "wx0000000000000000"}, (400, "APPID_MCHID_NOT_MATCH")),
    ],
)
async def test_an_order_that_is_badly_written_is_refused(
    merchant: Merchant, changes: dict[str, Any], expected: tuple[int, str]
):
    assert await merchant.code("POST", JSAPI, merchant.order(**changes)) == expected
    assert not merchant.sandbox.pay.world.orders


async def test_an_openid_of_the_official_account_cannot_pay_in_the_mini_program(merchant: Merchant):
    someone = merchant.sandbox.world.persona("王芳")
    given = merchant.order(payer={"openid": someone.oa_openid})
    assert await merchant.code("POST", JSAPI, given) == (500, "OPENID_MISMATCH")
    assert await merchant.place(payer={"openid": someone.openid})


async def test_orders_of_sub_merchants_are_kept_apart(merchant: Merchant):
    reported = merchant.settings
    order = {
        "sp_appid": reported["wechat_pay_appid"],
        "sp_mchid": reported["wechat_pay_mchid"],
        "sub_mchid": "1900000109",
        "description": "工本费",
        "out_trade_no": NUMBER,
        "notify_url": "http://127.0.0.1:9/notify",
        "amount": {"total": 5, "currency": "CNY"},
        "payer": {"sp_openid": "oTEST1"},
    }
    path = "/v3/pay/partner/transactions/jsapi"
    await merchant.place()
    first = await merchant.call("POST", path, order)
    second = await merchant.call("POST", path, {**order, "sub_mchid": "1900000110"})
    assert first.json()["prepay_id"] != second.json()["prepay_id"]
    at = f"/v3/pay/partner/transactions/out-trade-no/{NUMBER}"
    names = f"sp_mchid={reported['wechat_pay_mchid']}&sub_mchid=1900000109"
    merchant.sandbox.pay.pay(first.json()["prepay_id"])
    seen = (await merchant.call("GET", f"{at}?{names}")).json()
    assert (seen["sub_mchid"], seen["payer"], seen["trade_state"]) == ("1900000109", {"sp_openid": "oTEST1"}, "SUCCESS")
    assert (await merchant.query())["trade_state"] == "NOTPAY"
    closing = {"sp_mchid": reported["wechat_pay_mchid"], "sub_mchid": "1900000110"}
    assert (await merchant.call("POST", f"{at}/close", closing)).status_code == 204
    merchant.sandbox.pay.world.sub_merchants = {"1900000110"}
    assert await merchant.code("GET", f"{at}?{names}") == (403, "NO_AUTH")


async def test_the_dialogue_opens_only_for_exactly_what_the_merchant_signed(merchant: Merchant):
    prepay_id = await merchant.place()
    given = merchant.pay_sign(prepay_id)
    at = "/sandbox/pay/confirm"
    wrong = [
        {**given, "paySign": given["paySign"][:-4] + "AAA="},
        {**given, "nonceStr": "ANOTHER"},
        {**given, "signType": "MD5"},
        {**given, "package": prepay_id},
        {**given, "appId": "wx1"},
        {key: value for key, value in given.items() if key != "signType"},
        merchant.pay_sign("wx-of-nobody"),
    ]
    for each in wrong:
        assert (await merchant.client.post(at, json=each)).status_code >= 400, each
    stranger = await merchant.client.post(at, json=given, params={"openid": "oSomebodyElse"})
    assert stranger.status_code == 400
    assert (await merchant.query())["trade_state"] == "NOTPAY"
    answer = await merchant.client.post(at, json=given)
    assert answer.status_code == 201
    assert answer.json()["errMsg"] == "requestPayment:ok"
    assert (await merchant.query())["trade_state"] == "SUCCESS"
    assert (await merchant.client.post(at, json=given)).status_code == 400


async def test_a_prepay_id_opens_the_dialogue_for_two_hours(merchant: Merchant):
    prepay_id = await merchant.place()
    merchant.sandbox.pay.world.advance(2 * 3600)
    answer = await merchant.client.post("/sandbox/pay/confirm", json=merchant.pay_sign(prepay_id))
    assert (answer.status_code, answer.json()["message"]) == (400, "requestPayment:fail prepay_id已过期")


async def test_a_failed_or_cancelled_attempt_leaves_the_order_open(merchant: Merchant):
    await merchant.place()
    for lever in ("cancel", "fail"):
        answer = await merchant.client.post(f"/sandbox/pay/orders/{NUMBER}/{lever}")
        assert answer.json()["errMsg"].startswith("requestPayment:fail")
    seen = await merchant.query()
    assert (seen["trade_state"], seen["trade_state_desc"]) == ("NOTPAY", "支付失败，请重新下单支付")


async def test_a_closed_order_is_paid_only_when_the_bank_was_late(merchant: Merchant):
    await merchant.place()
    await merchant.close()
    at = f"/sandbox/pay/orders/{NUMBER}/pay"
    assert (await merchant.client.post(at, json={})).json()["code"] == "ORDER_CLOSED"
    assert (await merchant.client.post(at, json={"force": True})).json()["trade_state"] == "SUCCESS"


async def test_calls_are_refused_on_demand_before_or_after_their_work(merchant: Merchant):
    pay = merchant.sandbox.pay
    pay.refuse("place", 500, "SYSTEM_ERROR", after=True)
    pay.refuse("query", 429, "FREQUENCY_LIMITED", times=2)
    assert await merchant.code("POST", JSAPI, merchant.order()) == (500, "SYSTEM_ERROR")
    assert len(pay.world.orders) == 1
    path = f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={merchant.settings['wechat_pay_mchid']}"
    assert [(await merchant.call("GET", path)).status_code for _ in range(3)] == [429, 429, 200]
    assert pay.world.calls[-4:] == [("place", 500), ("query", 429), ("query", 429), ("query", 200)]


async def test_the_sandbox_lists_every_setting_that_the_service_needs(merchant: Merchant):
    reported = (await merchant.client.get("/sandbox/settings")).json()
    assert reported == merchant.sandbox.settings()
    assert reported["wechat_pay_api_base"] == merchant.sandbox.base
    assert reported["alipay_api_base"] == f"{merchant.sandbox.base}/gateway.do"
    assert {name for name in reported if not hasattr(merchant.sandbox.values, name)} == set()


async def test_a_fault_hits_every_address_that_begins_with_its_path(merchant: Merchant):
    await merchant.place()
    merchant.sandbox.world.faults.add("/v3/pay/*", "status", number=503)
    path = f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={merchant.settings['wechat_pay_mchid']}"
    assert (await merchant.call("GET", path)).status_code == 503
    assert (await merchant.call("GET", CERTIFICATES)).status_code == 200
    merchant.sandbox.world.faults.clear()
    assert (await merchant.query())["trade_state"] == "NOTPAY"
