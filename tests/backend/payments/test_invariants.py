"""The invariants of money hold after a life, and each of them is violated when its data is broken."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend import clock, invariants
from backend.database import transaction
from backend.invariants import PATIENCE, Verdict
from backend.partners.paying.port import ChannelRefund, ChannelRefundState
from backend.payments import invariants as payment_invariants
from backend.payments import receipts, settling
from backend.payments.refund_settling import settle_refund
from backend.payments.refunding import refund_remainder
from models.payments import Channel, PaymentState, RefundCause
from tests.factories.ledger import tamper
from tests.factories.payments import MERCHANT_ID, a_channel_order, a_fee, a_payment, payment_row

OURS = ("I-1", "I-2", "I-3", "I-4", "I-9", "D-4")


async def verdicts() -> dict[str, Verdict]:
    return {each.id: each for each in await invariants.check()}


@pytest.fixture
async def life() -> None:
    """A payment that counts with its receipt, a second one for its fee on its way back, one given back, one open."""
    fee = await a_fee()
    first, second = await a_payment(fee), await a_payment(fee, channel=Channel.ALIPAY)
    returned, _open = await a_payment(), await a_payment()
    for each in (first, second, returned):
        await settling.settle_payment(a_channel_order(each), channel=each.channel, known_by="query")
    await receipts.issue_receipt(first.id)
    await receipts.issue_receipt(returned.id)
    async with transaction():
        number = await refund_remainder(returned.id, RefundCause.CANCELLED, "撤回申请")
    assert number
    seen = ChannelRefund(
        number=number, payment_number=returned.number, state=ChannelRefundState.SUCCEEDED, merchant_id=MERCHANT_ID,
        amount_fen=2000, succeeded_at=clock.now(),
    )  # fmt: skip
    await settle_refund(seen, channel=Channel.WECHAT_PAY, known_by="request")
    await receipts.void_refunded_receipt(returned.id)
    assert (await payment_row(second.number))["state"] == PaymentState.SURPLUS


@pytest.mark.usefixtures("life")
async def test_after_a_life_of_money_everything_holds():
    found = await verdicts()

    assert {name: found[name].findings for name in OURS if found[name].status != "holds"} == {}


_PAID = "(SELECT id FROM payments WHERE state = 'paid')"
_GROUP = "(SELECT id FROM ledger_groups WHERE kind = 'payment' ORDER BY id LIMIT 1)"
_STEP_BACK = (
    "INSERT INTO payment_transitions (id, created_at, entity, entity_id, from_state, to_state, at, actor, cause) "
    "SELECT 'ffffffff-ffff-7fff-8000-000000000000', now(), 'payment', id, 'paid', 'prepaid', now(), 'x', 'y' "
    f"FROM payments WHERE id = {_PAID}"
)
_NO_BEGINNING = f"DELETE FROM payment_transitions WHERE from_state IS NULL AND entity_id = {_PAID}"
_DAY = (
    "WITH d AS (INSERT INTO bill_days (id, created_at, channel, merchant_id, day, state, runs, compared_at, "
    "paid_count, paid_fen, refund_count, refund_fen, charge_fen) VALUES (gen_random_uuid(), now(), 'wechat_pay', '1', "
    "'2026-03-02', 'compared', 1, now(), 0, 0, 0, 0, 0) RETURNING id) INSERT INTO bill_differences (id, created_at, "
    "bill_day_id, kind, entity, number, state, reopened) "
    "SELECT gen_random_uuid(), now(), id, '{kind}', 'payment', 'P1', 'open', 0 FROM d"
)


@pytest.mark.usefixtures("life")
@pytest.mark.parametrize(
    ("name", "sql", "finding"),
    [
        ("I-1", "UPDATE payments SET check_after = NULL WHERE state = 'prepaid'", "not queried at its channel"),
        ("I-1", "UPDATE refunds SET check_after = now() - interval '1 hour' WHERE state = 'approved'", "is approved"),
        ("I-1", f"UPDATE fees SET state = 'open' WHERE paid_by_id = {_PAID}", "its fee is open"),
        ("I-1", _DAY.format(kind="missing-here"), "P1 is missing-here and unexplained"),
        ("I-1", _DAY.format(kind="unknown"), "P1 is unknown and unexplained"),
        ("I-2", _DAY.format(kind="missing-there"), "P1 is missing-there and unexplained"),
        ("I-2", _DAY.format(kind="amount"), "P1 is amount and unexplained"),
        ("I-2", "UPDATE payments SET transaction_id = NULL WHERE state = 'paid'", "no number of the channel's"),
        ("I-2", "UPDATE payments SET paid_fen = 1 WHERE state = 'paid'", "with 1 of 2000 fen"),
        ("I-2", "UPDATE fees SET paid_by_id = gen_random_uuid() WHERE state = 'paid'", "is paid by nothing"),
        ("I-3", f"DELETE FROM ledger_groups WHERE id = {_GROUP}", "is posted 0 times"),
        ("I-3", "DELETE FROM ledger_groups WHERE kind = 'refund'", "refund"),
        ("I-3", "UPDATE refunds SET state = 'processing', succeeded_at = NULL WHERE state = 'succeeded'",
                "has no refund behind it"),
        ("I-3", "INSERT INTO ledger_groups (id, created_at, ref, kind, at) "
                "VALUES (gen_random_uuid(), now(), 'P2', 'payment', now())", "posting P2 has no payment"),
        ("I-4", "UPDATE ledger_postings SET amount_fen = amount_fen + 1 WHERE amount_fen > 0", "a sum of 1"),
        ("I-4", "UPDATE ledger_postings SET amount_fen = amount_fen * 2", "moves 4000 of 2000 fen"),
        ("I-4", f"DELETE FROM ledger_postings WHERE group_id = {_GROUP} AND amount_fen < 0", "whole ledger sums to"),
        ("I-4", "UPDATE ledger_postings SET account = 'channel:wechat_pay:2' WHERE starts_with(account, 'channel:w')",
                "holds"),
        ("I-4", "UPDATE payments SET refunded_fen = 1 WHERE state = 'paid'", "its refunds come to 0 and 0"),
        ("I-4", "DELETE FROM refunds WHERE state = 'approved'", "2000 promised and 0 back"),
        ("I-9", _STEP_BACK, "went from paid to prepaid"),
        ("I-9", "UPDATE payments SET state = 'closed' WHERE state = 'prepaid'", "its trail ends at prepaid"),
        ("I-9", _NO_BEGINNING, "goes on from prepaid"),
        ("D-4", "UPDATE receipts SET voided_at = NULL", "its receipt is in force"),
        ("D-4", f"DELETE FROM receipts WHERE payment_id = {_PAID}", "its receipt is missing"),
        ("D-4", f"UPDATE receipts SET voided_at = now() WHERE payment_id = {_PAID}", "its receipt is void"),
    ],
)  # fmt: skip
async def test_every_broken_invariant_of_money_is_found(name: str, sql: str, finding: str):
    if name == "D-4":
        await tamper("UPDATE payments SET state_at = state_at - interval '1 hour'")
    await tamper(sql)

    found = (await verdicts())[name]

    assert found.status == "violated"
    assert any(finding in each for each in found.findings), found.findings


@pytest.mark.usefixtures("life")
async def test_a_question_that_is_only_late_is_no_finding_yet():
    with clock.travel(by=PATIENCE):
        assert await payment_invariants.find_lost(invariants._rows, clock.now() - PATIENCE - timedelta(minutes=1)) == []
    with clock.travel(by=PATIENCE * 3):
        assert len(await payment_invariants.find_lost(invariants._rows, clock.now() - PATIENCE)) == 2
