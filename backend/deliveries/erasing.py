"""Erasing the personal data of ended deliveries, when their person was erased.

A parcel on its way still has to find its receiver. So erasing a person leaves the address of a delivery under way; it
is erased at the moment when the delivery ends, and a sweep erases what couriers and counters write afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

from backend.database import execute, fetch, transaction
from models.deliveries import UNDER_WAY

BATCH = 200

ERASE: Mapping[str, str] = {
    "deliveries": "UPDATE deliveries SET name = '', phone = '', street = '' WHERE id = ANY($1) AND street <> ''",
    "shipments": "UPDATE shipments SET label = NULL, phone_tail = NULL WHERE delivery_id = ANY($1) "
    "AND (label IS NOT NULL OR phone_tail IS NOT NULL)",
    "shipment_nodes": "UPDATE shipment_nodes SET raw_text = '' WHERE raw_text <> '' AND shipment_id IN "
    "(SELECT id FROM shipments WHERE delivery_id = ANY($1))",
    "delivery_problems": "UPDATE delivery_problems SET text = NULL WHERE delivery_id = ANY($1) AND text IS NOT NULL",
    "hand_overs": "UPDATE hand_overs SET taken_by = '', signature = '' WHERE delivery_id = ANY($1) AND taken_by <> ''",
}
"""SQL that erases deliveries by their ids, table by table."""

_ERASED = """
FROM deliveries d JOIN residents r ON r.id = d.resident_id
WHERE r.disabled_at IS NOT NULL AND r.phone_fingerprint IS NULL
  AND NOT EXISTS (SELECT FROM wechat_accounts w WHERE w.resident_id = r.id)
"""
"""SQL: deliveries of erased people: disabled, without a phone and without an account to return with."""
_IS_ERASED = f"SELECT d.id {_ERASED} AND d.id = $1"
_OF_PERSON = f"SELECT id FROM deliveries WHERE resident_id = $1 AND NOT ({UNDER_WAY})"
_LEFT = f"""
SELECT d.id {_ERASED} AND NOT (d.{UNDER_WAY}) AND (
    d.street <> ''
    OR EXISTS (SELECT FROM shipments s LEFT JOIN shipment_nodes n ON n.shipment_id = s.id AND n.raw_text <> ''
               WHERE s.delivery_id = d.id AND (n.id IS NOT NULL OR s.label IS NOT NULL OR s.phone_tail IS NOT NULL))
    OR EXISTS (SELECT FROM delivery_problems p WHERE p.delivery_id = d.id AND p.text IS NOT NULL)
    OR EXISTS (SELECT FROM hand_overs h WHERE h.delivery_id = d.id AND h.taken_by <> ''))
ORDER BY d.id LIMIT $1
"""


async def erase_person(resident_id: UUID) -> Counter[str]:
    """Erase the person's data from their ended deliveries; how many rows of each table. Joins the transaction."""
    return await _erase([row["id"] for row in await fetch(_OF_PERSON, resident_id)])


async def erase_ended(delivery_id: UUID) -> None:
    """Erase the data of a delivery that has just ended, if its person was erased while it was under way."""
    await _erase([row["id"] for row in await fetch(_IS_ERASED, delivery_id)])


async def sweep_erased() -> int:
    """Erase what was written after the end; of how many deliveries. Scheduled; to be called until it returns 0."""
    async with transaction():
        ids = [row["id"] for row in await fetch(_LEFT, BATCH)]
        await _erase(ids)
    return len(ids)


async def _erase(ids: Sequence[UUID]) -> Counter[str]:
    if not ids:
        return Counter()
    async with transaction():
        return Counter({table: count for table, sql in ERASE.items() if (count := await execute(sql, list(ids)))})
