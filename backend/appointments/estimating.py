"""How long one waits: from how long the visits of this day took, and how many windows are open.

It is an estimate and says what it rests on: on the last visits of the day, or, before there were any, on a usual visit.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil
from uuid import UUID

from msgspec import Struct

from backend.appointments import acting
from backend.appointments.errors import AppointmentNotFound, TicketNotFound
from backend.appointments.tickets import QueueTicket, get_appointment_ticket
from backend.database import fetch_one_as, fetch_row, fetch_value
from backend.errors import raises
from backend.identity import AsResident
from models.appointments import TicketState

USUAL_SECONDS = 480.0
"""Assumed duration of a visit before the day has measured any."""
LOOKED_AT = 20
"""So many visits that ended last decide: what happened in the morning says little about the afternoon."""


class Pace(Struct, frozen=True, kw_only=True):
    """How fast a line moves: seconds per visit, windows that serve it, and whether this day's visits say so."""

    seconds: float
    windows: int
    measured: bool


class QueuePlace(Struct, frozen=True, kw_only=True):
    """A resident's place in the queue. `minutes` is null when no window is open, and once the number is called."""

    label: str
    state: TicketState
    window: str | None
    ahead: int
    minutes: int | None
    measured: bool
    line_name: str
    hall_id: UUID
    hall_name: str
    called_at: datetime | None


_PACE = """
SELECT coalesce(avg(greatest(1, extract(epoch FROM served_at - called_at))), 0)::float8 AS seconds,
       count(*) > 0 AS measured,
       (SELECT count(*) FROM windows w WHERE w.hall_id = $3 AND w.open AND $1 = ANY(w.line_ids)) AS windows
FROM (SELECT served_at, called_at FROM tickets WHERE hall_id = $3 AND line_id = $1 AND day = $2 AND state = 'served'
      ORDER BY served_at DESC LIMIT $4) last
"""
_AHEAD = """
SELECT count(*) FROM tickets t JOIN tickets own ON own.id = $1
WHERE t.hall_id = own.hall_id AND t.day = own.day AND t.line_id = own.line_id AND t.state = 'waiting'
  AND (t.wanted_at, t.sequence) < (own.wanted_at, own.sequence)
"""
_NAMES = """
SELECT l.name AS line_name, h.name AS hall_name FROM service_lines l JOIN halls h ON h.id = l.hall_id WHERE l.id = $1
"""


async def estimate_pace(queue: QueueTicket) -> Pace:
    """How fast the line of this number moves on its day."""
    found = await fetch_one_as(Pace, _PACE, queue.line_id, queue.day, queue.hall_id, LOOKED_AT)
    assert found is not None, "an aggregate always has a row"
    return found if found.measured else Pace(seconds=USUAL_SECONDS, windows=found.windows, measured=False)


def minutes_for(ahead: int, seconds: float, windows: int) -> int | None:
    """Whole minutes until so many people are gone, rounded up; None when no window is open to send them to."""
    return ceil(ahead * seconds / windows / 60) if windows else None


@raises(AppointmentNotFound, TicketNotFound)
async def get_queue_place(resident: AsResident, appointment_id: UUID) -> QueuePlace:
    """Where the resident's visit stands in the queue. Raises TicketNotFound before the check-in."""
    if not await acting.may_read(resident, appointment_id):
        raise AppointmentNotFound
    queue = await get_appointment_ticket(appointment_id)
    names = await fetch_row(_NAMES, queue.line_id)
    if names is None:
        raise TicketNotFound
    waiting = queue.state is TicketState.WAITING
    ahead = int(await fetch_value(_AHEAD, queue.id)) if waiting else 0
    speed = await estimate_pace(queue)
    return QueuePlace(
        label=queue.label,
        state=queue.state,
        window=queue.window,
        ahead=ahead,
        minutes=minutes_for(ahead, speed.seconds, speed.windows) if waiting else None,
        measured=speed.measured,
        line_name=names["line_name"],
        hall_id=queue.hall_id,
        hall_name=names["hall_name"],
        called_at=queue.called_at,
    )
