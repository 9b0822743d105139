"""Booking a place, at once or by way of a hold. The last place of a slot is taken by exactly one statement.

What happens in the one transaction, and why in this order: the person is locked and everything that can be known is
looked at (one statement); the fact and its job are written; the place is taken and the appointment written (one
statement), and at once committed. The slot's row is what thousands wait for, so it is locked last and for as short as
can be. The conditional UPDATE decides, and nothing that was read before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from backend.appointments import strikes, waiting
from backend.appointments.acting import person_for
from backend.appointments.errors import (
    AlreadyBooked,
    AppointmentLimitExceeded,
    AppointmentNotFound,
    AppointmentTransitionRefused,
    BookingBlocked,
    HoldExpired,
    ItemNotHandled,
    PersonNotFound,
    SlotAllocatedByDraw,
    SlotClosed,
    SlotExpired,
    SlotFull,
    SlotNotFound,
    SlotNotReleased,
)
from backend.appointments.events import AppointmentBooked, AppointmentHeld
from backend.appointments.lifecycle import Transition
from backend.appointments.places import Booking, apply_transition, lock_booking, new_number
from backend.crypto import fingerprint, fingerprints, seal
from backend.database import execute, fetch_row, transaction
from backend.errors import raised_by, raises
from backend.events import record
from backend.identity import AsResident
from backend.sql import named
from models.appointments import ACTIVE
from models.appointments import AppointmentState as S

SEALED_IN = "appointments.visitor_name"


class Visitor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who will stand at the kiosk without a phone: the name for the window, and what they type in."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=50, description="办理人姓名")]
    id_last_four: Annotated[str, msgspec.Meta(pattern=r"^\d{3}[\dXx]$", description="证件号码后四位")]
    phone: Annotated[str, msgspec.Meta(pattern=r"^1\d{10}$", description="手机号")]


def visitor_key(id_last_four: str, phone: str) -> str:
    """The fingerprint by which the kiosk finds an appointment: the last four of the id number, and the phone."""
    return fingerprint(f"{id_last_four.upper()}/{phone}", "kiosk")


def visitor_keys(id_last_four: str, phone: str) -> list[str]:
    """The same under every key of the ring: visits that were booked before the keys changed are found too."""
    return fingerprints(f"{id_last_four.upper()}/{phone}", "kiosk")


# The advisory lock is per person and line: two taps of one person count each other's appointments.
_FACTS = f"""
SELECT pg_advisory_xact_lock(hashtextextended($2::uuid::text || s.line_id::text, 11))::text,
       s.line_id, s.hall_id, s.day, s.starts_at, s.ends_at, l.admission, l.person_limit, l.hold_seconds,
       s.closed_at IS NOT NULL OR NOT l.active AS closed, s.starts_at <= now() AS over,
       s.release_at <= now() AS released, s.held + s.booked >= s.capacity AS is_full, li.item_id,
       l.admission = 'draw' AND NOT EXISTS (
           SELECT 1 FROM draws d WHERE d.line_id = s.line_id AND d.day = s.day AND d.drawn_at IS NOT NULL) AS undrawn,
       EXISTS (SELECT 1 FROM strikes x
               WHERE x.person_id = $2 AND x.line_id = s.line_id AND x.waived_at IS NULL) AS has_strikes,
       EXISTS (SELECT 1 FROM appointments a WHERE a.person_id = $2 AND a.item_id = li.item_id AND a.day = s.day
               AND a.{ACTIVE}) AS booked_already
FROM slots s JOIN service_lines l ON l.id = s.line_id
LEFT JOIN (line_items li JOIN service_items i ON i.id = li.item_id AND i.code = $3) ON li.line_id = l.id
WHERE s.id = $1
"""

# `limit`: how many active appointments the person may have on the line. Their lock is held since the statement before,
# so this one sees every other of theirs.
_INSERT = f"""
WITH taken AS (
    UPDATE slots SET held = held + (:state = 'held')::int, booked = booked + (:state = 'booked')::int
    WHERE id = :slot AND held + booked < capacity AND closed_at IS NULL AND release_at <= now() AND starts_at > now()
      AND (SELECT count(*) FROM appointments WHERE person_id = :person AND line_id = :line AND {ACTIVE}) < :limit
    RETURNING id, day
)
INSERT INTO appointments (id, created_at, changed_at, number, slot_id, resident_id, person_id, line_id, item_id, day,
                          state, hold_until, visitor_name, visitor_key, from_waiting_list)
SELECT :id, now(), now(), :number, id, :resident, :person, :line, :item, day, :state,
       CASE WHEN :state = 'held' THEN now() + make_interval(secs => :hold_seconds) END, :name, :key, false
FROM taken RETURNING hold_until
"""


@raises(
    SlotNotFound, PersonNotFound, SlotFull, SlotClosed, SlotExpired, SlotNotReleased, SlotAllocatedByDraw,
    AlreadyBooked, AppointmentLimitExceeded, ItemNotHandled, BookingBlocked,
)  # fmt: skip
async def book_place(
    resident: AsResident,
    slot_id: UUID,
    item_code: str,
    *,
    person_id: UUID | None = None,
    visitor: Visitor | None = None,
) -> Booking:
    """Give the person one place in the slot."""
    return await _book(resident, slot_id, item_code, S.BOOKED, person_id, visitor)


@raises(*raised_by(book_place))
async def hold_place(resident: AsResident, slot_id: UUID, item_code: str, *, person_id: UUID | None = None) -> Booking:
    """Keep one place for as long as the line's `hold_seconds` say, by the database's clock, while the resident fills
    in. `confirm_booking` makes it theirs."""
    return await _book(resident, slot_id, item_code, S.HELD, person_id, None)


async def _book(
    resident: AsResident, slot_id: UUID, item_code: str, state: S, person_id: UUID | None, visitor: Visitor | None
) -> Booking:
    person = await person_for(resident, person_id)
    appointment_id = uuid7()
    async with transaction():
        facts = await fetch_row(_FACTS, slot_id, person, item_code)
        if facts is None:
            raise SlotNotFound
        await check_bookable(facts, person)
        booking = Booking(
            id=appointment_id,
            number=new_number(facts["day"]),
            state=state,
            slot_id=slot_id,
            line_id=facts["line_id"],
            hall_id=facts["hall_id"],
            resident_id=resident.id,
            person_id=person,
            item_id=facts["item_id"],
            day=facts["day"],
            starts_at=facts["starts_at"],
            ends_at=facts["ends_at"],
            hold_until=None,
        )
        if state is S.BOOKED:
            await record(AppointmentBooked(**booking.event_facts(), starts_at=booking.starts_at))
        hold_until = await _place(booking, facts, visitor)
        if state is S.HELD:
            await record(AppointmentHeld(**booking.event_facts(), until=hold_until))
    return msgspec.structs.replace(booking, hold_until=hold_until)


async def check_bookable(facts: asyncpg.Record, person: UUID) -> None:
    """Say what stands against taking a place, as far as it can be known before."""
    obstacles: tuple[tuple[bool, Callable[[], Exception]], ...] = (
        (facts["item_id"] is None, ItemNotHandled),
        (facts["closed"], SlotClosed),
        (facts["over"], SlotExpired),
        (not facts["released"], SlotNotReleased),
        (facts["undrawn"], SlotAllocatedByDraw),
        (facts["booked_already"], AlreadyBooked),
        (facts["is_full"], SlotFull),
    )
    for stands, error in obstacles:
        if stands:
            raise error()
    if facts["has_strikes"]:
        await strikes.refuse_blocked(person, facts["line_id"])


async def _place(booking: Booking, facts: asyncpg.Record, visitor: Visitor | None) -> Any:
    values = {
        "slot": booking.slot_id, "id": booking.id, "number": booking.number, "resident": booking.resident_id,
        "person": booking.person_id, "line": booking.line_id, "item": booking.item_id, "state": str(booking.state),
        "limit": facts["person_limit"], "hold_seconds": facts["hold_seconds"],
        "name": seal(visitor.name, where=SEALED_IN, row=booking.id) if visitor else None,
        "key": visitor_key(visitor.id_last_four, visitor.phone) if visitor else None,
    }  # fmt: skip
    try:
        taken = await fetch_row(*named(_INSERT, values))
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "appointment_once_a_day":
            raise AlreadyBooked from error
        raise
    if taken is None:
        await _explain(booking, facts["person_limit"])
    return taken["hold_until"] if taken else None


async def _explain(booking: Booking, limit: int) -> None:
    """No place was given: say why, as it is now."""
    row = await fetch_row(
        "SELECT closed_at IS NOT NULL AS closed, starts_at <= now() AS over, release_at <= now() AS released, "
        f"(SELECT count(*) FROM appointments WHERE person_id = $2 AND line_id = slots.line_id AND {ACTIVE}) AS has "
        "FROM slots WHERE id = $1",
        booking.slot_id,
        booking.person_id,
    )
    if row is None:
        raise SlotNotFound
    if row["has"] >= limit:
        raise AppointmentLimitExceeded(limit=limit)
    if row["closed"]:
        raise SlotClosed
    if row["over"]:
        raise SlotExpired
    raise SlotFull if row["released"] else SlotNotReleased


@raises(AppointmentNotFound, HoldExpired, AppointmentTransitionRefused, SlotClosed)
async def confirm_booking(resident: AsResident, appointment_id: UUID, *, visitor: Visitor | None = None) -> Booking:
    """Make a held place, or an offered one, one's own.

    Raises HoldExpired when its time is over by the database's clock, whether or not that has been noticed yet.
    """
    async with transaction():
        before = await lock_booking(appointment_id, owner=resident.id)
        if before.state is S.EXPIRED:
            raise HoldExpired
        state = await apply_transition(before, Transition.CONFIRM)
        await _still_held(before)
        if visitor:
            await execute(
                "UPDATE appointments SET visitor_name = $2, visitor_key = $3 WHERE id = $1",
                appointment_id,
                seal(visitor.name, where=SEALED_IN, row=appointment_id),
                visitor_key(visitor.id_last_four, visitor.phone),
            )
        if before.from_waiting_list:
            await waiting.end_offer(appointment_id, "taken")
        await record(AppointmentBooked(**before.event_facts(), starts_at=before.starts_at))
    return msgspec.structs.replace(before, state=state, hold_until=None)


async def _still_held(before: Booking) -> None:
    # The clock is read under the lock: a confirmation that had to wait past the end comes too late, and the slot may
    # have been closed or have begun in the meantime.
    row = await fetch_row(
        "SELECT $2::timestamptz > clock_timestamp() AS held, closed_at IS NOT NULL AS closed FROM slots WHERE id = $1",
        before.slot_id,
        before.hold_until,
    )
    if row is None or not row["held"]:
        raise HoldExpired
    if row["closed"]:
        raise SlotClosed
