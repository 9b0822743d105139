"""The trail of payments and refunds: one row per transition, in the transaction that makes it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock, events
from backend.database import execute, require_transaction

_RECORD = """
INSERT INTO payment_transitions (id, created_at, entity, entity_id, from_state, to_state, at, actor, cause)
VALUES ($1, $2, $3, $4, $5, $6, $2, $7, $8)
"""


def actor_name() -> str:
    """Kind and id of the acting caller, as the trail and `fees.raised_by` keep it."""
    return ":".join(events.actor())[:80]


async def record_transition(
    entity: Literal["payment", "refund"], entity_id: UUID, from_state: str | None, to_state: str, cause: str
) -> None:
    """Record a transition; `cause` is how the service knows (`request`, `notice`, `query`, `expiry`, `staff`, `bill`).

    Refuses to run outside a transaction: a row without its change, or a change without its row, is a lie.
    """
    require_transaction("record_transition")
    await execute(_RECORD, uuid7(), clock.now(), entity, entity_id, from_state, to_state, actor_name(), cause)
