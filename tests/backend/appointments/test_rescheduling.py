"""Moving an appointment: both places change or neither does, in circles and crowds too."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from backend import clock
from backend.appointments import booking, rescheduling
from backend.appointments.errors import (
    AlreadyBooked,
    AppointmentNotFound,
    AppointmentTransitionRefused,
    OtherLine,
    SlotClosed,
    SlotExpired,
    SlotFull,
    SlotNotFound,
    SlotNotReleased,
    TooLateToChange,
)
from backend.database import fetch_value
from models.appointments import Appointment, AppointmentState, ServiceLine, Slot
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, many_people, places, somebody


async def days(line: ServiceLine, number: int, capacity: int = 1) -> list[Slot]:
    """Slots of one line on as many days."""
    return [await a_slot(capacity, line, starts_in=timedelta(days=n + 1)) for n in range(number)]


async def test_an_appointment_moves_with_its_place_its_day_and_its_number():
    line = await a_line()
    old, new = await days(line, 2)
    resident = await somebody()
    made = await booking.book_place(resident, old.id, await item_of(line))

    moved = await rescheduling.reschedule_appointment(resident, made.id, new.id)

    assert (moved.id, moved.slot_id, moved.day) == (made.id, new.id, new.day)
    assert moved.number.startswith(f"{new.day:%y%m%d}-")
    assert (await places(old.id), await places(new.id)) == ((1, 0, 0), (1, 0, 1))
    row = await Appointment.get(id=made.id)
    assert (row.number, row.day) == (moved.number, new.day)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'appointment.rescheduled'") == 1


async def test_moving_to_where_it_is_changes_nothing():
    line = await a_line()
    (slot,) = await days(line, 1)
    resident = await somebody()
    made = await booking.book_place(resident, slot.id, await item_of(line))

    assert await rescheduling.reschedule_appointment(resident, made.id, slot.id) == made

    assert await places(slot.id) == (1, 0, 1)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'appointment.rescheduled'") == 0


async def test_what_stands_against_the_new_slot_leaves_the_old_one_as_it_was():
    line, other = await a_line(), await a_line()
    slot = await a_slot(1, line)
    resident = await somebody()
    made = await booking.book_place(resident, slot.id, await item_of(line))
    soon = clock.now() + timedelta(hours=1)
    full = await a_slot(1, line, starts_in=timedelta(days=2))
    await an_appointment(full)
    refused = {
        SlotFull: full,
        SlotClosed: await a_slot(1, line, starts_in=timedelta(days=3), closed_at=clock.now()),
        SlotExpired: await a_slot(1, line, starts_in=timedelta(minutes=-5)),
        SlotNotReleased: await a_slot(1, line, starts_in=timedelta(days=4), release_at=soon),
        OtherLine: await a_slot(1, other),
    }

    for trouble, target in refused.items():
        before = await places(target.id)
        with pytest.raises(trouble):
            await rescheduling.reschedule_appointment(resident, made.id, target.id)
        assert await places(target.id) == before
    with pytest.raises(SlotNotFound):
        await rescheduling.reschedule_appointment(resident, made.id, uuid7())

    assert await places(slot.id) == (1, 0, 1)
    assert (await Appointment.get(id=made.id)).number == made.number


async def test_after_the_cut_off_it_stays_where_it_is():
    line = await a_line(cancel_minutes=120)
    soon, later = await a_slot(1, line, starts_in=timedelta(minutes=119)), await a_slot(1, line)
    resident = await somebody()
    made = await booking.book_place(resident, soon.id, await item_of(line))

    with pytest.raises(TooLateToChange):
        await rescheduling.reschedule_appointment(resident, made.id, later.id)


async def test_a_strangers_appointment_and_one_that_does_not_exist_are_the_same():
    slot = await a_slot()
    theirs = await an_appointment(slot)

    for appointment_id in (theirs.id, uuid7()):
        with pytest.raises(AppointmentNotFound):
            await rescheduling.reschedule_appointment(await somebody(), appointment_id, slot.id)


@pytest.mark.parametrize("state", [AppointmentState.HELD, AppointmentState.CHECKED_IN, AppointmentState.CANCELLED])
async def test_only_what_is_booked_moves(state: AppointmentState):
    line = await a_line()
    old, new = await days(line, 2)
    resident = await somebody()
    made = await an_appointment(old, resident, state)

    with pytest.raises(AppointmentTransitionRefused):
        await rescheduling.reschedule_appointment(resident, made.id, new.id)

    assert await places(new.id) == (1, 0, 0)


async def test_moving_onto_a_day_with_the_same_item_booked_is_refused_whole():
    line = await a_line()
    first, second = await days(line, 2, capacity=5)
    resident, item = await somebody(), await item_of(line)
    made = await booking.book_place(resident, first.id, item)
    await booking.book_place(resident, second.id, item)

    with pytest.raises(AlreadyBooked):
        await rescheduling.reschedule_appointment(resident, made.id, second.id)

    assert (await places(first.id), await places(second.id)) == ((5, 0, 1), (5, 0, 1))


async def test_a_circle_of_full_slots_moves_and_blocks_no_resident():
    line = await a_line()
    ring = await days(line, 3)
    people, item = await many_people(3), await item_of(line)
    made = [await booking.book_place(who, slot.id, item) for who, slot in zip(people, ring, strict=True)]

    for _ in range(15):
        results = await asyncio.gather(
            *(rescheduling.reschedule_appointment(people[n], made[n].id, ring[(n + 1) % 3].id) for n in range(3)),
            return_exceptions=True,
        )
        assert [type(each) for each in results] == [SlotFull] * 3

    assert [await places(slot.id) for slot in ring] == [(1, 0, 1)] * 3


async def test_a_circle_with_one_free_place_turns_without_a_deadlock_and_keeps_everybody():
    line = await a_line()
    ring = await days(line, 4)
    people, item = await many_people(3), await item_of(line)
    made = [await booking.book_place(who, slot.id, item) for who, slot in zip(people, ring[:3], strict=True)]
    chance = random.Random(5)
    seen: Counter[str] = Counter()

    async def wander(n: int) -> None:
        for _ in range(40):
            try:
                await rescheduling.reschedule_appointment(people[n], made[n].id, chance.choice(ring).id)
                seen["moved"] += 1
            except SlotFull:
                seen["full"] += 1

    await asyncio.gather(*(wander(n) for n in range(3)))

    assert seen["moved"] > 10
    assert sum([(await places(slot.id))[2] for slot in ring]) == 3
    rows: list[Any] = await Appointment.filter(line_id=line.id, state="booked")
    assert len({row.slot_id for row in rows}) == 3
