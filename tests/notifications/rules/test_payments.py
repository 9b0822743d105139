"""Residents are notified of what they owe and where their money is, once each, and never of why it goes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backend import clock, jobs
from backend.database import execute, fetch, transaction
from backend.events import record
from backend.identity.principals import AsResident, AsStaff
from backend.partners.paying.port import ChannelRefundState
from backend.payments import approving, events, fees
from backend.payments.refund_sending import check_refund
from backend.payments.refunding import refund_remainder
from backend.payments.settling import settle_payment
from models.payments import Channel, RefundCause
from tests.backend.payments.fake_channel import FakeChannel, equipped
from tests.factories.identity import a_department_id, a_resident
from tests.factories.payments import a_channel_order, a_fee, a_paid_payment, a_payment

WECHAT = Channel.WECHAT_PAY


@pytest.fixture(autouse=True)
def unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(resident_id: object) -> None:
        return None

    monkeypatch.setattr("notifications.delivering.deliver", nothing)


@pytest.fixture(autouse=True)
def channel() -> Iterator[FakeChannel]:
    with equipped(FakeChannel()) as each:
        yield each


async def written(resident: AsResident) -> dict[str, str]:
    await jobs.drain()
    rows = await fetch("SELECT name, title, body FROM messages WHERE resident_id = $1 ORDER BY id", resident.id)
    assert len({row["name"] for row in rows}) == len(rows), "a message twice"
    return {row["name"]: f"{row['title']}\n{row['body']}" for row in rows}


async def test_the_debtor_is_notified_of_the_fee_and_its_department_and_a_stranger_of_nothing():
    resident, department = await a_resident(), await a_department_id()
    async with transaction():
        for who in (resident.id, None):
            await fees.raise_fee(
                subject_kind="case",
                subject_id=resident.id if who else department,
                charge_ref="card",
                name="居民身份证工本费",
                basis="发改价格〔2003〕2322号",
                unit_fen=2000,
                resident_id=who,
                department_id=department,
                raised_by="system:-",
            )

    found = await written(resident)

    assert list(found) == ["fee_due"]
    assert "居民身份证工本费" in found["fee_due"]
    assert "20.00元" in found["fee_due"]
    assert "某局" in found["fee_due"]
    assert len(await fetch("SELECT 1 FROM messages")) == 1


async def test_a_fee_that_is_gone_before_its_event_is_handled_is_not_requested():
    resident = await a_resident()
    fee = await a_fee(resident_id=resident.id, state="waived", reason="低保家庭", waived_by=resident.id)
    about = {"fee_id": fee.id, "subject_kind": "case", "subject_id": fee.subject_id, "resident_id": resident.id}
    async with transaction():
        await record(events.FeeRaised(**about, amount_fen=2000))
        await record(events.FeeWaived(**about, amount_fen=2000))

    found = await written(resident)

    assert list(found) == ["fee_waived"]
    assert "低保" not in found["fee_waived"]


async def test_money_that_counts_is_notified_once_with_its_number():
    resident = await a_resident()
    payment = await a_payment(await a_fee(resident_id=resident.id))
    for _ in range(2):
        await settle_payment(a_channel_order(payment, transaction_id="4200"), channel=WECHAT, known_by="query")

    found = await written(resident)

    assert list(found) == ["payment_done"]
    assert payment.number in found["payment_done"]


async def test_money_that_does_not_count_and_comes_back_is_notified_in_two_messages(channel: FakeChannel):
    resident = await a_resident()
    payment = await a_payment(await a_fee(resident_id=resident.id))
    await settle_payment(a_channel_order(payment, amount_fen=2500), channel=WECHAT, known_by="query")
    first = await written(resident)
    channel.now(f"R{payment.number}A", ChannelRefundState.SUCCEEDED)
    await check_refund(f"R{payment.number}A")

    found = await written(resident)

    assert list(first) == ["payment_not_counted"]
    assert list(found) == ["payment_not_counted", "refund_done"]
    assert all("25.00元" in each for each in found.values())


async def test_a_cancelled_payment_is_notified_as_promised_blocked_and_done(channel: FakeChannel):
    resident = await a_resident()
    payment = await a_paid_payment(await a_fee(resident_id=resident.id))
    async with transaction():
        number = await refund_remainder(payment.id, RefundCause.CANCELLED, "申请人病故，亲属撤回")
    assert number is not None
    first = await written(resident)
    channel.now(number, ChannelRefundState.ABNORMAL)
    await check_refund(number)
    second = await written(resident)
    channel.now(number, ChannelRefundState.SUCCEEDED)
    await check_refund(number)

    found = await written(resident)

    assert list(first) == ["refund_promised"]
    assert list(second) == ["refund_promised", "refund_blocked"]
    assert list(found) == ["refund_promised", "refund_blocked", "refund_done"]
    assert not [each for each in found.values() if "病故" in each or "招商银行" in each]


async def test_a_blocked_refund_that_arrived_before_its_event_is_handled_is_not_notified(channel: FakeChannel):
    resident = await a_resident()
    payment = await a_paid_payment(await a_fee(resident_id=resident.id))
    async with transaction():
        number = await refund_remainder(payment.id, RefundCause.CANCELLED, "不再办理")
    assert number is not None
    await jobs.drain()
    for state in (ChannelRefundState.ABNORMAL, ChannelRefundState.SUCCEEDED):
        channel.now(number, state)
        await check_refund(number)

    assert list(await written(resident)) == ["refund_promised", "refund_done"]


async def test_a_request_that_waits_for_a_second_person_is_not_notified():
    resident = await a_resident()
    fee = await a_fee(resident_id=resident.id, unit_fen=50_000)
    payment = await a_paid_payment(fee)
    assert fee.department_id is not None
    staff = AsStaff(resident.id, fee.department_id, frozenset({approving.REQUEST_REFUNDS}))

    await approving.request_refund(staff, payment.number, 30_000, "多收")

    assert await written(resident) == {}


async def test_a_personal_number_in_a_name_is_left_out():
    resident = await a_resident()
    payment = await a_paid_payment(await a_fee(resident_id=resident.id, name="证照费 13800138000"))
    await execute("UPDATE payments SET paid_at = $2 WHERE id = $1", payment.id, clock.now())
    async with transaction():
        await refund_remainder(payment.id, RefundCause.CANCELLED, "不再办理")

    found = await written(resident)

    assert "13800138000" not in found["refund_promised"]
    assert "***" in found["refund_promised"]
