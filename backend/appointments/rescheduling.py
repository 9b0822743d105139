"""Moving an appointment to another slot: both places change in one transaction, or neither does."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import msgspec

from backend.appointments import resting
from backend.appointments.errors import (
    AlreadyBooked,
    AppointmentNotFound,
    AppointmentTransitionRefused,
    OtherLine,
    SlotAllocatedByDraw,
    SlotClosed,
    SlotExpired,
    SlotFull,
    SlotNotFound,
    SlotNotReleased,
    TooLateToChange,
)
from backend.appointments.events import AppointmentRescheduled
from backend.appointments.places import BOOKING, Booking, lock_slots, new_number
from backend.database import execute, fetch_row, fetch_value, row_as, transaction
from backend.errors import raises
from backend.events import record
from backend.identity import AsResident
from models.appointments import AppointmentState as S

_BOTH = """
SELECT n.line_id, n.hall_id, n.day, n.starts_at, n.ends_at, n.line_id = o.line_id AS same_line,
       o.starts_at - make_interval(mins => l.cancel_minutes) <= now() AS late, n.starts_at <= now() AS over,
       n.closed_at IS NOT NULL AS closed, n.release_at <= now() AS released, n.held + n.booked >= n.capacity AS is_full,
       l.admission = 'draw' AND NOT EXISTS (
           SELECT 1 FROM draws d WHERE d.line_id = n.line_id AND d.day = n.day AND d.drawn_at IS NOT NULL) AS undrawn
FROM slots n, slots o JOIN service_lines l ON l.id = o.line_id WHERE n.id = $1 AND o.id = $2
"""


@raises(
    AppointmentNotFound, AppointmentTransitionRefused, SlotNotFound, OtherLine, TooLateToChange, SlotClosed,
    SlotExpired, SlotNotReleased, SlotAllocatedByDraw, SlotFull, AlreadyBooked,
)  # fmt: skip
async def reschedule_appointment(resident: AsResident, appointment_id: UUID, slot_id: UUID) -> Booking:
    """Move a booked appointment to another slot of its line. It gets a new number when the day changes, and the place
    it leaves goes to the waiting list, or rests.

    Raises TooLateToChange after the cut-off, AppointmentTransitionRefused unless it is booked.
    """
    async with transaction():
        before = await _lock_both(resident, appointment_id, slot_id)
        if before.slot_id == slot_id:
            return before
        slot = await fetch_row(_BOTH, slot_id, before.slot_id)
        if slot is None:
            raise SlotNotFound
        _refuse(slot)
        number = before.number if slot["day"] == before.day else new_number(slot["day"])
        await _move(before, slot_id, slot, number)
        facts = before.event_facts() | {"slot_id": slot_id, "starts_at": slot["starts_at"]}
        await record(AppointmentRescheduled(**facts, from_slot_id=before.slot_id))
        await resting.rest_place(before.slot_id)
    times = {name: slot[name] for name in ("day", "starts_at", "ends_at")}
    return msgspec.structs.replace(before, slot_id=slot_id, number=number, **times)


async def _lock_both(resident: AsResident, appointment_id: UUID, slot_id: UUID) -> Booking:
    """The appointment with the slot it leaves and the one it goes to locked, in the order that everybody keeps."""
    while True:
        leaves = await fetch_value(
            "SELECT slot_id FROM appointments WHERE id = $1 AND person_id IN (SELECT people_of($2, 'appointments'))",
            appointment_id,
            resident.id,
        )
        if leaves is None:
            raise AppointmentNotFound
        await lock_slots(leaves, slot_id)
        row = await fetch_row(BOOKING + " FOR UPDATE OF a", appointment_id)
        if row is not None and row["slot_id"] == leaves:
            break
    booking = row_as(Booking, row)
    if booking.state is not S.BOOKED:
        raise AppointmentTransitionRefused(state=booking.state, transition="reschedule")
    return booking


def _refuse(slot: asyncpg.Record) -> None:
    obstacles = (
        (not slot["same_line"], OtherLine),
        (slot["late"], TooLateToChange),
        (slot["closed"], SlotClosed),
        (slot["over"], SlotExpired),
        (not slot["released"], SlotNotReleased),
        (slot["undrawn"], SlotAllocatedByDraw),
        (slot["is_full"], SlotFull),
    )
    for stands, error in obstacles:
        if stands:
            raise error


async def _move(before: Booking, slot_id: UUID, slot: asyncpg.Record, number: str) -> None:
    # Both slots are locked since the check, so plain arithmetic holds; the CHECK constraints watch it.
    await execute(
        "UPDATE slots SET booked = booked + CASE id WHEN $1 THEN 1 ELSE -1 END WHERE id IN ($1, $2)",
        slot_id,
        before.slot_id,
    )
    try:
        await execute(
            "UPDATE appointments SET slot_id = $2, day = $3, number = $4, changed_at = now() WHERE id = $1",
            before.id,
            slot_id,
            slot["day"],
            number,
        )
    except asyncpg.UniqueViolationError as error:
        raise AlreadyBooked from error
