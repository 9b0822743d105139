"""Missed visits: the day after, a booked visit without a check-in counts as missed.

Only days that are over are looked at, and check-in is possible on the day itself only; a check-in that commits last
thing before midnight is seen all the same, because every visit is looked at again under its lock.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

from backend import clock
from backend.appointments.events import AppointmentMissed
from backend.appointments.lifecycle import Transition
from backend.appointments.places import apply_transition, lock_booking
from backend.appointments.strikes import give_strike
from backend.database import fetch, transaction
from backend.events import record
from models.appointments import AppointmentState as S

BATCH = 500

# A slot that the hall closed gives no strike: the residents still booked there have not been notified yet.
_ABSENT = """
SELECT a.id FROM appointments a JOIN slots s ON s.id = a.slot_id
WHERE a.state = 'booked' AND a.day < $1 AND s.closed_at IS NULL AND ($2::uuid IS NULL OR a.id > $2)
ORDER BY a.id LIMIT $3
"""


async def mark_missed_visits(before: date | None = None) -> int:
    """Mark visits of days before this one (default today) without a check-in, and give their strikes; how many.

    Each is a transaction of its own, so what was done stays done when the work is interrupted, and it is done once.
    """
    day, marked, last = before or clock.today(), 0, None
    while rows := await fetch(_ABSENT, day, last, BATCH):
        for row in rows:
            marked += await _mark(row["id"])
        last = rows[-1]["id"]
    return marked


async def _mark(appointment_id: UUID) -> bool:
    async with transaction():
        visit = await lock_booking(appointment_id)
        if visit.state is not S.BOOKED:  # checked in or cancelled meanwhile
            return False
        await apply_transition(visit, Transition.MISS)
        await record(AppointmentMissed(**visit.event_facts()))
        await give_strike(visit.id, "no-show")
    return True
