"""The address that Alipay calls: the answer is exactly `success`, or Alipay repeats the notice."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from backend.database import fetch_value
from backend.partners import Partners
from backend.partners.sandbox import Sandbox
from models.callbacks import InboundMessage
from models.payments import Fee
from tests.factories.identity import a_resident, headers_of
from tests.factories.payments import a_fee, fee_state, payment_row

PATH = "/v1/callbacks/alipay"
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.fixture
async def alipay(sandbox: Sandbox, partners: Partners, client: httpx.AsyncClient) -> Any:
    """Alipay, whose notices are kept back until a test carries them to our door."""
    sandbox.alipay.world.rules.notices = "hold"

    async def post(url: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        answer = await client.post(urlsplit(url).path, content=body, headers=headers)
        return answer.status_code, answer.content

    sandbox.alipay.notices.post = post
    return sandbox.alipay


async def a_paid_order(client: httpx.AsyncClient, alipay: Any) -> tuple[Fee, str]:
    """A fee that was just paid in the app of Alipay, before its notice."""
    resident = await a_resident()
    fee = await a_fee(resident_id=resident.id)
    headers = {**headers_of(resident), "Idempotency-Key": "k"}
    body = {"fee_id": str(fee.id), "channel": "alipay"}
    started = (await client.post("/v1/resident/payments", json=body, headers=headers)).json()
    trade = alipay.confirm(started["parameters"]["orderStr"])
    assert trade.number == started["number"]
    return fee, trade.number


async def test_paying_in_the_app_pays_the_fee_and_is_answered_success(client: httpx.AsyncClient, alipay: Any):
    fee, number = await a_paid_order(client, alipay)
    body = alipay.written(number)

    answers = [await client.post(PATH, content=body, headers=FORM) for _ in range(3)]

    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"success")}
    assert await fee_state(fee.id) == "paid"
    assert (await payment_row(number))["paid_fen"] == 2000
    assert await InboundMessage.filter(partner="alipay").count() == 1
    assert await fetch_value("SELECT count(*) FROM ledger_groups") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"total_amount": "0.01"},
        {"total_amount": "20.001"},
        {"total_amount": "2e1"},
        {"seller_id": "2088000000000009"},
        {"app_id": "2021000000000000"},
        {"out_trade_no": "P20261122000000000000000"},
        {"trade_no": None},
    ],
    ids=str,
)
async def test_what_does_not_fit_moves_nothing_and_is_repeated(
    client: httpx.AsyncClient, alipay: Any, changes: dict[str, str | None]
):
    fee, number = await a_paid_order(client, alipay)

    answer = await client.post(PATH, content=alipay.written(number, changes=changes), headers=FORM)

    assert 400 <= answer.status_code < 500
    assert b"success" not in answer.content
    assert await fee_state(fee.id) == "open"
    assert (await payment_row(number))["paid_fen"] == 0


@pytest.mark.parametrize("spoil", [lambda b: b + b"&x=1", lambda b: b[:-4], lambda b: b"", lambda b: b + b"&" + b])
async def test_what_is_not_signed_is_refused(client: httpx.AsyncClient, alipay: Any, spoil: Any):
    fee, number = await a_paid_order(client, alipay)

    answer = await client.post(PATH, content=spoil(alipay.written(number)), headers=FORM)

    assert 400 <= answer.status_code < 500
    assert b"success" not in answer.content
    assert await fee_state(fee.id) == "open"
