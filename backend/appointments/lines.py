"""Halls say what residents queue for: a line's rules, and the service items that it handles.

Rules are whole: an update sets every one of them. New rules hold for what comes: slots that were generated keep the
length and the release time that they were generated with.
"""

from __future__ import annotations

from datetime import UTC, time
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from msgspec import Meta, Struct, structs
from tortoise.exceptions import IntegrityError

from backend.appointments.duty import Runner, authorize_hall, authorize_line
from backend.appointments.errors import ItemOnOtherLine, LineExists, ServiceLineInvalid, ServiceLineNotFound
from backend.appointments.events import LineChanged
from backend.database import execute, fetch, transaction
from backend.errors import Fault, raises
from backend.events import record
from backend.regions.errors import HallNotFound
from models.appointments import Admission, ServiceLine

ClockTime = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""Local time in Asia/Shanghai, as HH:MM."""


class LineRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a line is called and how its places are given; units are in the names. See models/appointments.py."""

    code: Annotated[str, Meta(pattern="^[A-Z]{1,2}$")]
    name: Annotated[str, Meta(min_length=1, max_length=60)]
    active: bool = True
    slot_minutes: Annotated[int, Meta(ge=5, le=480)] = 30
    release_time: ClockTime = "08:00"
    release_days: Annotated[int, Meta(ge=0, le=60)] = 7
    admission: Admission = Admission.FIRST_COME
    draw_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    hold_seconds: Annotated[int, Meta(ge=10, le=3600)] = 180
    cancel_minutes: Annotated[int, Meta(ge=0, le=20_160)] = 120
    offer_minutes: Annotated[int, Meta(ge=1, le=1440)] = 30
    person_limit: Annotated[int, Meta(ge=1, le=50)] = 3
    strikes_allowed: Annotated[int, Meta(ge=0, le=100)] = 2
    strike_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    block_days: Annotated[int, Meta(ge=0, le=3650)] = 30


class LineDetail(Struct, frozen=True, kw_only=True):
    """A line as its hall sees it: the rules, and the codes of the items."""

    id: UUID
    hall_id: UUID
    rules: LineRules
    item_codes: list[str]


_LINES = """
SELECT l.*, coalesce((SELECT array_agg(i.code ORDER BY i.code) FROM line_items t
                      JOIN service_items i ON i.id = t.item_id WHERE t.line_id = l.id), '{}') AS item_codes
FROM service_lines l WHERE ($1::uuid IS NULL OR l.hall_id = $1) AND ($2::uuid IS NULL OR l.id = $2) ORDER BY l.code
"""
_DUPLICATE = (IntegrityError, asyncpg.UniqueViolationError)
_RULES = tuple(field.name for field in structs.fields(LineRules))


@raises(HallNotFound)
async def list_lines(staff: Runner, hall_id: UUID) -> list[LineDetail]:
    """The lines of the hall, by code."""
    await authorize_hall(staff, hall_id)
    return [_detail(row) for row in await fetch(_LINES, hall_id, None)]


@raises(ServiceLineNotFound)
async def get_line(staff: Runner, line_id: UUID) -> LineDetail:
    """One line."""
    await authorize_line(staff, line_id)
    return await _get(line_id)


@raises(HallNotFound, LineExists)
async def define_line(staff: Runner, hall_id: UUID, rules: LineRules, *, line_id: UUID | None = None) -> LineDetail:
    """A new line of the hall; seeds give it an id of their own."""
    await authorize_hall(staff, hall_id)
    given: dict[str, Any] = {} if line_id is None else {"id": line_id}
    try:
        async with transaction():
            made = await ServiceLine.create(hall_id=hall_id, **given, **_columns(rules))
            await record(LineChanged(line_id=made.id, what="rules"))
    except _DUPLICATE as error:
        raise LineExists(line=rules.code) from error
    return await _get(made.id)


@raises(ServiceLineNotFound, LineExists)
async def update_line(staff: Runner, line_id: UUID, rules: LineRules) -> LineDetail:
    """Set every rule of the line. Raises LineExists when another line of the hall has the letter."""
    await authorize_line(staff, line_id)
    try:
        async with transaction():
            await lock_line(line_id)
            await ServiceLine.filter(id=line_id).update(**_columns(rules))
            await record(LineChanged(line_id=line_id, what="rules"))
    except _DUPLICATE as error:
        raise LineExists(line=rules.code) from error
    return await _get(line_id)


@raises(ServiceLineNotFound, ServiceLineInvalid, ItemOnOtherLine)
async def set_line_items(staff: Runner, line_id: UUID, codes: list[str]) -> LineDetail:
    """Let the line handle exactly these items. Appointments for items that it no longer handles stay.

    Raises ServiceLineInvalid for a code that no item has.
    """
    hall_id = await authorize_line(staff, line_id)
    async with transaction():
        await lock_line(line_id)
        found = await fetch("SELECT id, code FROM service_items WHERE code = ANY($1)", codes)
        ids = {row["code"]: row["id"] for row in found}
        if unknown := [number for number, code in enumerate(codes) if code not in ids]:
            raise ServiceLineInvalid(fields=[Fault(f"/item_codes/{number}", "没有这个事项") for number in unknown])
        await execute("DELETE FROM line_items WHERE line_id = $1 AND item_id <> ALL($2)", line_id, list(ids.values()))
        await execute(
            "INSERT INTO line_items (id, created_at, line_id, hall_id, item_id) "
            "SELECT gen_random_uuid(), now(), $1, $2, item FROM unnest($3::uuid[]) AS item "
            "ON CONFLICT (hall_id, item_id) DO NOTHING",
            line_id,
            hall_id,
            sorted(ids.values()),
        )
        own = {row["item_id"] for row in await fetch("SELECT item_id FROM line_items WHERE line_id = $1", line_id)}
        if taken := sorted(code for code, item_id in ids.items() if item_id not in own):
            raise ItemOnOtherLine(item_codes=taken)
        await record(LineChanged(line_id=line_id, what="items"))
    return await _get(line_id)


async def lock_line(line_id: UUID) -> None:
    """Lock the line: changes of the line, its hours or its slots run one after the other; bookings do not wait for it.

    Call inside transaction(). Raises ServiceLineNotFound.
    """
    async with transaction() as connection:
        if not await connection.fetchval("SELECT 1 FROM service_lines WHERE id = $1 FOR NO KEY UPDATE", line_id):
            raise ServiceLineNotFound


def as_column(text: ClockTime) -> time:
    """Local time as the columns hold it: they carry an offset (Tortoise makes them so) that means nothing here."""
    return time.fromisoformat(text).replace(tzinfo=UTC)


def _columns(rules: LineRules) -> dict[str, Any]:
    return {**structs.asdict(rules), "release_time": as_column(rules.release_time)}


async def _get(line_id: UUID) -> LineDetail:
    rows = await fetch(_LINES, None, line_id)
    if not rows:
        raise ServiceLineNotFound
    return _detail(rows[0])


def _detail(row: asyncpg.Record) -> LineDetail:
    values = {name: row[name] for name in _RULES}
    values |= {"release_time": f"{row['release_time']:%H:%M}", "admission": Admission(row["admission"])}
    return LineDetail(
        id=row["id"], hall_id=row["hall_id"], rules=LineRules(**values), item_codes=list(row["item_codes"])
    )
