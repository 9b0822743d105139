"""Reminders of a visit: the day before, and two hours before. Each is written once for each time of the visit.

A resident who books after the time of a reminder gets the other one, or none: a reminder says nothing new right after
the booking. A visit that is moved is reminded of anew. Two workers at once write each one once,
because the reminder's own row can be inserted only once and is written in the transaction of its event.
"""

from __future__ import annotations

from datetime import timedelta

from backend.appointments.events import AppointmentDue
from backend.database import fetch, transaction
from backend.events import record

AHEAD = {"day": timedelta(hours=24), "hours": timedelta(hours=2)}
"""How long before the visit each reminder is due."""
GRACE = timedelta(minutes=30)
"""A booking within this time before a reminder is due needs no reminder."""
BATCH = 200

# Locked visits are being changed at this moment: the next round finds them as they are then.
_DUE = """
WITH due AS (
    SELECT a.id AS appointment_id, a.resident_id, a.slot_id, s.starts_at
    FROM appointments a JOIN slots s ON s.id = a.slot_id
    WHERE a.state = 'booked' AND s.closed_at IS NULL
      AND s.starts_at > now() + $3::interval AND s.starts_at <= now() + $2::interval
      AND a.changed_at < s.starts_at - $2::interval - $4::interval
      AND NOT EXISTS (SELECT 1 FROM appointment_reminders r
                      WHERE r.appointment_id = a.id AND r.ahead = $1 AND r.starts_at = s.starts_at)
    ORDER BY s.starts_at, a.id LIMIT $5 FOR NO KEY UPDATE OF a SKIP LOCKED
), written AS (
    INSERT INTO appointment_reminders (appointment_id, ahead, starts_at) SELECT appointment_id, $1, starts_at FROM due
    ON CONFLICT DO NOTHING RETURNING appointment_id
)
SELECT due.* FROM due JOIN written USING (appointment_id)
"""
_NOT_AFTER = {"day": AHEAD["hours"], "hours": timedelta()}
"""The reminder of the day before is not written any more when that of two hours is due."""


async def record_visit_reminders() -> int:
    """Write the reminders that are due by the database's clock; how many."""
    return sum([await _remind(ahead) for ahead in AHEAD])


async def _remind(ahead: str) -> int:
    written = 0
    while True:
        async with transaction():
            rows = await fetch(_DUE, ahead, AHEAD[ahead], _NOT_AFTER[ahead], GRACE, BATCH)
            for row in rows:
                await record(AppointmentDue(**row, ahead=ahead))
        written += len(rows)
        if len(rows) < BATCH:
            return written
