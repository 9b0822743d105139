"""Halls close a slot or a whole day, and open them again. Residents with a booking are notified and offered another
slot.

The offer is the same as one of the waiting list: a held place with a deadline, which the resident confirms or declines.
It is looked for on the same line, nearest in time to the visit that was lost, among slots that everybody can book.
A resident who has checked in is in the hall, and is served; one who was still filling in chooses again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.appointments import waiting
from backend.appointments.booking import SEALED_IN
from backend.appointments.cancelling import release_place
from backend.appointments.duty import Runner, authorize_hall, authorize_line, authorize_slot
from backend.appointments.errors import ServiceLineNotFound, SlotClosed, SlotExpired, SlotNotFound, SlotOpen
from backend.appointments.events import AppointmentCancelled, PlaceOffered, SlotClosedByHall, SlotReopenedByHall
from backend.appointments.places import lock_slots, new_number
from backend.crypto import open_sealed, seal
from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.errors import raises
from backend.events import record
from backend.jobs import enqueue, job
from backend.regions.errors import HallNotFound
from backend.settings import settings
from models.appointments import ACTIVE


class SlotClosure(Struct, frozen=True, kw_only=True):
    """What closing a slot did: how many lost their place there, and how many of them hold another one now."""

    slot_id: UUID
    cancelled: int
    offered: int


class DayClosure(Struct, frozen=True, kw_only=True):
    """How many slots of the day were closed now, and how many people lose their place; they are notified at once."""

    slots: int
    cancelled: int


_OF_DAY = "SELECT id FROM slots WHERE hall_id = $1 AND day = $2 AND ($3::uuid IS NULL OR line_id = $3)"
_OPEN_SLOTS = _OF_DAY + " AND closed_at IS NULL AND ends_at > now() ORDER BY starts_at, id"
_CLOSED_SLOTS = _OF_DAY + " AND closed_at IS NOT NULL AND starts_at > now() ORDER BY starts_at, id"
_TO_MOVE = """
SELECT id, state, resident_id, person_id, item_id, visitor_name, visitor_key, from_waiting_list FROM appointments
WHERE slot_id = $1 AND state IN ('held', 'booked') ORDER BY created_at, id
"""

# One slot has room for one person at least, so as many slots as people are enough; a few more for those who cannot
# take the nearest because they have a visit for the same matter on that day.
_NEAREST = """
SELECT o.id FROM slots s JOIN service_lines l ON l.id = s.line_id
JOIN slots o ON o.line_id = s.line_id AND o.id <> s.id
WHERE s.id = $1 AND o.closed_at IS NULL AND o.held + o.booked < o.capacity AND o.release_at <= now()
  AND o.starts_at > now() + interval '30 minutes' AND ($2::date IS NULL OR o.day <> $2)
  AND (l.admission <> 'draw' OR EXISTS (SELECT 1 FROM draws d WHERE d.line_id = o.line_id AND d.day = o.day
                                        AND d.drawn_at IS NOT NULL))
ORDER BY abs(extract(epoch FROM o.starts_at - s.starts_at)), o.starts_at
LIMIT 10 + (SELECT count(*) FROM appointments WHERE slot_id = $1 AND state IN ('held', 'booked'))
"""

# The slots are locked, so a place that is free here stays free until the end.
_FREE = f"""
SELECT o.id, o.line_id, o.day FROM slots o JOIN slots s ON s.id = $1
WHERE o.id = ANY($2) AND o.closed_at IS NULL AND o.held + o.booked < o.capacity
  AND NOT EXISTS (SELECT 1 FROM appointments a
                  WHERE a.person_id = $3 AND a.item_id = $4 AND a.day = o.day AND {ACTIVE})
ORDER BY abs(extract(epoch FROM o.starts_at - s.starts_at)), o.starts_at LIMIT 1
"""

# A resident who books for the same item and day at this moment gets no second appointment: no row is returned.
_HOLD = """
WITH made AS (
    INSERT INTO appointments (id, created_at, changed_at, number, slot_id, resident_id, person_id, line_id, item_id,
                              day, state, hold_until, visitor_name, visitor_key, from_waiting_list)
    SELECT $2, now(), now(), $3, s.id, $4, $5, s.line_id, $6, s.day, 'held',
           least(now() + make_interval(hours => $7), s.starts_at), $8, $9, true
    FROM slots s WHERE s.id = $1 ON CONFLICT DO NOTHING RETURNING slot_id, hold_until
), counted AS (
    UPDATE slots SET held = held + 1 FROM made WHERE slots.id = made.slot_id
)
SELECT hold_until FROM made
"""

# A resident who is on that day's waiting list is offered this place as the one they waited for.
_ENTRY = """
INSERT INTO waiting_entries (id, created_at, line_id, day, resident_id, person_id, item_id, state, appointment_id,
                             offer_until)
VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, 'offered', $7, $8)
ON CONFLICT (person_id, item_id, day) WHERE state IN ('waiting', 'offered') DO UPDATE
    SET state = 'offered', line_id = $2, resident_id = $4, appointment_id = $7, offer_until = $8
RETURNING id
"""


@raises(SlotNotFound, SlotExpired, SlotClosed)
async def close_slot(staff: Runner, slot_id: UUID, because: str) -> SlotClosure:
    """Close a slot: all who hold or have booked a place lose it and are notified of the reason.

    All in one transaction: no resident who keeps a place is notified, and no booking comes in between.
    """
    await authorize_slot(staff, slot_id)
    async with transaction():
        others = await _nearest(slot_id, None)
        await lock_slots(slot_id, *others)
        cancelled = await _mark(slot_id, because)
        offered = await _clear(slot_id, because, others)
    return SlotClosure(slot_id=slot_id, cancelled=cancelled, offered=offered)


@raises(HallNotFound, ServiceLineNotFound)
async def close_day(
    staff: Runner, hall_id: UUID, day: date, because: str, *, line_id: UUID | None = None
) -> DayClosure:
    """Close every slot of the hall's day that is not past, or those of one line.

    When it returns, none can be booked any more; people are notified and offered places on other days by one job per
    slot, each in a transaction of its own. Interrupted, it can be said again and goes on with the rest.
    """
    await _line_in(staff, hall_id, line_id)
    rows = await fetch(_OPEN_SLOTS, hall_id, day, line_id)
    slots = cancelled = 0
    for row in rows:
        async with transaction():
            await lock_slots(row["id"])
            try:
                cancelled += await _mark(row["id"], because)
            except (SlotClosed, SlotExpired):  # another request closed it a moment ago, or it has just ended
                continue
            slots += 1
            await enqueue("appointments.clear-slot", {"slot_id": str(row["id"])}, key=f"clear:{row['id']}")
    return DayClosure(slots=slots, cancelled=cancelled)


@job("appointments.clear-slot")
async def _clear_slot(payload: dict[str, Any]) -> None:
    """Notify the residents still booked in a closed slot; a slot that was reopened meanwhile is left alone."""
    slot_id = UUID(payload["slot_id"])
    async with transaction():
        others = await _nearest(slot_id, await fetch_value("SELECT day FROM slots WHERE id = $1", slot_id))
        await lock_slots(slot_id, *others)
        because = await fetch_value("SELECT closed_because FROM slots WHERE id = $1 AND closed_at IS NOT NULL", slot_id)
        if because is not None:
            await _clear(slot_id, because, others)


@raises(SlotNotFound, SlotExpired, SlotOpen)
async def reopen_slot(staff: Runner, slot_id: UUID) -> None:
    """Let people book the slot again; free places go to the waiting list first.

    A resident who lost their place does not get it back. Raises SlotExpired when it has begun.
    """
    await authorize_slot(staff, slot_id)
    async with transaction():
        await lock_slots(slot_id)
        slot = await fetch_row("SELECT closed_at, starts_at <= now() AS over FROM slots WHERE id = $1", slot_id)
        if slot is None:
            raise SlotNotFound
        if slot["closed_at"] is None:
            raise SlotOpen
        if slot["over"]:
            raise SlotExpired
        await execute("UPDATE slots SET closed_at = NULL, closed_because = '' WHERE id = $1", slot_id)
        await record(SlotReopenedByHall(slot_id=slot_id))
        await waiting.offer_next(slot_id)


@raises(HallNotFound, ServiceLineNotFound)
async def reopen_day(staff: Runner, hall_id: UUID, day: date, *, line_id: UUID | None = None) -> int:
    """Reopen every closed slot of the day that has not begun, or those of one line; how many."""
    await _line_in(staff, hall_id, line_id)
    rows = await fetch(_CLOSED_SLOTS, hall_id, day, line_id)
    reopened = 0
    for row in rows:
        try:
            await reopen_slot(staff, row["id"])
        except (SlotOpen, SlotExpired):
            continue
        reopened += 1
    return reopened


async def _line_in(staff: Runner, hall_id: UUID, line_id: UUID | None) -> None:
    await authorize_hall(staff, hall_id)
    if line_id is not None and await authorize_line(staff, line_id) != hall_id:
        raise ServiceLineNotFound


async def _nearest(slot_id: UUID, avoid: date | None) -> list[UUID]:
    return [row["id"] for row in await fetch(_NEAREST, slot_id, avoid)]


async def _mark(slot_id: UUID, because: str) -> int:
    """Close the locked slot; how many people have a place in it that they will lose."""
    slot = await fetch_row(
        "SELECT closed_at, ends_at <= now() AS over, (SELECT count(*) FROM appointments WHERE slot_id = $1 "
        "AND state IN ('held', 'booked')) AS taken FROM slots WHERE id = $1",
        slot_id,
    )
    if slot is None:
        raise SlotNotFound
    if slot["closed_at"] is not None:
        raise SlotClosed
    if slot["over"]:
        raise SlotExpired
    await execute("UPDATE slots SET closed_at = now(), closed_because = $2 WHERE id = $1", slot_id, because)
    await record(SlotClosedByHall(slot_id=slot_id, because=because, cancelled=slot["taken"]))
    return int(slot["taken"])


async def _clear(slot_id: UUID, because: str, others: Sequence[UUID]) -> int:
    """Cancel every place of the locked slot; how many were offered another: all who had booked or had an offer."""
    offered = 0
    for each in await fetch(_TO_MOVE, slot_id):
        if each["state"] == "held":
            # An offer of the waiting list ends with its place, but not the wait: they stay where they stood in it.
            await execute(
                "UPDATE waiting_entries SET state = 'waiting', appointment_id = NULL, offer_until = NULL "
                "WHERE appointment_id = $1 AND state = 'offered'",
                each["id"],
            )
        await release_place(each["id"], offer=False)
        await record(
            AppointmentCancelled(
                appointment_id=each["id"], resident_id=each["resident_id"], slot_id=slot_id, by="hall", because=because
            )
        )
        if each["state"] == "booked" or each["from_waiting_list"]:
            offered += await _offer_another(slot_id, each, others)
    return offered


async def _offer_another(slot_id: UUID, lost: asyncpg.Record, others: Sequence[UUID]) -> bool:
    """Hold the nearest place for a resident who has just lost theirs; False when there is none."""
    resident_id, person, item = lost["resident_id"], lost["person_id"], lost["item_id"]
    free = await fetch_row(_FREE, slot_id, list(others), person, item)
    if free is None:
        return False
    appointment_id, name = uuid7(), lost["visitor_name"]
    if name is not None:
        name = seal(open_sealed(name, where=SEALED_IN, row=lost["id"]), where=SEALED_IN, row=appointment_id)
    number, hours = new_number(free["day"]), settings().replacement_hours
    until = await fetch_value(
        _HOLD, free["id"], appointment_id, number, resident_id, person, item, hours, name, lost["visitor_key"]
    )
    if until is None:
        return False
    entry_id: UUID = await fetch_value(
        _ENTRY, uuid7(), free["line_id"], free["day"], resident_id, person, item, appointment_id, until
    )
    await record(
        PlaceOffered(
            entry_id=entry_id, resident_id=resident_id, appointment_id=appointment_id, slot_id=free["id"], until=until
        )
    )
    return True
