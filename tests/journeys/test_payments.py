"""The life of a fee from end to end: a department's reports raise and end it, both platforms push to our door.

Everything goes over real HTTP and is really signed; only the worker is ours to start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from backend import clock, invariants, jobs
from backend.partners.sandbox import Sandbox
from backend.payments import checking, refund_sending
from backend.settings import settings
from tests.journeys.actors import Department, Office, Phone

CASE, ID_NUMBER = "MONEY-1", "990102198803071229"
PROMISED = 15 * 60
"""Seconds within which money is found without a word from the channel (I-1)."""


@pytest.fixture
def police(base: str) -> Department:
    return Department(base, "公安")


@pytest.fixture
async def payer(base: str, sandbox: Sandbox, police: Department) -> AsyncIterator[Phone]:
    """A resident whose case was accepted, and who therefore owes a fee."""
    phone = Phone(base, sandbox, "张三")
    found = (await phone.http.get("/v1/public/items", params={"q": "换身份证"})).json()["items"][0]
    await police.push(CASE, found["code"], phone.person, ID_NUMBER)
    await phone.sign_in()
    await phone.confirm_phone()
    await police.report(CASE, "受理")
    yield phone
    await phone.http.aclose()
    await police.http.aclose()


async def quiet(sandbox: Sandbox) -> None:
    """Until there is nothing left to push or to do."""
    for _ in range(3):
        await jobs.drain()
        await sandbox.pay.settle()
        await sandbox.alipay.settle()
    await jobs.drain()


async def fee_of(payer: Phone) -> Any:
    (fee,) = (await payer.get("/v1/resident/fees"))["items"]
    return fee


async def broken() -> dict[str, Any]:
    verdicts = [each for each in await invariants.check() if each.id in ("I-1", "I-2", "I-3", "I-4", "I-9")]
    assert len(verdicts) == 5
    return {each.id: each.findings for each in verdicts if each.status == "violated"}


async def test_what_was_paid_comes_back_when_the_department_reports_a_withdrawal(
    payer: Phone, police: Department, sandbox: Sandbox
):
    order = await payer.begins_to_pay()
    sandbox.pay.confirm(order["parameters"])
    await quiet(sandbox)
    paid = await payer.where_is(order["number"])
    await police.report(CASE, "撤回")
    await quiet(sandbox)
    back = await payer.where_is(order["number"])

    assert (paid["state"], back["state"]) == ("paid", "refunded")
    assert back["refunded_fen"] == paid["paid_fen"] == 2000
    assert "退" in back["where"]
    assert (await fee_of(payer))["state"] == "cancelled"
    moved = [(each["kind"], each["amount_fen"]) for each in sandbox.pay.ledger()]
    assert moved == [("payment", 2000), ("refund", 2000)]
    assert await broken() == {}


async def test_money_that_comes_after_the_withdrawal_comes_back_too(payer: Phone, police: Department, sandbox: Sandbox):
    order = await payer.begins_to_pay()
    await police.report(CASE, "撤回")
    await checking.enqueue_due_checks()
    await quiet(sandbox)
    closed = await payer.where_is(order["number"])
    sandbox.pay.pay(order["number"], force=True)  # confirmed in the very second of the close
    await quiet(sandbox)
    back = await payer.where_is(order["number"])

    assert (closed["state"], back["state"]) == ("closed", "refunded")
    assert [each["kind"] for each in sandbox.pay.ledger()] == ["payment", "refund"]
    assert await broken() == {}


async def test_paying_through_both_channels_counts_once_and_the_second_comes_back(payer: Phone, sandbox: Sandbox):
    first, second = await payer.begins_to_pay(), await payer.begins_to_pay("alipay")
    sandbox.alipay.confirm(second["parameters"]["orderStr"])
    sandbox.pay.confirm(first["parameters"])
    await quiet(sandbox)
    states = sorted([(await payer.where_is(each["number"]))["state"] for each in (first, second)])

    assert states == ["paid", "refunded"]
    assert (await fee_of(payer))["state"] == "paid"
    back = [each for each in (*sandbox.pay.ledger(), *sandbox.alipay.ledger()) if each["kind"] == "refund"]
    assert len(back) == 1
    assert await broken() == {}


async def test_a_refund_that_the_account_does_not_take_goes_to_the_payers_card(
    payer: Phone, police: Department, sandbox: Sandbox, base: str
):
    order = await payer.begins_to_pay()
    sandbox.pay.confirm(order["parameters"])
    await quiet(sandbox)
    sandbox.pay.world.rules.refund_outcome = "ABNORMAL"
    await police.report(CASE, "撤回")
    await quiet(sandbox)
    stuck = await payer.where_is(order["number"])
    (refund,) = stuck["refunds"]
    sandbox.pay.world.rules.refund_outcome = "SUCCESS"
    chief = Office(base, "a.chief")
    await chief.sign_in()
    card = {"bank": "ICBC_DEBIT", "number": "6222020200112233445", "name": "张三"}
    await chief.post(f"/v1/staff/refunds/{refund['number']}/card", card)
    await quiet(sandbox)
    back = await payer.where_is(order["number"])
    await chief.http.aclose()

    assert refund["state"] == "abnormal"
    assert stuck["refunded_fen"] == 0
    assert back["state"] == "refunded"
    assert [each["number"] for each in back["refunds"]] == [refund["number"]]
    assert [each["kind"] for each in sandbox.pay.ledger()] == ["payment", "refund"]
    assert await broken() == {}


async def test_without_any_notice_money_and_its_return_are_found_within_the_promised_time(
    payer: Phone, police: Department, sandbox: Sandbox
):
    sandbox.pay.world.rules.notices = "swallow"
    order = await payer.begins_to_pay()
    sandbox.pay.confirm(order["parameters"])
    found = await passes_until(payer, order["number"], "paid")
    await police.report(CASE, "撤回")
    back = await passes_until(payer, order["number"], "refunded")

    assert found <= PROMISED
    assert back <= PROMISED
    assert await broken() == {}


async def passes_until(payer: Phone, number: str, state: str) -> float:
    """How many seconds of sweeping it takes until the payer reads that it is so; 0 at once."""
    step = max(settings().payment_sweep_seconds, 10.0)
    passed = 0.0
    while (await payer.where_is(number))["state"] != state:
        passed += step
        assert passed < 2 * PROMISED, await payer.where_is(number)
        with clock.travel(by=timedelta(seconds=passed)):
            await checking.enqueue_due_checks()
            await refund_sending.enqueue_due_refund_checks()
            await jobs.drain()
            await payer.sandbox.pay.settle()
    return passed
