"""Fees, orders and money that came, straight into the tables: a test needs the state, not the way to it."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import fingerprint, seal
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.partners.paying.port import ChannelOrder, ChannelOrderState
from backend.payments import ledger, numbering, transitions
from models.payments import Channel, Fee, FeeState, Payment, PaymentState, PaymentTransition
from tests.factories.appointments import somebody

APP_ID, MERCHANT_ID = "wx8888888888888888", "1900000001"
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
"""The payer of orders that the factory makes; tests that want another payer pass their own."""

_numbers = itertools.count(1)


def a_transaction_id() -> str:
    """A number of the channel's that no other call gives."""
    return f"42000000{next(_numbers):020d}"


async def a_fee(**changes: Any) -> Fee:
    """20 yuan that a new resident owes for a case of an unknown department."""
    values: dict[str, Any] = {
        "subject_kind": "case",
        "subject_id": uuid7(),
        "charge_ref": "card-fee",
        "department_id": uuid7(),
        "name": "居民身份证工本费",
        "basis": "发改价格〔2003〕2322号",
        "unit_fen": 2000,
        "quantity": 1,
        "state": FeeState.OPEN,
        "state_at": clock.now(),
        "raised_by": "system:-",
        **changes,
    }
    if "resident_id" not in values:
        values["resident_id"] = (await somebody()).id
    values.setdefault("amount_fen", values["unit_fen"] * values["quantity"])
    return await Fee.create(**values)


async def a_payment(fee: Fee | None = None, *, openid: str = OPENID, **changes: Any) -> Payment:
    """An order that the channel knows and waits for (PREPAID), asked for by the resident of the fee."""
    fee = fee or await a_fee(**({"resident_id": changes["resident_id"]} if "resident_id" in changes else {}))
    identity, now = changes.pop("id", uuid7()), clock.now()
    values: dict[str, Any] = {
        "number": numbering.payment_number(),
        "resident_id": fee.resident_id or uuid7(),
        "channel": Channel.WECHAT_PAY,
        "amount_fen": fee.amount_fen,
        "app_id": APP_ID,
        "merchant_id": MERCHANT_ID,
        "payer": seal(openid, where="payments.payer", row=identity),
        "payer_fingerprint": fingerprint(openid, "openid"),
        "description": fee.name,
        "prepay_id": f"wx2611221212121212{next(_numbers):010d}",
        "prepaid_at": now,
        "expires_at": now + timedelta(minutes=30),
        "state": PaymentState.PREPAID,
        "state_at": now,
        "check_after": now + timedelta(minutes=1),
        **changes,
    }
    if values["state"] is PaymentState.CREATED:
        values |= {"prepay_id": None, "prepaid_at": None}
    if values["state"] in (PaymentState.CLOSED,):
        values["check_after"] = None
    async with transaction():
        payment = await Payment.create(id=identity, fee=fee, **values)
        await transitions.record_transition("payment", payment.id, None, payment.state.value, "request")
    return payment


async def a_paid_payment(fee: Fee | None = None, *, paid_at: datetime | None = None, **changes: Any) -> Payment:
    """An order that is paid and counts for its fee, with its posting; the fee is paid."""
    at = paid_at or clock.now()
    fee = fee or await a_fee(**({"resident_id": changes["resident_id"]} if "resident_id" in changes else {}))
    amount = changes.get("amount_fen", fee.amount_fen)
    values: dict[str, Any] = {
        "state": PaymentState.PAID,
        "transaction_id": a_transaction_id(),
        "paid_fen": amount,
        "paid_at": at,
        "state_at": at,
        "check_after": None,
        **changes,
    }
    async with transaction():
        payment = await a_payment(fee, **values)
        await execute(
            "UPDATE fees SET state = 'paid', state_at = $3, paid_by_id = $2 WHERE id = $1", fee.id, payment.id, at
        )
        lines = [
            (ledger.channel_account(payment.channel, payment.merchant_id), amount),
            (ledger.revenue_account(fee.department_id), -amount),
        ]
        await ledger.post(payment.number, "payment", at, lines)
    return payment


def a_channel_order(payment: Payment, **changes: Any) -> ChannelOrder:
    """What the channel says of the order: paid as wished, just now."""
    values: dict[str, Any] = {
        "number": payment.number,
        "state": ChannelOrderState.PAID,
        "app_id": payment.app_id,
        "merchant_id": payment.merchant_id,
        "sub_merchant_id": payment.sub_merchant_id,
        "transaction_id": payment.transaction_id or a_transaction_id(),
        "amount_fen": payment.amount_fen,
        "currency": payment.currency,
        "payer": OPENID if payment.payer else None,
        "paid_at": clock.now(),
        "raw_state": "SUCCESS",
        **changes,
    }
    if values["state"] not in (ChannelOrderState.PAID, ChannelOrderState.REFUNDED):
        unpaid: dict[str, Any] = {"transaction_id": None, "amount_fen": None, "paid_at": None, "payer": None}
        values |= {name: changes.get(name) for name in unpaid}
    return ChannelOrder(**values)


async def payment_row(number: str) -> asyncpg.Record:
    """The order as the database has it now."""
    row = await fetch_row("SELECT * FROM payments WHERE number = $1", number)
    assert row is not None
    return row


async def fee_state(fee_id: UUID) -> str:
    """Where the fee stands now."""
    return str(await fetch_value("SELECT state FROM fees WHERE id = $1", fee_id))


async def states_of(entity_id: UUID) -> list[str]:
    """The states that a payment or a refund went through, in order."""
    return [each.to_state for each in await PaymentTransition.filter(entity_id=entity_id).order_by("id")]


async def balance(account: str) -> int:
    """What stands on an account of the ledger, in fen."""
    total = await fetch_value(
        "SELECT coalesce(sum(amount_fen), 0)::bigint FROM ledger_postings WHERE account = $1", account
    )
    return int(total)
