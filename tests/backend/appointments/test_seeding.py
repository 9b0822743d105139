"""The sample halls: the same lines and slots on every machine, and every item that names a hall has its line there."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from backend import catalogue, clock
from backend.appointments import seeding
from backend.appointments.hours import Stretch
from backend.catalogue.seeding import stable_id
from backend.database import fetch, fetch_value
from backend.events import acting_as
from models.appointments import LineItem, ServiceLine, Slot, Window

TUESDAY = datetime(2026, 3, 3, 1, tzinfo=clock.SHANGHAI)


@pytest.fixture
async def seeded() -> int:
    with acting_as("operator", "seed"), clock.travel(to=TUESDAY):
        await catalogue.seed()
        return await seeding.seed()


async def test_seeding_again_adds_nothing_and_a_day_later_one_day(seeded: int):
    with acting_as("operator", "seed"):
        with clock.travel(to=TUESDAY):
            again = await seeding.seed()
        with clock.travel(to=TUESDAY + timedelta(days=1)):
            later = await seeding.seed()

    assert seeded > 1000
    assert again == 0
    assert 0 < later < seeded / 5
    assert await ServiceLine.all().count() == len(seeding.LINES)
    assert await Window.all().count() == sum(map(len, seeding.WINDOWS.values()))


async def test_every_slot_has_the_id_that_its_line_and_start_give(seeded: int):
    line = seeding.line_id("city-hall", "A")
    nine = datetime(2026, 3, 9, 9, tzinfo=clock.SHANGHAI)
    stretch = Stretch(day=nine.date(), starts_at=nine, ends_at=nine, capacity=0, walk_ins=0)

    slot = await Slot.get(line_id=line, starts_at=nine)

    assert slot.id == seeding.slot_id(line, stretch) == stable_id("slot", f"{line}/2026-03-09T09:00:00+08:00")
    assert (slot.capacity, slot.walk_in_quota) == (8, 2)


async def test_every_item_that_names_a_hall_has_its_line_there(seeded: int):
    wanted = await fetch_value(
        "SELECT count(*) FROM item_versions v, jsonb_array_elements_text(v.guide -> 'hall_ids') "
        "WHERE v.state = 'published'"
    )

    assert await LineItem.all().count() == wanted


async def test_every_hall_has_slots_and_every_line_a_window(seeded: int):
    halls = await fetch(
        "SELECT h.code, count(s.id) AS slots FROM halls h LEFT JOIN slots s ON s.hall_id = h.id GROUP BY 1"
    )
    served = await fetch("SELECT unnest(line_ids) AS line FROM windows")

    assert len(halls) == 6
    assert all(each["slots"] > 0 for each in halls)
    assert {each["line"] for each in served} == {seeding.line_id(each.hall, each.code) for each in seeding.LINES}


async def test_halls_that_work_on_saturdays_have_slots_on_saturdays(seeded: int):
    saturday = await fetch(
        "SELECT DISTINCT h.code FROM slots s JOIN halls h ON h.id = s.hall_id WHERE s.day = '2026-03-07' ORDER BY 1"
    )

    assert [each["code"] for each in saturday] == ["city-hall", "exit-entry-hall"]
