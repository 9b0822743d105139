"""Sender and receiver as a courier reads them: regions by name from the province down, opened addresses."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from backend.crypto import open_sealed
from backend.database import fetch, fetch_row
from backend.deliveries.errors import DeliveryOfficeInvalid, ReceiverForgotten
from backend.partners.courier.port import ParcelOrder, Party
from models.deliveries import Direction, Postage

_NAMES = """
WITH RECURSIVE line AS (
    (SELECT id, parent_id, name, 0 AS distance FROM regions WHERE code = ANY($1)
     ORDER BY length(code) DESC, valid_to DESC NULLS FIRST LIMIT 1)
    UNION ALL SELECT r.id, r.parent_id, r.name, l.distance + 1 FROM regions r JOIN line l ON r.id = l.parent_id
)
SELECT name FROM line ORDER BY distance DESC
"""
# In the hall, where one is named; otherwise at the first of its counters, or in the first hall of its region.
_OFFICE = """
SELECT d.name, d.phone, coalesce(p.region_code, g.code, r.code) AS region_code, coalesce(p.address, h.address) AS street
FROM departments d JOIN regions r ON r.id = d.region_id
LEFT JOIN halls named ON named.id = $2
LEFT JOIN LATERAL (
    SELECT address, region_code FROM pickup_points
    WHERE department_id = d.id AND closed_at IS NULL AND (named.id IS NULL OR hall_id = named.id) ORDER BY id LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT address, region_id FROM halls WHERE CASE WHEN named.id IS NULL THEN region_id = d.region_id
                                                    ELSE id = named.id END ORDER BY code LIMIT 1
) h ON true
LEFT JOIN regions g ON g.id = h.region_id
WHERE d.id = $1
"""
_SHIPMENT = """
SELECT s.number, d.id, d.name, d.phone, d.region_code, d.street, d.department_id, d.hall_id,
       d.direction, d.contents, d.postage
FROM shipments s JOIN deliveries d ON d.id = s.delivery_id WHERE s.id = $1
"""


async def region_names(code: str) -> tuple[str, ...]:
    """Names of the region from the province down: 吉林省, 长春市, 南关区. Of an unknown town, those of its county."""
    return tuple(row["name"] for row in await fetch(_NAMES, [code, code[:6]]))


async def office_party(department_id: UUID | None, hall_id: UUID | None = None) -> Party:
    """Return the department's address: that hall if one is named, else its counter or the hall of its region.

    Raises DeliveryOfficeInvalid when no address is known.
    """
    row = await fetch_row(_OFFICE, department_id, hall_id) if department_id else None
    if row is None or row["street"] is None:
        raise DeliveryOfficeInvalid
    return Party(
        name=row["name"], phone=row["phone"], region=await region_names(row["region_code"]), street=row["street"]
    )


async def courier_request(shipment_id: UUID) -> ParcelOrder:
    """Return the order for the courier, the same at every call.

    Raises DeliveryOfficeInvalid; ReceiverForgotten when the receiver's data was erased.
    """
    row = await fetch_row(_SHIPMENT, shipment_id)
    assert row is not None, "shipments and their deliveries stay"
    if not row["street"]:
        raise ReceiverForgotten
    resident, ours = await _resident(row), await office_party(row["department_id"], row["hall_id"])
    sender, receiver = (resident, ours) if row["direction"] == Direction.TO_OFFICE else (ours, resident)
    return ParcelOrder(
        number=row["number"],
        sender=sender,
        receiver=receiver,
        contents=row["contents"],
        collect=row["postage"] == Postage.COLLECT,
    )


async def _resident(row: asyncpg.Record) -> Party:
    def opened(column: str) -> str:
        return open_sealed(row[column], where=f"deliveries.{column}", row=row["id"])

    region = await region_names(row["region_code"])
    return Party(name=opened("name"), phone=opened("phone"), region=region, street=opened("street"))
