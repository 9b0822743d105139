"""Queue numbers: one series per hall and day, given out without a gap and never twice.

The counter's row is the only thing that all check-ins of a hall wait for, and only for the rest of one transaction; a
check-in that is rolled back gives its number back, so the series has no holes that anybody would wait for.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from msgspec import Struct
from uuid_utils.compat import uuid7

from backend.appointments.errors import TicketNotFound
from backend.appointments.events import TicketIssued
from backend.database import execute, fetch_one_as, fetch_value, transaction
from backend.events import record
from models.appointments import TicketState


class QueueTicket(Struct, frozen=True, kw_only=True):
    """A queue number. `label` is what is called; `window` is set while it is called or kept for one window."""

    id: UUID
    label: str
    sequence: int
    state: TicketState
    hall_id: UUID
    line_id: UUID
    day: date
    appointment_id: UUID | None
    window_id: UUID | None
    window: str | None
    wanted_at: datetime
    called_at: datetime | None
    calls: int
    served_at: datetime | None


TICKET = """
SELECT t.id, t.label, t.sequence, t.state, t.hall_id, t.line_id, t.day, t.appointment_id, t.window_id,
       w.number AS window, t.wanted_at, t.called_at, t.calls, t.served_at
FROM tickets t LEFT JOIN windows w ON w.id = t.window_id
"""

_NEXT_NUMBER = """
INSERT INTO ticket_counters (hall_id, day, issued) VALUES ($1, $2, 1)
ON CONFLICT (hall_id, day) DO UPDATE SET issued = ticket_counters.issued + 1 RETURNING issued
"""
_ISSUE = """
INSERT INTO tickets (id, created_at, hall_id, line_id, day, sequence, label, appointment_id, state, wanted_at, calls)
SELECT $1, now(), $2, $3, $4, $5::int, l.code || lpad($5::int::text, greatest(3, length($5::int::text)), '0'), $6,
       'waiting', $7, 0
FROM service_lines l WHERE l.id = $3
"""


async def issue_ticket(
    hall_id: UUID, line_id: UUID, day: date, wanted_at: datetime, *, appointment_id: UUID | None = None
) -> QueueTicket:
    """The next number of the hall's day, for this line. Call inside transaction(); last, because others wait for it."""
    async with transaction():
        sequence: int = await fetch_value(_NEXT_NUMBER, hall_id, day)
        ticket_id = uuid7()
        await execute(_ISSUE, ticket_id, hall_id, line_id, day, sequence, appointment_id, wanted_at)
        await record(TicketIssued(ticket_id=ticket_id, hall_id=hall_id, line_id=line_id, sequence=sequence))
        return await get_ticket(ticket_id)


async def get_ticket(ticket_id: UUID) -> QueueTicket:
    """The queue number as it is now. Raises TicketNotFound."""
    return await _get("WHERE t.id = $1", ticket_id)


async def get_appointment_ticket(appointment_id: UUID) -> QueueTicket:
    """The queue number of the visit. Raises TicketNotFound before the check-in."""
    return await _get("WHERE t.appointment_id = $1", appointment_id)


async def _get(condition: str, subject: UUID) -> QueueTicket:
    ticket = await fetch_one_as(QueueTicket, TICKET + condition, subject)
    if ticket is None:
        raise TicketNotFound
    return ticket


async def lock_ticket(ticket_id: UUID) -> QueueTicket:
    """The queue number, locked until the transaction ends. Raises TicketNotFound.

    A transaction that changes the visit, too, locks that first (`places.lock_booking`): slots, appointments, queue
    numbers, in this order.
    """
    if not await fetch_value("SELECT 1 FROM tickets WHERE id = $1 FOR UPDATE", ticket_id):
        raise TicketNotFound
    return await get_ticket(ticket_id)
