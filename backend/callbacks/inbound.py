"""The store of pushes: each is kept sealed once, opened by its subscribers, and deleted after a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from prometheus_client import Counter

from backend import clock, logs
from backend.crypto import open_sealed, seal
from backend.database import execute, fetch_row, fetch_value
from backend.errors import DomainError
from backend.settings import settings

SEALED = "inbound_messages.body"
RECEIVED = Counter("zhangban_callbacks_total", "Pushes of partners by outcome.", ("partner", "outcome"))

T = TypeVar("T")

_INSERT = """
INSERT INTO inbound_messages (id, created_at, partner, partner_id, nonce, event, body, state, received_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'received', $2) ON CONFLICT DO NOTHING RETURNING id
"""
_CONSUME = """
UPDATE inbound_messages SET state = 'handled', handled_at = coalesce(handled_at, $2) WHERE id = $1 RETURNING body
"""


async def store_push(
    message_id: UUID, partner: str, partner_id: str, content: Any, *, event: str, nonce: str | None = None
) -> bool:
    """Store a push, sealed; False when it, or another one with its nonce, is stored already."""
    body = seal(msgspec.json.encode(content).decode(), where=SEALED, row=message_id)
    return await fetch_value(_INSERT, message_id, clock.now(), partner, partner_id, nonce, event, body) is not None


async def consume_push(message_id: UUID, kind: type[T]) -> T | None:
    """The content of a push, which is marked as handled; for subscribers, inside their transaction.

    None when it was deleted meanwhile.
    """
    row = await fetch_row(_CONSUME, message_id, clock.now())
    if row is None:
        return None
    return msgspec.json.decode(open_sealed(row["body"], where=SEALED, row=message_id), type=kind)


async def delete_old_pushes() -> int:
    """Delete pushes older than `inbound_kept_days`; how many. WeChat repeats within seconds, so none comes again."""
    before = clock.now() - timedelta(days=settings().inbound_kept_days)
    return await execute("DELETE FROM inbound_messages WHERE received_at < $1", before)


def log_refusal(error: DomainError, *, metric: str, partner: str) -> None:
    """Count and log a push that was refused."""
    RECEIVED.labels(metric, error.code).inc()
    facts = {"event": "push.refused", "partner": partner, "why": error.code, "what": getattr(error, "why", "")}
    logs.security.warning("push refused", extra=facts)
