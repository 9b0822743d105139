"""财政电子票据: asked for after our own receipt, off when no platform is configured, and shown to the payer.

The platform is asked by jobs, outside transactions, under our receipt's number, so that asking again is the same
question. What it refuses is kept with its code for whoever looks after it; the payer has our receipt in any case.
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
from backend.partners.errors import PartnerRefused, PartnerTrouble
from backend.partners.fiscal_receipt.port import FiscalOrder, FiscalReceipts, FiscalState
from backend.settings import settings

log = logging.getLogger("zhangban.payments")

PAYER = "个人"
"""Who pays online is known to the channel by name, not to us."""
VOID_REASON = "已全额退款"

_FACTS = """
SELECT r.id, r.number, r.fiscal_state, r.voided_at, p.paid_fen, p.paid_at, f.charge_ref, f.name, f.unit_fen, f.quantity
FROM receipts r JOIN payments p ON p.id = r.payment_id JOIN fees f ON f.id = p.fee_id WHERE r.id = $1
"""
_ASKED_FOR = "SELECT 1 FROM receipts WHERE id = $1 AND fiscal_state IN ('waiting', 'issued')"
_ISSUED = """
UPDATE receipts SET fiscal_state = 'issued', fiscal_code = $2, fiscal_number = $3, fiscal_url = $4,
    fiscal_trouble = NULL
WHERE id = $1 AND fiscal_state = 'waiting'
"""
_REFUSED = (
    "UPDATE receipts SET fiscal_state = 'refused', fiscal_trouble = $2 WHERE id = $1 AND fiscal_state = 'waiting'"
)
_TROUBLE = "UPDATE receipts SET fiscal_trouble = $2 WHERE id = $1"


@jobs.job("payments.fiscal-receipt")
async def _ask(payload: dict[str, Any]) -> None:
    await ask(UUID(payload["receipt"]))


@jobs.job("payments.void-fiscal-receipt")
async def _void(payload: dict[str, Any]) -> None:
    await void(UUID(payload["receipt"]))


async def want(receipt_id: UUID) -> None:
    """Have one asked for soon, if there is a platform. Belongs inside the transaction that issues our receipt."""
    if settings().fiscal_receipt_base:
        await execute("UPDATE receipts SET fiscal_state = 'waiting' WHERE id = $1", receipt_id)
        await jobs.enqueue("payments.fiscal-receipt", {"receipt": str(receipt_id)})


async def want_no_more(receipt_id: UUID) -> None:
    """Have the one that was asked for written off. Belongs inside the transaction that voids our receipt."""
    if await fetch_value(_ASKED_FOR, receipt_id):
        await jobs.enqueue("payments.void-fiscal-receipt", {"receipt": str(receipt_id)})


async def ask(receipt_id: UUID) -> None:
    """Have the receipt issued, unless it is already. Raises Later while the platform works on it or is away."""
    row = await fetch_row(_FACTS, receipt_id)
    if row is None or row["fiscal_state"] != "waiting":
        return
    try:
        answer = await _platform().issue(_order(row))
    except PartnerRefused as trouble:
        log.error("no fiscal receipt", extra={"receipt": row["number"], "why": trouble.partner_code or trouble.code})
        await execute(_REFUSED, receipt_id, f"{trouble.partner_code} {trouble.message}"[:120])
        return
    except PartnerTrouble as trouble:
        raise _later() from trouble
    if answer.state is FiscalState.WAITING:
        raise _later()
    await execute(_ISSUED, receipt_id, answer.code[:32], answer.number[:32], answer.url[:400] or None)


async def void(receipt_id: UUID) -> None:
    """Have the receipt written off once it is issued. Raises Later while it is not, or the platform is away."""
    row = await fetch_row(_FACTS, receipt_id)
    if row is None or row["fiscal_state"] not in ("waiting", "issued"):
        return
    if row["fiscal_state"] == "waiting":
        raise _later()
    try:
        answer = await _platform().void(row["number"], VOID_REASON)
    except PartnerRefused as trouble:
        log.error("fiscal receipt not voided", extra={"receipt": row["number"], "why": trouble.partner_code})
        await execute(_TROUBLE, receipt_id, f"{trouble.partner_code} {trouble.message}"[:120])
        return
    except PartnerTrouble as trouble:
        raise _later() from trouble
    await execute(_TROUBLE, receipt_id, f"已冲红 {answer.code} {answer.number}"[:120])


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
    """Raises Later when the platform has been switched off since the receipt was asked for."""
    fiscal = partners.in_use().fiscal
    if fiscal is None:
        raise _later()
    return fiscal


def _later() -> Later:
    return Later(timedelta(seconds=settings().fiscal_receipt_pause))
