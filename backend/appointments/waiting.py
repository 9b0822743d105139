"""The waiting list of a line and day: a freed place is held for one person at a time, in the order in which they came.

The offer *is* a held appointment: to take it is to confirm it, to decline it is to cancel it, and when its time is over
the hold expires. However it ends, the place goes to the next one in the same transaction, so no passer-by
can snatch it and no holder can pass it to a friend.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.appointments import strikes
from backend.appointments.acting import person_for
from backend.appointments.errors import (
    AlreadyBooked,
    AlreadyWaiting,
    AppointmentTransitionRefused,
    BookingBlocked,
    ItemNotHandled,
    PersonNotFound,
    PlacesLeft,
    ServiceLineNotFound,
    SlotExpired,
    WaitingEntryNotFound,
)
from backend.appointments.events import PlaceOffered, WaitingEnded, WaitingJoined
from backend.appointments.places import lock_slots, new_number
from backend.database import execute, fetch, fetch_as, fetch_one_as, fetch_row, fetch_value, transaction
from backend.errors import raises
from backend.events import record
from backend.identity import AsResident
from models.appointments import ACTIVE

ENDS = frozenset({"taken", "declined", "lapsed", "left"})


class WaitingEntryDetail(Struct, frozen=True, kw_only=True):
    """An entry of the waiting list. `ahead` people came earlier; an offer is taken by confirming `appointment_id`."""

    id: UUID
    line_id: UUID
    line_name: str
    hall_name: str
    day: date
    item_code: str
    person_id: UUID
    state: str
    ahead: int
    appointment_id: UUID | None
    offer_until: datetime | None


_WAITING = """
SELECT w.id, w.line_id, l.name AS line_name, h.name AS hall_name, w.day, i.code AS item_code, w.person_id, w.state,
       w.appointment_id, w.offer_until,
       CASE WHEN w.state = 'waiting' THEN (
           SELECT count(*) FROM waiting_entries o WHERE o.line_id = w.line_id AND o.day = w.day AND o.state = 'waiting'
           AND (o.created_at, o.id) < (w.created_at, w.id)) ELSE 0 END AS ahead
FROM waiting_entries w JOIN service_lines l ON l.id = w.line_id JOIN halls h ON h.id = l.hall_id
JOIN service_items i ON i.id = w.item_id
WHERE w.person_id IN (SELECT people_of($1, 'appointments')) AND ($2::uuid IS NULL OR w.id = $2)
  AND (w.state IN ('waiting', 'offered') OR w.id = $2)
ORDER BY w.created_at, w.id LIMIT 100
"""

# A place counts as free for the list when a newcomer could book it: released, open and still to come.
_DAY = f"""
SELECT l.id, (SELECT item_id FROM line_items li JOIN service_items i ON i.id = li.item_id
              WHERE li.line_id = l.id AND i.code = $3) AS item_id,
       count(s.id) FILTER (WHERE s.starts_at > now() AND s.closed_at IS NULL) AS to_come,
       coalesce(sum(s.capacity - s.held - s.booked) FILTER (
           WHERE s.starts_at > now() AND s.closed_at IS NULL), 0) AS free,
       EXISTS (SELECT 1 FROM appointments WHERE person_id = $4 AND day = $2 AND {ACTIVE} AND item_id =
           (SELECT id FROM service_items WHERE code = $3)) AS booked
FROM service_lines l LEFT JOIN slots s ON s.line_id = l.id AND s.day = $2
WHERE l.id = $1 AND l.active GROUP BY l.id
"""


@raises(
    ServiceLineNotFound, PersonNotFound, ItemNotHandled, SlotExpired, PlacesLeft, AlreadyBooked, AlreadyWaiting,
    BookingBlocked,
)  # fmt: skip
async def join_waiting_list(
    resident: AsResident, line_id: UUID, day: date, item_code: str, *, person_id: UUID | None = None
) -> WaitingEntryDetail:
    """Wait for a place on a day that is full.

    Raises SlotExpired when nothing of the day is to come, PlacesLeft when there are places to book or to be released.
    """
    person = await person_for(resident, person_id)
    entry_id = uuid7()
    async with transaction():
        found = await fetch_row(_DAY, line_id, day, item_code, person)
        if found is None:
            raise ServiceLineNotFound
        _refuse(found)
        await strikes.refuse_blocked(person, line_id)
        await _enter(entry_id, line_id, day, resident.id, person, found["item_id"])
        await record(WaitingJoined(entry_id=entry_id, resident_id=resident.id))
        return await get_own_waiting_entry(resident, entry_id)


def _refuse(found: asyncpg.Record) -> None:
    if found["item_id"] is None:
        raise ItemNotHandled
    if not found["to_come"]:
        raise SlotExpired
    if found["booked"]:
        raise AlreadyBooked
    if found["free"] > 0:
        raise PlacesLeft


async def _enter(entry_id: UUID, line_id: UUID, day: date, resident_id: UUID, person: UUID, item_id: UUID) -> None:
    try:
        await execute(
            "INSERT INTO waiting_entries (id, created_at, line_id, day, resident_id, person_id, item_id, state) "
            "VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, 'waiting')",
            entry_id,
            line_id,
            day,
            resident_id,
            person,
            item_id,
        )
    except asyncpg.UniqueViolationError as error:
        raise AlreadyWaiting from error


async def list_own_waiting_entries(resident: AsResident) -> list[WaitingEntryDetail]:
    """Where the resident, or a person they may act for, waits or has an offer, the oldest first."""
    return await fetch_as(WaitingEntryDetail, _WAITING, resident.id, None)


async def get_own_waiting_entry(resident: AsResident, entry_id: UUID) -> WaitingEntryDetail:
    """One entry of the resident or of a person they may act for. Raises WaitingEntryNotFound."""
    entry = await fetch_one_as(WaitingEntryDetail, _WAITING, resident.id, entry_id)
    if entry is None:
        raise WaitingEntryNotFound
    return entry


@raises(WaitingEntryNotFound, AppointmentTransitionRefused)
async def leave_waiting_list(resident: AsResident, entry_id: UUID) -> None:
    """Wait no longer. Raises AppointmentTransitionRefused when the wait is over or a place is offered: that one is
    declined by cancelling it."""
    async with transaction():
        state = await fetch_value(
            "SELECT state FROM waiting_entries WHERE id = $1 AND person_id IN (SELECT people_of($2, 'appointments')) "
            "FOR UPDATE",
            entry_id,
            resident.id,
        )
        if state is None:
            raise WaitingEntryNotFound
        if state != "waiting":
            raise AppointmentTransitionRefused(state=state, transition="leave")
        await end_entry(entry_id, resident.id, "left")


async def end_entry(entry_id: UUID, resident_id: UUID, how: str) -> None:
    """The wait is over; in the caller's transaction."""
    await execute("UPDATE waiting_entries SET state = $2, offer_until = NULL WHERE id = $1", entry_id, how)
    await record(WaitingEnded(entry_id=entry_id, resident_id=resident_id, how=how))


async def end_offer(appointment_id: UUID, how: str) -> None:
    """The offer that held this appointment was taken, declined or has lapsed; nothing when there was none."""
    row = await fetch_row(
        "SELECT id, resident_id FROM waiting_entries WHERE appointment_id = $1 AND state = 'offered' FOR UPDATE",
        appointment_id,
    )
    if row is not None:
        await end_entry(row["id"], row["resident_id"], how)


_NEXT = """
SELECT w.id, w.resident_id, w.person_id, w.item_id FROM waiting_entries w
JOIN slots s ON s.id = $1 AND s.line_id = w.line_id AND s.day = w.day
WHERE w.state = 'waiting' AND s.held + s.booked < s.capacity AND s.closed_at IS NULL
  AND s.release_at <= now() AND s.starts_at > now()
ORDER BY w.created_at, w.id LIMIT 1 FOR UPDATE OF w SKIP LOCKED
"""

# An entry whose person has an appointment already, or as many as the line allows, is skipped: no row is inserted.
_OFFER = f"""
WITH held AS (
    INSERT INTO appointments (id, created_at, changed_at, number, slot_id, resident_id, person_id, line_id, item_id,
                              day, state, hold_until, from_waiting_list)
    SELECT $2, now(), now(), $3, s.id, $4, $5, s.line_id, $6, s.day, 'held',
           least(now() + make_interval(mins => l.offer_minutes), s.starts_at), true
    FROM slots s JOIN service_lines l ON l.id = s.line_id
    WHERE s.id = $1 AND (SELECT count(*) FROM appointments
                         WHERE person_id = $5 AND line_id = s.line_id AND {ACTIVE}) < l.person_limit
    ON CONFLICT DO NOTHING RETURNING slot_id, hold_until
), counted AS (
    UPDATE slots SET held = held + 1 FROM held WHERE slots.id = held.slot_id
)
SELECT hold_until FROM held
"""


async def offer_next(slot_id: UUID) -> int:
    """Hold every free place of the slot for those who wait, first come first; how many offers were made.

    Call inside the transaction that freed a place. An entry that cannot take one any more leaves the list.
    """
    made = 0
    async with transaction():
        day = await fetch_value("SELECT day FROM slots WHERE id = $1", slot_id)
        if day is None:
            return 0
        await lock_slots(slot_id)
        while (entry := await fetch_row(_NEXT, slot_id)) is not None:
            made += await _offer(slot_id, day, entry)
    return made


async def _offer(slot_id: UUID, day: date, entry: asyncpg.Record) -> bool:
    appointment_id = uuid7()
    resident_id = entry["resident_id"]
    until = await fetch_value(
        _OFFER, slot_id, appointment_id, new_number(day), resident_id, entry["person_id"], entry["item_id"]
    )
    if until is None:
        await end_entry(entry["id"], resident_id, "left")
        return False
    await execute(
        "UPDATE waiting_entries SET state = 'offered', appointment_id = $2, offer_until = $3 WHERE id = $1",
        entry["id"],
        appointment_id,
        until,
    )
    await record(
        PlaceOffered(
            entry_id=entry["id"], resident_id=resident_id, appointment_id=appointment_id, slot_id=slot_id, until=until
        )
    )
    return True


async def offer_free_places(limit: int = 50) -> int:
    """Scheduled: offer places that became free otherwise (more capacity, a reopened slot, a visitor who came to the
    list a moment too late); how many offers were made."""
    rows = await fetch(
        "SELECT s.id FROM slots s WHERE s.starts_at > now() AND s.closed_at IS NULL AND s.release_at <= now() "
        "AND s.held + s.booked < s.capacity AND EXISTS (SELECT 1 FROM waiting_entries w WHERE w.line_id = s.line_id "
        "AND w.day = s.day AND w.state = 'waiting') ORDER BY s.starts_at LIMIT $1",
        limit,
    )
    return sum([await offer_next(row["id"]) for row in rows])


async def end_past_waiting() -> int:
    """Scheduled: end the entries of days that have no more places to come; how many."""
    rows = await fetch(
        "SELECT id, resident_id FROM waiting_entries w WHERE state = 'waiting' AND NOT EXISTS (SELECT 1 FROM slots s "
        "WHERE s.line_id = w.line_id AND s.day = w.day AND s.starts_at > now()) LIMIT 500"
    )
    closed = 0
    for row in rows:
        async with transaction():
            state = await fetch_value("SELECT state FROM waiting_entries WHERE id = $1 FOR UPDATE", row["id"])
            if state == "waiting":
                await end_entry(row["id"], row["resident_id"], "lapsed")
                closed += 1
    return closed
