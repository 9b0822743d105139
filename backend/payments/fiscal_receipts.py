"""财政电子票据: requested after our own receipt, off when no platform is configured, and shown to the payer.

Jobs call the platform, outside transactions, under our receipt's number, so that a repetition is the same request. A
refusal is kept with its code for operators; the payer has our receipt in any case.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from backend import jobs, partners
from backend.database import execute, fetch_row, fetch_value
from backend.jobs import Later
from backend.partners.errors import PartnerError, PartnerRefused
from backend.partners.fiscal_receipt.port import FiscalOrder, FiscalReceipts, FiscalState
from backend.settings import settings

log = logging.getLogger("zhangban.payments")

PAYER = "个人"
"""Channels know the name of an online payer; the service does not."""
VOID_REASON = "已全额退款"

_FACTS = """
SELECT r.id, r.number, r.fiscal_state, r.voided_at, p.paid_fen, p.paid_at, f.charge_ref, f.name, f.unit_fen, f.quantity
FROM receipts r JOIN payments p ON p.id = r.payment_id JOIN fees f ON f.id = p.fee_id WHERE r.id = $1
"""
_REQUESTED = "SELECT 1 FROM receipts WHERE id = $1 AND fiscal_state IN ('waiting', 'issued')"
_ISSUED = """
UPDATE receipts SET fiscal_state = 'issued', fiscal_code = $2, fiscal_number = $3, fiscal_url = $4,
    fiscal_problem = NULL
WHERE id = $1 AND fiscal_state = 'waiting'
"""
_REFUSED = (
    "UPDATE receipts SET fiscal_state = 'refused', fiscal_problem = $2 WHERE id = $1 AND fiscal_state = 'waiting'"
)
_SET_PROBLEM = "UPDATE receipts SET fiscal_problem = $2 WHERE id = $1"


@jobs.job("payments.fiscal-receipt")
async def _issue_job(payload: dict[str, Any]) -> None:
    await issue_fiscal_receipt(UUID(payload["receipt"]))


@jobs.job("payments.void-fiscal-receipt")
async def _void_job(payload: dict[str, Any]) -> None:
    await void_fiscal_receipt(UUID(payload["receipt"]))


async def enqueue_issue(receipt_id: UUID) -> None:
    """Enqueue the issue, if there is a platform. Belongs inside the transaction that issues our receipt."""
    if settings().fiscal_receipt_base:
        await execute("UPDATE receipts SET fiscal_state = 'waiting' WHERE id = $1", receipt_id)
        await jobs.enqueue("payments.fiscal-receipt", {"receipt": str(receipt_id)})


async def enqueue_void(receipt_id: UUID) -> None:
    """Enqueue the voiding of a requested one. Belongs inside the transaction that voids our receipt."""
    if await fetch_value(_REQUESTED, receipt_id):
        await jobs.enqueue("payments.void-fiscal-receipt", {"receipt": str(receipt_id)})


async def issue_fiscal_receipt(receipt_id: UUID) -> None:
    """Issue the fiscal receipt, unless it is issued already. Raises Later while the platform works on it or is away."""
    row = await fetch_row(_FACTS, receipt_id)
    if row is None or row["fiscal_state"] != "waiting":
        return
    try:
        answer = await _platform().issue(_order(row))
    except PartnerRefused as error:
        facts = {"event": "payments.fiscal-receipt-refused", "receipt": row["number"]}
        log.error("the fiscal receipt was refused", extra={**facts, "why": error.partner_code or error.code})
        await execute(_REFUSED, receipt_id, f"{error.partner_code} {error.message}"[:120])
        return
    except PartnerError as error:
        raise _later() from error
    if answer.state is FiscalState.WAITING:
        raise _later()
    await execute(_ISSUED, receipt_id, answer.code[:32], answer.number[:32], answer.url[:400] or None)


async def void_fiscal_receipt(receipt_id: UUID) -> None:
    """Void the fiscal receipt once it is issued. Raises Later while it is not, or the platform is away."""
    row = await fetch_row(_FACTS, receipt_id)
    if row is None or row["fiscal_state"] not in ("waiting", "issued"):
        return
    if row["fiscal_state"] == "waiting":
        raise _later()
    try:
        answer = await _platform().void(row["number"], VOID_REASON)
    except PartnerRefused as error:
        facts = {"event": "payments.fiscal-receipt-not-voided", "receipt": row["number"]}
        log.error("the fiscal receipt could not be voided", extra={**facts, "why": error.partner_code})
        await execute(_SET_PROBLEM, receipt_id, f"{error.partner_code} {error.message}"[:120])
        return
    except PartnerError as error:
        raise _later() from error
    await execute(_SET_PROBLEM, receipt_id, f"已冲红 {answer.code} {answer.number}"[:120])


def _order(row: asyncpg.Record) -> FiscalOrder:
    return FiscalOrder(
        number=row["number"],
        payer=PAYER,
        item_code=row["charge_ref"],
        item_name=row["name"],
        unit_fen=row["unit_fen"],
        quantity=row["quantity"],
        amount_fen=row["paid_fen"],
        paid_at=row["paid_at"],
    )


def _platform() -> FiscalReceipts:
    """The platform. Raises Later when it has been switched off since the receipt was requested."""
    fiscal = partners.in_use().fiscal
    if fiscal is None:
        raise _later()
    return fiscal


def _later() -> Later:
    return Later(timedelta(seconds=settings().fiscal_receipt_pause))
