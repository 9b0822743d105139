"""Counters for collection: listed publicly by region, managed by the department that runs them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock, regions
from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.deliveries import region_codes
from backend.deliveries.errors import (
    AddressInvalid,
    PickupPointInUse,
    PickupPointInvalid,
    PickupPointNotFound,
    PickupPointTaken,
)
from backend.deliveries.events import PickupPointChanged
from backend.errors import Fault, raises
from backend.events import record
from backend.identity import AsStaff
from backend.identity.errors import DutyMissing
from backend.paging import USUAL, CursorInvalid, paged
from backend.regions import Hours
from backend.regions.errors import RegionNotFound
from backend.sql import named

MANAGE_PICKUP_POINTS = "pickup-points.manage"
"""The duty to manage the counters of one's department."""
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{1,39}", re.ASCII)
_PHONE = re.compile(r"[0-9-]{5,20}", re.ASCII)
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)


class PickupPointForm(Struct, frozen=True, kw_only=True):
    """What staff enter about a counter. In a hall it has the hall's position, unless it has its own (GCJ-02)."""

    code: str
    name: str
    region_code: str
    address: str
    phone: str
    hours: list[Hours]
    hall_id: UUID | None = None
    latitude: Decimal | None = None
    longitude: Decimal | None = None


class PickupPointDetail(Struct, frozen=True, kw_only=True):
    """A counter. Coordinates are GCJ-02 degrees; null when not entered."""

    id: UUID
    code: str
    name: str
    hall_id: UUID | None
    department: str | None
    region_code: str
    region: tuple[str, ...]
    address: str
    phone: str
    hours: list[Hours]
    latitude: Decimal | None
    longitude: Decimal | None
    open: bool


_COLUMNS = """
SELECT p.id, p.code, p.name, p.hall_id, d.name AS department, p.region_code, p.address, p.phone, p.hours::text AS hours,
       coalesce(p.latitude, h.latitude) AS latitude, coalesce(p.longitude, h.longitude) AS longitude,
       p.closed_at IS NULL AS open
FROM pickup_points p LEFT JOIN halls h ON h.id = p.hall_id LEFT JOIN departments d ON d.id = p.department_id
"""
_LIST = (
    """
WITH RECURSIVE inside AS (
    SELECT id, code FROM regions WHERE code = $1::text
    UNION SELECT r.id, r.code FROM regions r JOIN inside i ON r.parent_id = i.id
)"""
    + _COLUMNS
    + """
WHERE p.closed_at IS NULL AND ($1::text IS NULL OR p.region_code IN (SELECT code FROM inside))
  AND ($2::text IS NULL OR p.code > $2)
ORDER BY p.code LIMIT $3
"""
)
_SOME = _COLUMNS + " WHERE p.id = ANY($1::uuid[])"
_OF_DEPARTMENT = _COLUMNS + " WHERE p.department_id = $1 ORDER BY p.closed_at IS NOT NULL, p.code"
_INSERT = """
INSERT INTO pickup_points (id, created_at, code, name, hall_id, department_id, region_code, address, phone, hours,
                           latitude, longitude)
VALUES (:id, :now, :code, :name, :hall_id, :department_id, :region_code, :address, :phone, :hours::text::jsonb,
        :latitude, :longitude)
ON CONFLICT (code) DO NOTHING RETURNING id
"""
_UPDATE = """
UPDATE pickup_points SET name = :name, hall_id = :hall_id, region_code = :region_code, address = :address,
    phone = :phone, hours = :hours::text::jsonb, latitude = :latitude, longitude = :longitude
WHERE id = :id
"""
_LOCK = "SELECT id, code, closed_at FROM pickup_points WHERE id = $1 AND department_id = $2 FOR UPDATE"
_IN_USE = """
SELECT 1 FROM deliveries WHERE pickup_point_id = $1 AND state IN ('waiting', 'to_send', 'ready') LIMIT 1
"""


@raises(RegionNotFound, CursorInvalid)
async def list_pickup_points(
    *, region: str | None = None, limit: int = USUAL, cursor: str | None = None
) -> tuple[list[PickupPointDetail], str | None]:
    """List a page of the open counters in the region, towns and villages included.

    Raises regions' RegionNotFound, CursorInvalid.
    """
    purpose = f"pickup-points {region}"
    inside = (await regions.get_lineage(region))[0] if region else None
    rows, more = await paged(
        _LIST, inside, by={"code": str}, make=lambda row: row, purpose=purpose, cursor=cursor, limit=limit
    )
    return await _details(rows), more


async def get_pickup_points(ids: list[UUID]) -> dict[UUID, PickupPointDetail]:
    """Return these counters by id, also closed ones."""
    return {each.id: each for each in await _details(await fetch(_SOME, ids))} if ids else {}


@raises(PickupPointNotFound)
async def get_pickup_point(point_id: UUID) -> PickupPointDetail:
    """Return one counter, also a closed one."""
    found = await get_pickup_points([point_id])
    if point_id not in found:
        raise PickupPointNotFound
    return found[point_id]


@raises(DutyMissing)
async def list_department_pickup_points(staff: AsStaff) -> list[PickupPointDetail]:
    """List the counters of the department, closed ones last."""
    staff.require(MANAGE_PICKUP_POINTS)
    return await _details(await fetch(_OF_DEPARTMENT, staff.department_id))


@raises(DutyMissing, PickupPointInvalid, PickupPointTaken)
async def open_pickup_point(
    staff: AsStaff, form: PickupPointForm, *, point_id: UUID | None = None
) -> PickupPointDetail:
    """Open a new counter of the department."""
    staff.require(MANAGE_PICKUP_POINTS)
    await _check(form)
    return await insert_pickup_point(staff.department_id, form, point_id or uuid7())


async def insert_pickup_point(department_id: UUID, form: PickupPointForm, point_id: UUID) -> PickupPointDetail:
    """Insert a counter that was checked. Raises PickupPointTaken."""
    async with transaction():
        made = await fetch_value(
            *named(_INSERT, {"id": point_id, "now": clock.now(), "department_id": department_id, **_columns(form)})
        )
        if made is None:
            raise PickupPointTaken
        await record(PickupPointChanged(pickup_point_id=point_id, department_id=department_id, closed=False))
        return await get_pickup_point(point_id)


@raises(DutyMissing, PickupPointNotFound, PickupPointInvalid)
async def change_pickup_point(staff: AsStaff, point_id: UUID, form: PickupPointForm) -> PickupPointDetail:
    """Change a counter; its code stays."""
    staff.require(MANAGE_PICKUP_POINTS)
    async with transaction():
        row = await fetch_row(_LOCK, point_id, staff.department_id)
        if row is None:
            raise PickupPointNotFound
        await _check(form)
        if form.code != row["code"]:
            raise PickupPointInvalid(fields=[Fault("/code", "领取点编码不能修改")])
        columns = _columns(form)
        del columns["code"]
        await execute(*named(_UPDATE, {"id": point_id, **columns}))
        await _record(staff, point_id, closed=row["closed_at"] is not None)
        return await get_pickup_point(point_id)


@raises(DutyMissing, PickupPointNotFound, PickupPointInUse)
async def close_pickup_point(staff: AsStaff, point_id: UUID) -> PickupPointDetail:
    """Close a counter: it cannot be chosen any more.

    Raises DutyMissing, PickupPointNotFound; PickupPointInUse while a delivery lies there or is on its way there.
    """
    return await _shut(staff, point_id, shut=True)


@raises(DutyMissing, PickupPointNotFound)
async def reopen_pickup_point(staff: AsStaff, point_id: UUID) -> PickupPointDetail:
    """Reopen a counter."""
    return await _shut(staff, point_id, shut=False)


async def _shut(staff: AsStaff, point_id: UUID, *, shut: bool) -> PickupPointDetail:
    staff.require(MANAGE_PICKUP_POINTS)
    async with transaction():
        row = await fetch_row(_LOCK, point_id, staff.department_id)
        if row is None:
            raise PickupPointNotFound
        if (row["closed_at"] is not None) is not shut:
            if shut and await fetch_value(_IN_USE, point_id):
                raise PickupPointInUse
            closed_at = clock.now() if shut else None
            await execute("UPDATE pickup_points SET closed_at = $2 WHERE id = $1", point_id, closed_at)
            await _record(staff, point_id, closed=shut)
        return await get_pickup_point(point_id)


def _columns(form: PickupPointForm) -> dict[str, Any]:
    return {**msgspec.structs.asdict(form), "hours": msgspec.json.encode(form.hours).decode()}


async def _record(staff: AsStaff, point_id: UUID, *, closed: bool) -> None:
    await record(PickupPointChanged(pickup_point_id=point_id, department_id=staff.department_id, closed=closed))


async def _check(form: PickupPointForm) -> None:
    """Raises PickupPointInvalid pointing to each fault."""
    faults: list[Fault] = []
    if not _CODE.fullmatch(form.code):
        faults.append(Fault("/code", "编码为 2 至 40 位小写字母、数字或短横线"))
    if not _PHONE.fullmatch(form.phone):
        faults.append(Fault("/phone", "请填写联系电话"))
    if not form.hours or not all(map(_is_opening, form.hours)):
        faults.append(Fault("/hours", "请填写开放时间：星期 1 至 7，时间形如 09:00，且开始早于结束"))
    if (form.latitude is None) is not (form.longitude is None):
        faults.append(Fault("/latitude", "经纬度须同时填写"))
    elif form.latitude is not None and form.longitude is not None and not _is_on_the_map(form.latitude, form.longitude):
        faults.append(Fault("/latitude", "坐标不在中国境内（GCJ-02，单位为度）"))
    if form.hall_id is not None and not await fetch_value("SELECT 1 FROM halls WHERE id = $1", form.hall_id):
        faults.append(Fault("/hall_id", "没有这个办事大厅"))
    try:
        await region_codes.check_region(form.region_code, narrow=False)
    except AddressInvalid as error:
        faults += error.fields
    if faults:
        raise PickupPointInvalid(fields=faults)


def _is_opening(hours: Hours) -> bool:
    days = bool(hours.days) and len(set(hours.days)) == len(hours.days) and all(1 <= day <= 7 for day in hours.days)
    times = all(_TIME.fullmatch(each) for each in (hours.opens, hours.closes))
    return days and times and hours.opens < hours.closes


def _is_on_the_map(latitude: Decimal, longitude: Decimal) -> bool:
    return 3 <= latitude <= 54 and 73 <= longitude <= 136


async def _details(rows: list[Any]) -> list[PickupPointDetail]:
    names = await region_codes.region_names_of(row["region_code"] for row in rows)
    return [
        PickupPointDetail(
            **{
                **row,
                "region": names.get(row["region_code"], ()),
                "hours": msgspec.json.decode(row["hours"], type=list[Hours]),
            }
        )
        for row in rows
    ]
