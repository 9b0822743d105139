"""A resident's payments in one list; each of them is told step by step in following.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend.database import fetch
from backend.identity.principals import AsResident
from backend.paging import USUAL, cursor_of, place_of
from backend.payments.following import CHANNEL_NAMES, STATE_NAMES

_PURPOSE = "resident-payments"
_LIST = """
SELECT p.id, p.number, p.fee_id, p.channel, p.state, p.amount_fen, p.paid_fen, p.refunded_fen, p.refunding_fen,
    p.created_at AS ordered_at, p.expires_at, p.paid_at, f.name AS fee_name, f.subject_kind, f.subject_id
FROM payments p JOIN fees f ON f.id = p.fee_id
WHERE p.resident_id = $1 AND ($2::uuid IS NULL OR p.id < $2) ORDER BY p.id DESC LIMIT $3
"""


class PaymentLine(Struct, kw_only=True):
    """One payment in the list."""

    number: str
    fee_id: UUID
    fee_name: str
    subject_kind: str
    subject_id: UUID
    channel: str
    channel_name: str
    state: str
    state_name: str
    amount_fen: int
    paid_fen: int
    refunding_fen: int
    refunded_fen: int
    ordered_at: datetime
    expires_at: datetime
    paid_at: datetime | None


async def made_by(
    resident: AsResident, *, cursor: str | None = None, limit: int = USUAL
) -> tuple[list[PaymentLine], str | None]:
    """The payments that the resident began, last one first, and the cursor of the next page. Raises CursorInvalid."""
    last = UUID(place_of(cursor, _PURPOSE)[0]) if cursor else None
    rows = await fetch(_LIST, resident.id, last, limit + 1)
    lines = [_line(row) for row in rows[:limit]]
    return lines, cursor_of([str(rows[limit - 1]["id"])], _PURPOSE) if len(rows) > limit else None


def _line(row: Mapping[str, Any]) -> PaymentLine:
    values = {**row, "channel_name": CHANNEL_NAMES[row["channel"]], "state_name": STATE_NAMES[row["state"]]}
    return PaymentLine(**{name: values[name] for name in PaymentLine.__struct_fields__})
