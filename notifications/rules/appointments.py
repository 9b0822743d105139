"""Which changes of appointments notify residents (booked, moved, due, offered, called soon), and why others do not.

Messages go to the person who comes, and to the resident who booked for them, as long as that resident may act for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from backend.appointments import events
from backend.database import fetch_row
from backend.events import Event, EventMeta
from backend.identity import delegating
from notifications import wording
from notifications.rules.facts import day, moment, short_name
from notifications.rules.types import GONE, NOTHING_NEW, RESIDENT_DID_IT, NoNotification, Notification, Notify, Rule

SOME_ITEM = "政务服务事项"

# The slot is the one that the event names: the appointment may have moved to another one since.
_APPOINTMENT = """
SELECT a.resident_id, a.person_id, a.number, s.starts_at, h.name AS hall, v.name AS item
FROM appointments a JOIN slots s ON s.id = $2 JOIN halls h ON h.id = s.hall_id
LEFT JOIN item_versions v ON v.item_id = a.item_id AND v.state = 'published'
WHERE a.id = $1
"""
_STRIKE = """
SELECT a.resident_id, a.person_id, s.starts_at, h.name AS hall, v.name AS item
FROM strikes x JOIN appointments a ON a.id = x.appointment_id JOIN slots s ON s.id = a.slot_id
JOIN halls h ON h.id = s.hall_id LEFT JOIN item_versions v ON v.item_id = a.item_id AND v.state = 'published'
WHERE x.id = $1
"""
_WAITING_ENTRY = """
SELECT w.resident_id, w.person_id, w.day, h.name AS hall, v.name AS item
FROM waiting_entries w JOIN service_lines l ON l.id = w.line_id JOIN halls h ON h.id = l.hall_id
LEFT JOIN item_versions v ON v.item_id = w.item_id AND v.state = 'published'
WHERE w.id = $1
"""
_DRAW_ENTRY = """
SELECT e.resident_id, e.person_id, d.day, h.name AS hall, v.name AS item
FROM draw_entries e JOIN draws d ON d.id = e.draw_id JOIN service_lines l ON l.id = d.line_id
JOIN halls h ON h.id = l.hall_id LEFT JOIN item_versions v ON v.item_id = e.item_id AND v.state = 'published'
WHERE d.id = $1 AND e.resident_id = $2 AND ($3::uuid IS NULL OR e.id = $3) AND e.appointment_id IS NULL LIMIT 1
"""
_TICKET = """
SELECT a.resident_id, a.person_id, t.label, t.state, h.name AS hall, v.name AS item
FROM tickets t JOIN appointments a ON a.id = t.appointment_id JOIN halls h ON h.id = t.hall_id
LEFT JOIN item_versions v ON v.item_id = a.item_id AND v.state = 'published'
WHERE t.id = $1
"""


def _context(row: asyncpg.Record, **more: str) -> Mapping[str, str]:
    return {"item": short_name(row["item"] or SOME_ITEM), "hall": short_name(row["hall"]), **more}


async def _to_both(row: asyncpg.Record, name: str, context: Mapping[str, str]) -> Sequence[Notification]:
    """To the person who comes and, while the delegation lasts, to the resident who booked."""
    booker, person = row["resident_id"], row["person_id"]
    people = [person]
    if booker != person and await delegating.may_act(booker, person, "appointments"):
        people.append(booker)
    return [Notification(each, name, context) for each in people]


async def _of_appointment(
    name: str, appointment_id: UUID, slot_id: UUID, at: datetime | None = None, **more: str
) -> Sequence[Notification]:
    row = await fetch_row(_APPOINTMENT, appointment_id, slot_id)
    if row is None:
        return GONE
    context = _context(row, number=wording.clean(row["number"]), time=moment(at or row["starts_at"]), **more)
    return await _to_both(row, name, context)


def _appointment(name: str) -> Notify:
    async def decide(event: Any, meta: EventMeta) -> Sequence[Notification]:
        return await _of_appointment(name, event.appointment_id, event.slot_id, getattr(event, "starts_at", None))

    return Notify((name,), decide)


async def _cancelled(event: events.AppointmentCancelled, meta: EventMeta) -> Sequence[Notification]:
    name = "appointment_cancelled" if event.by == "resident" else "appointment_closed"
    return await _of_appointment(name, event.appointment_id, event.slot_id)


async def _due(event: events.AppointmentDue, meta: EventMeta) -> Sequence[Notification]:
    name = "appointment_tomorrow" if event.ahead == "day" else "appointment_today"
    return await _of_appointment(name, event.appointment_id, event.slot_id, event.starts_at)


async def _offered(event: events.PlaceOffered, meta: EventMeta) -> Sequence[Notification]:
    return await _of_appointment("place_offered", event.appointment_id, event.slot_id, deadline=moment(event.until))


async def _waiting_ended(event: events.WaitingEnded, meta: EventMeta) -> Sequence[Notification]:
    row = await fetch_row(_WAITING_ENTRY, event.entry_id) if event.how == "lapsed" else None
    return await _to_both(row, "offer_lapsed", _context(row, day=day(row["day"]))) if row else NOTHING_NEW


async def _draw_lost(event: events.DrawLost, meta: EventMeta) -> Sequence[Notification]:
    row = await fetch_row(_DRAW_ENTRY, event.draw_id, event.resident_id, event.entry_id)
    if row is None:
        return NoNotification("the entry has a place after all")
    return await _to_both(row, "draw_lost", _context(row, day=day(row["day"])))


async def _soon(event: events.TicketSoon, meta: EventMeta) -> Sequence[Notification]:
    row = await fetch_row(_TICKET, event.ticket_id)
    if row is None or row["state"] != "waiting":
        return NoNotification("the ticket was called before this event was handled")
    ahead = f"前面还有{event.ahead}人" if event.ahead else "下一个就是您"
    return await _to_both(row, "ticket_soon", _context(row, ticket=row["label"], ahead=ahead))


async def _strike(event: events.StrikeGiven | events.StrikeDecided, meta: EventMeta) -> Sequence[Notification]:
    name = "strike_given"
    if isinstance(event, events.StrikeDecided):
        name = "strike_waived" if event.waived else "strike_upheld"
    row = await fetch_row(_STRIKE, event.strike_id)
    return await _to_both(row, name, _context(row, time=moment(row["starts_at"]))) if row else GONE


_HALL = NoNotification("concerns the hall's staff; changed appointments have messages of their own")
_BOARD = NoNotification("the hall's screen and the page of the queue show it within a second")

RULES: Mapping[type[Event], Rule] = {
    events.AppointmentHeld: NoNotification(
        "the page counts down; a place from the waiting list is notified as offered"
    ),
    events.AppointmentBooked: _appointment("appointment_booked"),
    events.AppointmentExpired: NoNotification("the resident left the page; a lapsed offer has its own message"),
    events.AppointmentRescheduled: _appointment("appointment_moved"),
    events.AppointmentCancelled: Notify(("appointment_cancelled", "appointment_closed"), _cancelled),
    events.AppointmentCheckedIn: NoNotification("the person stands at the kiosk and holds the number"),
    events.AppointmentServed: NoNotification("the person stands at the window"),
    events.AppointmentMissed: _appointment("appointment_missed"),
    events.AppointmentDue: Notify(("appointment_tomorrow", "appointment_today"), _due),
    events.SlotsOpened: NoNotification("free places are looked up, not announced"),
    events.LineChanged: _HALL,
    events.WindowChanged: _HALL,
    events.SlotCapacityChanged: _HALL,
    events.SlotClosedByHall: _HALL,
    events.SlotReopenedByHall: _HALL,
    events.StrikeGiven: Notify(("strike_given",), _strike),
    events.StrikeAppealed: RESIDENT_DID_IT,
    events.StrikeDecided: Notify(("strike_waived", "strike_upheld"), _strike),
    events.WaitingJoined: RESIDENT_DID_IT,
    events.PlaceOffered: Notify(("place_offered",), _offered),
    events.WaitingEnded: Notify(("offer_lapsed",), _waiting_ended),
    events.DrawEntered: RESIDENT_DID_IT,
    events.DrawHeld: NoNotification("winners are notified of their place, the others that they have none"),
    events.DrawLost: Notify(("draw_lost",), _draw_lost),
    events.TicketIssued: NoNotification("the person stands at the kiosk and holds the number"),
    events.TicketCalled: _BOARD,
    events.TicketSoon: Notify(("ticket_soon",), _soon),
    events.TicketMoved: _BOARD,
}
