"""Giving a place back: in time, late, by the hall; and never twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from backend.appointments import booking, cancelling
from backend.appointments.errors import AppointmentNotFound, AppointmentTransitionRefused, SlotExpired
from backend.appointments.lifecycle import Transition
from backend.appointments.places import Booking
from backend.database import execute, fetch_row, fetch_value, transaction
from models.appointments import Appointment, AppointmentState, Strike
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, places, somebody


async def test_a_cancelled_place_is_free_again_and_the_fact_says_who_and_when():
    line = await a_line(cancel_minutes=120)
    slot, resident = await a_slot(1, line, starts_in=timedelta(minutes=121)), await somebody()
    made = await booking.book_place(resident, slot.id, await item_of(line))

    await cancelling.cancel_appointment(resident, made.id)

    assert await places(slot.id) == (1, 0, 0)
    fact = await fetch_row(
        "SELECT payload::json->>'by' AS by, (payload::json->>'late')::bool AS late FROM events "
        "WHERE name = 'appointment.cancelled'"
    )
    assert fact is not None
    assert (fact["by"], bool(fact["late"])) == ("resident", False)
    assert await Strike.all().count() == 0


async def test_after_the_cut_off_the_place_is_free_and_a_strike_is_given():
    line = await a_line(cancel_minutes=120)
    slot, resident = await a_slot(1, line, starts_in=timedelta(minutes=119)), await somebody()
    made = await booking.book_place(resident, slot.id, await item_of(line))

    await cancelling.cancel_appointment(resident, made.id)

    assert await places(slot.id) == (1, 0, 0)
    strike = await Strike.get(appointment_id=made.id)
    assert (strike.kind, strike.person_id) == ("late-cancel", resident.id)


async def test_giving_up_a_hold_is_never_a_strike():
    line = await a_line(cancel_minutes=120)
    slot, resident = await a_slot(1, line, starts_in=timedelta(minutes=60)), await somebody()
    made = await booking.hold_place(resident, slot.id, await item_of(line))

    await cancelling.cancel_appointment(resident, made.id)

    assert await places(slot.id) == (1, 0, 0)
    assert await Strike.all().count() == 0


async def test_a_visit_that_has_begun_is_not_cancelled():
    slot, resident = await a_slot(1, starts_in=timedelta(minutes=-1)), await somebody()
    made = await an_appointment(slot, resident)

    with pytest.raises(SlotExpired):
        await cancelling.cancel_appointment(resident, made.id)

    assert await places(slot.id) == (1, 0, 1)


async def test_ten_cancellations_at_once_give_back_one_place():
    line = await a_line()
    slot, resident = await a_slot(5, line), await somebody()
    await an_appointment(slot)
    made = await booking.book_place(resident, slot.id, await item_of(line))

    results = await asyncio.gather(
        *(cancelling.cancel_appointment(resident, made.id) for _ in range(10)), return_exceptions=True
    )

    assert sum(isinstance(each, Booking) for each in results) == 1
    assert sum(isinstance(each, AppointmentTransitionRefused) for each in results) == 9
    assert await places(slot.id) == (5, 0, 1)


async def test_a_strangers_appointment_cannot_be_cancelled_and_is_not_even_there():
    slot = await a_slot()
    theirs = await an_appointment(slot)

    for appointment_id in (theirs.id, uuid7()):
        with pytest.raises(AppointmentNotFound):
            await cancelling.cancel_appointment(await somebody(), appointment_id)

    assert await places(slot.id) == (3, 0, 1)


@pytest.mark.parametrize(
    ("state", "move", "ends"),
    [
        (AppointmentState.BOOKED, Transition.CANCEL, AppointmentState.CANCELLED),
        (AppointmentState.HELD, Transition.CANCEL, AppointmentState.CANCELLED),
        (AppointmentState.HELD, Transition.EXPIRE, AppointmentState.EXPIRED),
        (AppointmentState.BOOKED, Transition.MISS, AppointmentState.MISSED),
        (AppointmentState.CHECKED_IN, Transition.MISS, AppointmentState.MISSED),
    ],
)
async def test_every_end_of_an_appointment_gives_one_place_back(
    state: AppointmentState, move: Transition, ends: AppointmentState
):
    slot = await a_slot(4)
    await an_appointment(slot)
    made = await an_appointment(slot, state=state)

    async with transaction():
        before = await cancelling.release_place(made.id, move)

    assert before.state == state
    assert await places(slot.id) == (4, 0, 1)
    assert (await Appointment.get(id=made.id)).state == ends


async def test_expiring_ends_what_is_due_and_nothing_else():
    slot = await a_slot(5)
    due = [await an_appointment(slot, state=AppointmentState.HELD) for _ in range(2)]
    await an_appointment(slot, state=AppointmentState.HELD)
    await execute("UPDATE appointments SET hold_until = now() WHERE id = ANY($1)", [each.id for each in due])

    assert await cancelling.expire_holds() == 2

    assert await places(slot.id) == (5, 1, 0)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'appointment.expired'") == 2
