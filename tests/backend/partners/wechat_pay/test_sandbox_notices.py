"""Notices of the sandbox: sealed and signed, repeated on the official schedule, and wrong in every way on demand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from backend.partners.sandbox import Sandbox
from backend.partners.wechat_pay.sandbox.notices import SCHEDULE
from tests.backend.partners.wechat_pay.merchant import OPENID, Merchant, Receiver, a_receiver

NUMBER = "P20260101000001"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with a_receiver() as each:
        yield each


@pytest.fixture
async def merchant(sandbox: Sandbox, receiver: Receiver) -> AsyncIterator[Merchant]:
    """One with an open order whose notices the receiver keeps, a day in two seconds."""
    sandbox.pay.world.rules.speed = 43_200.0
    async with httpx.AsyncClient(base_url=sandbox.base, timeout=60) as client:
        each = Merchant(sandbox, client)
        await each.place(notify_url=receiver.url)
        yield each


async def test_a_payment_is_notified_with_a_sealed_and_signed_notice(merchant: Merchant, receiver: Receiver):
    await merchant.client.post(f"/sandbox/pay/orders/{NUMBER}/pay", json={})
    await merchant.client.post("/sandbox/pay/settle")
    ((headers, body),) = receiver.received
    assert merchant.is_from_platform(headers, body)
    envelope = json.loads(body)
    assert (envelope["event_type"], envelope["resource_type"]) == ("TRANSACTION.SUCCESS", "encrypt-resource")
    assert envelope["resource"]["associated_data"] == "transaction"
    content = merchant.opened(body)
    assert (content["out_trade_no"], content["trade_state"], content["amount"]["total"]) == (NUMBER, "SUCCESS", 1000)
    assert content["payer"] == {"openid": OPENID}
    assert content["transaction_id"] == (await merchant.query())["transaction_id"]


async def test_a_notice_is_repeated_fifteen_times_within_a_day_under_one_id(merchant: Merchant, receiver: Receiver):
    assert sum(SCHEDULE) == 24 * 3600 + 4 * 60
    receiver.answers = [500, 404, 302, 400]
    merchant.sandbox.pay.pay(NUMBER)
    await merchant.sandbox.pay.settle()
    assert len(receiver.received) == 16
    assert len({body for _, body in receiver.received}) == 1
    assert len({headers["wechatpay-nonce"] for headers, _ in receiver.received}) == 16
    assert all(merchant.is_from_platform(*each) for each in receiver.received)
    (notice,) = merchant.sandbox.pay.notices.pushes_about(NUMBER)
    assert not notice.arrived


async def test_a_notice_is_not_repeated_once_it_is_taken(merchant: Merchant, receiver: Receiver):
    receiver.answers = [500, 500, 204]
    merchant.sandbox.pay.pay(NUMBER)
    await merchant.sandbox.pay.settle()
    (notice,) = merchant.sandbox.pay.notices.pushes_about(NUMBER)
    assert [each.answer for each in notice.attempts] == ["500", "500", "204"]


async def test_an_address_that_does_not_answer_is_tried_again(merchant: Merchant):
    merchant.sandbox.pay.world.rules.speed = 1e9
    await merchant.place("P-deaf-001", notify_url="http://127.0.0.1:9/notify")
    merchant.sandbox.pay.pay("P-deaf-001")
    await merchant.sandbox.pay.settle()
    (notice,) = merchant.sandbox.pay.notices.pushes_about("P-deaf-001")
    assert {each.answer for each in notice.attempts} == {"ClientConnectorError"}
    assert len(notice.attempts) == 16


async def test_a_second_line_sends_the_same_notice_within_a_second(merchant: Merchant, receiver: Receiver):
    began = time.monotonic()
    await merchant.client.post(f"/sandbox/pay/orders/{NUMBER}/pay", json={"notice": {"copies": 3}})
    await merchant.sandbox.pay.settle()
    assert time.monotonic() - began < 5
    assert len(receiver.received) == 3
    assert len({json.loads(body)["id"] for _, body in receiver.received}) == 1


async def test_a_late_notice_waits_and_a_swallowed_one_never_comes(merchant: Merchant, receiver: Receiver):
    pay = merchant.sandbox.pay
    await merchant.place("P-silent-1", notify_url=receiver.url)
    pay.world.rules.notices = "swallow"
    pay.pay("P-silent-1")
    await pay.settle()
    assert not receiver.received
    pay.world.rules.notices = "send"
    await merchant.client.post(f"/sandbox/pay/orders/{NUMBER}/pay", json={"notice": {"late": 0.4}})
    await asyncio.sleep(0.1)
    assert not receiver.received
    await pay.settle()
    assert merchant.opened(receiver.received[0][1])["out_trade_no"] == NUMBER


async def test_held_notices_are_let_go_in_any_order(merchant: Merchant, receiver: Receiver):
    pay = merchant.sandbox.pay
    pay.world.rules.notices, pay.world.rules.refund_seconds = "hold", None
    pay.pay(NUMBER)
    for number in ("R1", "R2"):
        await merchant.refund(number, 100, notify_url=receiver.url)
        pay.finish_refund(number)
    order = ["R2", NUMBER, "R1"]
    for each in order:
        await merchant.client.post("/sandbox/pay/notices/release", json={"order": [each]})
        await pay.settle()
    content = [merchant.opened(body) for _, body in receiver.received]
    assert [each.get("out_refund_no", each["out_trade_no"]) for each in content] == order


@pytest.mark.parametrize(
    ("state", "event"),
    [("SUCCESS", "REFUND.SUCCESS"), ("ABNORMAL", "REFUND.ABNORMAL"), ("CLOSED", "REFUND.CLOSED")],
)
async def test_the_end_of_a_refund_is_notified(merchant: Merchant, receiver: Receiver, state: Any, event: str):
    pay = merchant.sandbox.pay
    pay.world.rules.notices = "swallow"
    pay.pay(NUMBER)
    pay.world.rules.notices, pay.world.rules.refund_seconds, pay.world.rules.refund_outcome = "send", 1.0, state
    asked = (await merchant.refund("R1", 400, notify_url=receiver.url)).json()
    await pay.settle()
    ((headers, body),) = receiver.received
    assert merchant.is_from_platform(headers, body)
    envelope, content = json.loads(body), merchant.opened(body)
    assert (envelope["event_type"], envelope["resource"]["original_type"]) == (event, "refund")
    assert (content["out_refund_no"], content["refund_id"], content["refund_status"]) == (
        "R1",
        asked["refund_id"],
        state,
    )
    assert content["amount"] == {"total": 1000, "refund": 400, "payer_total": 1000, "payer_refund": 400}
    assert ("success_time" in content) == (state == "SUCCESS")


async def test_a_probe_comes_first_and_the_true_notice_after_it(merchant: Merchant, receiver: Receiver):
    receiver.answers = [401, 204]
    merchant.sandbox.pay.pay(NUMBER, fault=None)
    await merchant.sandbox.pay.settle()
    receiver.received.clear()
    receiver.answers = [401, 204]
    merchant.sandbox.pay.notify(NUMBER, signature="probe")
    await merchant.sandbox.pay.settle()
    probe, true = receiver.received
    assert probe[0]["wechatpay-signature"].startswith("WECHATPAY/SIGNTEST/")
    assert [merchant.is_from_platform(*each) for each in (probe, true)] == [False, True]


@pytest.mark.parametrize("fault", ["bad_signature", "other_key", "stale", "future", "unknown_serial", "unsigned"])
async def test_a_notice_can_carry_a_signature_that_must_be_refused(merchant: Merchant, fault: str):
    headers, body = merchant.sandbox.pay.written(NUMBER, signature=fault)
    moved = abs(int(headers["wechatpay-timestamp"]) - time.time())
    if fault in ("stale", "future"):
        assert moved > 300
        assert merchant.is_from_platform(headers, body)
    elif fault == "unknown_serial":
        assert headers["wechatpay-serial"] not in {each.serial for each in merchant.sandbox.pay.world.keys.listed}
    elif fault == "unsigned":
        assert "wechatpay-signature" not in headers
    else:
        assert not merchant.is_from_platform(headers, body)


async def test_a_notice_can_be_rightly_signed_and_untrue(merchant: Merchant, receiver: Receiver):
    pay = merchant.sandbox.pay
    pay.forge(NUMBER, **{"amount.total": 1, "appid": "wx0000000000000000", "payer": None})
    await pay.settle()
    ((headers, body),) = receiver.received
    assert merchant.is_from_platform(headers, body)
    content = merchant.opened(body)
    assert (content["amount"]["total"], content["appid"], "payer" in content) == (1, "wx0000000000000000", False)
    assert (await merchant.query())["trade_state"] == "NOTPAY"
    assert pay.ledger() == []


async def test_a_plaintext_is_sealed_as_it_stands(merchant: Merchant, receiver: Receiver):
    text = '{"out_trade_no":"P1","amount":{"total":1,"total":1000}}'
    await merchant.client.post(f"/sandbox/pay/orders/{NUMBER}/notify", json={"plaintext": text, "times": 2})
    await merchant.sandbox.pay.settle()
    assert len({json.loads(body)["id"] for _, body in receiver.received}) == 2
    assert merchant.opened(receiver.received[0][1])["amount"] == {"total": 1000}


async def test_oddly_written_bodies_are_signed_as_they_are_sent_and_altered_ones_are_not(
    merchant: Merchant, receiver: Receiver
):
    pay = merchant.sandbox.pay
    for fault in ({"spaced": True}, {"no_associated_data": True}, {"bom": True}, {"tampered": True}):
        pay.notify(NUMBER, **fault)
        await pay.settle()
    spaced, without, marked, tampered = receiver.received[:4]
    assert b"\n" in spaced[1]
    assert "associated_data" not in json.loads(without[1])["resource"]
    assert merchant.opened(without[1])["out_trade_no"] == NUMBER
    assert marked[1].startswith(b"\xef\xbb\xbf")
    accepted = [merchant.is_from_platform(*each) for each in (spaced, without, marked, tampered)]
    assert accepted == [True, True, True, False]


async def test_an_old_notice_is_replayed_with_its_old_headers_or_signed_anew(merchant: Merchant, receiver: Receiver):
    merchant.sandbox.pay.pay(NUMBER)
    await merchant.sandbox.pay.settle()
    (notice,) = (await merchant.client.get("/sandbox/pay/notices")).json()
    at = f"/sandbox/pay/notices/{notice['id']}/send"
    assert (await merchant.client.post(at, json={"headers": "old"})).json() == {"answer": "204"}
    assert (await merchant.client.post(at, json={"headers": "fresh"})).json() == {"answer": "204"}
    first, old, fresh = receiver.received
    signatures = [each[0]["wechatpay-signature"] for each in receiver.received]
    assert old == first
    assert signatures[2] != signatures[0]
    assert fresh[1] == first[1]
    assert (await merchant.client.post("/sandbox/pay/notices/x/send", json={})).status_code == 404


@pytest.mark.parametrize(("percent", "public"), [(0, 0), (10, 2), (50, 10), (100, 20)])
async def test_while_keys_are_switched_a_share_of_notices_is_signed_by_the_public_key(
    merchant: Merchant, percent: int, public: int
):
    await merchant.client.post("/sandbox/pay/keys", json={"move": "percent", "percent": percent})
    serials = [merchant.sandbox.pay.written(NUMBER)[0]["wechatpay-serial"] for _ in range(20)]
    assert sum(each == merchant.settings["wechat_pay_public_key_id"] for each in serials) == public


async def test_the_rules_are_changed_over_http(merchant: Merchant):
    changes = {"notices": "hold", "refund_seconds": None, "abnormal_payers": ["o1"], "speed": 5}
    content = (await merchant.client.put("/sandbox/pay/rules", json=changes)).json()
    assert {name: content[name] for name in changes} == changes
    rules = merchant.sandbox.pay.world.rules
    assert (rules.notices, rules.refund_seconds, rules.abnormal_payers) == ("hold", None, {"o1"})
    assert (await merchant.client.put("/sandbox/pay/rules", json={"unknown": 1})).status_code == 400
    await merchant.client.put("/sandbox/pay/notices", json={"signature": "stale"})
    assert merchant.sandbox.pay.notices.fault.signature == "stale"


async def test_a_signature_can_come_twice(merchant: Merchant, receiver: Receiver):
    merchant.sandbox.pay.notify(NUMBER, signature="doubled")
    await merchant.sandbox.pay.settle()
    assert receiver.names[0].count("wechatpay-signature") == 2
