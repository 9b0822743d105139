"""`zhangban reconcile`, as an operator runs it against the simulated channels."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import timedelta

import pytest

from backend import clock, diagnosis
from backend.database import fetch_value
from backend.partners.sandbox import Sandbox
from backend.settings import environment, settings
from models.payments import PaymentState
from tests.api.test_cli import ZHANGBAN
from tests.factories.ledger import tamper
from tests.factories.payments import a_paid_payment


async def reconcile(*arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end with these settings."""
    ours = {"DATABASE_URL": settings().database_url, "REDIS_URL": settings().redis_url, **values}
    return await asyncio.to_thread(
        subprocess.run, [*ZHANGBAN, "reconcile", *arguments], env=environment(**ours), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def variables(sandbox: Sandbox) -> dict[str, str]:
    return {name.upper(): str(value) for name, value in sandbox.settings().items()} | {"SANDBOX": "true"}


async def test_without_a_channel_it_says_so_plainly():
    done = await reconcile("--once")

    assert done.returncode == 2
    assert "no payment channel is configured" in done.stderr
    assert "Traceback" not in done.stderr


async def test_days_without_trade_agree_when_we_have_nothing(sandbox: Sandbox):
    done = await reconcile("--once", "--json", **variables(sandbox))

    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["queried"]) == (0, True, 0), done.stderr
    assert {each["state"] for each in report["days"]} == {"empty"}
    assert {each["channel"] for each in report["days"]} >= {"wechat_pay"}


async def test_money_that_the_channel_does_not_know_ends_with_one_and_is_named_by_the_doctor(sandbox: Sandbox):
    values = variables(sandbox)
    day = (clock.now() - timedelta(days=4)).astimezone(clock.SHANGHAI).replace(hour=12)
    merchant = settings().wechat_pay_mchid
    payment = await a_paid_payment(paid_at=day, merchant_id=merchant)
    assert (await fetch_value("SELECT state FROM payments")) == PaymentState.PAID

    overdue = await diagnosis._money()
    done = await reconcile("--date", str(day.date()), "--channel", "wechat_pay", "--json", **values)
    remarks = await diagnosis._money()

    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (1, False), done.stderr
    assert [(each["channel"], each["open"]) for each in report["days"]] == [("wechat_pay", 1)]
    assert await fetch_value("SELECT query_state FROM bill_differences WHERE number = $1", payment.number) == (
        "channel-order-not-found"
    )
    assert [each.what for each in overdue] == ["1 days with payments have no compared bill"]
    assert [each.what for each in remarks] == ["1 differences between our books and bills are unexplained"]
    await tamper("UPDATE bill_days SET state = 'refused'")
    assert "1 bills failed their checks" in [each.what for each in await diagnosis._money()]


async def test_people_read_one_line_per_day(sandbox: Sandbox):
    day = str((clock.now() - timedelta(days=4)).date())

    done = await reconcile("--date", day, "--channel", "wechat_pay", **variables(sandbox))

    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{day} wechat_pay")
    assert "paid 0 (0.00), refunds 0 (0.00), differences 0, repaired 0, open 0" in line


@pytest.mark.parametrize("given", [("--date", "yesterday"), ("--channel", "cash")])
async def test_what_cannot_be_is_refused_at_once(given: tuple[str, str]):
    assert (await reconcile(*given)).returncode == 2
