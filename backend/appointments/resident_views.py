"""Looking: what is free in a hall, and what a resident has booked and how to get there. One statement each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from backend import clock
from backend.appointments import acting
from backend.appointments.errors import AppointmentNotFound, PersonNotFound, ServiceLineNotFound
from backend.appointments.lifecycle import STATE_NAMES
from backend.database import fetch_row, fetch_value, row_as
from backend.errors import raises
from backend.identity import AsResident
from backend.paging import CursorInvalid, paged
from backend.settings import settings
from models.appointments import AppointmentState as S

_PURPOSE = "resident-appointments"
MOST_KEPT = 2_000


class SlotAvailability(Struct, frozen=True, kw_only=True):
    """A slot and how many places it has left. `state`: open, full, closed, over, early (not released yet)."""

    id: UUID
    starts_at: datetime
    ends_at: datetime
    release_at: datetime
    free: int
    state: str


class DayAvailability(Struct, frozen=True, kw_only=True):
    """What one line of a hall has left on a day for one item. `read_at` is when the database said so.

    `admission` "draw" with `drawn` false: enter the draw instead of booking.
    """

    hall_id: UUID
    item_code: str
    day: date
    line_id: UUID
    line_name: str
    admission: str
    drawn: bool
    waiting: int
    """How many wait for a place on this day."""
    slots: list[SlotAvailability]
    read_at: datetime


# The finished JSON, as every phone in the hall's city asks for the same bytes.
_FREE = """
SELECT json_build_object(
    'hall_id', l.hall_id, 'item_code', $2::text, 'day', $3::date, 'line_id', l.id, 'line_name', l.name,
    'admission', l.admission,
    'drawn', EXISTS (SELECT 1 FROM draws d WHERE d.line_id = l.id AND d.day = $3 AND d.drawn_at IS NOT NULL),
    'waiting', (SELECT count(*) FROM waiting_entries w WHERE w.line_id = l.id AND w.day = $3 AND w.state = 'waiting'),
    'slots', coalesce((SELECT json_agg(json_build_object(
        'id', s.id, 'starts_at', s.starts_at, 'ends_at', s.ends_at, 'release_at', s.release_at,
        'free', CASE WHEN s.closed_at IS NULL AND s.starts_at > now() AND s.release_at <= now()
                     THEN s.capacity - s.held - s.booked ELSE 0 END,
        'state', CASE WHEN s.closed_at IS NOT NULL THEN 'closed' WHEN s.starts_at <= now() THEN 'over'
                      WHEN s.release_at > now() THEN 'early' WHEN s.held + s.booked >= s.capacity THEN 'full'
                      ELSE 'open' END) ORDER BY s.starts_at)
        FROM slots s WHERE s.line_id = l.id AND s.day = $3), '[]'::json),
    'read_at', now())::text
FROM service_lines l JOIN line_items li ON li.line_id = l.id JOIN service_items i ON i.id = li.item_id
WHERE li.hall_id = $1 AND i.code = $2 AND l.active
"""

_kept: dict[tuple[UUID, str, date], tuple[float, DayAvailability | None]] = {}
_reading: dict[tuple[UUID, str, date], asyncio.Task[DayAvailability | None]] = {}


@raises(ServiceLineNotFound)
async def get_availability(hall_id: UUID, item_code: str, day: date) -> DayAvailability:
    """What is free, at most `free_places_seconds` old; however many ask, one statement in that time is sent.

    Raises ServiceLineNotFound when nothing in the hall handles the item.
    """
    key = (hall_id, item_code, day)
    kept = _kept.get(key)
    if kept is None or clock.monotonic() - kept[0] >= settings().free_places_seconds:
        task = _reading.get(key)
        if task is None:
            task = _reading[key] = asyncio.create_task(_read(key))
            task.add_done_callback(lambda _: _reading.pop(key, None))
        found = await asyncio.shield(task)
    else:
        found = kept[1]
    if found is None:
        raise ServiceLineNotFound
    return found


async def _read(key: tuple[UUID, str, date]) -> DayAvailability | None:
    began = clock.monotonic()
    body = await fetch_value(_FREE, *key)
    found = msgspec.json.decode(body, type=DayAvailability) if body else None
    if len(_kept) >= MOST_KEPT:
        _kept.clear()
    _kept[key] = (began, found)
    return found


def clear_availability() -> None:
    """Forget what was read: for tests."""
    _kept.clear()


class AppointmentSummary(Struct, frozen=True, kw_only=True):
    """One appointment in a resident's list."""

    id: UUID
    number: str
    state: str
    state_name: str
    person_id: UUID
    """Who comes: the resident, or a person they may act for."""
    item_code: str
    item_name: str | None
    hall_name: str
    line_name: str
    day: date
    starts_at: datetime
    ends_at: datetime
    hold_until: datetime | None


class HallDirections(Struct, frozen=True, kw_only=True):
    """How to get to the hall. Coordinates are GCJ-02 degrees, as the maps on phones take them."""

    hall_id: UUID
    hall_name: str
    address: str
    directions: str
    phone: str
    latitude: Decimal
    longitude: Decimal
    windows: list[str]
    """Numbers of the windows that serve the line."""


class AppointmentDetail(AppointmentSummary, frozen=True, kw_only=True):
    """One appointment as its resident sees it: the number, until when it can be cancelled freely, the way there."""

    slot_id: UUID
    line_id: UUID
    from_waiting_list: bool
    cancel_until: datetime
    """Until then it can be moved, and cancelled without a strike."""
    way: HallDirections


_SELECT = """
SELECT a.id, a.number, a.state, i.code AS item_code, c.name AS item_name, h.name AS hall_name, l.name AS line_name,
       a.day, s.starts_at, s.ends_at, a.hold_until, a.slot_id, a.line_id, a.person_id, a.from_waiting_list,
       s.starts_at - make_interval(mins => l.cancel_minutes) AS cancel_until,
       h.id AS hall_id, h.address, h.directions, h.phone, h.latitude, h.longitude,
       ARRAY(SELECT w.number FROM windows w WHERE w.hall_id = h.id AND l.id = ANY(w.line_ids) AND w.open
             ORDER BY length(w.number), w.number) AS windows
FROM appointments a JOIN slots s ON s.id = a.slot_id JOIN service_lines l ON l.id = a.line_id
JOIN halls h ON h.id = s.hall_id JOIN service_items i ON i.id = a.item_id LEFT JOIN catalogue_entries c ON c.id = i.id
WHERE a.person_id IN (SELECT people_of($1, 'appointments'))
"""
_LIST = (
    _SELECT
    + """
  AND ($2::text[] IS NULL OR a.state = ANY($2))
  AND ($3::uuid IS NULL OR a.person_id = $3) AND ($4::date IS NULL OR (a.day, a.id) < ($4, $5))
ORDER BY a.day DESC, a.id DESC LIMIT $6
"""
)


@raises(CursorInvalid, PersonNotFound)
async def list_own_appointments(
    resident: AsResident,
    *,
    person_id: UUID | None = None,
    states: list[S] | None = None,
    cursor: str | None = None,
    limit: int,
) -> tuple[list[AppointmentSummary], str | None]:
    """One page of appointments, the latest day first, and the next cursor: of the resident and of everybody they may
    act for, or of one of them."""
    if person_id is not None:
        await acting.person_for(resident, person_id)
    wanted = [str(each) for each in states] if states else None
    return await paged(
        _LIST, resident.id, wanted, person_id, by={"day": date.fromisoformat, "id": UUID}, make=_summary,
        purpose=_PURPOSE, cursor=cursor, limit=limit,
    )  # fmt: skip


@raises(AppointmentNotFound)
async def get_own_appointment(resident: AsResident, appointment_id: UUID) -> AppointmentDetail:
    """One appointment of the resident or of a person they may act for. Raises AppointmentNotFound for another person's
    too, in the same words."""
    row = await fetch_row(_SELECT + " AND a.id = $2", resident.id, appointment_id)
    if row is None:
        raise AppointmentNotFound
    directions = row_as(HallDirections, row)
    return row_as(AppointmentDetail, {**row, "state_name": STATE_NAMES[S(row["state"])], "way": directions})


def _summary(row: Mapping[str, Any]) -> AppointmentSummary:
    return row_as(AppointmentSummary, {**row, "state_name": STATE_NAMES[S(row["state"])]})
