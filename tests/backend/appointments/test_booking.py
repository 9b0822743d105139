"""Booking: a place is given once, holds end, limits hold, and a lost tap changes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from backend import clock
from backend.appointments import booking, cancelling
from backend.appointments.booking import Visitor
from backend.appointments.errors import (
    AlreadyBooked,
    AppointmentLimitExceeded,
    AppointmentNotFound,
    AppointmentTransitionRefused,
    BookingBlocked,
    HoldExpired,
    ItemNotHandled,
    PersonNotFound,
    SlotAllocatedByDraw,
    SlotClosed,
    SlotExpired,
    SlotFull,
    SlotNotFound,
    SlotNotReleased,
)
from backend.appointments.places import NUMBER, Booking
from backend.crypto import open_sealed
from backend.database import execute, fetch_row, fetch_value
from models.appointments import Appointment, AppointmentState
from tests.factories.appointments import (
    a_line,
    a_slot,
    an_appointment,
    item_of,
    items_of,
    many_people,
    places,
    somebody,
)


async def outcomes_of(*work: Any) -> Counter[str]:
    """How often each outcome came, by the name of its class."""
    results = await asyncio.gather(*work, return_exceptions=True)
    return Counter(type(each).__name__ for each in results)


async def test_a_booking_takes_one_place_and_leaves_a_fact_and_a_job():
    line = await a_line()
    slot = await a_slot(3, line)
    resident = await somebody()

    made = await booking.book_place(resident, slot.id, await item_of(line))

    assert (made.state, made.slot_id, made.person_id) == ("booked", slot.id, resident.id)
    assert await places(slot.id) == (3, 0, 1)
    fact = await fetch_row("SELECT subject_id, payload::text FROM events WHERE name = 'appointment.booked'")
    assert fact is not None
    assert fact["subject_id"] == made.id
    assert await fetch_value("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'events.dispatch'") == 1


async def test_four_hundred_people_buy_exactly_fifty_places():
    line = await a_line()
    slot = await a_slot(50, line)
    item, crowd = await item_of(line), await many_people(400)

    outcomes: Counter[str] = Counter()
    for start in range(0, 400, 100):  # the pool refuses a queue that is too long, and that is not what is tested
        outcomes += await outcomes_of(*(booking.book_place(each, slot.id, item) for each in crowd[start : start + 100]))

    assert outcomes == {"Booking": 50, "SlotFull": 350}
    assert await places(slot.id) == (50, 0, 50)
    assert await Appointment.filter(slot_id=slot.id, state="booked").count() == 50
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'appointment.booked'") == 50


async def test_numbers_say_the_day_and_nothing_else_and_never_repeat():
    line = await a_line()
    slot = await a_slot(60, line)
    item = await item_of(line)

    made = [await booking.book_place(each, slot.id, item) for each in await many_people(60)]

    numbers = {each.number for each in made}
    assert len(numbers) == 60
    import re

    assert all(re.fullmatch(NUMBER, each) and each.startswith(f"{slot.day:%y%m%d}-") for each in numbers)


async def test_slots_that_are_over_closed_or_not_released_are_refused_each_in_its_words():
    line = await a_line()
    item, resident = await item_of(line), await somebody()
    refused = {
        SlotExpired: await a_slot(3, line, starts_in=timedelta(minutes=-1)),
        SlotClosed: await a_slot(3, line, starts_in=timedelta(hours=20), closed_at=clock.now()),
        SlotNotReleased: await a_slot(
            3, line, starts_in=timedelta(hours=21), release_at=clock.now() + timedelta(hours=1)
        ),
    }

    for trouble, slot in refused.items():
        with pytest.raises(trouble):
            await booking.book_place(resident, slot.id, item)
        assert await places(slot.id) == (3, 0, 0)
    with pytest.raises(SlotNotFound):
        await booking.book_place(resident, uuid7(), item)


async def test_an_item_of_another_hall_and_an_unknown_item_are_refused_alike():
    line, other = await a_line(), await a_line()
    slot, resident = await a_slot(3, line), await somebody()

    for item in (await item_of(other), "nonsense"):
        with pytest.raises(ItemNotHandled):
            await booking.book_place(resident, slot.id, item)

    assert await places(slot.id) == (3, 0, 0)


async def test_the_database_decides_what_time_it_is():
    line = await a_line()
    slot = await a_slot(3, line, starts_in=timedelta(hours=2))
    item = await item_of(line)

    with clock.travel(by=timedelta(hours=5)):
        made = await booking.book_place(await somebody(), slot.id, item)

    assert made.state == "booked"


async def test_one_active_booking_per_person_item_and_day_and_another_after_it_was_cancelled():
    line = await a_line()
    morning, noon = await a_slot(3, line), await a_slot(3, line, starts_in=timedelta(days=1, minutes=40))
    noon_day = await fetch_value("UPDATE slots SET day = $2 WHERE id = $1 RETURNING day", noon.id, morning.day)
    assert noon_day == morning.day
    item, resident = await item_of(line), await somebody()
    first = await booking.book_place(resident, morning.id, item)

    with pytest.raises(AlreadyBooked):
        await booking.book_place(resident, noon.id, item)
    await cancelling.cancel_appointment(resident, first.id)
    second = await booking.book_place(resident, noon.id, item)

    assert second.number != first.number
    assert await places(morning.id) == (3, 0, 0)
    assert await places(noon.id) == (3, 0, 1)


async def test_twenty_taps_of_one_person_are_one_booking():
    line = await a_line(person_limit=2)
    slot, resident, item = await a_slot(30, line), await somebody(), await item_of(line)

    outcomes = await outcomes_of(*(booking.book_place(resident, slot.id, item) for _ in range(20)))

    assert outcomes == {"Booking": 1, "AlreadyBooked": 19}
    assert await places(slot.id) == (30, 0, 1)


async def test_taps_in_many_slots_at_once_never_pass_the_limit_of_the_line():
    line = await a_line(person_limit=2)
    slots = [await a_slot(3, line, starts_in=timedelta(days=n)) for n in range(1, 9)]
    resident, item = await somebody(), await item_of(line)

    outcomes = await outcomes_of(*(booking.book_place(resident, slot.id, item) for slot in slots))

    assert outcomes == {"Booking": 2, "AppointmentLimitExceeded": 6}
    assert sum([(await places(slot.id))[2] for slot in slots]) == 2


async def test_two_items_of_one_line_may_be_booked_on_one_day():
    line = await a_line(items=2)
    slot, resident = await a_slot(3, line), await somebody()

    for item in await items_of(line):
        await booking.book_place(resident, slot.id, item)

    assert await places(slot.id) == (3, 0, 2)


async def test_no_resident_books_for_a_person_they_may_not_act_for():
    line = await a_line()
    slot, stranger, me = await a_slot(3, line), await somebody(), await somebody()

    for person in (stranger.id, uuid4()):
        with pytest.raises(PersonNotFound):
            await booking.book_place(me, slot.id, await item_of(line), person_id=person)
    made = await booking.book_place(me, slot.id, await item_of(line), person_id=me.id)

    assert made.person_id == me.id


async def test_a_line_with_a_draw_is_not_booked_before_it_was_drawn():
    line = await a_line(admission="draw")
    slot = await a_slot(3, line)

    with pytest.raises(SlotAllocatedByDraw):
        await booking.book_place(await somebody(), slot.id, await item_of(line))


async def test_a_resident_who_missed_too_often_is_blocked_until_a_day_that_is_named():
    line = await a_line(strikes_allowed=0)
    slot, resident = await a_slot(3, line), await somebody()
    missed = await an_appointment(await a_slot(3, line, starts_in=timedelta(days=-1)), resident)
    await execute(
        "INSERT INTO strikes (id, created_at, person_id, line_id, appointment_id, kind) "
        "VALUES ($1, now(), $2, $3, $4, 'no-show')",
        uuid7(),
        resident.id,
        line.id,
        missed.id,
    )

    with pytest.raises(BookingBlocked) as refused:
        await booking.book_place(resident, slot.id, await item_of(line))

    assert refused.value.facts["until"]


async def test_the_visitor_is_sealed_and_found_by_what_they_type():
    line = await a_line()
    slot = await a_slot(3, line)
    visitor = Visitor(name="田秀英", id_last_four="002x", phone="13800138000")

    made = await booking.book_place(await somebody(), slot.id, await item_of(line), visitor=visitor)

    row = await fetch_row("SELECT visitor_name, visitor_key FROM appointments WHERE id = $1", made.id)
    assert row is not None
    assert "田秀英" not in row["visitor_name"]
    assert open_sealed(row["visitor_name"], where="appointments.visitor_name", row=made.id) == "田秀英"
    assert row["visitor_key"] == booking.visitor_key("002X", "13800138000")


# -- holds ------------------------------------------------------------------------------------------------------


async def held(**line: Any) -> tuple[Any, Booking, UUID]:
    """A resident who holds the only place of a slot."""
    made_line = await a_line(**line)
    slot, resident = await a_slot(1, made_line), await somebody()
    return resident, await booking.hold_place(resident, slot.id, await item_of(made_line)), slot.id


async def run_out(appointment_id: UUID) -> None:
    await execute("UPDATE appointments SET hold_until = now() - interval '1 second' WHERE id = $1", appointment_id)


async def test_a_held_place_is_for_its_resident_only_until_it_is_confirmed_or_runs_out():
    resident, kept, slot_id = await held(hold_seconds=90)
    item = await fetch_value("SELECT code FROM service_items WHERE id = $1", kept.item_id)
    assert kept.hold_until is not None
    assert timedelta(seconds=80) < kept.hold_until - clock.now() <= timedelta(seconds=91)

    with pytest.raises(SlotFull):
        await booking.book_place(await somebody(), slot_id, item)
    assert await cancelling.expire_holds() == 0
    confirmed = await booking.confirm_booking(resident, kept.id)

    assert (confirmed.state, confirmed.hold_until) == ("booked", None)
    assert await places(slot_id) == (1, 0, 1)


async def test_a_hold_that_ran_out_cannot_be_confirmed_even_before_anybody_noticed():
    resident, kept, slot_id = await held()
    await run_out(kept.id)

    with pytest.raises(HoldExpired):
        await booking.confirm_booking(resident, kept.id)
    assert await places(slot_id) == (1, 1, 0)
    assert await cancelling.expire_holds() == 1
    with pytest.raises(HoldExpired):
        await booking.confirm_booking(resident, kept.id)

    assert await places(slot_id) == (1, 0, 0)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'appointment.expired'") == 1


@pytest.mark.parametrize("late_by", [0.0, 0.01, 0.03, 0.06])
async def test_a_late_expiry_against_a_confirmation_ends_in_exactly_one_of_the_two(late_by: float):
    for _ in range(8):
        resident, kept, slot_id = await held()
        await execute(
            "UPDATE appointments SET hold_until = clock_timestamp() + interval '30 ms' WHERE id = $1", kept.id
        )
        await asyncio.sleep(late_by)

        results = await asyncio.gather(
            booking.confirm_booking(resident, kept.id),
            *(cancelling.expire_holds() for _ in range(4)),
            return_exceptions=True,
        )
        await asyncio.sleep(0.05)
        later = await cancelling.expire_holds()

        expired = later + sum(each for each in results[1:] if isinstance(each, int))
        confirmed = isinstance(results[0], Booking)
        assert confirmed + expired == 1
        assert isinstance(results[0], Booking | HoldExpired)
        assert await places(slot_id) == (1, 0, int(confirmed))
        row = await Appointment.get(id=kept.id)
        assert row.state == (AppointmentState.BOOKED if confirmed else AppointmentState.EXPIRED)


async def test_a_second_confirmation_is_a_wrong_move_and_a_strangers_finds_nothing():
    resident, kept, _ = await held()

    with pytest.raises(AppointmentNotFound):
        await booking.confirm_booking(await somebody(), kept.id)
    await booking.confirm_booking(resident, kept.id)
    with pytest.raises(AppointmentTransitionRefused):
        await booking.confirm_booking(resident, kept.id)


async def test_the_limit_counts_what_is_held():
    line = await a_line(person_limit=1)
    one, two = await a_slot(3, line), await a_slot(3, line, starts_in=timedelta(days=3))
    resident, item = await somebody(), await item_of(line)
    await booking.hold_place(resident, one.id, item)

    with pytest.raises(AppointmentLimitExceeded):
        await booking.book_place(resident, two.id, item)
