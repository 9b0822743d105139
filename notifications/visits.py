"""What residents hear of their visits: booked, changed, due, offered, called soon; and of what is kept silent, why.

The person who comes is told, and whoever booked for them, as long as they may act for them.
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
from notifications.facts import day, moment, spoken
from notifications.telling import GONE, NOTHING_NEW, Nobody, Silence, Tell, Told

SOME_ITEM = "政务服务事项"

# The slot is the one that the event names: by the time we look, the visit may have moved on.
_VISIT = """
SELECT a.resident_id, a.person_id, a.number, s.starts_at, h.name AS hall, v.name AS item
FROM appointments a JOIN slots s ON s.id = $2 JOIN halls h ON h.id = s.hall_id
LEFT JOIN item_versions v ON v.item_id = a.item_id AND v.state = 'published'
WHERE a.id = $1
"""
_OF_STRIKE = """
SELECT a.resident_id, a.person_id, s.starts_at, h.name AS hall, v.name AS item
FROM strikes x JOIN appointments a ON a.id = x.appointment_id JOIN slots s ON s.id = a.slot_id
JOIN halls h ON h.id = s.hall_id LEFT JOIN item_versions v ON v.item_id = a.item_id AND v.state = 'published'
WHERE x.id = $1
"""
_OF_ENTRY = """
SELECT w.resident_id, w.person_id, w.day, h.name AS hall, v.name AS item
FROM waiting_entries w JOIN service_lines l ON l.id = w.line_id JOIN halls h ON h.id = l.hall_id
LEFT JOIN item_versions v ON v.item_id = w.item_id AND v.state = 'published'
WHERE w.id = $1
"""
_OF_DRAW = """
SELECT e.resident_id, e.person_id, d.day, h.name AS hall, v.name AS item
FROM draw_entries e JOIN draws d ON d.id = e.draw_id JOIN service_lines l ON l.id = d.line_id
JOIN halls h ON h.id = l.hall_id LEFT JOIN item_versions v ON v.item_id = e.item_id AND v.state = 'published'
WHERE d.id = $1 AND e.resident_id = $2 AND ($3::uuid IS NULL OR e.id = $3) AND e.appointment_id IS NULL LIMIT 1
"""
_OF_TICKET = """
SELECT a.resident_id, a.person_id, t.label, t.state, h.name AS hall, v.name AS item
FROM tickets t JOIN appointments a ON a.id = t.appointment_id JOIN halls h ON h.id = t.hall_id
LEFT JOIN item_versions v ON v.item_id = a.item_id AND v.state = 'published'
WHERE t.id = $1
"""


def _said(row: asyncpg.Record, **more: str) -> Mapping[str, str]:
    return {"item": spoken(row["item"] or SOME_ITEM), "hall": spoken(row["hall"]), **more}


async def _told(row: asyncpg.Record, name: str, said: Mapping[str, str]) -> Sequence[Told]:
    who, person = row["resident_id"], row["person_id"]
    people = [person]
    if who != person and await delegating.may_act(who, person, "appointments"):
        people.append(who)
    return [Told(each, name, said) for each in people]


async def _of_visit(
    name: str, appointment_id: UUID, slot_id: UUID, at: datetime | None = None, **more: str
) -> Sequence[Told]:
    row = await fetch_row(_VISIT, appointment_id, slot_id)
    if row is None:
        return GONE
    said = _said(row, number=wording.clean(row["number"]), time=moment(at or row["starts_at"]), **more)
    return await _told(row, name, said)


def _visit(name: str) -> Tell:
    async def telling(event: Any, meta: EventMeta) -> Sequence[Told]:
        return await _of_visit(name, event.appointment_id, event.slot_id, getattr(event, "starts_at", None))

    return Tell((name,), telling)


async def _cancelled(event: events.AppointmentCancelled, meta: EventMeta) -> Sequence[Told]:
    name = "appointment_cancelled" if event.by == "resident" else "appointment_closed"
    return await _of_visit(name, event.appointment_id, event.slot_id)


async def _due(event: events.AppointmentDue, meta: EventMeta) -> Sequence[Told]:
    name = "appointment_tomorrow" if event.ahead == "day" else "appointment_today"
    return await _of_visit(name, event.appointment_id, event.slot_id, event.starts_at)


async def _offered(event: events.PlaceOffered, meta: EventMeta) -> Sequence[Told]:
    return await _of_visit("place_offered", event.appointment_id, event.slot_id, deadline=moment(event.until))


async def _waiting_ended(event: events.WaitingEnded, meta: EventMeta) -> Sequence[Told]:
    row = await fetch_row(_OF_ENTRY, event.entry_id) if event.how == "lapsed" else None
    return await _told(row, "offer_lapsed", _said(row, day=day(row["day"]))) if row else NOTHING_NEW


async def _draw_lost(event: events.DrawLost, meta: EventMeta) -> Sequence[Told]:
    row = await fetch_row(_OF_DRAW, event.draw_id, event.resident_id, event.entry_id)
    return await _told(row, "draw_lost", _said(row, day=day(row["day"]))) if row else Nobody("has a place after all")


async def _soon(event: events.TicketSoon, meta: EventMeta) -> Sequence[Told]:
    row = await fetch_row(_OF_TICKET, event.ticket_id)
    if row is None or row["state"] != "waiting":
        return Nobody("called before we came to say so")
    ahead = f"前面还有{event.ahead}人" if event.ahead else "下一个就是您"
    return await _told(row, "ticket_soon", _said(row, ticket=row["label"], ahead=ahead))


async def _of_strike(name: str, strike_id: UUID) -> Sequence[Told]:
    row = await fetch_row(_OF_STRIKE, strike_id)
    return await _told(row, name, _said(row, time=moment(row["starts_at"]))) if row else GONE


async def _strike_given(event: events.StrikeGiven, meta: EventMeta) -> Sequence[Told]:
    return await _of_strike("strike_given", event.strike_id)


async def _strike_decided(event: events.StrikeDecided, meta: EventMeta) -> Sequence[Told]:
    return await _of_strike("strike_waived" if event.waived else "strike_upheld", event.strike_id)


_SEEN = Silence("the resident did it and sees the result at once")
_HALL = Silence("concerns the hall's staff; whoever has a place there is told of what becomes of it")
_BOARD = Silence("the hall's screen and the page of the queue show it within a second")

RULES: Mapping[type[Event], Tell | Silence] = {
    events.AppointmentHeld: Silence("the page counts the time down; one held for somebody waiting is told as offered"),
    events.AppointmentBooked: _visit("appointment_booked"),
    events.AppointmentExpired: Silence("the resident left the page before booking; a lapsed offer is told as such"),
    events.AppointmentRescheduled: _visit("appointment_moved"),
    events.AppointmentCancelled: Tell(("appointment_cancelled", "appointment_closed"), _cancelled),
    events.AppointmentCheckedIn: Silence("the person stands at the kiosk and holds the number"),
    events.AppointmentServed: Silence("the person stands at the window"),
    events.AppointmentMissed: _visit("appointment_missed"),
    events.AppointmentDue: Tell(("appointment_tomorrow", "appointment_today"), _due),
    events.SlotsOpened: Silence("free places are looked up, not announced"),
    events.LineChanged: _HALL,
    events.WindowChanged: _HALL,
    events.SlotCapacityChanged: _HALL,
    events.SlotClosedByHall: _HALL,
    events.SlotReopenedByHall: _HALL,
    events.StrikeGiven: Tell(("strike_given",), _strike_given),
    events.StrikeAppealed: _SEEN,
    events.StrikeDecided: Tell(("strike_waived", "strike_upheld"), _strike_decided),
    events.WaitingJoined: _SEEN,
    events.PlaceOffered: Tell(("place_offered",), _offered),
    events.WaitingEnded: Tell(("offer_lapsed",), _waiting_ended),
    events.DrawEntered: _SEEN,
    events.DrawHeld: Silence("winners are told that they have a place, the others that they have none"),
    events.DrawLost: Tell(("draw_lost",), _draw_lost),
    events.TicketIssued: Silence("the person stands at the kiosk and holds the number"),
    events.TicketCalled: _BOARD,
    events.TicketSoon: Tell(("ticket_soon",), _soon),
    events.TicketMoved: _BOARD,
}
