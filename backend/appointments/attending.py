"""Coming to the hall: check-in by code, by what one types in at the kiosk, or by staff; numbers for people without an
appointment; and the end of a day on which a resident was checked in and never served.

A visit can be checked in from an hour before its slot until the slot is over. Staff may do it later on the same day,
because the resident stands before them; on another day no check-in is possible.
"""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from backend import cache, clock, logs
from backend.appointments import board
from backend.appointments.booking import visitor_keys
from backend.appointments.check_in_codes import check_in_refused, decode_code, spend_code
from backend.appointments.duty import Runner, authorize_appointment, authorize_hall
from backend.appointments.errors import (
    AppointmentNotFound,
    AppointmentTransitionRefused,
    CheckInRefused,
    KioskAttemptLimitExceeded,
    ServiceLineNotFound,
    TooEarlyToCheckIn,
    TooLateToCheckIn,
    WalkInsFull,
)
from backend.appointments.events import AppointmentCheckedIn, AppointmentMissed
from backend.appointments.lifecycle import Transition
from backend.appointments.places import Booking, apply_transition, lock_booking
from backend.appointments.strikes import give_strike
from backend.appointments.tickets import QueueTicket, issue_ticket
from backend.crypto import fingerprint
from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.errors import raises
from backend.events import record
from backend.identity import AsStaff, kiosk_duty
from backend.regions.errors import HallNotFound
from models.appointments import AppointmentState, TicketState

EARLIEST = timedelta(minutes=60)
"""How long before the slot one may check in."""
TRIES = ((6, 600), (20, 86_400))
"""Tries with one phone number in so many seconds: four characters must not be found by trying."""
TRIES_OF_KIOSK = (60, 60)
"""Tries in one hall in so many seconds."""


async def authorize_kiosk(staff: Runner, hall_id: UUID) -> UUID:
    """The hall, if this is a kiosk of it (duty `kiosk:<code>`) or a member of staff who runs it. Raises
    HallNotFound."""
    if isinstance(staff, AsStaff) and any(duty.startswith("kiosk:") for duty in staff.duties):
        code = await fetch_value("SELECT code FROM halls WHERE id = $1", hall_id)
        if code is not None and kiosk_duty(code) in staff.duties:
            return hall_id
    return await authorize_hall(staff, hall_id)


@raises(CheckInRefused, TooEarlyToCheckIn, TooLateToCheckIn, HallNotFound)
async def check_in_by_code(staff: Runner, hall_id: UUID, code: str) -> QueueTicket:
    """Check in the holder of this code; return the queue number.

    Raises CheckInRefused for a code that is forged, over, used, or of another hall, day or state; the two errors of the
    time leave the code unused.
    """
    await authorize_kiosk(staff, hall_id)
    scanned = decode_code(code, hall_id)
    async with transaction():
        await spend_code(scanned)
        try:
            visit = await lock_booking(scanned.appointment_id)
        except AppointmentNotFound as error:
            raise check_in_refused("no-appointment", scanned.appointment_id) from error
        if (visit.hall_id, visit.day) != (scanned.hall_id, scanned.day):
            raise check_in_refused("moved", visit.id)
        if visit.state is not AppointmentState.BOOKED:
            raise check_in_refused(f"state-{visit.state}", visit.id)
        found = await _admit(visit, "qr", until_end_of_day=False)
    await board.announce_board(hall_id)
    return found


_BY_KEY = """
SELECT a.id FROM appointments a JOIN slots s ON s.id = a.slot_id
WHERE s.hall_id = $1 AND a.state = 'booked' AND a.visitor_key = ANY($2)
  AND a.day = (now() AT TIME ZONE 'Asia/Shanghai')::date
ORDER BY s.ends_at <= now(), s.starts_at, a.id LIMIT 1
"""


@raises(AppointmentNotFound, KioskAttemptLimitExceeded, TooEarlyToCheckIn, TooLateToCheckIn, HallNotFound)
async def check_in_by_identity(staff: Runner, hall_id: UUID, id_last_four: str, phone: str) -> QueueTicket:
    """Check in by the last four characters of the id number and the phone that were given when booking.

    Of several visits the next one is meant. Raises AppointmentNotFound whichever of the two is wrong, and CacheDown
    when the tries cannot be counted.
    """
    await authorize_kiosk(staff, hall_id)
    await _count(hall_id, phone)
    async with transaction():
        known = await fetch_value(_BY_KEY, hall_id, visitor_keys(id_last_four, phone))
        visit = await lock_booking(known) if known else None
        if visit is None or visit.state is not AppointmentState.BOOKED:
            logs.security.info(
                "kiosk check-in found no appointment", extra={"event": "kiosk.not-found", "hall_id": str(hall_id)}
            )
            raise AppointmentNotFound
        found = await _admit(visit, "kiosk", until_end_of_day=False)
    await board.announce_board(hall_id)
    return found


async def _count(hall_id: UUID, phone: str) -> None:
    counted = [(f"kiosk:{seconds}:{fingerprint(phone, 'limit')}", times, seconds) for times, seconds in TRIES]
    for key, times, seconds in ((f"kiosk-hall:{hall_id}", *TRIES_OF_KIOSK), *counted):
        verdict = await cache.count_within(key, times, seconds)
        if not verdict.allowed:
            logs.security.warning("rate limit exceeded", extra={"event": "limit.exceeded", "limit": "kiosk"})
            raise KioskAttemptLimitExceeded(retry_after=verdict.retry_after)


@raises(AppointmentNotFound, AppointmentTransitionRefused, TooEarlyToCheckIn, TooLateToCheckIn)
async def check_in(staff: Runner, appointment_id: UUID) -> QueueTicket:
    """Check a resident in at the desk, also after the slot is over, on the day of the visit."""
    hall_id = await authorize_appointment(staff, appointment_id)
    async with transaction():
        visit = await lock_booking(appointment_id)
        found = await _admit(visit, "staff", until_end_of_day=True)
    await board.announce_board(hall_id)
    return found


_TIMELY = """
SELECT starts_at - $2::interval > now() AS early, ends_at <= now() AS late,
       (now() AT TIME ZONE 'Asia/Shanghai')::date > day AS another_day
FROM slots WHERE id = $1
"""


async def _admit(visit: Booking, means: str, *, until_end_of_day: bool) -> QueueTicket:
    """Check the locked visit in and give it its number, in the caller's transaction. Raises
    AppointmentTransitionRefused and the two of the time; the database's clock decides."""
    timely = await fetch_row(_TIMELY, visit.slot_id, EARLIEST)
    assert timely is not None, "an appointment always has its slot"
    if timely["early"]:
        raise TooEarlyToCheckIn(opens_at=visit.starts_at - EARLIEST)
    await apply_transition(visit, Transition.CHECK_IN)
    if timely["another_day" if until_end_of_day else "late"]:
        raise TooLateToCheckIn(ended_at=visit.ends_at)
    found = await issue_ticket(visit.hall_id, visit.line_id, visit.day, visit.starts_at, appointment_id=visit.id)
    await record(AppointmentCheckedIn(**visit.event_facts(), ticket_id=found.id, means=means))
    return found


_WALK_IN = """
UPDATE slots SET walk_ins = walk_ins + 1 WHERE id = (
    SELECT id FROM slots WHERE line_id = $1 AND hall_id = $2 AND day = $3 AND ends_at > now() AND closed_at IS NULL
      AND walk_ins < walk_in_quota
    ORDER BY starts_at LIMIT 1 FOR NO KEY UPDATE)
RETURNING greatest(starts_at, now())
"""
_WALK_INS_LEFT = """
SELECT EXISTS (SELECT 1 FROM slots WHERE line_id = $1 AND hall_id = $2 AND day = $3 AND ends_at > now()
               AND closed_at IS NULL AND walk_ins < walk_in_quota)
"""


@raises(WalkInsFull, ServiceLineNotFound, HallNotFound)
async def walk_in(staff: Runner, hall_id: UUID, line_id: UUID) -> QueueTicket:
    """Issue a number to a visitor without an appointment, from the quota reserved for them.

    They take a place of the slot that runs, or of the next that has one left, and queue from its start on: a visitor
    who booked an earlier time is not overtaken.
    """
    await authorize_kiosk(staff, hall_id)
    own = "SELECT 1 FROM service_lines WHERE id = $1 AND hall_id = $2 AND active"
    if not await fetch_value(own, line_id, hall_id):
        raise ServiceLineNotFound
    async with transaction():
        day: date = await fetch_value("SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date")
        while (wanted_at := await fetch_value(_WALK_IN, line_id, hall_id, day)) is None:
            # Another visitor took the last place of the slot while this transaction waited; another slot may have one.
            if not await fetch_value(_WALK_INS_LEFT, line_id, hall_id, day):
                raise WalkInsFull
        found = await issue_ticket(hall_id, line_id, day, wanted_at)
    await board.announce_board(hall_id)
    return found


_LEFT_OPEN = """
SELECT a.id, t.id AS ticket_id, t.state FROM appointments a LEFT JOIN tickets t ON t.appointment_id = a.id
WHERE a.state = 'checked-in' AND a.day < $1 ORDER BY a.id LIMIT 500
"""


async def end_past_visits(before: date | None = None) -> int:
    """End the visits of days before this one (default today) that were checked in and never finished; how many.

    A number that was called and never ended counts as served: the person was at the window. Everybody else is missed:
    with a strike as for any other no-show when their number was called and they did not come to the window, without
    one when they waited and were never called.
    """
    closed = 0
    while rows := await fetch(_LEFT_OPEN, before or clock.today()):
        closed += sum([await _close(row["id"], row["ticket_id"], row["state"]) for row in rows])
    return closed


async def _close(appointment_id: UUID, ticket_id: UUID | None, ticket_state: str | None) -> bool:
    async with transaction():
        visit = await lock_booking(appointment_id)
        if visit.state is not AppointmentState.CHECKED_IN:
            return False
        ended = await execute(
            "UPDATE tickets SET state = 'served', served_at = now() WHERE id = $1 AND state = 'called'", ticket_id
        )
        await apply_transition(visit, Transition.SERVE if ended else Transition.MISS)
        if not ended:
            await record(AppointmentMissed(**visit.event_facts()))
            if ticket_state == TicketState.MISSED:
                await give_strike(visit.id, "no-show")
    return True
