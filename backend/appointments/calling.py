"""The queue: who is called next, and what becomes of a number that was called.

Numbers are called in the order of `wanted_at`: the start of the booked slot, or when a visitor without an appointment
came; the number decides between equals. A number that is kept for one window is called by that window only. Two windows
that call at the same moment get two numbers, because what one has locked the other skips.

A missed number may come back to the end of the queue on the same day, so its visit stays checked in until it is served
or the day is over; a number that was called and never came back counts then as a no-show, by the rules of its line.
"""

from __future__ import annotations

from uuid import UUID

from backend.appointments import board
from backend.appointments.duty import Runner, authorize_hall
from backend.appointments.errors import (
    AppointmentTransitionRefused,
    QueueEmpty,
    ServiceLineNotFound,
    TicketNotFound,
    WindowBusy,
    WindowNotFound,
    WindowShut,
)
from backend.appointments.events import AppointmentServed, TicketCalled, TicketMoved, TicketSoon
from backend.appointments.lifecycle import TICKETS, TicketTransition, Transition
from backend.appointments.places import Booking, apply_transition, lock_booking
from backend.appointments.tickets import TICKET, QueueTicket, get_ticket, lock_ticket
from backend.database import execute, fetch, fetch_as, fetch_row, fetch_value, transaction
from backend.errors import raises
from backend.events import record
from backend.regions.errors import HallNotFound
from models.appointments import AppointmentState, TicketState

_QUEUE = f"""{TICKET}
WHERE t.hall_id = $1 AND t.day = (now() AT TIME ZONE 'Asia/Shanghai')::date AND t.state <> 'served'
ORDER BY t.state = 'missed', t.state = 'waiting', t.wanted_at, t.sequence LIMIT 1000
"""
SOON = 3
"""A holder is notified to come near when fewer than this many of their line are before them."""


# The window's row is locked, so that a button that is pressed twice calls one number; other windows do not wait.
_WINDOW = "SELECT line_ids, open FROM windows WHERE id = $1 FOR NO KEY UPDATE"
_BUSY = """
SELECT EXISTS (SELECT 1 FROM tickets WHERE window_id = $1 AND state = 'called'
               AND day = (now() AT TIME ZONE 'Asia/Shanghai')::date)
"""
_WINDOW_HALL = "SELECT hall_id FROM windows WHERE id = $1"
_LINE_HALL = "SELECT hall_id FROM service_lines WHERE id = $1"
_NEXT = """
UPDATE tickets SET state = 'called', window_id = $1, called_at = clock_timestamp(), calls = calls + 1 WHERE id = (
    SELECT id FROM tickets
    WHERE hall_id = $2 AND day = (now() AT TIME ZONE 'Asia/Shanghai')::date AND state = 'waiting'
      AND (window_id = $1 OR window_id IS NULL AND line_id = ANY($3::uuid[]))
    ORDER BY wanted_at, sequence LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""
# A number that another window calls at this moment is skipped: no window waits, and no number is called twice.
_SOON = """
UPDATE tickets t SET soon_at = now() FROM appointments a WHERE t.appointment_id = a.id AND t.id IN (
    SELECT id FROM tickets WHERE id = ANY($1::uuid[]) AND state = 'waiting' AND soon_at IS NULL FOR UPDATE SKIP LOCKED)
RETURNING t.id, a.resident_id
"""
_FIRST = """
SELECT id, ahead FROM (
    SELECT id, soon_at, appointment_id, row_number() OVER (ORDER BY wanted_at, sequence) - 1 AS ahead FROM tickets
    WHERE line_id = $1 AND day = $2 AND hall_id = $3 AND state = 'waiting') q
WHERE ahead < $4 AND soon_at IS NULL AND appointment_id IS NOT NULL
"""


@raises(WindowNotFound, WindowShut, WindowBusy, QueueEmpty)
async def call_next(staff: Runner, window_id: UUID) -> QueueTicket:
    """Call the next number to this window.

    Raises WindowBusy while the last number is at the window, and WindowNotFound for a window of another hall too.
    """
    hall_id = await _hall_of_window(staff, window_id)
    async with transaction():
        row = await fetch_row(_WINDOW, window_id)
        if row is None or not row["open"]:
            raise WindowShut
        if await fetch_value(_BUSY, window_id):
            raise WindowBusy
        called = await fetch_value(_NEXT, window_id, hall_id, row["line_ids"])
        if called is None:
            raise QueueEmpty
        found = await get_ticket(called)
        await record(TicketCalled(ticket_id=found.id, hall_id=hall_id, window_id=window_id))
        await _notify_soon(found)
    await board.announce_board(hall_id)
    return found


async def _notify_soon(called: QueueTicket) -> None:
    first = await fetch(_FIRST, called.line_id, called.day, called.hall_id, SOON)
    ahead = {row["id"]: row["ahead"] for row in first}
    for row in await fetch(_SOON, list(ahead)) if ahead else ():
        await record(TicketSoon(ticket_id=row["id"], resident_id=row["resident_id"], ahead=ahead[row["id"]]))


async def _hall_of_window(staff: Runner, window_id: UUID) -> UUID:
    hall_id: UUID | None = await fetch_value(_WINDOW_HALL, window_id)
    if hall_id is None:
        raise WindowNotFound
    try:
        return await authorize_hall(staff, hall_id)
    except HallNotFound as error:
        raise WindowNotFound from error


@raises(TicketNotFound, AppointmentTransitionRefused)
async def call_ticket_again(staff: Runner, ticket_id: UUID) -> QueueTicket:
    """Call a number that did not come yet once more."""
    async with transaction():
        found = await _lock_ticket(staff, ticket_id)
        if found.state is not TicketState.CALLED or found.window_id is None:
            # A number that waits is called by `call_next`, which keeps the order.
            raise AppointmentTransitionRefused(state=found.state, transition=TicketTransition.CALL)
        await execute("UPDATE tickets SET calls = calls + 1 WHERE id = $1", found.id)
        await record(TicketCalled(ticket_id=found.id, hall_id=found.hall_id, window_id=found.window_id))
    return await _record_called(found)


@raises(TicketNotFound, AppointmentTransitionRefused)
async def serve_ticket(staff: Runner, ticket_id: UUID) -> QueueTicket:
    """The person was served; their visit is over."""
    async with transaction():
        visit = await _visit_of(ticket_id)
        found = await _lock_ticket(staff, ticket_id)
        await _apply(found, TicketTransition.SERVE)
        if visit is not None and visit.state is AppointmentState.CHECKED_IN:
            await apply_transition(visit, Transition.SERVE)
            await record(AppointmentServed(**visit.event_facts()))
    return await _record_called(found)


@raises(TicketNotFound, AppointmentTransitionRefused)
async def miss_ticket(staff: Runner, ticket_id: UUID) -> QueueTicket:
    """Mark a called number as missed; the window is free again."""
    async with transaction():
        found = await _lock_ticket(staff, ticket_id)
        await _apply(found, TicketTransition.MISS)
    return await _record_called(found)


@raises(TicketNotFound, AppointmentTransitionRefused)
async def rejoin_queue(staff: Runner, ticket_id: UUID) -> QueueTicket:
    """A missed number comes back, behind everybody who waits now."""
    async with transaction():
        found = await _lock_ticket(staff, ticket_id)
        await _apply(found, TicketTransition.REJOIN)
    return await _record_called(found)


@raises(TicketNotFound, WindowNotFound, ServiceLineNotFound, AppointmentTransitionRefused)
async def hand_over_ticket(
    staff: Runner, ticket_id: UUID, *, window_id: UUID | None = None, line_id: UUID | None = None
) -> QueueTicket:
    """Send a number to another window, or to another line's windows, of the same hall; with neither it only leaves the
    window that called it. It keeps its place in the order and its label."""
    async with transaction():
        found = await _lock_ticket(staff, ticket_id)
        if window_id is not None and await fetch_value(_WINDOW_HALL, window_id) != found.hall_id:
            raise WindowNotFound
        if line_id is not None and await fetch_value(_LINE_HALL, line_id) != found.hall_id:
            raise ServiceLineNotFound
        await _apply(found, TicketTransition.HAND_OVER, window_id, line_id)
    return await _record_called(found)


async def _visit_of(ticket_id: UUID) -> Booking | None:
    """The visit of the number, locked; before the number itself, as everywhere."""
    appointment_id = await fetch_value("SELECT appointment_id FROM tickets WHERE id = $1", ticket_id)
    return await lock_booking(appointment_id) if appointment_id else None


async def _lock_ticket(staff: Runner, ticket_id: UUID) -> QueueTicket:
    found = await lock_ticket(ticket_id)
    try:
        await authorize_hall(staff, found.hall_id)
    except HallNotFound as error:
        raise TicketNotFound from error
    return found


_UPDATE = {
    TicketTransition.SERVE: "UPDATE tickets SET state = $2, served_at = clock_timestamp() WHERE id = $1",
    TicketTransition.MISS: "UPDATE tickets SET state = $2, window_id = NULL WHERE id = $1",
    TicketTransition.HAND_OVER: "UPDATE tickets SET state = $2, called_at = NULL, soon_at = NULL, window_id = $3, "
    "line_id = coalesce($4, line_id) WHERE id = $1",
    TicketTransition.REJOIN: "UPDATE tickets SET state = $2, called_at = NULL, soon_at = NULL, "
    "wanted_at = greatest(clock_timestamp(), (SELECT max(o.wanted_at) + interval '1 microsecond' FROM tickets o "
    "WHERE o.line_id = tickets.line_id AND o.day = tickets.day AND o.state = 'waiting')) WHERE id = $1",
}


async def _apply(found: QueueTicket, transition: TicketTransition, *more: UUID | None) -> None:
    state = TICKETS.after(found.state, transition)
    await execute(_UPDATE[transition], found.id, state, *more)
    await record(TicketMoved(ticket_id=found.id, hall_id=found.hall_id, how=transition))


async def _record_called(before: QueueTicket) -> QueueTicket:
    await board.announce_board(before.hall_id)
    return await get_ticket(before.id)


@raises(HallNotFound)
async def list_queue(staff: Runner, hall_id: UUID) -> list[QueueTicket]:
    """Every number of the hall's day that is waiting, called or missed, in the order of calling."""
    await authorize_hall(staff, hall_id)
    return await fetch_as(QueueTicket, _QUEUE, hall_id)
