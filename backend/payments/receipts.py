"""Receipts: one per payment that counts, issued once by the event of its success, void when everything went back.

Whoever has the paper can check it: its QR leads to a public address with the number and a code that nobody can guess.
Without the right code a number that exists and one that does not are answered alike.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock
from backend.database import fetch_row, transaction
from backend.events import EventMeta, record
from backend.identity.principals import AsResident
from backend.payments import fiscal_receipts
from backend.payments.chinese_amounts import in_capitals
from backend.payments.errors import ReceiptNotFound
from backend.payments.events import PaymentSucceeded, ReceiptIssued, ReceiptVoided, RefundSucceeded
from backend.payments.numbering import ALPHABET
from backend.settings import settings
from models.payments import Channel

CODE_LENGTH = 16
"""Letters of the verify code: 78 bits, which nobody tries out against a limit."""
CHANNEL_NAMES = {Channel.WECHAT_PAY: "微信支付", Channel.ALIPAY: "支付宝"}
COUNTED = ("paid", "part_refunded")

_LOCK_PAYMENT = "SELECT id, state, resident_id FROM payments WHERE id = $1 FOR UPDATE"
_ISSUE = """
INSERT INTO receipts (id, created_at, number, payment_id, verify_code, issued_at, fiscal_state)
VALUES ($1, $2, $3, $4, $5, $2, 'none') ON CONFLICT (payment_id) DO NOTHING RETURNING id
"""
_VOID = """
UPDATE receipts SET voided_at = $2 WHERE payment_id = $1 AND voided_at IS NULL RETURNING id
"""
_FACTS = """
SELECT r.*, p.number AS payment_number, p.channel, p.amount_fen, p.refunded_fen, p.paid_at, p.transaction_id,
       p.resident_id, f.name AS item_name, f.basis, f.unit_fen, f.quantity, d.name AS department_name
FROM receipts r JOIN payments p ON p.id = r.payment_id JOIN fees f ON f.id = p.fee_id
LEFT JOIN departments d ON d.id = f.department_id
"""
_OF_PAYMENT = f"{_FACTS} WHERE p.number = $1 AND p.resident_id = $2"
_OF_NUMBER = f"{_FACTS} WHERE r.number = $1"


class FiscalSeen(Struct, kw_only=True):
    """What has become of the 财政电子票据: `none` (not asked for), `waiting`, `issued` or `refused`."""

    state: str
    code: str | None
    number: str | None
    url: str | None


class ReceiptSeen(Struct, kw_only=True):
    """A receipt as its payer sees it. Amounts are fen."""

    number: str
    valid: bool
    issued_at: datetime
    voided_at: datetime | None
    payment_number: str
    department_name: str
    item_name: str
    basis: str
    unit_fen: int
    quantity: int
    amount_fen: int
    amount_in_capitals: str
    refunded_fen: int
    """What of it has gone back since; a receipt is void once all has."""
    channel: str
    channel_name: str
    transaction_id: str | None
    paid_at: datetime
    verify_url: str
    """What the QR on the paper says."""
    fiscal: FiscalSeen


class Verification(Struct, kw_only=True):
    """What somebody learns who has a receipt in the hand: whether it holds, and the least that shows it is this one."""

    number: str
    """As it was asked for."""
    state: str
    """`valid`, `voided`, or `unknown`: no such receipt, or another code."""
    state_name: str
    item_name: str | None = None
    department_name: str | None = None
    amount_fen: int | None = None
    refunded_fen: int | None = None
    paid_on: date | None = None


STATE_NAMES = {"valid": "有效", "voided": "已作废", "unknown": "未找到该收据，请核对编号和校验码"}


async def issue_on_success(event: PaymentSucceeded, meta: EventMeta) -> None:
    """A subscriber: the payment counts, so there is a receipt."""
    await issue(event.payment_id)


async def void_on_refund(event: RefundSucceeded, meta: EventMeta) -> None:
    """A subscriber: when everything is back, the receipt no longer holds."""
    await void_if_all_back(event.payment_id)


async def issue(payment_id: UUID) -> UUID | None:
    """Issue the receipt of a payment that counts; None when it has one, or when its money is all back already."""
    async with transaction() as connection:
        payment = await connection.fetchrow(_LOCK_PAYMENT, payment_id)
        if payment is None or payment["state"] not in COUNTED:
            return None
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        receipt_id = await connection.fetchval(_ISSUE, uuid7(), clock.now(), _number(), payment_id, code)
        if receipt_id is None:
            return None
        await record(ReceiptIssued(receipt_id=receipt_id, payment_id=payment_id, resident_id=payment["resident_id"]))
        await fiscal_receipts.want(receipt_id)
    issued: UUID = receipt_id
    return issued


async def void_if_all_back(payment_id: UUID) -> None:
    """Void the receipt when everything of its payment has gone back; once."""
    async with transaction() as connection:
        payment = await connection.fetchrow(_LOCK_PAYMENT, payment_id)
        if payment is None or payment["state"] != "refunded":
            return
        voided = await connection.fetchrow(_VOID, payment_id, clock.now())
        if voided is None:
            return
        await record(ReceiptVoided(receipt_id=voided["id"], payment_id=payment_id))
        await fiscal_receipts.want_no_more(voided["id"])


async def of_payment(resident: AsResident, payment_number: str) -> ReceiptSeen:
    """The receipt of one's own payment. Raises ReceiptNotFound, also when there is a payment without one."""
    row = await fetch_row(_OF_PAYMENT, payment_number, resident.id)
    if row is None:
        raise ReceiptNotFound
    return _seen(row)


async def verify(number: str, code: str) -> Verification:
    """Whether a receipt holds. A wrong code and a number that does not exist are the same answer."""
    row = await fetch_row(_OF_NUMBER, number)
    # Compared in any case, so that the time says nothing either.
    right = hmac.compare_digest((row["verify_code"] if row else "-" * CODE_LENGTH).encode(), code.upper().encode())
    if row is None or not right:
        return Verification(number=number, state="unknown", state_name=STATE_NAMES["unknown"])
    state = "voided" if row["voided_at"] else "valid"
    return Verification(
        number=number,
        state=state,
        state_name=STATE_NAMES[state],
        item_name=row["item_name"],
        department_name=row["department_name"] or "",
        amount_fen=row["amount_fen"],
        refunded_fen=row["refunded_fen"],
        paid_on=row["paid_at"].astimezone(clock.SHANGHAI).date(),
    )


def _number() -> str:
    return f"S{clock.today():%Y%m%d}" + "".join(secrets.choice(ALPHABET) for _ in range(12))


def _seen(row: asyncpg.Record) -> ReceiptSeen:
    channel = Channel(row["channel"])
    same: dict[str, Any] = {
        name: row[name]
        for name in ("number", "issued_at", "voided_at", "payment_number", "item_name", "basis", "unit_fen", "quantity",
                     "amount_fen", "refunded_fen", "transaction_id", "paid_at")
    }  # fmt: skip
    asked = urlencode({"code": row["verify_code"]})
    return ReceiptSeen(
        **same,
        valid=row["voided_at"] is None,
        department_name=row["department_name"] or "",
        amount_in_capitals=in_capitals(row["amount_fen"]),
        channel=channel.value,
        channel_name=CHANNEL_NAMES[channel],
        verify_url=f"{settings().public_base.rstrip('/')}/v1/public/receipts/{row['number']}?{asked}",
        fiscal=FiscalSeen(
            state=row["fiscal_state"], code=row["fiscal_code"], number=row["fiscal_number"], url=row["fiscal_url"]
        ),
    )
