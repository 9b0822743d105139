"""Slots come from the template and the calendar: once, in time, and never below what is taken."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend import calendar, clock, schedule
from backend.appointments import booking, hours, slots, waiting
from backend.appointments.errors import (
    CapacityTaken,
    ServiceLineNotFound,
    SlotClosed,
    SlotExpired,
    SlotFull,
    SlotNotFound,
    SlotRangeInvalid,
)
from backend.appointments.hours import Opening, check_openings
from backend.calendar import PUBLISHED, CalendarYearNotCovered, Day, WorkingCalendar
from backend.database import transaction
from backend.identity.principals import AsOperator, AsStaff
from backend.jobs import drain, enqueue
from backend.settings import using
from models.appointments import ServiceLine, Slot
from models.events import EventRecord
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, many_people, places, somebody

OPERATOR = AsOperator()
MONDAY = date(2026, 3, 2)
SUNDAY = MONDAY + timedelta(days=6)
BEFORE = datetime(2026, 2, 20, 4, tzinfo=UTC)


def opening(weekday: int = 1, opens: str = "09:00", closes: str = "11:00", **changes: Any) -> Opening:
    return Opening(weekday=weekday, opens=opens, closes=closes, **{"capacity": 5, "walk_ins": 1, **changes})


def every_day(opens: str = "09:00", closes: str = "11:00") -> list[Opening]:
    return [opening(weekday, opens, closes) for weekday in range(8)]


async def a_line_with(openings: list[Opening], **changes: Any) -> ServiceLine:
    line = await a_line(**changes)
    await hours.set_line_hours(OPERATOR, line.id, openings)
    return line


async def slots_of(line: ServiceLine) -> list[Slot]:
    return await Slot.filter(line_id=line.id).order_by("starts_at")


def local(moment: datetime) -> str:
    return f"{moment.astimezone(clock.SHANGHAI):%m-%d %H:%M}"


async def test_a_stretch_is_cut_into_slots_and_the_rest_is_left_over():
    line = await a_line_with([opening(1, "09:00", "10:50", capacity=5, walk_ins=2)], slot_minutes=30)

    with clock.travel(to=BEFORE):
        made = await slots.generate_slots(OPERATOR, line.id, MONDAY, SUNDAY)

    found = await slots_of(line)
    assert made.slots == len(found) == 3
    assert [local(each.starts_at) for each in found] == ["03-02 09:00", "03-02 09:30", "03-02 10:00"]
    assert {each.ends_at - each.starts_at for each in found} == {timedelta(minutes=30)}
    assert {(each.day, each.capacity, each.walk_in_quota, each.booked, each.walk_ins) for each in found} == {
        (MONDAY, 5, 2, 0, 0)
    }


async def test_places_are_released_days_ahead_at_the_lines_time_in_shanghai():
    line = await a_line_with([opening()], release_days=7, release_time=time(8, 30))

    with clock.travel(to=BEFORE):
        await slots.generate_slots(OPERATOR, line.id, MONDAY, MONDAY)

    assert {each.release_at for each in await slots_of(line)} == {datetime(2026, 2, 23, 0, 30, tzinfo=UTC)}


async def test_generating_again_adds_nothing_and_changes_nothing():
    line = await a_line_with(every_day())
    with clock.travel(to=BEFORE):
        first = await slots.generate_slots(OPERATOR, line.id, MONDAY, SUNDAY)
        before = [dict(each) for each in await slots_of(line)]
        await hours.set_line_hours(
            OPERATOR, line.id, [opening(weekday, "09:00", "11:00", capacity=99) for weekday in range(8)]
        )

        again = await slots.generate_slots(OPERATOR, line.id, MONDAY, SUNDAY)

    assert (first.slots, again.slots) == (7 * 4, 0)
    assert [dict(each) for each in await slots_of(line)] == before
    assert await EventRecord.filter(name="line.slots-opened", subject_id=line.id).count() == 1


async def test_a_changed_template_fills_gaps_but_never_overlaps_what_exists():
    line = await a_line_with([opening(1, "09:00", "10:00")], slot_minutes=30)
    with clock.travel(to=BEFORE):
        await slots.generate_slots(OPERATOR, line.id, MONDAY, MONDAY)
        await ServiceLine.filter(id=line.id).update(slot_minutes=20)
        await hours.set_line_hours(OPERATOR, line.id, [opening(1, "08:40", "10:20")])

        await slots.generate_slots(OPERATOR, line.id, MONDAY, MONDAY)

    assert [local(each.starts_at)[6:] for each in await slots_of(line)] == ["08:40", "09:00", "09:30", "10:00"]


async def test_two_generators_make_the_same_set_as_one():
    one, other = await a_line_with(every_day()), await a_line_with(every_day())
    with clock.travel(to=BEFORE):
        await slots.generate_slots(OPERATOR, one.id, MONDAY, SUNDAY)

        made = await asyncio.gather(
            *(slots.generate_slots(OPERATOR, other.id, MONDAY + timedelta(days=n % 3), SUNDAY) for n in range(8))
        )

    assert sum(each.slots for each in made) == 7 * 4
    assert [each.starts_at for each in await slots_of(other)] == [each.starts_at for each in await slots_of(one)]


async def test_holidays_have_no_slots_and_make_up_days_have_their_own():
    # 2026: National Day is off from 1 to 7 October; Sunday 20 September and Saturday 10 October are worked instead.
    line = await a_line_with([*(opening(day) for day in range(1, 6)), opening(0, "13:00", "14:00")], slot_minutes=60)

    with clock.travel(to=datetime(2026, 9, 1, tzinfo=UTC)):
        await slots.generate_slots(OPERATOR, line.id, date(2026, 9, 20), date(2026, 10, 11))

    days = {each.day for each in await slots_of(line)}
    assert not days & {date(2026, 10, day) for day in range(1, 8)}
    assert {each for each in days if each.isoweekday() > 5} == {date(2026, 9, 20), date(2026, 10, 10)}
    make_up = [each for each in await slots_of(line) if each.day == date(2026, 10, 10)]
    assert [local(each.starts_at) for each in make_up] == ["10-10 13:00"]


async def test_an_ordinary_saturday_is_open_only_when_the_template_says_so():
    without, with_saturday = await a_line_with([opening(1)]), await a_line_with([opening(6)])
    saturday = MONDAY + timedelta(days=5)

    with clock.travel(to=BEFORE):
        none = await slots.generate_slots(OPERATOR, without.id, saturday, saturday)
        some = await slots.generate_slots(OPERATOR, with_saturday.id, saturday, saturday)

    assert (none.slots, some.slots) == (0, 4)


async def test_a_day_that_was_declared_off_by_hand_has_no_slots():
    line = await a_line_with(every_day())
    await calendar.set_day(MONDAY, working=False, name="暴雪停办")

    with clock.travel(to=BEFORE):
        made = await slots.generate_slots(OPERATOR, line.id, MONDAY, MONDAY)

    assert made.slots == 0


async def test_a_year_without_a_published_calendar_is_refused_whole_until_staff_vouch_for_it():
    line = await a_line_with(every_day())
    unknown = calendar.PUBLISHED_TO + 1
    first, last = date(unknown - 1, 12, 28), date(unknown, 1, 10)

    with clock.travel(to=datetime(unknown - 1, 12, 1, tzinfo=UTC)):
        with pytest.raises(CalendarYearNotCovered) as refused:
            await slots.generate_slots(OPERATOR, line.id, first, last)
        assert await slots_of(line) == []

        await calendar.vouch_for(unknown, source="测试")
        made = await slots.generate_slots(OPERATOR, line.id, first, last)

    assert refused.value.facts["year"] == unknown
    assert made.slots > 0


async def test_what_has_begun_is_not_opened_any_more():
    line = await a_line_with([opening(1, "09:00", "11:00")], slot_minutes=30)

    with clock.travel(to=datetime(2026, 3, 2, 1, 40, tzinfo=UTC)):  # 09:40 in Shanghai
        await slots.generate_slots(OPERATOR, line.id, MONDAY, MONDAY)

    assert [local(each.starts_at)[6:] for each in await slots_of(line)] == ["10:00", "10:30"]


@pytest.mark.parametrize(
    ("first", "last"),
    [(MONDAY, MONDAY - timedelta(days=1)), (MONDAY, MONDAY + timedelta(days=92)), (date(2026, 1, 1), date(2026, 2, 1))],
    ids=["backwards", "too long", "over"],
)
async def test_a_range_that_cannot_be_is_refused(first: date, last: date):
    line = await a_line_with(every_day())

    with clock.travel(to=BEFORE), pytest.raises(SlotRangeInvalid):
        await slots.generate_slots(OPERATOR, line.id, first, last)


async def test_a_line_or_slot_of_another_hall_does_not_exist():
    line, slot = await a_line(), await a_slot()
    stranger = AsStaff(uuid4(), uuid4(), frozenset({"hall:somewhere-else", "halls.manage"}))

    with pytest.raises(ServiceLineNotFound):
        await slots.generate_slots(stranger, line.id, clock.today(), clock.today())
    with pytest.raises(SlotNotFound):
        await slots.set_slot_capacity(stranger, slot.id, 5)


async def test_the_nightly_job_keeps_the_horizon_and_stops_where_the_calendar_ends():
    line, idle = await a_line_with(every_day(), release_days=7), await a_line_with(every_day(), active=False)
    night = datetime(calendar.PUBLISHED_TO, 12, 26, 17, 7, tzinfo=UTC)

    with clock.travel(to=night), using(slot_horizon_days=3):
        await slots.keep_slot_horizon()
        made = {each.day for each in await slots_of(line)}
        again = await slots.keep_slot_horizon()

    assert max(made) <= date(calendar.PUBLISHED_TO, 12, 31)
    assert min(made) >= date(calendar.PUBLISHED_TO, 12, 27)
    assert (again, await slots_of(idle)) == (0, [])


async def test_the_horizon_reaches_beyond_the_day_that_is_released():
    line = await a_line_with(every_day(), release_days=5)

    with clock.travel(to=BEFORE), using(slot_horizon_days=2):
        await slots.keep_slot_horizon()

    found = [each.day for each in await slots_of(line)]
    assert max(found) == clock.day_of(BEFORE) + timedelta(days=7)


@pytest.mark.usefixtures("delivered")
async def test_the_job_is_known_to_the_worker():
    line = await a_line_with(every_day())
    async with transaction():
        await enqueue("appointments.keep-horizon", {})

    with clock.travel(to=BEFORE):
        await drain()

    assert "appointments.keep-horizon" in {name for _, name in schedule.CRON}
    assert await slots_of(line)


# -- capacity ---------------------------------------------------------------------------------------


async def test_capacity_goes_up_and_down_but_never_below_what_is_taken():
    slot = await a_slot(5, walk_in_quota=3, walk_ins=2)
    for _ in range(2):
        await an_appointment(slot)

    up = await slots.set_slot_capacity(OPERATOR, slot.id, 9)
    down = await slots.set_slot_capacity(OPERATOR, slot.id, 2, 2)

    assert (up.capacity, up.taken, down.capacity, down.walk_in_quota) == (9, 2, 2, 2)
    with pytest.raises(CapacityTaken) as refused:
        await slots.set_slot_capacity(OPERATOR, slot.id, 1)
    with pytest.raises(CapacityTaken):
        await slots.set_slot_capacity(OPERATOR, slot.id, 2, 1)
    assert refused.value.facts["taken"] == 2
    assert await places(slot.id) == (2, 0, 2)
    assert await EventRecord.filter(name="slot.capacity-changed", subject_id=slot.id).count() == 2


async def test_the_same_capacity_again_is_no_news():
    slot = await a_slot(5)

    await slots.set_slot_capacity(OPERATOR, slot.id, 5)

    assert await EventRecord.filter(name="slot.capacity-changed").count() == 0


async def test_a_closed_or_past_slot_has_no_capacity_to_change():
    closed, past = await a_slot(closed_at=clock.now()), await a_slot(starts_in=timedelta(hours=-2))

    with pytest.raises(SlotClosed):
        await slots.set_slot_capacity(OPERATOR, closed.id, 9)
    with pytest.raises(SlotExpired):
        await slots.set_slot_capacity(OPERATOR, past.id, 9)


async def test_places_that_appear_go_to_the_waiting_list_first():
    line = await a_line()
    slot, item = await a_slot(1, line), await item_of(line)
    await booking.book_place(await somebody(), slot.id, item)
    for each in await many_people(2):
        await waiting.join_waiting_list(each, line.id, slot.day, item)

    after = await slots.set_slot_capacity(OPERATOR, slot.id, 4)

    assert (after.capacity, after.taken) == (4, 3)
    assert await places(slot.id) == (4, 2, 1)


async def test_capacity_lowered_in_a_rush_never_oversells_nor_goes_below_what_is_taken():
    line = await a_line(items=1)
    slot, item, crowd = await a_slot(30, line), await item_of(line), await many_people(60)
    outcomes: list[object] = []

    async def lower() -> None:
        for capacity in (25, 20, 15, 10, 5, 12, 3):
            outcomes.append(
                (await asyncio.gather(slots.set_slot_capacity(OPERATOR, slot.id, capacity), return_exceptions=True))[0]
            )
            await asyncio.sleep(0.01)

    async def one(person: Any) -> bool:
        try:
            await booking.book_place(person, slot.id, item)
        except SlotFull:
            return False
        return True

    sold, _ = await asyncio.gather(asyncio.gather(*(one(each) for each in crowd)), lower())

    capacity, held, booked = await places(slot.id)
    assert (held, booked) == (0, sum(sold))
    assert booked <= capacity
    assert len(outcomes) == 7
    assert all(each.taken <= each.capacity for each in outcomes if isinstance(each, slots.SlotCapacity))


# -- every template and every stretch of days -------------------------------------------------------

minutes = st.integers(0, 24 * 60 - 1).map(lambda n: f"{n // 60:02d}:{n % 60:02d}")
templates = st.lists(
    st.builds(
        Opening,
        weekday=st.integers(0, 7),
        opens=minutes,
        closes=minutes,
        capacity=st.integers(0, 9),
        walk_ins=st.just(0),
    ),
    max_size=8,
)


def accepted(openings: list[Opening], length: int) -> list[Opening]:
    """As many of the rows as a hall would be allowed to set together."""
    kept: list[Opening] = []
    for each in openings:
        if not check_openings([*kept, each], length):
            kept.append(each)
    return kept


@given(templates, st.integers(5, 480), st.dates(date(2020, 1, 1), date(2026, 11, 30)), st.integers(0, 25), st.data())
def test_slots_are_disjoint_inside_the_hours_and_never_on_a_day_off(
    openings: list[Opening], length: int, first: date, days: int, data: st.DataObject
):
    template, last = accepted(openings, length), first + timedelta(days=days)
    shut = {data.draw(st.dates(first, last)): Day(False, "停办")}
    known = WorkingCalendar(shut)

    planned = slots.plan_slots(template, first, last, known, slot_minutes=length)

    for earlier, later in itertools.pairwise(planned):
        assert earlier.ends_at <= later.starts_at
    for each in planned:
        start, end = each.starts_at.astimezone(clock.SHANGHAI), each.ends_at.astimezone(clock.SHANGHAI)
        weekday = 0 if known.is_working(each.day) and each.day.isoweekday() > 5 else each.day.isoweekday()
        assert start.date() == end.date() == each.day
        assert end - start == timedelta(minutes=length)
        assert any(
            row.weekday == weekday and row.opens <= f"{start:%H:%M}" and f"{end:%H:%M}" <= row.closes
            for row in template
        )
        assert each.day not in shut
        assert known.day(each.day).name is None or known.is_working(each.day)


@given(st.dates(date(2020, 1, 1), date(2026, 11, 30)))
def test_a_whole_day_of_hours_gives_slots_exactly_on_days_that_are_worked(day: date):
    planned = slots.plan_slots(every_day()[:6], day, day, PUBLISHED, slot_minutes=60)

    assert bool(planned) is PUBLISHED.is_working(day)
