"""Strikes: given once, counted by the line's rule, taken back by staff who did not give them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from backend import clock
from backend.appointments import booking, missing, strikes
from backend.appointments.errors import (
    BookingBlocked,
    OwnStrikeDecisionRefused,
    StrikeAlreadyAppealed,
    StrikeAppealNotPending,
    StrikeNotFound,
)
from backend.appointments.lifecycle import Transition
from backend.appointments.places import apply_transition, lock_booking
from backend.appointments.strikes import Kind
from backend.database import transaction
from backend.events import acting_as
from backend.identity.principals import AsOperator, AsResident, AsStaff
from backend.jobs import drain, enqueue
from backend.paging import CursorInvalid
from backend.regions.errors import HallNotFound
from models.appointments import Appointment, ServiceLine, Strike
from models.appointments import AppointmentState as S
from models.events import EventRecord
from models.regions import Hall
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, places, somebody

OPERATOR = AsOperator()
DAY = timedelta(days=1)


async def a_strike(
    who: AsResident, line: ServiceLine, kind: Kind = "no-show", *, ago: timedelta = timedelta(0)
) -> UUID:
    """A strike that was given so long ago, for a visit of its own."""
    visit = await an_appointment(await a_slot(1, line), who, S.MISSED)
    with clock.travel(by=-ago):
        async with transaction():
            given = await strikes.give_strike(visit.id, kind)
    assert given is not None
    return given


async def staff_of(line: ServiceLine) -> AsStaff:
    hall: Hall = await line.hall
    return AsStaff(uuid4(), uuid4(), frozenset({f"hall:{hall.code}"}))


def hall_of(line: ServiceLine) -> UUID:
    return line.hall_id  # type: ignore[attr-defined, no-any-return]


async def test_a_visit_counts_once():
    visit = await an_appointment(state=S.MISSED)

    async with transaction():
        first = await strikes.give_strike(visit.id, "no-show")
        second = await strikes.give_strike(visit.id, "late-cancel")

    assert first is not None
    assert second is None
    assert await Strike.all().count() == 1
    assert await EventRecord.filter(name="strike.given", subject_id=first).count() == 1


async def test_as_many_as_the_line_allows_have_no_consequence_and_one_more_blocks():
    line, who = await a_line(strikes_allowed=2, strike_days=90, block_days=30), await somebody()

    for _ in range(2):
        await a_strike(who, line)
    allowed = await strikes.blocked_until(who.id, line.id)
    await a_strike(who, line, "late-cancel")
    until = await strikes.blocked_until(who.id, line.id)

    assert allowed is None
    assert until is not None
    assert 30 * DAY - timedelta(minutes=1) < until - clock.now() <= 30 * DAY


async def test_a_blocked_resident_cannot_book_on_this_line_but_on_another():
    line, other, who = await a_line(strikes_allowed=0), await a_line(), await somebody()
    await a_strike(who, line)
    slot, elsewhere = await a_slot(3, line), await a_slot(3, other)

    with pytest.raises(BookingBlocked):
        await booking.book_place(who, slot.id, await item_of(line))
    with pytest.raises(BookingBlocked) as refused:
        await strikes.refuse_blocked(who.id, line.id)
    made = await booking.book_place(who, elsewhere.id, await item_of(other))

    assert made.state == "booked"
    assert isinstance(refused.value.facts["until"], datetime)


async def test_the_block_ends_by_itself_and_old_strikes_do_not_count():
    line, who = await a_line(strikes_allowed=1, strike_days=10, block_days=5), await somebody()
    for ago in (20, 9.9, 6):  # the last two lie within ten days of each other: blocked until a day ago
        await a_strike(who, line, ago=ago * DAY)

    now = await strikes.blocked_until(who.id, line.id)
    with clock.travel(by=-2 * DAY):
        then = await strikes.blocked_until(who.id, line.id)

    assert now is None
    assert then is not None


async def test_the_longest_of_several_blocks_holds():
    line, who = await a_line(strikes_allowed=0, block_days=30), await somebody()
    for ago in (25, 3, 12):
        await a_strike(who, line, ago=ago * DAY)

    until = await strikes.blocked_until(who.id, line.id)

    assert until is not None
    assert 26 * DAY < until - clock.now() < 28 * DAY


async def test_a_waived_strike_never_counted():
    line, who = await a_line(strikes_allowed=1), await somebody()
    first, _ = await a_strike(who, line), await a_strike(who, line)
    blocked = await strikes.blocked_until(who.id, line.id)

    await strikes.decide_appeal(await staff_of(line), first, waive=True)

    assert blocked is not None
    assert await strikes.blocked_until(who.id, line.id) is None
    assert await EventRecord.filter(name="strike.decided", subject_id=first).count() == 1


# -- appeals ----------------------------------------------------------------------------------------


async def test_an_appeal_is_sealed_read_in_the_hall_and_answered():
    line, who = await a_line(strikes_allowed=0), await somebody()
    strike = await a_strike(who, line)
    staff = await staff_of(line)

    await strikes.appeal_strike(who, strike, "当天住院")
    heard, _ = await strikes.list_appeals(staff, hall_of(line))
    [mine], _ = await strikes.list_own_strikes(who)
    await strikes.decide_appeal(staff, strike, waive=False)
    [after], _ = await strikes.list_own_strikes(who)

    assert [(each.id, each.appeal) for each in heard] == [(strike, "当天住院")]
    assert (mine.standing, mine.appeal, mine.kind_name) == ("appealed", "当天住院", "未按时到场")
    assert after.standing == "upheld"
    assert after.blocked_until is not None
    row = await Strike.get(id=strike)
    assert row.appeal is not None
    assert "住院" not in row.appeal
    assert row.decided_by == staff.id
    assert (await strikes.list_appeals(staff, hall_of(line)))[0] == []


async def test_one_appeals_once_and_only_for_oneself():
    line, who = await a_line(), await somebody()
    strike, decided = await a_strike(who, line), await a_strike(who, line)
    await strikes.decide_appeal(await staff_of(line), decided, waive=True)
    await strikes.appeal_strike(who, strike, "当天住院")

    with pytest.raises(StrikeAlreadyAppealed):
        await strikes.appeal_strike(who, strike, "再说一次")
    with pytest.raises(StrikeAlreadyAppealed):
        await strikes.appeal_strike(who, decided, "已经撤销")
    with pytest.raises(StrikeNotFound):
        await strikes.appeal_strike(await somebody(), strike, "别人的")
    with pytest.raises(StrikeNotFound):
        await strikes.appeal_strike(who, uuid4(), "没有的")
    assert await EventRecord.filter(name="strike.appealed").count() == 1


async def test_staff_who_gave_the_strike_do_not_decide_on_it():
    line, who = await a_line(), await somebody()
    staff, colleague = await staff_of(line), await staff_of(line)
    with acting_as("staff", staff.id):
        strike = await a_strike(who, line)
    await strikes.appeal_strike(who, strike, "排队时听不到叫号")

    with pytest.raises(OwnStrikeDecisionRefused):
        await strikes.decide_appeal(staff, strike, waive=True)
    [heard], _ = await strikes.list_appeals(colleague, hall_of(line))
    await strikes.decide_appeal(colleague, strike, waive=True)

    assert heard.given_by == staff.id
    assert (await Strike.get(id=strike)).waived_at is not None


async def test_a_decision_is_made_once_and_only_on_an_appeal_can_one_be_turned_down():
    line, who = await a_line(), await somebody()
    strike, staff = await a_strike(who, line), await staff_of(line)

    with pytest.raises(StrikeAppealNotPending):
        await strikes.decide_appeal(staff, strike, waive=False)
    outcomes = await asyncio.gather(
        *(strikes.decide_appeal(staff, strike, waive=True) for _ in range(5)), return_exceptions=True
    )

    assert sum(each is None for each in outcomes) == 1
    assert sum(isinstance(each, StrikeAppealNotPending) for each in outcomes) == 4


async def test_staff_of_another_hall_see_and_decide_nothing():
    line, who = await a_line(), await somebody()
    strike, stranger = await a_strike(who, line), await staff_of(await a_line())

    with pytest.raises(StrikeNotFound):
        await strikes.decide_appeal(stranger, strike, waive=True)
    with pytest.raises(HallNotFound):
        await strikes.list_appeals(stranger, hall_of(line))


async def test_lists_come_in_pages_that_hold_everything_once():
    line, who = await a_line(), await somebody()
    given = [await a_strike(who, line, ago=timedelta(hours=9 - n)) for n in range(5)]
    for each in given:
        await strikes.appeal_strike(who, each, "申诉")
    staff = await staff_of(line)

    first, cursor = await strikes.list_own_strikes(who, limit=3)
    rest, end = await strikes.list_own_strikes(who, limit=3, cursor=cursor)
    heard, more = await strikes.list_appeals(staff, hall_of(line), limit=4)
    last, _ = await strikes.list_appeals(staff, hall_of(line), limit=4, cursor=more)

    assert [each.id for each in (*first, *rest)] == given[::-1]
    assert [each.id for each in (*heard, *last)] == given
    assert end is None
    with pytest.raises(CursorInvalid):
        await strikes.list_own_strikes(await somebody(), cursor=cursor)


# -- no-shows -----------------------------------------------------------------------------


async def test_the_day_after_a_no_show_is_marked_and_gets_a_strike():
    line = await a_line()
    slot = await a_slot(3, line, -DAY)
    absent, served = await an_appointment(slot), await an_appointment(slot, state=S.SERVED)
    today = await an_appointment(await a_slot(1, line, timedelta(minutes=-1)))

    with clock.travel(to=clock.now()):
        marked = await missing.mark_missed_visits(slot.day + DAY)
        again = await missing.mark_missed_visits(slot.day + DAY)

    assert (marked, again) == (1, 0)
    assert [(await Appointment.get(id=each.id)).state for each in (absent, served, today)] == [
        S.MISSED,
        S.SERVED,
        S.BOOKED,
    ]
    strike = await Strike.get()
    assert (strike.appointment_id, strike.kind, strike.given_by) == (absent.id, "no-show", None)  # type: ignore[attr-defined]
    assert await EventRecord.filter(name="appointment.missed", subject_id=absent.id).count() == 1
    assert await places(slot.id) == (3, 0, 1)


async def test_no_resident_is_blamed_for_a_slot_that_the_hall_closed():
    visit = await an_appointment(await a_slot(1, starts_in=-DAY, closed_at=clock.now()))

    assert await missing.mark_missed_visits() == 0
    assert (await Appointment.get(id=visit.id)).state is S.BOOKED


async def test_two_workers_and_late_check_ins_leave_each_visit_in_one_state_with_at_most_one_strike():
    line = await a_line()
    slot = await a_slot(30, line, -DAY)
    visits = [await an_appointment(slot) for _ in range(30)]

    async def check_in(visit: Appointment) -> bool:
        async with transaction():
            found = await lock_booking(visit.id)
            if found.state is not S.BOOKED:
                return False
            await apply_transition(found, Transition.CHECK_IN)
        return True

    outcomes = await asyncio.gather(
        missing.mark_missed_visits(), missing.mark_missed_visits(), *(check_in(each) for each in visits[::-3])
    )

    came = sum(each is True for each in outcomes[2:])
    assert await Appointment.filter(state=S.CHECKED_IN).count() == came
    assert await Appointment.filter(state=S.MISSED).count() == 30 - came == await Strike.all().count()
    assert outcomes[0] + outcomes[1] == 30 - came
    assert (await places(slot.id))[2] == came


@pytest.mark.usefixtures("delivered")
async def test_the_night_job_marks_them():
    visit = await an_appointment(await a_slot(1, starts_in=-DAY))
    async with transaction():
        await enqueue("appointments.mark-missed", {})

    await drain()

    assert (await Appointment.get(id=visit.id)).state is S.MISSED
