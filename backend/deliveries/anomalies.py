"""What goes wrong on the way: found once, told to office and resident, closed when it mends itself.

The office answers the others.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import seal
from backend.database import fetch, fetch_value, in_transaction, transaction
from backend.deliveries.events import ProblemAnswered, ProblemFound
from backend.events import record
from backend.settings import settings
from models.deliveries import ProblemKind

MENDED = "物流信息已恢复更新，系统自动办结"
"""What the resident reads of a problem that went away by itself."""
BY_MOVEMENT = (ProblemKind.NO_MOVEMENT, ProblemKind.NOT_FOUND)
"""What ends when the parcel moves again."""
BY_ARRIVAL = (*BY_MOVEMENT, ProblemKind.DELIVERY_FAILED, ProblemKind.REFUSED, ProblemKind.LOST)
"""What ends when it was signed for."""

_FIND = """
INSERT INTO delivery_problems (id, created_at, delivery_id, shipment_id, kind, text, found_at)
SELECT $1, $6, d.id, $3, $4, $5, $6 FROM deliveries d WHERE d.id = $2
ON CONFLICT DO NOTHING RETURNING (SELECT resident_id FROM deliveries WHERE id = $2)
"""
_END = """
UPDATE delivery_problems p SET ended_at = $3, answer = $4 FROM deliveries d
WHERE d.id = p.delivery_id AND p.delivery_id = $1 AND p.kind = ANY($2) AND p.ended_at IS NULL
RETURNING p.id, d.resident_id
"""
# A parcel that the office has looked into is not found again until it has moved in between.
_STILL = """
SELECT s.id, s.delivery_id FROM shipments s JOIN deliveries d ON d.id = s.delivery_id
WHERE s.ended_at IS NULL AND s.waybill IS NOT NULL AND d.state = s.state
  AND greatest(s.ordered_at, s.last_node_at) < $1
  AND NOT EXISTS (
      SELECT 1 FROM delivery_problems p WHERE p.shipment_id = s.id AND p.kind IN ('no-movement', 'not-found')
      AND p.found_at >= greatest(s.ordered_at, s.last_node_at))
ORDER BY s.id LIMIT $2
"""


async def find(
    delivery_id: UUID, kind: ProblemKind, *, shipment_id: UUID | None = None, text: str | None = None
) -> UUID | None:
    """Something is wrong with the delivery; None when it is known already and not answered yet.

    `text` are the resident's words, which are sealed. Belongs inside transaction().
    """
    if not in_transaction():
        raise RuntimeError("find() belongs inside transaction()")
    identity = uuid7()
    sealed = seal(text, where="delivery_problems.text", row=identity) if text is not None else None
    resident_id = await fetch_value(_FIND, identity, delivery_id, shipment_id, kind.value, sealed, clock.now())
    if resident_id is None:
        return None
    await record(ProblemFound(problem_id=identity, delivery_id=delivery_id, resident_id=resident_id, kind=kind.value))
    return identity


async def mend(delivery_id: UUID, kinds: Collection[ProblemKind]) -> int:
    """These problems went away by themselves; how many were open. Belongs inside transaction()."""
    if not in_transaction():
        raise RuntimeError("mend() belongs inside transaction()")
    rows = await fetch(_END, delivery_id, [kind.value for kind in kinds], clock.now(), MENDED)
    for row in rows:
        await record(
            ProblemAnswered(
                problem_id=row["id"], delivery_id=delivery_id, resident_id=row["resident_id"], answered_by=None
            )
        )
    return len(rows)


async def look_for_still_parcels(limit: int = 200) -> int:
    """Clockwork: parcels of which nothing new was heard for `delivery_still_days`; how many were found."""
    rows = await fetch(_STILL, still_since(), limit)
    found = 0
    for row in rows:
        async with transaction():
            found += await find(row["delivery_id"], ProblemKind.NO_MOVEMENT, shipment_id=row["id"]) is not None
    return found


def still_since() -> datetime:
    """A parcel that has not moved since then is looked into."""
    return clock.now() - timedelta(days=settings().delivery_still_days)
