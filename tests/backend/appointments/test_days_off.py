"""A day that is declared off after its slots were opened is shown to the hall until it is closed; nothing closes it."""

from __future__ import annotations

from datetime import date, timedelta

import httpx
import pytest

from backend import calendar, clock
from backend.appointments import closing, days_off, hours
from backend.appointments.hours import Opening
from backend.identity import AsOperator
from backend.identity.duties import hall_duty
from backend.regions.errors import HallNotFound
from models.appointments import ServiceLine, Slot
from models.regions import Hall
from tests.factories.appointments import a_line, a_slot, an_appointment
from tests.factories.calendar import known_years
from tests.factories.identity import a_staff, staff_headers_of

STAFF = AsOperator()


async def a_working_day() -> date:
    """The next one that is at least three days away."""
    await known_years()
    return (await calendar.load()).first_from(clock.today() + timedelta(days=3))


async def a_day(day: date, *, weekdays: tuple[int, ...] = (1, 2, 3, 4, 5)) -> tuple[ServiceLine, Slot]:
    """A line with hours on these weekdays, and its slot of the day, with two people in it."""
    line = await a_line()
    opening = {"opens": "09:00", "closes": "11:00", "capacity": 5}
    await hours.set_line_hours(STAFF, line.id, [Opening(weekday=each, **opening) for each in weekdays])  # type: ignore[arg-type]
    slot = await a_slot(5, line, starts_in=timedelta(days=(day - clock.today()).days), day=day)
    for _ in range(2):
        await an_appointment(slot)
    return line, slot


async def test_a_day_declared_off_is_shown_with_its_visits_until_it_is_closed():
    day = await a_working_day()
    line, slot = await a_day(day)
    assert await days_off.list_days_off(STAFF, slot.hall_id) == []

    await calendar.set_day(day, working=False, name="台风停工")

    [found] = await days_off.list_days_off(STAFF, slot.hall_id)
    assert (found.day, found.name, found.line_id, found.slots, found.taken) == (day, "台风停工", line.id, 1, 2)
    assert (await Slot.get(id=slot.id)).closed_at is None, "people keep their visits until the hall decides"

    await closing.close_day(STAFF, slot.hall_id, day, "台风停工")
    assert await days_off.list_days_off(STAFF, slot.hall_id) == []


async def test_a_day_that_is_taken_back_is_an_ordinary_day_again():
    day = await a_working_day()
    _, slot = await a_day(day)
    await calendar.set_day(day, working=False, name="台风停工")
    await calendar.unset_day(day)

    assert await days_off.list_days_off(STAFF, slot.hall_id) == []


async def test_a_line_that_receives_people_on_saturdays_is_not_shown_and_one_that_does_not_is():
    await known_years()
    known = await calendar.load()
    saturday = clock.today() + timedelta(days=(5 - clock.today().weekday()) % 7 + 7)
    while known.day(saturday) != calendar.Day(False, None):
        saturday += timedelta(days=7)
    _, receives = await a_day(saturday, weekdays=(6,))
    _, closed = await a_day(saturday, weekdays=(1,))

    assert await days_off.list_days_off(STAFF, receives.hall_id) == []
    assert [each.day for each in await days_off.list_days_off(STAFF, closed.hall_id)] == [saturday]


async def test_only_the_halls_own_staff_see_it(client: httpx.AsyncClient):
    day = await a_working_day()
    _, slot = await a_day(day)
    await calendar.set_day(day, working=False, name="台风停工")
    code = (await Hall.get(id=slot.hall_id)).code
    own, other = await a_staff(duties={hall_duty(code)}), await a_staff(duties={"hall:other-hall"})

    answer = await client.get(f"/v1/staff/halls/{slot.hall_id}/days-off", headers=staff_headers_of(own))

    assert [(each["day"], each["taken"]) for each in answer.json()] == [(day.isoformat(), 2)]
    with pytest.raises(HallNotFound):
        await days_off.list_days_off(other, slot.hall_id)
