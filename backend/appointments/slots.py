"""Halls open slots: generated from a line's template for a range of days, and made larger or smaller afterwards.

Generating is safe to repeat and to run twice at once: what exists is never touched, and a new slot never overlaps one
of its line. A slot keeps the length, the places and the release time that it was generated with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID

from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import calendar, clock
from backend.appointments import resting, waiting
from backend.appointments.duty import Runner, authorize_line, authorize_slot
from backend.appointments.errors import (
    CapacityTaken,
    ServiceLineNotFound,
    SlotClosed,
    SlotExpired,
    SlotNotFound,
    SlotRangeInvalid,
)
from backend.appointments.events import SlotCapacityChanged, SlotsOpened
from backend.appointments.hours import Opening, Stretch, cut_slots, list_template, rows_of
from backend.appointments.lines import lock_line
from backend.calendar import CalendarYearNotCovered, WorkingCalendar
from backend.database import fetch, fetch_row, transaction
from backend.errors import Fault, raises
from backend.events import record
from backend.settings import settings

log = logging.getLogger(__name__)

LONGEST_RANGE = 92
"""Days that can be generated at once."""


class GeneratedSlots(Struct, frozen=True, kw_only=True):
    """How many slots a range got that it did not have before."""

    line_id: UUID
    first: date
    last: date
    slots: int


class SlotCapacity(Struct, frozen=True, kw_only=True):
    """The places of a slot as they are now."""

    slot_id: UUID
    capacity: int
    taken: int
    walk_in_quota: int
    walk_ins: int


_LINE = """
SELECT hall_id, active, slot_minutes, release_time, release_days FROM service_lines WHERE id = $1
"""

# A worker that is late by a moment finds the slot there; slots never overlap, also after a change of the template.
_INSERT = """
INSERT INTO slots (id, created_at, line_id, hall_id, day, starts_at, ends_at, release_at, capacity, walk_in_quota,
                   held, booked, walk_ins, closed_because)
SELECT p.id, now(), $1, $2, p.day, p.starts_at, p.ends_at, p.release_at, p.capacity, p.quota, 0, 0, 0, ''
FROM unnest($3::uuid[], $4::date[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::int[], $9::int[])
     AS p(id, day, starts_at, ends_at, release_at, capacity, quota)
WHERE p.starts_at > $10 AND NOT EXISTS (
    SELECT 1 FROM slots s WHERE s.line_id = $1 AND s.starts_at < p.ends_at AND s.ends_at > p.starts_at)
ON CONFLICT (line_id, starts_at) DO NOTHING RETURNING id
"""


def plan_slots(
    openings: Sequence[Opening], first: date, last: date, calendar: WorkingCalendar, *, slot_minutes: int
) -> list[Stretch]:
    """The slots of every day from first to last, by time. Pure. Raises CalendarYearNotCovered."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [
        each
        for day in days
        for each in cut_slots(rows_of(openings, day, calendar), day, slot_minutes=slot_minutes, zone=clock.SHANGHAI)
    ]


def released_at(day: date, *, days: int, at: time) -> datetime:
    """When places of this day become bookable: `days` days earlier, at this time in Asia/Shanghai."""
    return datetime.combine(day - timedelta(days=days), at.replace(tzinfo=None), clock.SHANGHAI)


def _new_id(_: Stretch) -> UUID:
    return uuid7()


@raises(ServiceLineNotFound, SlotRangeInvalid, CalendarYearNotCovered)
async def generate_slots(
    staff: Runner, line_id: UUID, first: date, last: date, *, new_id: Callable[[Stretch], UUID] = _new_id
) -> GeneratedSlots:
    """Open the slots of the line in this range, both days included; what exists stays as it is.

    Seeds say with `new_id` which id a slot gets.

    Raises SlotRangeInvalid for a range that is empty, over or longer than `LONGEST_RANGE` days, CalendarYearNotCovered
    when the holidays of a day in it are not known; then nothing is opened.
    """
    await authorize_line(staff, line_id)
    if last < first:
        raise SlotRangeInvalid(fields=[Fault("/last", "结束日期不能早于开始日期")])
    if last < clock.today():
        raise SlotRangeInvalid(fields=[Fault("/last", "日期已过")])
    if (last - first).days >= LONGEST_RANGE:
        raise SlotRangeInvalid(fields=[Fault("/last", f"一次最多生成{LONGEST_RANGE}天")])
    return await _generate(line_id, first, last, await calendar.load(), new_id)


async def _generate(
    line_id: UUID, first: date, last: date, known: WorkingCalendar, new_id: Callable[[Stretch], UUID] = _new_id
) -> GeneratedSlots:
    async with transaction():
        await lock_line(line_id)
        line = await fetch_row(_LINE, line_id)
        if line is None:
            raise ServiceLineNotFound
        planned = plan_slots(await list_template(line_id), first, last, known, slot_minutes=line["slot_minutes"])
        released = [released_at(each.day, days=line["release_days"], at=line["release_time"]) for each in planned]
        made = await fetch(
            _INSERT,
            line_id,
            line["hall_id"],
            [new_id(each) for each in planned],
            [each.day for each in planned],
            [each.starts_at for each in planned],
            [each.ends_at for each in planned],
            released,
            [each.capacity for each in planned],
            [each.walk_ins for each in planned],
            clock.now(),
        )
        if made:
            await record(SlotsOpened(line_id=line_id, first=first, last=last, slots=len(made)))
    return GeneratedSlots(line_id=line_id, first=first, last=last, slots=len(made))


async def keep_slot_horizon() -> int:
    """Open the slots of every active line as far ahead as its release and `slot_horizon_days` ask; how many are new.

    Where the horizon reaches into a year whose holidays are not known, it ends before that year, and the log says so.
    """
    known, made = await calendar.load(), 0
    for line in await fetch("SELECT id, release_days FROM service_lines WHERE active ORDER BY id"):
        first = clock.today()
        last = first + timedelta(days=line["release_days"] + settings().slot_horizon_days)
        covered = last_covered(known, first, last)
        if covered is None or covered < last:
            facts = {"line": str(line["id"]), "last": last}
            log.warning("working calendar ends before the horizon", extra={"event": "slots.calendar-ends", **facts})
        if covered is not None:
            made += (await _generate(line["id"], first, covered, known)).slots
    return made


def last_covered(known: WorkingCalendar, first: date, last: date) -> date | None:
    """The last day up to which every day is known; None when the first is not."""
    covered = None
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        try:
            known.day(day)
        except CalendarYearNotCovered:
            break
        covered = day
    return covered


@raises(SlotNotFound, SlotExpired, SlotClosed, CapacityTaken)
async def set_slot_capacity(
    staff: Runner, slot_id: UUID, capacity: int, walk_in_quota: int | None = None
) -> SlotCapacity:
    """Let more or fewer people book this slot; `walk_in_quota` changes how many may come without an appointment.

    Places that appear go to the waiting list first; resting places are not offered. Raises CapacityTaken when more are
    taken already than there would be places.
    """
    await authorize_slot(staff, slot_id)
    async with transaction() as connection:
        slot = await connection.fetchrow(
            "SELECT capacity, held + booked AS taken, walk_in_quota, walk_ins, closed_at IS NOT NULL AS closed, "
            "ends_at <= now() AS over FROM slots WHERE id = $1 FOR NO KEY UPDATE",
            slot_id,
        )
        if slot is None:
            raise SlotNotFound
        if slot["over"]:
            raise SlotExpired
        if slot["closed"]:
            raise SlotClosed
        quota = slot["walk_in_quota"] if walk_in_quota is None else walk_in_quota
        taken = slot["taken"] - await resting.withdraw_rested(slot_id, slot["taken"] - capacity)
        if capacity < taken or quota < slot["walk_ins"]:
            raise CapacityTaken(taken=taken, walk_ins=slot["walk_ins"])
        if (capacity, quota) != (slot["capacity"], slot["walk_in_quota"]):
            await connection.execute(
                "UPDATE slots SET capacity = $2, walk_in_quota = $3 WHERE id = $1", slot_id, capacity, quota
            )
            await record(
                SlotCapacityChanged(
                    slot_id=slot_id,
                    before=slot["capacity"],
                    after=capacity,
                    walk_ins_before=slot["walk_in_quota"],
                    walk_ins_after=quota,
                )
            )
        offered = await waiting.offer_next(slot_id) if capacity > slot["capacity"] else 0
    return SlotCapacity(
        slot_id=slot_id, capacity=capacity, taken=taken + offered, walk_in_quota=quota, walk_ins=slot["walk_ins"]
    )
