"""Looking up regions, departments and halls: one statement each, finished rows."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend import clock
from backend.database import fetch, row_as
from backend.errors import raises
from backend.paging import USUAL, CursorInvalid, paged
from backend.regions.errors import HallNotFound, RegionNotFound


class RegionDetail(Struct, frozen=True, kw_only=True):
    """A region. `valid_to` is the first day on which its code was no longer used, null while it is."""

    code: str
    name: str
    level: str
    parent_code: str | None
    valid_from: date
    valid_to: date | None
    successor_code: str | None


class DepartmentDetail(Struct, frozen=True, kw_only=True):
    """An authority and what it is about."""

    id: UUID
    uscc: str
    name: str
    domain: str
    region_code: str
    region_name: str
    phone: str


class Hours(Struct, frozen=True, kw_only=True):
    """When a hall is open: days of the week (1 is Monday) and local times as HH:MM."""

    days: list[int]
    opens: str
    closes: str


class HallDetail(Struct, frozen=True, kw_only=True):
    """A place that receives residents. Coordinates are GCJ-02 degrees."""

    id: UUID
    code: str
    name: str
    region_code: str
    region_name: str
    address: str
    phone: str
    hours: list[Hours]
    latitude: Decimal
    longitude: Decimal
    directions: str


_REGIONS = """
SELECT r.code, r.name, r.level, p.code AS parent_code, r.valid_from, r.valid_to, s.code AS successor_code
FROM regions r LEFT JOIN regions p ON p.id = r.parent_id LEFT JOIN regions s ON s.id = r.successor_id
WHERE r.valid_from <= $1 AND (r.valid_to IS NULL OR r.valid_to > $1)
  AND ($2::text IS NULL OR p.code = $2) AND ($3::text IS NULL OR r.code > $3)
ORDER BY r.code LIMIT $4
"""

# A code that has ended leads to its successor; then everything above it, nearest first.
_LINEAGE = """
WITH RECURSIVE now_called AS (
    (SELECT * FROM regions WHERE code = $1 ORDER BY valid_to DESC NULLS FIRST LIMIT 1)
    UNION SELECT r.* FROM regions r JOIN now_called n ON r.id = n.successor_id
), line AS (
    SELECT id, code, parent_id, 0 AS distance FROM now_called WHERE successor_id IS NULL
    UNION SELECT r.id, r.code, r.parent_id, l.distance + 1 FROM regions r JOIN line l ON r.id = l.parent_id
)
SELECT code FROM line ORDER BY distance
"""

_DEPARTMENTS = """
SELECT d.id, d.uscc, d.name, d.domain, r.code AS region_code, r.name AS region_name, d.phone
FROM departments d JOIN regions r ON r.id = d.region_id
WHERE ($1::text[] IS NULL OR r.code = ANY($1)) AND ($2::text IS NULL OR d.domain = $2)
  AND ($3::text IS NULL OR d.uscc > $3)
ORDER BY d.uscc LIMIT $4
"""

_HALLS = """
WITH RECURSIVE inside AS (
    SELECT id FROM regions WHERE code = $1::text
    UNION SELECT r.id FROM regions r JOIN inside i ON r.parent_id = i.id
)
SELECT h.id, h.code, h.name, r.code AS region_code, r.name AS region_name, h.address, h.phone, h.hours::text AS hours,
       h.latitude, h.longitude, h.directions
FROM halls h JOIN regions r ON r.id = h.region_id
WHERE ($1::text IS NULL OR h.region_id IN (SELECT id FROM inside)) AND ($2::uuid[] IS NULL OR h.id = ANY($2))
  AND ($3::text IS NULL OR h.code > $3)
ORDER BY h.code LIMIT $4
"""


@raises(CursorInvalid)
async def list_regions(
    *, parent: str | None = None, on: date | None = None, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[RegionDetail], str | None]:
    """One page of the regions that were in use `on` a day (default today), those right below `parent` if given."""
    purpose = f"regions {parent} {on}"
    return await paged(
        _REGIONS, on or clock.today(), parent,
        by={"code": str}, make=lambda row: row_as(RegionDetail, row), purpose=purpose, cursor=cursor, limit=limit,
    )  # fmt: skip


async def get_lineage(code: str) -> tuple[str, ...]:
    """The code in use today for this region and the codes of all regions around it, nearest first.

    Raises RegionNotFound for a code that never was one.
    """
    found = tuple(row["code"] for row in await fetch(_LINEAGE, code))
    if not found:
        raise RegionNotFound(region=code)
    return found


@raises(RegionNotFound, CursorInvalid)
async def list_departments(
    *, region: str | None = None, domain: str | None = None, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[DepartmentDetail], str | None]:
    """One page of the departments that govern in the region: its own and those of the regions around it."""
    purpose = f"departments {region} {domain}"
    codes = list(await get_lineage(region)) if region else None
    return await paged(
        _DEPARTMENTS, codes, domain,
        by={"uscc": str}, make=lambda row: row_as(DepartmentDetail, row), purpose=purpose, cursor=cursor, limit=limit,
    )  # fmt: skip


@raises(RegionNotFound, CursorInvalid)
async def list_halls(
    *, region: str | None = None, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[HallDetail], str | None]:
    """One page of the halls in the region, towns and villages included. Raises RegionNotFound."""
    purpose = f"halls {region}"
    inside = (await get_lineage(region))[0] if region else None
    return await paged(_HALLS, inside, None, by={"code": str}, make=_hall, purpose=purpose, cursor=cursor, limit=limit)


async def get_halls(ids: tuple[UUID, ...]) -> list[HallDetail]:
    """The halls with these ids, in the order given; one that does not exist is left out."""
    if not ids:
        return []
    rows = {row["id"]: row for row in await fetch(_HALLS, None, list(ids), None, len(ids))}
    return [_hall(rows[each]) for each in ids if each in rows]


@raises(HallNotFound)
async def get_hall(hall_id: UUID) -> HallDetail:
    """One hall."""
    found = await get_halls((hall_id,))
    if not found:
        raise HallNotFound
    return found[0]


def _hall(row: Any) -> HallDetail:
    return row_as(HallDetail, row, json=("hours",))
