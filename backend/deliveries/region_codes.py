"""Regions by code and by name, as addresses and maps need them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backend import clock
from backend.database import fetch, fetch_row
from backend.deliveries.errors import AddressInvalid
from backend.errors import Fault

# Of a code that was reassigned the row in use counts; an unknown town is placed by its county.
_NAMES = """
WITH RECURSIVE line AS (
    (SELECT DISTINCT ON (code) code AS start, parent_id, name, 0 AS distance FROM regions WHERE code = ANY($1)
     ORDER BY code, valid_to DESC NULLS FIRST)
    UNION ALL
    SELECT l.start, r.parent_id, r.name, l.distance + 1 FROM regions r JOIN line l ON r.id = l.parent_id
)
SELECT start, name FROM line ORDER BY start, distance DESC
"""
_REGION = """
SELECT r.level, r.valid_from <= $2 AND (r.valid_to IS NULL OR r.valid_to > $2) AS in_use,
       s.code AS successor, s.name AS successor_name,
       EXISTS (SELECT 1 FROM regions p WHERE p.parent_id = r.id AND p.valid_to IS NULL) AS parted
FROM regions r LEFT JOIN regions s ON s.id = r.successor_id WHERE r.code = $1
ORDER BY r.valid_to DESC NULLS FIRST LIMIT 1
"""
POINTER = "/region_code"


async def region_names_of(codes: Iterable[str | None]) -> Mapping[str, tuple[str, ...]]:
    """The names of these regions from the province down: `{"220102": ("吉林省", "长春市", "南关区")}`.

    Unknown codes are left out.
    """
    known = {code for code in codes if code}
    found: dict[str, tuple[str, ...]] = {}
    for row in await fetch(_NAMES, sorted(known | {code[:6] for code in known})):
        found[row["start"]] = (*found.get(row["start"], ()), row["name"])
    return {code: names for code in known if (names := found.get(code) or found.get(code[:6]))}


async def check_region(code: str, *, narrow: bool = True) -> None:
    """Check that an address can be in this region today: its code is in use and, if `narrow`, no wider than a county.

    Raises AddressInvalid, which names the region that replaced it.
    """
    row = await fetch_row(_REGION, code, clock.today())
    if row is None:
        raise AddressInvalid(fields=[Fault(POINTER, "没有这个行政区划代码")])
    if not row["in_use"]:
        now = f"，现为{row['successor_name']}（{row['successor']}）" if row["successor"] else ""
        raise AddressInvalid(fields=[Fault(POINTER, f"该行政区划代码已停用{now}")])
    if narrow and (row["level"] == "province" or (row["level"] == "city" and row["parted"])):
        raise AddressInvalid(fields=[Fault(POINTER, "请选择到县（区）")])
