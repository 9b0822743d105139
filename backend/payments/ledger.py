"""Double entry, in fen: what is posted together sums to zero, and nothing is ever changed or deleted.

An accepted payment raises the account of its channel and lowers revenue (what the department has earned); money that
does not count lowers `owed-to-payers` instead; a refund reverses either. PostgreSQL checks every group at COMMIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock
from backend.database import execute, require_transaction

OWED = "owed-to-payers"
"""Money that came in and does not count: it is the payers' until it is refunded."""
Line = tuple[str, int]
"""An account and by how much it rises (+) or falls (-), in fen."""

_POST = """
WITH grouped AS (
    INSERT INTO ledger_groups (id, created_at, ref, kind, at) VALUES ($1, $2, $3, $4, $5) RETURNING id)
INSERT INTO ledger_postings (group_id, account, amount_fen)
SELECT grouped.id, line.account, line.amount_fen
FROM grouped, unnest($6::text[], $7::bigint[]) AS line (account, amount_fen)
"""


def channel_account(channel: str, merchant_id: str) -> str:
    """The service's account at the channel, where the money is."""
    return f"channel:{channel}:{merchant_id}"


def revenue_account(department_id: UUID | None) -> str:
    """The account of what the department has earned."""
    return f"revenue:{department_id or '-'}"


async def post(ref: str, kind: Literal["payment", "refund"], at: datetime, lines: Sequence[Line]) -> None:
    """Post a group under the number of the payment or refund, with the time of the movement at the channel.

    Belongs inside transaction(). Raises asyncpg.UniqueViolationError when the number is posted already, and
    asyncpg.CheckViolationError at COMMIT when the lines do not sum to zero.
    """
    require_transaction("post")
    accounts, amounts = [account for account, _ in lines], [fen for _, fen in lines]
    await execute(_POST, uuid7(), clock.now(), ref, kind, at, accounts, amounts)
