"""The waiting list: one freed place, one person, one deadline; then the next."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from backend import clock
from backend.appointments import booking, cancelling, rescheduling, waiting
from backend.appointments.errors import (
    AlreadyBooked,
    AlreadyWaiting,
    AppointmentTransitionRefused,
    HoldExpired,
    ItemNotHandled,
    PlacesLeft,
    ServiceLineNotFound,
    SlotExpired,
    SlotFull,
    WaitingEntryNotFound,
)
from backend.database import execute, fetch_value
from models.appointments import Appointment, ServiceLine, Slot, WaitingEntry
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, many_people, places, somebody


async def a_full_slot(**line: Any) -> tuple[ServiceLine, Slot, Any, Any]:
    """A line, its only slot with one place, who has it, and their appointment."""
    made = await a_line(**line)
    slot, resident = await a_slot(1, made), await somebody()
    return made, slot, resident, await booking.book_place(resident, slot.id, await item_of(made))


async def state_of(entry_id: UUID) -> str:
    return (await WaitingEntry.get(id=entry_id)).state


async def test_a_freed_place_is_held_for_the_first_who_came_only():
    line, slot, owner, made = await a_full_slot(offer_minutes=30)
    item, (first, second) = await item_of(line), await many_people(2)
    one = await waiting.join_waiting_list(first, line.id, slot.day, item)
    two = await waiting.join_waiting_list(second, line.id, slot.day, item)
    assert (one.ahead, two.ahead) == (0, 1)

    await cancelling.cancel_appointment(owner, made.id)

    assert await places(slot.id) == (1, 1, 0)
    offered, still = (
        (await waiting.list_own_waiting_entries(first))[0],
        (await waiting.list_own_waiting_entries(second))[0],
    )
    assert (offered.state, still.state, still.ahead) == ("offered", "waiting", 0)
    assert offered.offer_until is not None
    assert timedelta(minutes=29) < offered.offer_until - clock.now() <= timedelta(minutes=30)
    with pytest.raises(SlotFull):
        await booking.book_place(await somebody(), slot.id, item)


async def test_an_offer_is_taken_by_confirming_it():
    line, slot, owner, made = await a_full_slot()
    resident = await somebody()
    entry = await waiting.join_waiting_list(resident, line.id, slot.day, await item_of(line))
    await cancelling.cancel_appointment(owner, made.id)
    offered = await waiting.get_own_waiting_entry(resident, entry.id)
    assert offered.appointment_id is not None

    taken = await booking.confirm_booking(resident, offered.appointment_id)

    assert taken.state == "booked"
    assert await state_of(entry.id) == "taken"
    assert await places(slot.id) == (1, 0, 1)
    assert await waiting.list_own_waiting_entries(resident) == []


async def test_a_declined_offer_goes_to_the_next_and_a_lapsed_one_to_the_one_after():
    line, slot, owner, made = await a_full_slot()
    item, people = await item_of(line), await many_people(3)
    entries = [await waiting.join_waiting_list(each, line.id, slot.day, item) for each in people]
    await cancelling.cancel_appointment(owner, made.id)
    offer = await waiting.get_own_waiting_entry(people[0], entries[0].id)
    assert offer.appointment_id is not None

    await cancelling.cancel_appointment(people[0], offer.appointment_id)
    second = await waiting.get_own_waiting_entry(people[1], entries[1].id)
    assert second.state == "offered"
    await execute("UPDATE appointments SET hold_until = now() WHERE id = $1", second.appointment_id)
    assert await cancelling.expire_holds() == 1

    assert [await state_of(each.id) for each in entries] == ["declined", "lapsed", "offered"]
    assert await places(slot.id) == (1, 1, 0)
    assert second.appointment_id is not None
    with pytest.raises(HoldExpired):
        await booking.confirm_booking(people[1], second.appointment_id)


async def test_the_order_in_which_they_came_is_the_order_in_which_they_are_asked():
    line = await a_line()
    slot = await a_slot(8, line)
    taken = [await an_appointment(slot) for _ in range(8)]
    item, people = await item_of(line), await many_people(12)
    entries = [await waiting.join_waiting_list(each, line.id, slot.day, item) for each in people]

    await asyncio.gather(*(cancelling.release_place(each.id) for each in taken))

    states = [await state_of(each.id) for each in entries]
    assert states == ["offered"] * 8 + ["waiting"] * 4
    assert await places(slot.id) == (8, 8, 0)


async def test_a_place_left_by_moving_away_is_offered_too():
    line, slot, owner, made = await a_full_slot()
    other = await a_slot(1, line, starts_in=timedelta(days=3))
    resident = await somebody()
    entry = await waiting.join_waiting_list(resident, line.id, slot.day, await item_of(line))

    await rescheduling.reschedule_appointment(owner, made.id, other.id)

    assert await state_of(entry.id) == "offered"
    assert (await places(slot.id), await places(other.id)) == ((1, 1, 0), (1, 0, 1))


async def test_an_offer_never_outlives_the_beginning_of_the_visit():
    line = await a_line(offer_minutes=600, cancel_minutes=1)
    slot, owner = await a_slot(1, line, starts_in=timedelta(minutes=20)), await somebody()
    made = await booking.book_place(owner, slot.id, await item_of(line))
    resident = await somebody()
    entry = await waiting.join_waiting_list(resident, line.id, slot.day, await item_of(line))

    await cancelling.cancel_appointment(owner, made.id)

    assert (await WaitingEntry.get(id=entry.id)).offer_until == (await fetch_value("SELECT starts_at FROM slots"))


async def test_a_resident_who_found_a_place_elsewhere_is_skipped():
    line, slot, owner, made = await a_full_slot()
    early = await a_slot(1, line, starts_in=timedelta(days=1, minutes=31))
    await execute("UPDATE slots SET day = $2 WHERE id = $1", early.id, slot.day)
    blocker = await an_appointment(await Slot.get(id=early.id))
    item, (first, second) = await item_of(line), await many_people(2)
    one = await waiting.join_waiting_list(first, line.id, slot.day, item)
    two = await waiting.join_waiting_list(second, line.id, slot.day, item)
    await execute("DELETE FROM appointments WHERE id = $1", blocker.id)
    await execute("UPDATE slots SET booked = 0 WHERE id = $1", early.id)
    await booking.book_place(first, early.id, item)

    await cancelling.cancel_appointment(owner, made.id)

    assert (await state_of(one.id), await state_of(two.id)) == ("left", "offered")


async def test_more_capacity_and_latecomers_to_the_list_are_noticed_by_the_clock():
    line, slot, *_ = await a_full_slot()
    people, item = await many_people(3), await item_of(line)
    entries = [await waiting.join_waiting_list(each, line.id, slot.day, item) for each in people]
    await execute("UPDATE slots SET capacity = 3 WHERE id = $1", slot.id)

    assert await waiting.offer_free_places() == 2

    assert [await state_of(each.id) for each in entries] == ["offered", "offered", "waiting"]
    assert await waiting.offer_free_places() == 0


async def test_there_is_no_waiting_where_there_are_places_or_nothing_is_to_come():
    line = await a_line()
    slot, item, resident = await a_slot(1, line), await item_of(line), await somebody()

    with pytest.raises(PlacesLeft):
        await waiting.join_waiting_list(resident, line.id, slot.day, item)
    with pytest.raises(SlotExpired):
        await waiting.join_waiting_list(resident, line.id, slot.day + timedelta(days=9), item)
    with pytest.raises(ItemNotHandled):
        await waiting.join_waiting_list(resident, line.id, slot.day, "nonsense")
    with pytest.raises(ServiceLineNotFound):
        await waiting.join_waiting_list(resident, slot.id, slot.day, item)


async def test_one_waits_once_and_not_for_what_one_has():
    line, slot, owner, _ = await a_full_slot()
    item, resident = await item_of(line), await somebody()
    await waiting.join_waiting_list(resident, line.id, slot.day, item)

    with pytest.raises(AlreadyWaiting):
        await waiting.join_waiting_list(resident, line.id, slot.day, item)
    with pytest.raises(AlreadyBooked):
        await waiting.join_waiting_list(owner, line.id, slot.day, item)


async def test_a_resident_who_left_is_not_asked_and_a_stranger_cannot_remove_an_entry():
    line, slot, owner, made = await a_full_slot()
    item, (first, second) = await item_of(line), await many_people(2)
    one = await waiting.join_waiting_list(first, line.id, slot.day, item)
    two = await waiting.join_waiting_list(second, line.id, slot.day, item)

    with pytest.raises(WaitingEntryNotFound):
        await waiting.leave_waiting_list(second, one.id)
    await waiting.leave_waiting_list(first, one.id)
    with pytest.raises(AppointmentTransitionRefused):
        await waiting.leave_waiting_list(first, one.id)
    await cancelling.cancel_appointment(owner, made.id)

    assert (await state_of(one.id), await state_of(two.id)) == ("left", "offered")


async def test_who_waits_for_a_day_that_is_over_is_let_go():
    line, slot, *_ = await a_full_slot()
    resident = await somebody()
    entry = await waiting.join_waiting_list(resident, line.id, slot.day, await item_of(line))
    await execute("UPDATE slots SET starts_at = now() - interval '1 minute' WHERE id = $1", slot.id)

    assert await waiting.end_past_waiting() == 1

    assert await state_of(entry.id) == "lapsed"
    assert await waiting.end_past_waiting() == 0


async def test_a_closed_slot_offers_nothing():
    line, slot, _, made = await a_full_slot()
    entry = await waiting.join_waiting_list(await somebody(), line.id, slot.day, await item_of(line))
    await execute("UPDATE slots SET closed_at = now() WHERE id = $1", slot.id)

    await cancelling.release_place(made.id)

    assert await state_of(entry.id) == "waiting"
    assert await places(slot.id) == (1, 0, 0)
    assert await Appointment.filter(state="held").count() == 0
