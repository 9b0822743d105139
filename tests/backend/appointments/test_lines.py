"""A hall sets what residents queue for, when and at which windows; and only staff who run the hall do."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from backend.appointments import duty, hours, lines, windows
from backend.appointments.errors import (
    ItemOnOtherLine,
    LineExists,
    ServiceLineInvalid,
    ServiceLineNotFound,
    SlotNotFound,
)
from backend.appointments.hours import Opening
from backend.appointments.lines import LineRules
from backend.identity import staff as staff_accounts
from backend.identity.duties import check_duties, hall_duty
from backend.identity.errors import DutyInvalid
from backend.identity.principals import AsOperator, AsStaff
from backend.regions.errors import HallNotFound
from models.appointments import Admission
from models.events import EventRecord
from models.regions import Hall
from tests.factories.appointments import a_line, a_slot, an_item, items_of
from tests.factories.regions import a_department, a_hall, a_region

OPERATOR = AsOperator()


def opening(**changes: Any) -> Opening:
    return Opening(**{"weekday": 1, "opens": "09:00", "closes": "12:00", "capacity": 5, **changes})


async def runner_of(hall: Hall) -> AsStaff:
    return AsStaff(uuid4(), uuid4(), frozenset({hall_duty(hall.code)}))


# -- who runs a hall --------------------------------------------------------------------------------


async def test_a_halls_own_duty_opens_that_hall_and_no_other():
    hall, other = await a_hall(), await a_hall()
    staff = await runner_of(hall)

    assert await duty.authorize_hall(staff, hall.id) == hall.id
    assert await duty.halls_in_charge(staff) == [hall.id]
    with pytest.raises(HallNotFound):
        await duty.authorize_hall(staff, other.id)


async def test_managing_halls_reaches_the_departments_region_and_below_but_not_above():
    county = await a_region()
    city = await county.parent
    below, same = await a_hall(region=county), await a_hall(region=city)
    elsewhere = await a_hall(region=await a_region())
    of_city, of_county = await a_department(region=city), await a_department(region=county)
    chief = AsStaff(uuid4(), of_city.id, frozenset({"halls.manage"}))
    local = AsStaff(uuid4(), of_county.id, frozenset({"halls.manage"}))

    assert set(await duty.halls_in_charge(chief)) == {below.id, same.id, elsewhere.id}
    assert await duty.halls_in_charge(local) == [below.id]
    with pytest.raises(HallNotFound):
        await duty.authorize_hall(local, same.id)


async def test_without_a_duty_no_hall_no_line_and_no_slot_exists():
    line = await a_line()
    slot, nobody = await a_slot(line=line), AsStaff(uuid4(), uuid4(), frozenset({"cases.handle"}))

    assert await duty.halls_in_charge(nobody) == []
    with pytest.raises(HallNotFound):
        await duty.authorize_hall(nobody, line.hall_id)  # type: ignore[attr-defined]
    with pytest.raises(ServiceLineNotFound):
        await lines.get_line(nobody, line.id)
    with pytest.raises(SlotNotFound):
        await duty.authorize_slot(nobody, slot.id)


def test_the_duty_of_a_hall_is_a_duty_and_what_only_looks_like_one_is_not():
    assert check_duties(["hall:city-hall", "halls.manage"]) == ["hall:city-hall", "halls.manage"]
    for wrong in ("hall:", "hall:City", "hall:a b", "halls:city-hall", "hall:" + "x" * 41, "hall:-x"):
        with pytest.raises(DutyInvalid):
            check_duties([wrong])


async def test_the_duty_of_a_hall_is_granted_like_any_other():
    department = await a_department()
    made = await staff_accounts.enrol_staff(
        OPERATOR,
        login="window3",
        name="窗口三",
        department_id=department.id,
        duties=["hall:city-hall"],
        password="Correct-Horse-42",
    )

    assert made.staff_id


# -- lines ------------------------------------------------------------------------------------------


async def test_a_line_is_defined_with_its_rules_and_changed_whole():
    hall = await a_hall()
    staff = await runner_of(hall)
    rules = LineRules(code="A", name="综合业务", release_time="07:45", admission=Admission.DRAW, strikes_allowed=1)

    made = await lines.define_line(staff, hall.id, rules)
    changed = await lines.update_line(staff, made.id, structs.replace(rules, name="综合窗口", release_days=3))

    assert made.rules == rules
    assert (changed.id, changed.rules.name, changed.rules.release_days, changed.rules.release_time) == (
        made.id,
        "综合窗口",
        3,
        "07:45",
    )
    assert await lines.list_lines(staff, hall.id) == [changed]
    assert await EventRecord.filter(name="line.changed", subject_id=made.id).count() == 2


async def test_a_letter_belongs_to_one_line_of_a_hall_even_when_two_ask_at_once():
    hall, other = await a_hall(), await a_hall()
    rules = LineRules(code="A", name="综合业务")

    outcomes = await asyncio.gather(
        *(lines.define_line(OPERATOR, hall.id, rules) for _ in range(5)), return_exceptions=True
    )
    second = await lines.define_line(OPERATOR, hall.id, structs.replace(rules, code="B"))
    await lines.define_line(OPERATOR, other.id, rules)

    assert sum(isinstance(each, lines.LineDetail) for each in outcomes) == 1
    assert sum(isinstance(each, LineExists) for each in outcomes) == 4
    with pytest.raises(LineExists):
        await lines.update_line(OPERATOR, second.id, rules)


async def test_items_are_set_whole_and_belong_to_one_line_of_a_hall():
    one = await a_line(items=0)
    other = await a_line(hall=await one.hall, items=1)
    first, second = await an_item(), await an_item()

    await lines.set_line_items(OPERATOR, one.id, [first.code, second.code])
    after = await lines.set_line_items(OPERATOR, one.id, [second.code, second.code])
    with pytest.raises(ItemOnOtherLine) as taken:
        await lines.set_line_items(OPERATOR, one.id, [first.code, *await items_of(other)])
    with pytest.raises(ServiceLineInvalid) as faulty:
        await lines.set_line_items(OPERATOR, one.id, [first.code, "nonsense"])

    assert after.item_codes == [second.code] == await items_of(one)
    assert taken.value.facts["item_codes"] == await items_of(other)
    assert [each.pointer for each in faulty.value.fields] == ["/item_codes/1"]


# -- hours ------------------------------------------------------------------------------------------


async def test_hours_are_replaced_whole():
    line = await a_line()
    await hours.set_line_hours(OPERATOR, line.id, [opening(), opening(opens="13:30", closes="17:00", walk_ins=2)])

    after = await hours.set_line_hours(OPERATOR, line.id, [opening(weekday=0), opening(weekday=6)])

    assert after == await hours.list_line_hours(OPERATOR, line.id) == [opening(weekday=0), opening(weekday=6)]
    assert await EventRecord.filter(name="line.changed", subject_id=line.id).count() == 2


@pytest.mark.parametrize(
    ("openings", "pointers"),
    [
        ([opening(opens="12:00", closes="09:00")], ["/hours/0/closes"]),
        ([opening(opens="09:00", closes="09:00")], ["/hours/0/closes"]),
        ([opening(opens="09:00", closes="09:20")], ["/hours/0/closes"]),
        ([opening(), opening(opens="11:30", closes="13:00")], ["/hours/1/opens"]),
        ([opening(), opening()], ["/hours/1/opens"]),
        ([opening(weekday=2), opening(), opening(opens="10:00", closes="11:00")], ["/hours/2/opens"]),
    ],
)
async def test_hours_that_cannot_be_are_pointed_to(openings: list[Opening], pointers: list[str]):
    line = await a_line(slot_minutes=30)

    with pytest.raises(ServiceLineInvalid) as refused:
        await hours.set_line_hours(OPERATOR, line.id, openings)

    assert [each.pointer for each in refused.value.fields] == pointers
    assert await hours.list_line_hours(OPERATOR, line.id) == []


async def test_stretches_that_touch_do_not_overlap():
    line = await a_line()

    after = await hours.set_line_hours(OPERATOR, line.id, [opening(), opening(opens="12:00", closes="13:00")])

    assert len(after) == 2


async def test_lines_hours_and_items_of_another_hall_do_not_exist():
    line, stranger = await a_line(), await runner_of(await a_hall())
    rules = LineRules(code="A", name="综合业务")

    for attempt in (
        lines.get_line(stranger, line.id),
        lines.update_line(stranger, line.id, rules),
        lines.set_line_items(stranger, line.id, []),
        hours.list_line_hours(stranger, line.id),
        hours.set_line_hours(stranger, line.id, []),
        lines.get_line(OPERATOR, uuid4()),
    ):
        with pytest.raises(ServiceLineNotFound):
            await attempt


# -- windows ----------------------------------------------------------------------------------------


async def test_a_window_is_made_once_and_changed_by_its_number():
    line = await a_line()
    hall_id: UUID = line.hall_id  # type: ignore[attr-defined]
    second = await a_line(hall=await line.hall)

    made = await windows.set_window(OPERATOR, hall_id, "3", line_ids=[line.id, line.id], open=True)
    changed = await windows.set_window(OPERATOR, hall_id, "3", line_ids=[second.id], open=False)
    await windows.set_window(OPERATOR, hall_id, "12", line_ids=[], open=True)

    assert (made.id, made.line_ids) == (changed.id, [line.id])
    seen = await windows.list_windows(OPERATOR, hall_id)
    assert [(each.number, each.line_ids, each.open) for each in seen] == [("3", [second.id], False), ("12", [], True)]
    assert await EventRecord.filter(name="window.changed", subject_id=made.id).count() == 2


async def test_a_window_serves_only_lines_of_its_hall():
    line, foreign = await a_line(), await a_line()
    hall_id: UUID = line.hall_id  # type: ignore[attr-defined]

    with pytest.raises(ServiceLineInvalid) as refused:
        await windows.set_window(OPERATOR, hall_id, "1", line_ids=[line.id, foreign.id], open=True)

    assert [each.pointer for each in refused.value.fields] == ["/line_ids/1"]
    assert await windows.list_windows(OPERATOR, hall_id) == []
