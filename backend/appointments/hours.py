"""Halls say when a line receives people: a template of the week, and one of make-up working days.

Which template holds on a day is decided by the working calendar (`rows_of`): a make-up working day (调休上班日) has a
template of its own, weekday 0; on a statutory holiday the line is closed; an ordinary Saturday or Sunday is open only
when the template has rows for it, which is how halls offer weekend service.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from backend.appointments.duty import Runner, authorize_line
from backend.appointments.errors import ServiceLineInvalid, ServiceLineNotFound
from backend.appointments.events import LineChanged
from backend.appointments.lines import ClockTime, as_column, lock_line
from backend.calendar import WorkingCalendar
from backend.database import execute, fetch_as, fetch_value, transaction
from backend.errors import Fault, raises
from backend.events import record

MAKE_UP = 0
"""The weekday of the template for make-up working days."""
Places = Annotated[int, Meta(ge=0, le=10_000)]


class Opening(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stretch of one kind of day: ISO weekday 1 to 7, or 0 for a make-up working day; local times as HH:MM."""

    weekday: Annotated[int, Meta(ge=0, le=7)]
    opens: ClockTime
    closes: ClockTime
    capacity: Places
    """Places per slot that can be booked."""
    walk_ins: Places = 0
    """Places per slot kept apart for people who come without an appointment."""

    def minutes(self) -> int:
        """How long the stretch is; not more than 0 when it closes before it opens."""
        opens, closes = time.fromisoformat(self.opens), time.fromisoformat(self.closes)
        return (closes.hour - opens.hour) * 60 + closes.minute - opens.minute


class Stretch(Struct, frozen=True, kw_only=True):
    """A slot to be: when, how many can book it and how many places are kept apart."""

    day: date
    starts_at: datetime
    ends_at: datetime
    capacity: int
    walk_ins: int


_ROWS = """
SELECT weekday, to_char(opens::time, 'HH24:MI') AS opens, to_char(closes::time, 'HH24:MI') AS closes, capacity, walk_ins
FROM opening_hours WHERE line_id = $1 ORDER BY opening_hours.weekday, opening_hours.opens
"""
_INSERT = """
INSERT INTO opening_hours (id, created_at, line_id, weekday, opens, closes, capacity, walk_ins)
VALUES (gen_random_uuid(), now(), $1, $2, $3, $4, $5, $6)
"""


def rows_of(openings: Sequence[Opening], day: date, calendar: WorkingCalendar) -> list[Opening]:
    """The stretches that hold on this day, by time; none when the line is closed. Raises CalendarYearNotCovered."""
    known, weekday = calendar.day(day), day.isoweekday()
    if known.working and weekday > 5:
        weekday = MAKE_UP
    elif not known.working and (weekday <= 5 or known.name is not None):
        return []
    return sorted((each for each in openings if each.weekday == weekday), key=lambda each: each.opens)


def cut_slots(openings: Sequence[Opening], day: date, *, slot_minutes: int, zone: tzinfo) -> list[Stretch]:
    """The slots of these stretches on the day; what is left at the end of a stretch is shorter than a slot."""
    length, cuts = timedelta(minutes=slot_minutes), []
    for each in openings:
        start = datetime.combine(day, time.fromisoformat(each.opens), zone)
        for number in range(each.minutes() // slot_minutes):
            begins = start + number * length
            cuts.append(
                Stretch(
                    day=day, starts_at=begins, ends_at=begins + length, capacity=each.capacity, walk_ins=each.walk_ins
                )
            )
    return cuts


def check_openings(openings: Sequence[Opening], slot_minutes: int) -> list[Fault]:
    """What cannot be: a stretch that ends before it begins, has no room for a slot, or overlaps another."""
    faults = []
    for number, each in enumerate(openings):
        if each.minutes() <= 0:
            faults.append(Fault(f"/hours/{number}/closes", "结束时间应晚于开始时间"))
        elif each.minutes() < slot_minutes:
            faults.append(Fault(f"/hours/{number}/closes", f"不足一个时段（{slot_minutes}分钟）"))
        for earlier in openings[:number]:
            if each.weekday == earlier.weekday and each.opens < earlier.closes and earlier.opens < each.closes:
                faults.append(Fault(f"/hours/{number}/opens", "与同一天的其他时间重叠"))
                break
    return faults


@raises(ServiceLineNotFound)
async def list_line_hours(staff: Runner, line_id: UUID) -> list[Opening]:
    """The template of the line."""
    await authorize_line(staff, line_id)
    return await list_template(line_id)


async def list_template(line_id: UUID) -> list[Opening]:
    """The template, without a check of who may see it."""
    return await fetch_as(Opening, _ROWS, line_id)


@raises(ServiceLineNotFound, ServiceLineInvalid)
async def set_line_hours(staff: Runner, line_id: UUID, openings: Sequence[Opening]) -> list[Opening]:
    """Replace the template. It holds for slots that are generated from now on.

    Raises ServiceLineInvalid with a pointer to every row that cannot be.
    """
    await authorize_line(staff, line_id)
    async with transaction() as connection:
        await lock_line(line_id)
        minutes: int | None = await fetch_value("SELECT slot_minutes FROM service_lines WHERE id = $1", line_id)
        if minutes is None:
            raise ServiceLineNotFound
        if faults := check_openings(openings, minutes):
            raise ServiceLineInvalid(fields=faults)
        await execute("DELETE FROM opening_hours WHERE line_id = $1", line_id)
        await connection.executemany(_INSERT, [_row(line_id, each) for each in openings])
        await record(LineChanged(line_id=line_id, what="hours"))
    return await list_template(line_id)


def _row(line_id: UUID, each: Opening) -> tuple[object, ...]:
    return line_id, each.weekday, as_column(each.opens), as_column(each.closes), each.capacity, each.walk_ins
