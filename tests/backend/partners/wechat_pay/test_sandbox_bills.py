"""Bills of the sandbox: both kinds of rows, backticks, sums and a hash, and what can be wrong with them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from backend import clock
from backend.partners.sandbox import Sandbox
from tests.backend.partners.wechat_pay.merchant import OPENID, Merchant

NOON = datetime(2026, 3, 10, 12, tzinfo=clock.SHANGHAI)
DAY = NOON.date().isoformat()


@pytest.fixture
async def merchant(sandbox: Sandbox) -> AsyncIterator[Merchant]:
    """One that was paid twice and gave back part of it at noon of a day, and now it is eleven the next morning."""
    async with httpx.AsyncClient(base_url=sandbox.base) as client:
        each, world = Merchant(sandbox, client), sandbox.pay.world
        world.rules.notices, world.rules.refund_seconds = "swallow", None
        to_noon = (NOON - clock.now()).total_seconds()
        world.advance(to_noon)
        for number in ("P-first-01", "P-second-1"):
            await each.place(number, attach='案件1,"x"`y')
            sandbox.pay.pay(number)
        await each.refund("R1", 400, of="P-first-01")
        sandbox.pay.finish_refund("R1")
        await each.refund("R2", 100, of="P-second-1")
        world.advance(23 * 3600)
        yield each


async def bill(merchant: Merchant, **changes: Any) -> tuple[dict[str, Any], bytes]:
    given = {"bill_date": DAY, **changes}
    asked = await merchant.call("GET", "/v3/bill/tradebill?" + "&".join(f"{k}={v}" for k, v in given.items()))
    assert asked.status_code == 200, asked.text
    url = httpx.URL(asked.json()["download_url"])
    file = await merchant.call("GET", url.raw_path.decode())
    assert file.status_code == 200
    assert "wechatpay-signature" not in file.headers
    return asked.json(), file.content


async def refusal(merchant: Merchant, query: str) -> str:
    answer = await merchant.call("GET", f"/v3/bill/tradebill?{query}")
    assert answer.status_code == 400
    return str(answer.json()["code"])


def rows(text: bytes) -> list[list[str]]:
    """Every line with its values; a value begins with a backtick after a comma."""
    lines = [line for line in text.decode("utf-8-sig").splitlines() if line.startswith("`")]
    return [line[1:].split(",`") for line in lines]


async def test_a_bill_holds_payments_and_refunds_with_sums_that_agree(merchant: Merchant):
    asked, file = await bill(merchant, bill_type="ALL", tar_type="GZIP")
    text = gzip.decompress(file)
    assert asked["hash_type"] == "SHA1"
    assert asked["hash_value"] == hashlib.sha1(text, usedforsecurity=False).hexdigest()
    header = text.decode().splitlines()[0].split(",")
    *body, sums = rows(text)
    assert len(header) == 27
    assert {len(each) for each in body} == {27}
    named = [dict(zip(header, each, strict=True)) for each in body]
    paid = [each for each in named if each["交易状态"] == "SUCCESS"]
    back = [each for each in named if each["交易状态"] == "REFUND"]
    assert [each["订单金额"] for each in paid] == ["10.00", "10.00"]
    assert {each["商户数据包"] for each in named} == {'案件1,"x"`y'}
    assert {each["用户标识"] for each in named} == {OPENID}
    reported = {each["商户退款单号"]: (each["申请退款金额"], each["退款状态"], each["手续费"]) for each in back}
    assert reported == {"R1": ("4.00", "SUCCESS", "-0.02000"), "R2": ("1.00", "PROCESSING", "-0.01000")}
    assert sums == ["4", "20.00", "5.00", "0.00", "0.09000", "20.00", "5.00"]
    assert sum(Decimal(each["手续费"]) for each in named) == Decimal(sums[4])


async def test_bills_of_payments_or_of_refunds_have_their_own_columns(merchant: Merchant):
    _, payments = await bill(merchant, bill_type="SUCCESS")
    _, refunds = await bill(merchant, bill_type="REFUND")
    assert [len(each) for each in rows(payments)] == [20, 20, 7]
    assert [len(each) for each in rows(refunds)] == [29, 29, 7]


async def test_a_refund_is_on_the_bill_as_it_stood_in_the_morning(merchant: Merchant):
    merchant.sandbox.pay.finish_refund("R2")
    _, text = await bill(merchant, bill_type="REFUND")
    states = {each[17]: each[21] for each in rows(text)[:-1]}
    assert states == {"R1": "SUCCESS", "R2": "PROCESSING"}


async def test_a_bill_is_there_from_ten_o_clock_for_three_months(merchant: Merchant):
    world = merchant.sandbox.pay.world
    world.advance(-7201)
    assert await refusal(merchant, f"bill_date={DAY}") == "STATEMENT_CREATING"
    world.advance(7201)
    assert await refusal(merchant, "bill_date=2026-03-11") == "INVALID_REQUEST"
    assert await refusal(merchant, "bill_date=2026-03-09") == "NO_STATEMENT_EXIST"
    assert await refusal(merchant, "bill_date=20260310x") == "PARAM_ERROR"
    assert await refusal(merchant, f"bill_date={DAY}&bill_type=MINE") == "PARAM_ERROR"
    world.advance(timedelta(days=93).total_seconds())
    assert await refusal(merchant, f"bill_date={DAY}") == "INVALID_REQUEST"


async def test_a_link_to_a_bill_lives_five_minutes(merchant: Merchant):
    asked = (await merchant.call("GET", f"/v3/bill/tradebill?bill_date={DAY}")).json()
    path = httpx.URL(asked["download_url"]).raw_path.decode()
    assert (await merchant.call("GET", path)).status_code == 200
    merchant.sandbox.pay.world.advance(301)
    assert (await merchant.call("GET", path)).status_code == 400
    unsigned = await merchant.client.get(path, headers={"Accept": "*/*"})
    assert unsigned.status_code == 401


async def test_a_bill_can_be_wrong_in_every_way(merchant: Merchant):
    at = "/sandbox/pay/bill"
    await merchant.client.put(at, json={"creating": True})
    assert await refusal(merchant, f"bill_date={DAY}") == "STATEMENT_CREATING"
    foreign = [{"out_trade_no": "X-foreign", "amount_fen": 77}]
    changes = {"creating": False, "bom": True, "crlf": True, "bad_hash": True, "missing": ["P-first-01", "R2"]}
    await merchant.client.put(at, json={**changes, "foreign": foreign, "amounts": {"P-second-1": 900}})
    asked, text = await bill(merchant)
    assert text.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in text
    assert asked["hash_value"] != hashlib.sha1(text, usedforsecurity=False).hexdigest()
    *body, sums = rows(text)
    assert {(each[6], each[15], each[24]) for each in body} == {
        ("P-second-1", "0", "9.00"),
        ("P-first-01", "R1", "0.00"),
        ("X-foreign", "0", "0.77"),
    }
    assert sums[0] == "3"
    await merchant.client.put(at, json={"wrong_sums": True})
    _, text = await bill(merchant)
    assert rows(text)[-1][5] == "10.77"


async def test_a_bill_of_a_sub_merchant_holds_its_orders_only(merchant: Merchant):
    assert await refusal(merchant, f"bill_date={DAY}&sub_mchid=1900000109") == "NO_STATEMENT_EXIST"
