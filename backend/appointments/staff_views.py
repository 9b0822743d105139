"""What a hall sees of its day: figures per slot, and who comes, with masked names."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import asyncpg
from msgspec import Struct

from backend.appointments.booking import SEALED_IN
from backend.appointments.duty import Runner, authorize_hall, halls_in_charge
from backend.crypto import mask_name, open_sealed
from backend.database import fetch_as, row_as
from backend.errors import raises
from backend.paging import USUAL, CursorInvalid, paged
from backend.regions import HallDetail, get_halls
from backend.regions.errors import HallNotFound


class SlotSummary(Struct, frozen=True, kw_only=True):
    """One slot in numbers. `held`, `booked` and `walk_ins` take places; the others say how the visits went."""

    id: UUID
    line_id: UUID
    line_name: str
    starts_at: datetime
    ends_at: datetime
    release_at: datetime
    capacity: int
    held: int
    booked: int
    walk_in_quota: int
    walk_ins: int
    checked_in: int
    served: int
    missed: int
    closed_at: datetime | None
    closed_because: str


class StaffAppointmentSummary(Struct, frozen=True, kw_only=True):
    """One line of the day list. The name is masked, and null when the resident gave none."""

    id: UUID
    number: str
    name: str | None
    state: str
    line_id: UUID
    line_name: str
    item_code: str
    item_name: str | None
    slot_id: UUID
    starts_at: datetime
    ends_at: datetime
    ticket: str | None
    """The queue number, once they have checked in."""


_FIGURES = """
SELECT s.id, s.line_id, l.name AS line_name, s.starts_at, s.ends_at, s.release_at, s.capacity, s.held, s.booked,
       s.walk_in_quota, s.walk_ins, s.closed_at, s.closed_because,
       count(a.id) FILTER (WHERE a.state = 'checked-in') AS checked_in,
       count(a.id) FILTER (WHERE a.state = 'served') AS served,
       count(a.id) FILTER (WHERE a.state = 'missed') AS missed
FROM slots s JOIN service_lines l ON l.id = s.line_id LEFT JOIN appointments a ON a.slot_id = s.id
WHERE s.hall_id = $1 AND s.day = $2 AND ($3::uuid IS NULL OR s.line_id = $3)
GROUP BY s.id, l.id ORDER BY s.starts_at, l.code
"""

_VISITS = """
SELECT a.id, a.number, a.visitor_name, a.state, a.line_id, l.name AS line_name, i.code AS item_code,
       v.name AS item_name, a.slot_id, s.starts_at, s.ends_at, t.label AS ticket
FROM slots s JOIN appointments a ON a.slot_id = s.id JOIN service_lines l ON l.id = s.line_id
JOIN service_items i ON i.id = a.item_id
LEFT JOIN item_versions v ON v.item_id = i.id AND v.state = 'published'
LEFT JOIN tickets t ON t.appointment_id = a.id
WHERE s.hall_id = $1 AND s.day = $2 AND ($3::uuid IS NULL OR s.line_id = $3)
  AND ($4::text[] IS NULL OR a.state = ANY($4))
  AND ($5::timestamptz IS NULL OR (s.starts_at, a.id) > ($5, $6))
ORDER BY s.starts_at, a.id LIMIT $7
"""
_COMING = ["booked", "checked-in", "served", "missed"]


async def list_own_halls(staff: Runner) -> list[HallDetail]:
    """The halls that they run, by code."""
    return await get_halls(tuple(await halls_in_charge(staff)))


@raises(HallNotFound)
async def list_slot_summaries(
    staff: Runner, hall_id: UUID, day: date, *, line_id: UUID | None = None
) -> list[SlotSummary]:
    """Every slot of the hall's day, by time."""
    await authorize_hall(staff, hall_id)
    return await fetch_as(SlotSummary, _FIGURES, hall_id, day, line_id)


@raises(HallNotFound, CursorInvalid)
async def list_day_appointments(
    staff: Runner,
    hall_id: UUID,
    day: date,
    *,
    line_id: UUID | None = None,
    states: list[str] | None = None,
    limit: int = USUAL,
    cursor: str | None = None,
) -> tuple[list[StaffAppointmentSummary], str | None]:
    """One page of the people of the day, by time: those who are expected, are here, came or did not come; other states
    when asked for."""
    await authorize_hall(staff, hall_id)
    purpose = f"day {hall_id} {day} {line_id} {states}"
    return await paged(
        _VISITS, hall_id, day, line_id, states or _COMING, by={"starts_at": datetime.fromisoformat, "id": UUID},
        make=_visit, purpose=purpose, cursor=cursor, limit=limit,
    )  # fmt: skip


def _visit(row: asyncpg.Record) -> StaffAppointmentSummary:
    sealed = row["visitor_name"]
    name = mask_name(open_sealed(sealed, where=SEALED_IN, row=row["id"])) if sealed else None
    return row_as(StaffAppointmentSummary, {**row, "name": name})
