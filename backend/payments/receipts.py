"""Receipts: one per payment that counts, issued once by the event of its success, void when everything is refunded.

The holder of the paper can verify it: its QR leads to a public address with the number and a code that cannot be
guessed. Without the right code a number that exists and one that does not are answered alike.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import date, datetime
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
from msgspec import Struct, convert
from uuid_utils.compat import uuid7

from backend import clock
from backend.database import fetch_row, transaction
from backend.errors import raises
from backend.events import EventMeta, record
from backend.identity import AsResident
from backend.payments import fiscal_receipts
from backend.payments.chinese_amounts import chinese_amount
from backend.payments.errors import ReceiptNotFound
from backend.payments.events import PaymentSucceeded, ReceiptIssued, ReceiptVoided, RefundSucceeded
from backend.payments.numbering import ALPHABET
from backend.payments.resident_views import CHANNEL_NAMES
from backend.settings import settings

CODE_LENGTH = 16
"""Letters of the verify code: 78 bits, which a limit on requests makes impossible to try out."""
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


class FiscalReceiptDetail(Struct, kw_only=True):
    """The state of the 财政电子票据: `none` (not requested), `waiting`, `issued` or `refused`."""

    state: str
    code: str | None
    number: str | None
    url: str | None


class ReceiptDetail(Struct, kw_only=True):
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
    """The amount refunded since; a receipt is void once all of it is."""
    channel: str
    channel_name: str
    transaction_id: str | None
    paid_at: datetime
    verify_url: str
    """The content of the QR on the paper."""
    fiscal: FiscalReceiptDetail


class ReceiptVerification(Struct, kw_only=True):
    """The answer to the holder of a receipt: whether it is valid, and the least that shows that it is this one."""

    number: str
    """As it was requested."""
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
    """Issue the receipt of a payment that counts. Subscribes to PaymentSucceeded."""
    await issue_receipt(event.payment_id)


async def void_on_refund(event: RefundSucceeded, meta: EventMeta) -> None:
    """Void the receipt of a payment that is refunded whole. Subscribes to RefundSucceeded."""
    await void_refunded_receipt(event.payment_id)


async def issue_receipt(payment_id: UUID) -> UUID | None:
    """Issue the receipt of a payment that counts; None when it has one, or when its money is all refunded already."""
    async with transaction() as connection:
        payment = await connection.fetchrow(_LOCK_PAYMENT, payment_id)
        if payment is None or payment["state"] not in COUNTED:
            return None
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        receipt_id = await connection.fetchval(_ISSUE, uuid7(), clock.now(), _number(), payment_id, code)
        if receipt_id is None:
            return None
        await record(ReceiptIssued(receipt_id=receipt_id, payment_id=payment_id, resident_id=payment["resident_id"]))
        await fiscal_receipts.enqueue_issue(receipt_id)
    issued: UUID = receipt_id
    return issued


async def void_refunded_receipt(payment_id: UUID) -> None:
    """Void the receipt when its payment is refunded whole; once."""
    async with transaction() as connection:
        payment = await connection.fetchrow(_LOCK_PAYMENT, payment_id)
        if payment is None or payment["state"] != "refunded":
            return
        voided = await connection.fetchrow(_VOID, payment_id, clock.now())
        if voided is None:
            return
        await record(ReceiptVoided(receipt_id=voided["id"], payment_id=payment_id))
        await fiscal_receipts.enqueue_void(voided["id"])


@raises(ReceiptNotFound)
async def get_own_receipt(resident: AsResident, payment_number: str) -> ReceiptDetail:
    """The receipt of the resident's own payment; a payment without a receipt raises the same error as none."""
    row = await fetch_row(_OF_PAYMENT, payment_number, resident.id)
    if row is None:
        raise ReceiptNotFound
    return _detail(row)


def render_receipt(receipt: ReceiptDetail) -> bytes:
    """The receipt as a PDF of one page."""
    from backend.payments import receipt_pdf  # loaded with the first receipt: it brings reportlab and PIL

    return receipt_pdf.render_pdf(receipt)


async def verify_receipt(number: str, code: str) -> ReceiptVerification:
    """Whether a receipt is valid. A wrong code and a number that does not exist are the same answer."""
    row = await fetch_row(_OF_NUMBER, number)
    # Compared in any case, so that the duration reveals nothing either.
    right = hmac.compare_digest((row["verify_code"] if row else "-" * CODE_LENGTH).encode(), code.upper().encode())
    if row is None or not right:
        return ReceiptVerification(number=number, state="unknown", state_name=STATE_NAMES["unknown"])
    state = "voided" if row["voided_at"] else "valid"
    return ReceiptVerification(
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


def _detail(row: asyncpg.Record) -> ReceiptDetail:
    query = urlencode({"code": row["verify_code"]})
    fiscal = {name: row[f"fiscal_{name}"] for name in FiscalReceiptDetail.__struct_fields__}
    values = {
        "valid": row["voided_at"] is None,
        "department_name": row["department_name"] or "",
        "amount_in_capitals": chinese_amount(row["amount_fen"]),
        "channel_name": CHANNEL_NAMES[row["channel"]],
        "verify_url": f"{settings().public_base.rstrip('/')}/v1/public/receipts/{row['number']}?{query}",
        "fiscal": fiscal,
    }
    return convert({**row, **values}, ReceiptDetail)
