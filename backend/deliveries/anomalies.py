"""Problems on the way: opened once, shown to office and resident, resolved when the courier's nodes resolve them.

The office answers the other problems.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import seal
from backend.database import fetch, fetch_value, in_transaction, transaction
from backend.deliveries.events import ProblemAnswered, ProblemOpened
from backend.events import record
from backend.settings import settings
from models.deliveries import ProblemKind

RESOLVED = "物流信息已恢复更新，系统自动办结"
"""What the resident reads when the system resolved a problem."""
BY_MOVEMENT = (ProblemKind.NO_MOVEMENT, ProblemKind.NOT_FOUND)
"""Resolved when the parcel moves again."""
BY_ARRIVAL = (*BY_MOVEMENT, ProblemKind.DELIVERY_FAILED, ProblemKind.REFUSED, ProblemKind.LOST)
"""Resolved when the parcel was signed for."""

_OPEN = """
INSERT INTO delivery_problems (id, created_at, delivery_id, shipment_id, kind, text, found_at)
SELECT $1, $6, d.id, $3, $4, $5, $6 FROM deliveries d WHERE d.id = $2
ON CONFLICT DO NOTHING RETURNING (SELECT resident_id FROM deliveries WHERE id = $2)
"""
_RESOLVE = """
UPDATE delivery_problems p SET ended_at = $3, answer = $4 FROM deliveries d
WHERE d.id = p.delivery_id AND p.delivery_id = $1 AND p.kind = ANY($2) AND p.ended_at IS NULL
RETURNING p.id, d.resident_id
"""
# A stalled parcel that the office has answered is not opened again until it has moved in between.
_STALLED = """
SELECT s.id, s.delivery_id FROM shipments s JOIN deliveries d ON d.id = s.delivery_id
WHERE s.ended_at IS NULL AND s.waybill IS NOT NULL AND d.state = s.state
  AND greatest(s.ordered_at, s.last_node_at) < $1
  AND NOT EXISTS (
      SELECT 1 FROM delivery_problems p WHERE p.shipment_id = s.id AND p.kind IN ('no-movement', 'not-found')
      AND p.found_at >= greatest(s.ordered_at, s.last_node_at))
ORDER BY s.id LIMIT $2
"""


async def open_problem(
    delivery_id: UUID, kind: ProblemKind, *, shipment_id: UUID | None = None, text: str | None = None
) -> UUID | None:
    """Open a problem of the delivery; None when one of this kind is open already.

    `text` is what the resident wrote; it is sealed. Belongs inside transaction().
    """
    if not in_transaction():
        raise RuntimeError("open_problem() belongs inside transaction()")
    identity = uuid7()
    sealed = seal(text, where="delivery_problems.text", row=identity) if text is not None else None
    resident_id = await fetch_value(_OPEN, identity, delivery_id, shipment_id, kind.value, sealed, clock.now())
    if resident_id is None:
        return None
    await record(ProblemOpened(problem_id=identity, delivery_id=delivery_id, resident_id=resident_id, kind=kind.value))
    return identity


async def resolve_problems(delivery_id: UUID, kinds: Collection[ProblemKind]) -> int:
    """Resolve the open problems of these kinds; how many there were. Belongs inside transaction()."""
    if not in_transaction():
        raise RuntimeError("resolve_problems() belongs inside transaction()")
    rows = await fetch(_RESOLVE, delivery_id, [kind.value for kind in kinds], clock.now(), RESOLVED)
    for row in rows:
        await record(
            ProblemAnswered(
                problem_id=row["id"], delivery_id=delivery_id, resident_id=row["resident_id"], answered_by=None
            )
        )
    return len(rows)


async def find_stalled_shipments(limit: int = 200) -> int:
    """Open a problem for each shipment without a new node for `delivery_still_days`; how many were opened.
    Scheduled."""
    rows = await fetch(_STALLED, stalled_since(), limit)
    opened = 0
    for row in rows:
        async with transaction():
            opened += await open_problem(row["delivery_id"], ProblemKind.NO_MOVEMENT, shipment_id=row["id"]) is not None
    return opened


def stalled_since() -> datetime:
    """A shipment without a new node since then counts as stalled."""
    return clock.now() - timedelta(days=settings().delivery_still_days)
