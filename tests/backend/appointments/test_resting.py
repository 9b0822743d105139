"""A place that comes back to a full slot cannot be handed over: it rests for a random time, and is never
lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from backend.appointments import booking, cancelling, closing, rescheduling, resident_views, resting, slots, waiting
from backend.appointments.errors import CapacityTaken, SlotFull
from backend.database import execute, fetch, fetch_value, transaction
from backend.identity import AsOperator
from backend.invariants import check
from backend.settings import using
from models.appointments import AppointmentState
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, places, somebody


@pytest.fixture(autouse=True)
def _rests() -> Iterator[None]:
    resident_views.clear_availability()
    with using(freed_place_min_seconds=60.0, freed_place_max_seconds=600.0):
        yield
    resident_views.clear_availability()


async def until_awake() -> int:
    """The rest of every place is over."""
    await execute("UPDATE resting_places SET free_at = now()")
    return await resting.release_rested_places()


async def invariant() -> str:
    return next(each.status for each in await check() if each.id == "I-5")


async def test_a_cancelled_place_of_a_full_slot_cannot_be_taken_before_its_rest_is_over():
    line = await a_line()
    slot, item = await a_slot(1, line), await item_of(line)
    seller, buyer = await somebody(), await somebody()
    made = await booking.book_place(seller, slot.id, item)

    await cancelling.cancel_appointment(seller, made.id)

    assert await places(slot.id) == (1, 1, 0)
    assert await invariant() == "holds"
    with pytest.raises(SlotFull):
        await booking.book_place(buyer, slot.id, item)
    [seen] = (await resident_views.get_availability(slot.hall_id, item, slot.day)).slots
    assert (seen.free, seen.state) == (0, "full")
    assert await resting.release_rested_places() == 0

    assert await until_awake() == 1

    assert await places(slot.id) == (1, 0, 0)
    assert (await booking.book_place(buyer, slot.id, item)).state is AppointmentState.BOOKED
    assert await invariant() == "holds"


async def test_how_long_is_drawn_by_lot_within_the_limits():
    line = await a_line()
    slot = await a_slot(20, line, starts_in=timedelta(days=3))
    people = [await somebody() for _ in range(20)]
    visits = [await an_appointment(slot, each) for each in people]

    for who, visit in zip(people, visits, strict=True):
        await cancelling.cancel_appointment(who, visit.id)

    rows = await fetch("SELECT extract(epoch FROM free_at - created_at)::float8 AS seconds FROM resting_places")
    assert len(rows) == 20
    assert all(60 <= row["seconds"] <= 600 for row in rows)
    assert len({round(row["seconds"], 3) for row in rows}) > 15
    assert await places(slot.id) == (20, 20, 0)
    assert await until_awake() == 20
    assert await places(slot.id) == (20, 0, 0)


async def test_shortly_before_the_visit_it_rests_for_a_tenth_of_what_is_left():
    line = await a_line(cancel_minutes=0)
    slot = await a_slot(1, line, starts_in=timedelta(minutes=5))
    who = await somebody()
    visit = await an_appointment(slot, who)

    await cancelling.cancel_appointment(who, visit.id)

    seconds = await fetch_value("SELECT extract(epoch FROM free_at - created_at)::float8 FROM resting_places")
    assert 25 <= seconds <= 30


async def test_holds_that_are_left_and_places_that_are_moved_away_from_rest_too():
    line = await a_line()
    first, second = await a_slot(1, line), await a_slot(2, line, starts_in=timedelta(days=2))
    item = await item_of(line)
    held = await booking.hold_place(await somebody(), first.id, item)
    await execute("UPDATE appointments SET hold_until = now() - interval '1 second' WHERE id = $1", held.id)
    assert await cancelling.expire_holds() == 1
    assert await places(first.id) == (1, 1, 0)
    await until_awake()
    mover = await somebody()
    made = await booking.book_place(mover, first.id, item)

    await rescheduling.reschedule_appointment(mover, made.id, second.id)

    assert (await places(first.id), await places(second.id)) == ((1, 1, 0), (2, 0, 1))


async def test_the_first_on_the_list_gets_it_at_once_and_one_who_joins_while_it_rests_is_the_first():
    line = await a_line()
    slot, item = await a_slot(1, line), await item_of(line)
    first, second = await somebody(), await somebody()
    visit = await an_appointment(slot)
    await waiting.join_waiting_list(first, line.id, slot.day, item)
    async with transaction():
        await cancelling.release_place(visit.id)
    assert [each.state for each in await waiting.list_own_waiting_entries(first)] == ["offered"]
    assert await fetch_value("SELECT count(*) FROM resting_places") == 0

    [offer] = await waiting.list_own_waiting_entries(first)
    assert offer.appointment_id is not None
    await cancelling.cancel_appointment(first, offer.appointment_id)
    assert await places(slot.id) == (1, 1, 0)
    joined = await waiting.join_waiting_list(second, line.id, slot.day, item)
    await until_awake()

    assert (await waiting.get_own_waiting_entry(second, joined.id)).state == "offered"
    assert await places(slot.id) == (1, 1, 0)
    assert await invariant() == "holds"


async def test_where_there_are_others_left_and_where_the_setting_says_so_nothing_rests():
    line = await a_line()
    wide, narrow, item = await a_slot(2, line), await a_slot(1, line, starts_in=timedelta(days=2)), await item_of(line)
    who = await somebody()
    one = await booking.book_place(who, wide.id, item)
    await cancelling.cancel_appointment(who, one.id)
    assert await places(wide.id) == (2, 0, 0)

    other = await booking.book_place(who, narrow.id, item)
    with using(freed_place_max_seconds=0.0):
        await cancelling.cancel_appointment(who, other.id)

    assert await places(narrow.id) == (1, 0, 0)


async def test_a_hall_that_needs_fewer_places_takes_the_resting_ones_and_not_those_of_people():
    line = await a_line()
    slot = await a_slot(2, line)
    who = await somebody()
    visit = await an_appointment(slot, who)
    await an_appointment(slot)
    await cancelling.cancel_appointment(who, visit.id)
    assert await places(slot.id) == (2, 1, 1)

    with pytest.raises(CapacityTaken):
        await slots.set_slot_capacity(AsOperator(), slot.id, 0)
    assert await places(slot.id) == (2, 1, 1)
    set_to = await slots.set_slot_capacity(AsOperator(), slot.id, 1)

    assert (set_to.capacity, set_to.taken) == (1, 1)
    assert await places(slot.id) == (1, 0, 1)
    assert await fetch_value("SELECT count(*) FROM resting_places") == 0


async def test_a_slot_that_is_closed_while_a_place_rests_comes_out_even():
    line = await a_line()
    slot = await a_slot(1, line)
    who = await somebody()
    visit = await an_appointment(slot, who)
    await cancelling.cancel_appointment(who, visit.id)

    await closing.close_slot(AsOperator(), slot.id, "停电")
    await until_awake()

    assert await places(slot.id) == (1, 0, 0)
    assert await invariant() == "holds"


async def test_two_workers_wake_a_place_once():
    line = await a_line()
    slot = await a_slot(3, line)
    people = [await somebody() for _ in range(3)]
    for who in people:
        visit = await an_appointment(slot, who)
        if who is people[-1]:
            await cancelling.cancel_appointment(who, visit.id)
    await execute("UPDATE resting_places SET free_at = now()")

    woken = await asyncio.gather(*(resting.release_rested_places() for _ in range(4)))

    assert sum(woken) == 1
    assert await places(slot.id) == (3, 0, 2)


async def test_a_place_whose_row_is_lost_is_noticed():
    line = await a_line()
    slot = await a_slot(1, line)
    who = await somebody()
    visit = await an_appointment(slot, who)
    await cancelling.cancel_appointment(who, visit.id)

    await execute("DELETE FROM resting_places")

    assert await invariant() == "violated"
