"""Places: how they are taken, changed and given back. What the whole of appointments stands on.

A slot counts two kinds of places: `held` is the number of its appointments that are held, `booked` the number that are
booked, checked in or served. A transaction that changes both rows locks in one order, so that no two wait in a circle:
the person (an advisory lock), then slots by id, then appointments, then waiting entries.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from backend.appointments.errors import AppointmentNotFound
from backend.appointments.lifecycle import APPOINTMENTS, Transition
from backend.database import execute, fetch_row, fetch_value, row_as
from models.appointments import AppointmentState as S

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are misread over the counter: I, O, 0, 1."""
NUMBER = r"\d{6}-[A-HJ-NP-Z2-9]{8}"
"""What an appointment's number looks like: the day and eight letters, 260302-K7QF9M3T. 40 bits that cannot be
guessed."""
COUNTED: Mapping[S, str] = {S.HELD: "held", S.BOOKED: "booked", S.CHECKED_IN: "booked", S.SERVED: "booked"}
"""The column of the slot in which an appointment of this state is counted; the others take no place."""


class Booking(Struct, frozen=True, kw_only=True):
    """An appointment with its slot, as use cases hand it on. `resident_id` booked it, `person_id` comes."""

    id: UUID
    number: str
    state: S
    slot_id: UUID
    line_id: UUID
    hall_id: UUID
    resident_id: UUID
    person_id: UUID
    item_id: UUID
    day: date
    starts_at: datetime
    ends_at: datetime
    hold_until: datetime | None
    from_waiting_list: bool = False

    def event_facts(self) -> dict[str, Any]:
        """The fields that every event of the appointment has."""
        return {"appointment_id": self.id, "resident_id": self.resident_id, "slot_id": self.slot_id}


BOOKING = """
SELECT a.id, a.number, a.state, a.slot_id, a.line_id, s.hall_id, a.resident_id, a.person_id, a.item_id, a.day,
       s.starts_at, s.ends_at, a.hold_until, a.from_waiting_list
FROM appointments a JOIN slots s ON s.id = a.slot_id WHERE a.id = $1
"""


def new_number(day: date) -> str:
    """A new number for a visit on this day."""
    return f"{day:%y%m%d}-" + "".join(secrets.choice(LETTERS) for _ in range(8))


async def lock_slots(*slot_ids: UUID) -> None:
    """Keep everybody else from changing these slots until the transaction ends; always in the order of their ids."""
    await execute("SELECT id FROM slots WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE", list(slot_ids))


async def lock_booking(appointment_id: UUID, *, owner: UUID | None = None) -> Booking:
    """The appointment with its slot and itself locked, as it is now.

    Raises AppointmentNotFound when there is none, or when it is neither this owner's nor of a person they may act for.
    """
    while True:
        slot_id = await fetch_value(
            "SELECT slot_id FROM appointments WHERE id = $1 "
            "AND ($2::uuid IS NULL OR person_id IN (SELECT people_of($2, 'appointments')))",
            appointment_id,
            owner,
        )
        if slot_id is None:
            raise AppointmentNotFound
        await lock_slots(slot_id)
        row = await fetch_row(BOOKING + " FOR UPDATE OF a", appointment_id)
        if row is not None and row["slot_id"] == slot_id:
            return row_as(Booking, row)


async def apply_transition(booking: Booking, transition: Transition) -> S:
    """Make the transition of a locked appointment and count its slot anew; the state it leads to. Raises
    AppointmentTransitionRefused."""
    state = APPOINTMENTS.after(booking.state, transition)
    await execute(
        "UPDATE appointments SET state = $2, hold_until = NULL, changed_at = now() WHERE id = $1", booking.id, state
    )
    before, after = COUNTED.get(booking.state), COUNTED.get(state)
    if before != after:
        await execute(
            "UPDATE slots SET held = held + $2, booked = booked + $3 WHERE id = $1",
            booking.slot_id,
            (after == "held") - (before == "held"),
            (after == "booked") - (before == "booked"),
        )
    return state
