"""Coming to the hall: numbers without gaps, who may check in when and how, walk-ins, and the end of a day."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from backend import cache, clock
from backend.appointments import attending, calling
from backend.appointments.booking import visitor_key
from backend.appointments.errors import (
    AppointmentNotFound,
    AppointmentTransitionRefused,
    KioskAttemptLimitExceeded,
    ServiceLineNotFound,
    TooEarlyToCheckIn,
    TooLateToCheckIn,
    WalkInsFull,
)
from backend.appointments.tickets import QueueTicket
from backend.database import execute, fetch, fetch_value
from backend.identity.duties import hall_duty, kiosk_duty
from backend.identity.principals import AsOperator, AsStaff
from backend.regions.errors import HallNotFound
from backend.settings import using
from models.appointments import Appointment, AppointmentState, ServiceLine, Slot, TicketState
from models.queueing import Ticket
from models.regions import Hall
from tests.factories.appointments import a_line, a_slot, a_window, an_appointment, many_people, places, somebody

STAFF = AsOperator()
NOW = timedelta(seconds=1)
PHONE = "13800138000"


async def a_day(line: ServiceLine | None = None, starts_in: timedelta = NOW, **changes: object) -> Slot:
    """A slot of today."""
    return await a_slot(50, line, starts_in, day=clock.today(), **changes)  # type: ignore[arg-type]


def somebody_with(*duties: str) -> AsStaff:
    """A member of staff with these duties, of a department that governs nothing here."""
    return AsStaff(uuid7(), uuid7(), frozenset(duties))


async def code_of(hall_id: UUID) -> str:
    return (await Hall.get(id=hall_id)).code


# -- numbers ---------------------------------------------------------------------------------------------


async def test_a_hundred_who_check_in_at_once_get_the_numbers_from_one_to_a_hundred():
    line = await a_line()
    slots = [await a_day(line, timedelta(minutes=number)) for number in range(2)]
    visits = [await an_appointment(slots[place % 2], who) for place, who in enumerate(await many_people(100))]

    found = await asyncio.gather(*(attending.check_in(STAFF, each.id) for each in visits))

    assert sorted(each.sequence for each in found) == list(range(1, 101))
    assert {each.label for each in found} == {f"{line.code}{number:03d}" for number in range(1, 101)}


async def test_lines_of_one_hall_share_a_series_and_halls_do_not():
    line = await a_line()
    hall = await Hall.get(id=line.hall_id)  # type: ignore[attr-defined]
    other, elsewhere = await a_line(hall=hall), await a_line()

    labels = []
    for each in (line, other, elsewhere, line):
        visit = await an_appointment(await a_day(each, timedelta(seconds=1 + len(labels))))
        labels.append((await attending.check_in(STAFF, visit.id)).label)

    codes = (line.code, other.code, elsewhere.code, line.code)
    assert labels == [f"{code}{number}" for code, number in zip(codes, ("001", "002", "001", "003"), strict=True)]


async def test_a_check_in_that_fails_leaves_no_hole_in_the_series():
    line = await a_line()
    good, late = await an_appointment(await a_day(line)), await an_appointment(await a_day(line, -timedelta(hours=2)))
    code_needed = late.id

    first = await attending.check_in(STAFF, good.id)
    with pytest.raises(AppointmentTransitionRefused):
        await attending.check_in(STAFF, good.id)
    second = await attending.check_in(STAFF, code_needed)

    assert (first.sequence, second.sequence) == (1, 2)


async def test_one_visit_that_is_checked_in_by_many_at_once_gets_one_number():
    visit = await an_appointment(await a_day())

    outcomes = await asyncio.gather(*(attending.check_in(STAFF, visit.id) for _ in range(20)), return_exceptions=True)

    assert sum(isinstance(each, QueueTicket) for each in outcomes) == 1
    assert sum(isinstance(each, AppointmentTransitionRefused) for each in outcomes) == 19
    assert await Ticket.all().count() == 1
    assert (await fetch("SELECT issued FROM ticket_counters"))[0]["issued"] == 1


async def test_checking_in_keeps_the_place_counted():
    slot = await a_day()
    visit = await an_appointment(slot)

    await attending.check_in(STAFF, visit.id)

    assert await places(slot.id) == (50, 0, 1)


# -- when ------------------------------------------------------------------------------------------------


async def test_no_visitor_is_checked_in_before_the_hour_before_the_slot():
    visit = await an_appointment(await a_slot(starts_in=attending.EARLIEST + timedelta(minutes=1)))

    with pytest.raises(TooEarlyToCheckIn):
        await attending.check_in(STAFF, visit.id)


async def test_after_the_slot_only_staff_check_in_and_only_on_the_day():
    slot = await a_day(starts_in=-timedelta(minutes=40))
    visit = await an_appointment(slot, visitor_key=visitor_key("002X", PHONE))
    old = await an_appointment(await a_slot(starts_in=-timedelta(days=2)))

    with pytest.raises(TooLateToCheckIn):
        await attending.check_in_by_identity(STAFF, slot.hall_id, "002X", PHONE)
    with pytest.raises(TooLateToCheckIn):
        await attending.check_in(STAFF, old.id)

    assert (await attending.check_in(STAFF, visit.id)).sequence == 1


# -- by what one knows -----------------------------------------------------------------------------------


async def test_the_kiosk_knows_a_visit_by_the_four_characters_and_the_phone_together():
    slot = await a_day()
    visit = await an_appointment(slot, visitor_key=visitor_key("002X", PHONE))
    elsewhere = await a_day()

    for hall_id, four, phone in (
        (slot.hall_id, "0021", PHONE),
        (slot.hall_id, "002X", "13800138001"),
        (elsewhere.hall_id, "002X", PHONE),
    ):
        with pytest.raises(AppointmentNotFound):
            await attending.check_in_by_identity(STAFF, hall_id, four, phone)
    found = await attending.check_in_by_identity(STAFF, slot.hall_id, "002x", PHONE)

    assert found.appointment_id == visit.id


async def test_of_two_visits_the_one_that_comes_next_is_checked_in():
    line = await a_line(items=2)
    late, soon = await a_day(line, timedelta(minutes=20)), await a_day(line)
    key = visitor_key("002X", PHONE)
    await an_appointment(late, visitor_key=key)
    first = await an_appointment(soon, visitor_key=key)

    found = await attending.check_in_by_identity(STAFF, soon.hall_id, "002X", PHONE)

    assert found.appointment_id == first.id


async def test_trying_the_four_characters_ends_after_a_few_tries_even_with_the_right_ones():
    slot = await a_day()
    await an_appointment(slot, visitor_key=visitor_key("002X", PHONE))
    allowed = attending.TRIES[0][0]

    for number in range(allowed):
        with pytest.raises(AppointmentNotFound):
            await attending.check_in_by_identity(STAFF, slot.hall_id, f"{number:04d}", PHONE)
    with pytest.raises(KioskAttemptLimitExceeded) as caught:
        await attending.check_in_by_identity(STAFF, slot.hall_id, "002X", PHONE)

    assert caught.value.retry_after


async def test_without_a_counter_no_attempt_is_allowed(monkeypatch: pytest.MonkeyPatch):
    slot = await a_day()

    async def down(*_: object) -> None:
        raise cache.CacheDown(retry_after=2)

    monkeypatch.setattr(cache, "count_within", down)

    with pytest.raises(cache.CacheDown):
        await attending.check_in_by_identity(STAFF, slot.hall_id, "002X", PHONE)


# -- who -------------------------------------------------------------------------------------------------


async def test_a_kiosk_checks_in_at_its_hall_and_may_do_nothing_else():
    slot = await a_day(walk_in_quota=5)
    visit = await an_appointment(slot, visitor_key=visitor_key("002X", PHONE))
    kiosk = somebody_with(kiosk_duty(await code_of(slot.hall_id)))
    window = await a_window(await ServiceLine.get(id=slot.line_id))  # type: ignore[attr-defined]

    await attending.check_in_by_identity(kiosk, slot.hall_id, "002X", PHONE)
    found = await attending.walk_in(kiosk, slot.hall_id, slot.line_id)  # type: ignore[attr-defined]

    with pytest.raises(AppointmentNotFound):
        await attending.check_in(kiosk, visit.id)
    with pytest.raises(calling.WindowNotFound):
        await calling.call_next(kiosk, window.id)
    with pytest.raises(calling.TicketNotFound):
        await calling.miss_ticket(kiosk, found.id)


@pytest.mark.parametrize("duties", [(), ("cases.read",), ("kiosk:other-hall",), ("hall:other-hall",)])
async def test_for_everybody_else_the_hall_does_not_exist(duties: tuple[str, ...]):
    slot = await a_day(walk_in_quota=5)
    stranger = somebody_with(*duties)

    with pytest.raises(HallNotFound):
        await attending.check_in_by_code(stranger, slot.hall_id, "ZB1.X")
    with pytest.raises(HallNotFound):
        await attending.check_in_by_identity(stranger, slot.hall_id, "002X", PHONE)
    with pytest.raises(HallNotFound):
        await attending.walk_in(stranger, slot.hall_id, slot.line_id)  # type: ignore[attr-defined]


async def test_staff_who_run_the_hall_may_also_use_the_kiosk():
    slot = await a_day(walk_in_quota=1)
    clerk = somebody_with(hall_duty(await code_of(slot.hall_id)))

    assert await attending.walk_in(clerk, slot.hall_id, slot.line_id)  # type: ignore[attr-defined]


# -- without an appointment ------------------------------------------------------------------------------


async def test_forty_who_walk_in_at_once_get_the_seven_places_that_are_kept_for_them():
    line = await a_line()
    first, second = await a_day(line, walk_in_quota=3), await a_day(line, timedelta(minutes=31), walk_in_quota=4)
    await a_day(line, timedelta(minutes=70), walk_in_quota=9, closed_at=clock.now(), closed_because="停电")
    hall_id: UUID = line.hall_id  # type: ignore[attr-defined]

    outcomes = await asyncio.gather(
        *(attending.walk_in(STAFF, hall_id, line.id) for _ in range(40)), return_exceptions=True
    )

    got = [each for each in outcomes if isinstance(each, QueueTicket)]
    assert len(got) == 7
    assert all(isinstance(each, QueueTicket | WalkInsFull) for each in outcomes)
    assert sorted(each.sequence for each in got) == list(range(1, 8))
    assert [(await Slot.get(id=each.id)).walk_ins for each in (first, second)] == [3, 4]
    assert await places(first.id) == (50, 0, 0), "booked places are not touched"


async def test_a_walk_in_from_a_later_slot_overtakes_no_earlier_booking():
    line = await a_line()
    await a_day(line, -timedelta(minutes=1), walk_in_quota=1)
    later = await a_day(line, timedelta(minutes=31), walk_in_quota=1)
    hall_id: UUID = line.hall_id  # type: ignore[attr-defined]

    now, then = [await attending.walk_in(STAFF, hall_id, line.id) for _ in range(2)]

    assert now.wanted_at < later.starts_at
    assert then.wanted_at == (await Slot.get(id=later.id)).starts_at
    assert then.appointment_id is None


async def test_a_line_of_another_hall_or_one_that_is_shut_gives_no_number():
    line, other = await a_line(active=False), await a_line()
    await a_day(line, walk_in_quota=5)

    for line_id in (line.id, other.id, uuid7()):
        with pytest.raises(ServiceLineNotFound):
            await attending.walk_in(STAFF, line.hall_id, line_id)  # type: ignore[attr-defined]


# -- the end of the day ----------------------------------------------------------------------------------


async def test_a_visitor_who_came_and_was_not_served_is_missed_without_a_strike():
    line = await a_line()
    window = await a_window(line)
    slot = await a_day(line)
    waiting, called, served = [await an_appointment(slot, each) for each in await many_people(3)]
    untouched = await an_appointment(slot, await somebody())
    for each in (called, served, waiting):
        await attending.check_in(STAFF, each.id)
    await calling.serve_ticket(STAFF, (await calling.call_next(STAFF, window.id)).id)
    await calling.call_next(STAFF, window.id)
    await execute("UPDATE appointments SET day = day - 1")

    closed = await attending.end_past_visits()

    states = {each.id: each.state for each in await Appointment.all()}
    assert closed == 2
    assert states[waiting.id] is AppointmentState.MISSED
    assert {states[called.id], states[served.id]} == {AppointmentState.SERVED}
    assert states[untouched.id] is AppointmentState.BOOKED
    assert await fetch_value("SELECT count(*) FROM strikes") == 0
    assert await Ticket.filter(state=TicketState.CALLED).count() == 0
    assert await places(slot.id) == (50, 0, 3)
    assert await attending.end_past_visits() == 0


async def test_a_visitor_who_was_called_and_never_came_to_the_window_counts_as_a_no_show():
    line = await a_line()
    window = await a_window(line)
    slot = await a_day(line)
    gone, back = [await an_appointment(slot, each) for each in await many_people(2)]
    for each in (gone, back):
        await attending.check_in(STAFF, each.id)
    for _ in range(2):
        await calling.miss_ticket(STAFF, (await calling.call_next(STAFF, window.id)).id)
    assert await fetch_value("SELECT count(*) FROM strikes") == 0, "they may still come back today"
    again = await fetch_value("SELECT id FROM tickets WHERE appointment_id = $1", back.id)
    await calling.rejoin_queue(STAFF, again)
    await execute("UPDATE appointments SET day = day - 1")

    assert await attending.end_past_visits() == 2
    assert await attending.end_past_visits() == 0

    strikes = await fetch("SELECT appointment_id, kind FROM strikes")
    assert [(each["appointment_id"], each["kind"]) for each in strikes] == [(gone.id, "no-show")]


async def test_the_kiosk_finds_a_visit_that_was_booked_before_the_keys_changed():
    slot = await a_day()
    with using(fingerprint_keys=f"a1:{'11' * 32}"):
        visit = await an_appointment(slot, visitor_key=visitor_key("002X", PHONE))

    with using(fingerprint_keys=f"b2:{'22' * 32}"), pytest.raises(AppointmentNotFound):
        await attending.check_in_by_identity(STAFF, slot.hall_id, "002X", PHONE)
    with using(fingerprint_keys=f"b2:{'22' * 32},a1:{'11' * 32}"):
        found = await attending.check_in_by_identity(STAFF, slot.hall_id, "002X", PHONE)

    assert found.appointment_id == visit.id
