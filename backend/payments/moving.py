"""The trail of payments and refunds: one row per step, in the transaction that makes it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock, events
from backend.database import in_transaction, transaction

_NOTE = """
INSERT INTO payment_moves (id, created_at, entity, entity_id, from_state, to_state, at, actor, cause)
VALUES ($1, $2, $3, $4, $5, $6, $2, $7, $8)
"""


def who() -> str:
    """Kind and id of whoever is acting, as the trail and `fees.raised_by` keep it."""
    return ":".join(events.actor())[:80]


async def note(
    entity: Literal["payment", "refund"], entity_id: UUID, from_state: str | None, to_state: str, cause: str
) -> None:
    """Write the step down; `cause` is how we know (`asked`, `notice`, `query`, `expiry`, `staff`, `bill`).

    Refuses to run outside a transaction: a step without its change, or a change without its step, is a lie.
    """
    if not in_transaction():
        raise RuntimeError("note() belongs inside transaction()")
    async with transaction() as connection:
        await connection.execute(_NOTE, uuid7(), clock.now(), entity, entity_id, from_state, to_state, who(), cause)
