"""Events of appointments, as the ledger stores them: ids, codes and times, no personal data."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from backend.events import Event


class _OfAppointment(Event, frozen=True, kw_only=True):
    """What every event of one appointment says; `resident_id` booked it."""

    about: ClassVar[str] = "appointment_id"
    appointment_id: UUID
    resident_id: UUID
    slot_id: UUID


class AppointmentHeld(_OfAppointment, frozen=True, kw_only=True, tag="appointment.held"):
    """A place is kept while the resident fills in."""

    until: datetime


class AppointmentBooked(_OfAppointment, frozen=True, kw_only=True, tag="appointment.booked"):
    """The place is theirs."""

    starts_at: datetime


class AppointmentExpired(_OfAppointment, frozen=True, kw_only=True, tag="appointment.expired"):
    """The place was held too long and has been given back."""


class AppointmentRescheduled(_OfAppointment, frozen=True, kw_only=True, tag="appointment.rescheduled"):
    """The appointment has moved to another slot."""

    from_slot_id: UUID
    starts_at: datetime


class AppointmentCancelled(_OfAppointment, frozen=True, kw_only=True, tag="appointment.cancelled"):
    """The place is free again. `by` is "resident", "hall" or "system"."""

    by: str
    late: bool = False
    because: str = ""


class AppointmentCheckedIn(_OfAppointment, frozen=True, kw_only=True, tag="appointment.checked-in"):
    """The person is in the hall and has a queue number."""

    ticket_id: UUID
    means: str
    """"qr", "kiosk" or "staff"."""


class AppointmentServed(_OfAppointment, frozen=True, kw_only=True, tag="appointment.served"):
    """The visit is over."""


class AppointmentMissed(_OfAppointment, frozen=True, kw_only=True, tag="appointment.missed"):
    """The person did not come, or did not answer the call."""


class AppointmentDue(_OfAppointment, frozen=True, kw_only=True, tag="appointment.due"):
    """Time to remind: `ahead` is "day" or "hours"."""

    ahead: str
    starts_at: datetime


class SlotsOpened(Event, frozen=True, kw_only=True, tag="line.slots-opened"):
    """Slots of a line were generated for a range of days."""

    about: ClassVar[str] = "line_id"
    line_id: UUID
    first: date
    last: date
    slots: int


class LineChanged(Event, frozen=True, kw_only=True, tag="line.changed"):
    """A line was set: `what` is "rules", "items" or "hours"."""

    about: ClassVar[str] = "line_id"
    line_id: UUID
    what: str


class WindowChanged(Event, frozen=True, kw_only=True, tag="window.changed"):
    """A window of a hall was set: whether it is open, and which lines it serves."""

    about: ClassVar[str] = "window_id"
    window_id: UUID
    hall_id: UUID
    line_ids: tuple[UUID, ...]
    open: bool


class SlotCapacityChanged(Event, frozen=True, kw_only=True, tag="slot.capacity-changed"):
    """A slot has more or fewer places: to be booked, and for people who come without an appointment."""

    about: ClassVar[str] = "slot_id"
    slot_id: UUID
    before: int
    after: int
    walk_ins_before: int = 0
    walk_ins_after: int = 0


class SlotClosedByHall(Event, frozen=True, kw_only=True, tag="slot.closed"):
    """The hall closed a slot; the residents of the `cancelled` places are notified and offered another."""

    about: ClassVar[str] = "slot_id"
    slot_id: UUID
    because: str
    cancelled: int


class SlotReopenedByHall(Event, frozen=True, kw_only=True, tag="slot.reopened"):
    """A closed slot can be booked again; residents who lost their place do not get it back."""

    about: ClassVar[str] = "slot_id"
    slot_id: UUID


class StrikeGiven(Event, frozen=True, kw_only=True, tag="strike.given"):
    """A no-show or late cancellation counts against a person."""

    about: ClassVar[str] = "strike_id"
    strike_id: UUID
    person_id: UUID
    kind: str


class StrikeAppealed(Event, frozen=True, kw_only=True, tag="strike.appealed"):
    """The person asks for a strike to be taken back."""

    about: ClassVar[str] = "strike_id"
    strike_id: UUID
    person_id: UUID


class StrikeDecided(Event, frozen=True, kw_only=True, tag="strike.decided"):
    """A strike was taken back, or stays."""

    about: ClassVar[str] = "strike_id"
    strike_id: UUID
    person_id: UUID
    waived: bool


class WaitingJoined(Event, frozen=True, kw_only=True, tag="waiting.joined"):
    """A resident joined the waiting list of a full day."""

    about: ClassVar[str] = "entry_id"
    entry_id: UUID
    resident_id: UUID


class PlaceOffered(Event, frozen=True, kw_only=True, tag="waiting.offered"):
    """A freed place is held for the next one waiting."""

    about: ClassVar[str] = "entry_id"
    entry_id: UUID
    resident_id: UUID
    appointment_id: UUID
    slot_id: UUID
    until: datetime


class WaitingEnded(Event, frozen=True, kw_only=True, tag="waiting.ended"):
    """The wait is over: "taken", "declined", "lapsed" or "left"."""

    about: ClassVar[str] = "entry_id"
    entry_id: UUID
    resident_id: UUID
    how: str


class DrawEntered(Event, frozen=True, kw_only=True, tag="draw.entered"):
    """A resident entered a draw."""

    about: ClassVar[str] = "draw_id"
    draw_id: UUID
    resident_id: UUID


class DrawHeld(Event, frozen=True, kw_only=True, tag="draw.held"):
    """A draw has given its places; the seed is public now."""

    about: ClassVar[str] = "draw_id"
    draw_id: UUID
    entries: int
    winners: int


class DrawLost(Event, frozen=True, kw_only=True, tag="draw.lost"):
    """A resident's entry got no place."""

    about: ClassVar[str] = "draw_id"
    draw_id: UUID
    resident_id: UUID
    entry_id: UUID | None = None


class TicketIssued(Event, frozen=True, kw_only=True, tag="ticket.issued"):
    """A queue number was issued in the hall."""

    about: ClassVar[str] = "ticket_id"
    ticket_id: UUID
    hall_id: UUID
    line_id: UUID
    sequence: int


class TicketCalled(Event, frozen=True, kw_only=True, tag="ticket.called"):
    """A queue number is called to a window."""

    about: ClassVar[str] = "ticket_id"
    ticket_id: UUID
    hall_id: UUID
    window_id: UUID


class TicketSoon(Event, frozen=True, kw_only=True, tag="ticket.soon"):
    """Few are left before this number: its holder should come near."""

    about: ClassVar[str] = "ticket_id"
    ticket_id: UUID
    resident_id: UUID
    ahead: int


class TicketMoved(Event, frozen=True, kw_only=True, tag="ticket.moved"):
    """A queue number was served, missed, handed over or has come back: `how` is the move."""

    about: ClassVar[str] = "ticket_id"
    ticket_id: UUID
    hall_id: UUID
    how: str
