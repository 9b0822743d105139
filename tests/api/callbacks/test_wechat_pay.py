"""The address that WeChat Pay calls: real signatures, sealed content, and every way of being wrong, over the app."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from backend import clock, database, jobs
from backend.database import fetch_value, transaction
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from backend.partners.wechat_pay.sandbox.world import Order
from backend.settings import settings, using
from models.callbacks import InboundMessage
from models.events import EventRecord
from models.payments import Fee
from tests.factories.identity import a_resident, headers_of
from tests.factories.payments import a_fee, fee_state, payment_row

PATH = "/v1/callbacks/wechat-pay"


@pytest.fixture
async def pay(sandbox: Sandbox, partners: Partners, client: httpx.AsyncClient) -> Any:
    """WeChat Pay, whose notices are kept back until a test carries them to our door."""
    sandbox.pay.world.rules.notices = "hold"

    async def post(url: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        answer = await client.post(urlsplit(url).path, content=body, headers=headers)
        return answer.status_code, answer.content

    sandbox.pay.notices.post = post
    return sandbox.pay


async def an_order(client: httpx.AsyncClient, pay: Any) -> tuple[Fee, Order]:
    """A fee whose payer has been handed what the dialogue needs; WeChat Pay knows the order."""
    resident = await a_resident()
    fee = await a_fee(resident_id=resident.id)
    headers = {**headers_of(resident), "Idempotency-Key": str(fee.id)}
    answer = await client.post("/v1/resident/payments", json={"fee_id": str(fee.id)}, headers=headers)
    assert answer.status_code == 201, answer.text
    return fee, pay.world.order_of(answer.json()["number"])


async def carried(client: httpx.AsyncClient, pay: Any, number: str, **wrong: Any) -> httpx.Response:
    """A fresh notice about the order, at our door."""
    headers, body = pay.written(number, **wrong)
    return await client.post(PATH, content=body, headers=headers)


async def untouched(fee: Fee, number: str) -> None:
    assert await fee_state(fee.id) == "open"
    assert (await payment_row(number))["paid_fen"] == 0
    assert await fetch_value("SELECT count(*) FROM ledger_groups") == 0
    assert await EventRecord.filter(name="fee.paid").count() == 0


async def test_paying_in_the_dialogue_pays_the_fee_and_is_answered_204(client: httpx.AsyncClient, pay: Any):
    fee, order = await an_order(client, pay)
    pay.pay(order.number)

    answer = await carried(client, pay, order.number)

    assert (answer.status_code, answer.content) == (204, b"")
    assert await fee_state(fee.id) == "paid"
    row = await payment_row(order.number)
    assert (row["state"], row["paid_fen"], row["transaction_id"]) == ("paid", 2000, order.transaction_id)


async def test_the_parameters_open_the_dialogue(client: httpx.AsyncClient, pay: Any):
    resident = await a_resident()
    fee = await a_fee(resident_id=resident.id)
    headers = {**headers_of(resident), "Idempotency-Key": "k"}

    started = (await client.post("/v1/resident/payments", json={"fee_id": str(fee.id)}, headers=headers)).json()

    assert pay.confirm(started["parameters"]).number == started["number"]


async def test_copies_at_once_and_later_are_all_answered_and_have_one_effect(client: httpx.AsyncClient, pay: Any):
    _, order = await an_order(client, pay)
    pay.pay(order.number)
    headers, body = pay.written(order.number)

    answers = await asyncio.gather(*(client.post(PATH, content=body, headers=headers) for _ in range(40)))
    later = [await client.post(PATH, content=body, headers=headers) for _ in range(15)]

    assert {answer.status_code for answer in [*answers, *later]} == {204}
    assert await InboundMessage.all().count() == 1
    assert await fetch_value("SELECT count(*) FROM ledger_groups") == 1
    assert await EventRecord.filter(name="fee.paid").count() == 1


@pytest.mark.parametrize("wrong", [{"spaced": True}, {"no_associated_data": True}])
async def test_a_rightly_signed_notice_is_accepted_however_it_is_written(
    client: httpx.AsyncClient, pay: Any, wrong: dict[str, Any]
):
    fee, order = await an_order(client, pay)
    pay.pay(order.number)

    answer = await carried(client, pay, order.number, **wrong)

    assert answer.status_code == 204, answer.text
    assert await fee_state(fee.id) == "paid"


HOSTILE: list[dict[str, Any]] = [
    {"signature": "probe"},
    {"signature": "bad_signature"},
    {"signature": "unsigned"},
    {"signature": "stale"},
    {"signature": "future"},
    {"signature": "unknown_serial"},
    {"signature": "other_key"},
    {"wrong_key": True},
    {"changes": {"amount.total": 1500.0}},
    {"changes": {"amount.total": "2000"}},
    {"changes": {"amount.total": 2000.0}},
    {"changes": {"amount.total": -2000}},
    {"changes": {"amount.total": True}},
    {"changes": {"amount.total": 10**30}},
    {"changes": {"amount.total": None}},
    {"changes": {"amount.total": 1}},
    {"changes": {"amount.currency": "USD"}},
    {"changes": {"appid": "wx0000000000000000"}},
    {"changes": {"mchid": "1900000009"}},
    {"changes": {"payer.openid": "oSomebodyElse0000000000000000"}},
    {"changes": {"out_trade_no": "P20261122000000000000000"}},
    {"changes": {"transaction_id": None}},
    {"plaintext": "{"},
    {"plaintext": "[]"},
    {"plaintext": "null"},
]


@pytest.mark.parametrize("wrong", HOSTILE, ids=str)
async def test_nothing_hostile_moves_anything(client: httpx.AsyncClient, pay: Any, wrong: dict[str, Any]):
    fee, order = await an_order(client, pay)

    answer = await carried(client, pay, order.number, **wrong)

    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "FAIL"
    assert answer.json()["message"]
    await untouched(fee, order.number)


def twice(text: str, name: str, first: str, second: str) -> str:
    """The same JSON with a key that comes twice."""
    return text.replace(f'"{name}":{second}', f'"{name}":{first},"{name}":{second}', 1)


@pytest.mark.parametrize("first", ["1", "2000", "999999"])
@pytest.mark.parametrize("name", ["total", "payer_total"])
async def test_a_key_that_comes_twice_is_refused_or_gives_the_right_amount(
    client: httpx.AsyncClient, pay: Any, name: str, first: str
):
    fee, order = await an_order(client, pay)
    headers, body = pay.written(order.number)
    del headers, body
    plain = (
        f'{{"mchid":"{pay.world.mchid}","appid":"{pay.world.appid}","out_trade_no":"{order.number}",'
        f'"transaction_id":"4200000000000000000000000001","trade_type":"JSAPI","trade_state":"SUCCESS",'
        f'"success_time":"2026-11-22T10:00:00+08:00","payer":{{"openid":"{order.openid}"}},'
        f'"amount":{{"total":2000,"payer_total":2000,"currency":"CNY","payer_currency":"CNY"}}}}'
    )
    doubled = twice(plain, name, first, "2000")
    assert doubled.count(f'"{name}"') == 2

    answer = await carried(client, pay, order.number, plaintext=doubled)

    if answer.status_code == 204:
        assert (await payment_row(order.number))["paid_fen"] == 2000
    else:
        assert 400 <= answer.status_code < 500
        await untouched(fee, order.number)


async def test_a_byte_order_mark_is_refused_or_accepted_whole(client: httpx.AsyncClient, pay: Any):
    fee, order = await an_order(client, pay)
    pay.pay(order.number)

    answer = await carried(client, pay, order.number, bom=True)

    if answer.status_code == 204:
        assert await fee_state(fee.id) == "paid"
    else:
        assert 400 <= answer.status_code < 500
        await untouched(fee, order.number)


async def test_a_body_that_was_altered_after_it_was_signed_is_refused(client: httpx.AsyncClient, pay: Any):
    fee, order = await an_order(client, pay)
    pay.pay(order.number)
    headers, body = pay.written(order.number)

    for altered in (body + b" ", body[:-1], body.replace(b"SUCCESS", b"SUCCEED"), b""):
        answer = await client.post(PATH, content=altered, headers=headers)
        assert 400 <= answer.status_code < 500

    await untouched(fee, order.number)


@pytest.mark.parametrize("name", ["wechatpay-signature", "wechatpay-timestamp", "wechatpay-nonce", "wechatpay-serial"])
async def test_a_header_that_comes_twice_or_not_at_all_is_refused(client: httpx.AsyncClient, pay: Any, name: str):
    fee, order = await an_order(client, pay)
    pay.pay(order.number)
    headers, body = pay.written(order.number)
    without = [(key, value) for key, value in headers.items() if key != name]

    for sent in (without, [*headers.items(), (name, headers[name])], [(name, "x"), *headers.items()]):
        answer = await client.post(PATH, content=body, headers=sent)
        assert 400 <= answer.status_code < 500

    await untouched(fee, order.number)


async def test_header_names_may_be_written_in_any_case(client: httpx.AsyncClient, pay: Any):
    fee, order = await an_order(client, pay)
    pay.pay(order.number)
    headers, body = pay.written(order.number)

    answer = await client.post(PATH, content=body, headers={key.upper(): value for key, value in headers.items()})

    assert answer.status_code == 204
    assert await fee_state(fee.id) == "paid"


async def test_a_replayed_notice_has_its_effect_once_with_old_or_fresh_headers(client: httpx.AsyncClient, pay: Any):
    _, order = await an_order(client, pay)
    pay.pay(order.number)
    (held,) = pay.notices.pushes_about(order.number)

    for fresh in (True, True, False):
        assert await pay.notices.replay(held, fresh=fresh) == "204"

    assert await fetch_value("SELECT count(*) FROM ledger_groups") == 1


async def test_too_large_a_body_is_refused_in_the_channels_words(client: httpx.AsyncClient, pay: Any):
    answer = await client.post(PATH, content=b"x" * 70_000, headers={"content-type": "application/json"})

    assert answer.status_code == 413


async def test_a_lie_about_the_amount_is_found_out_by_asking(client: httpx.AsyncClient, pay: Any):
    fee, order = await an_order(client, pay)
    pay.pay(order.number)

    answer = await carried(client, pay, order.number, changes={"amount.total": 1})
    await untouched(fee, order.number)
    await jobs.drain()

    assert answer.status_code == 409
    assert (await payment_row(order.number))["paid_fen"] == 2000
    assert await fee_state(fee.id) == "paid"
    assert await EventRecord.filter(name="payment.notice-mismatched").count() == 1


async def test_a_lie_that_an_unpaid_order_is_paid_differs_from_the_truth_only_by_its_key(
    client: httpx.AsyncClient, pay: Any
):
    """The holder of the platform's key is the platform: here the bill reveals what never was."""
    fee, order = await an_order(client, pay)

    answer = await carried(client, pay, order.number)

    assert answer.status_code == 204
    assert await fee_state(fee.id) == "paid"


async def test_another_amount_really_paid_goes_back_whole(client: httpx.AsyncClient, pay: Any):
    fee, order = await an_order(client, pay)
    pay.pay(order.number, total_fen=1999)

    answer = await carried(client, pay, order.number)
    await jobs.drain()

    assert answer.status_code == 409
    assert await fee_state(fee.id) == "open"
    assert [each.amount_fen for each in order.refunds] == [1999]


async def test_the_consoles_refund_in_xml_is_recorded_and_its_truth_asked(client: httpx.AsyncClient, pay: Any):
    fee, order = await an_order(client, pay)
    pay.pay(order.number)
    await carried(client, pay, order.number)
    pay.refund_in_console(order.number, 500)
    notice = pay.notices.sent[-1]

    answers = [await client.post(PATH, content=notice.body, headers={"content-type": "text/xml"}) for _ in range(2)]
    await jobs.drain()

    assert [answer.status_code for answer in answers] == [200, 200]
    assert b"SUCCESS" in answers[0].content
    assert await InboundMessage.filter(event="V2.REFUND").count() == 1
    assert (await payment_row(order.number))["refunded_fen"] == 500
    assert await fee_state(fee.id) == "paid"


@pytest.mark.parametrize(
    "body",
    [
        b"<xml></xml>",
        b"<xml><return_code>SUCCESS</return_code><mch_id>1900000001</mch_id><req_info>AAAA</req_info></xml>",
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml>&e;</xml>',
        b"<",
    ],
)
async def test_other_xml_is_refused(client: httpx.AsyncClient, pay: Any, body: bytes):
    answer = await client.post(PATH, content=body, headers={"content-type": "text/xml"})

    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == "FAIL"


async def test_without_the_channel_its_address_refuses(client: httpx.AsyncClient, partners: Partners, app: Any):
    bare = Partners(wechat=partners.wechat, sms=None, wire=partners.wire)
    app.state["partners"] = bare

    for path, code in ((PATH, "FAIL"), ("/v1/callbacks/alipay", "payment-channel-invalid")):
        answer = await client.post(path, content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_when_the_database_is_away_the_answer_is_no(
    client: httpx.AsyncClient, pay: Any, monkeypatch: pytest.MonkeyPatch
):

    fee, order = await an_order(client, pay)
    pay.pay(order.number)
    headers, body = pay.written(order.number)
    monkeypatch.setattr(database, "_semaphore", None)

    away = await client.post(PATH, content=body, headers=headers)
    monkeypatch.undo()
    back = await client.post(PATH, content=body, headers=headers)

    assert (away.status_code, away.json()["code"]) == (503, "FAIL")
    assert back.status_code == 204
    assert await fee_state(fee.id) == "paid"


async def test_notices_are_taken_within_five_seconds_while_residents_hold_every_connection(
    client: httpx.AsyncClient, pay: Any
):
    fee, order = await an_order(client, pay)
    pay.pay(order.number)
    headers, body = pay.written(order.number)
    release, holding = asyncio.Event(), asyncio.Semaphore(0)

    async def hold() -> None:
        async with transaction():
            holding.release()
            await release.wait()

    crowd = [asyncio.create_task(hold()) for _ in range(settings().database_pool_size)]
    for _ in crowd:
        await holding.acquire()
    with using(database_acquire_timeout=0.2):
        resident = await client.get("/v1/public/receipts/S20261122000000000000", params={"code": "x"})
    began = clock.monotonic()
    answers = await asyncio.gather(*(client.post(PATH, content=body, headers=headers) for _ in range(20)))
    took = clock.monotonic() - began
    release.set()
    await asyncio.gather(*crowd)

    assert resident.status_code == 503
    assert {answer.status_code for answer in answers} == {204}
    assert took < 5
    assert await fee_state(fee.id) == "paid"


async def test_a_storm_of_unknown_serials_asks_the_platform_once(client: httpx.AsyncClient, pay: Any):
    _, order = await an_order(client, pay)
    pay.pay(order.number)
    headers, body = pay.written(order.number)
    before = sum(name == "certificates" for name, _ in pay.world.calls)

    answers = [
        await client.post(PATH, content=body, headers={**headers, "wechatpay-serial": f"{number:040X}"})
        for number in range(300)
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert sum(name == "certificates" for name, _ in pay.world.calls) - before <= 1
    assert (await client.post(PATH, content=body, headers=headers)).status_code == 204
