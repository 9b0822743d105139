"""A hall closes a slot or a day: all are notified, and residents with a booking are offered the nearest free slot."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from backend import clock
from backend.appointments import booking, cancelling, closing, waiting
from backend.appointments.booking import SEALED_IN, Visitor
from backend.appointments.errors import ServiceLineNotFound, SlotClosed, SlotExpired, SlotFull, SlotNotFound, SlotOpen
from backend.crypto import open_sealed
from backend.database import execute
from backend.identity.principals import AsOperator, AsResident, AsStaff
from backend.jobs import drain
from backend.regions.errors import HallNotFound
from backend.settings import using
from models.appointments import Admission, Appointment, Draw, ServiceLine, Slot, WaitingEntry
from models.appointments import AppointmentState as S
from models.events import EventRecord
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, many_people, places, somebody

OPERATOR = AsOperator()
DAY = timedelta(days=1)


async def facts(name: str, **about: Any) -> list[dict[str, Any]]:
    """What events of this name said, the oldest first."""
    rows = await EventRecord.filter(name=name, **about).order_by("id")
    return [row.payload if isinstance(row.payload, dict) else msgspec.json.decode(row.payload) for row in rows]


async def held_by(resident: AsResident) -> Appointment | None:
    return await Appointment.get_or_none(resident_id=resident.id, state=S.HELD)


def hall_of(line: ServiceLine) -> UUID:
    return line.hall_id  # type: ignore[attr-defined, no-any-return]


async def test_a_booked_resident_gets_the_reason_and_holds_the_nearest_free_slot():
    line = await a_line()
    slot = await a_slot(3, line, 5 * DAY)
    far, near, full = await a_slot(3, line, 9 * DAY), await a_slot(3, line, 6 * DAY), await a_slot(0, line, 5.5 * DAY)
    owner = await somebody()
    lost = await an_appointment(slot, owner)

    with using(replacement_hours=24):
        done = await closing.close_slot(OPERATOR, slot.id, "系统升级")

    assert (done.cancelled, done.offered) == (1, 1)
    assert await places(slot.id) == (3, 0, 0)
    assert (await Appointment.get(id=lost.id)).state is S.CANCELLED
    given = await held_by(owner)
    assert given is not None
    assert given.hold_until is not None
    assert (given.slot_id, given.day, given.line_id) == (near.id, near.day, line.id)  # type: ignore[attr-defined]
    assert timedelta(hours=23) < given.hold_until - clock.now() <= timedelta(hours=24)
    assert (await places(near.id), await places(far.id), await places(full.id)) == ((3, 1, 0), (3, 0, 0), (0, 0, 0))
    [cancelled] = await facts("appointment.cancelled", subject_id=lost.id)
    assert (cancelled["by"], cancelled["because"], cancelled["late"]) == ("hall", "系统升级", False)
    [offer] = await facts("waiting.offered")
    assert (offer["appointment_id"], offer["slot_id"]) == (str(given.id), str(near.id))
    [closed] = await facts("slot.closed", subject_id=slot.id)
    assert (closed["because"], closed["cancelled"]) == ("系统升级", 1)


async def test_the_offer_is_taken_by_confirming_and_lapses_by_itself():
    line = await a_line()
    slot, other = await a_slot(2, line), await a_slot(2, line, 2 * DAY)
    takes, leaves = await many_people(2)
    for each in (takes, leaves):
        await an_appointment(slot, each)
    await closing.close_slot(OPERATOR, slot.id, "停电")
    taken, left = await held_by(takes), await held_by(leaves)
    assert taken is not None
    assert left is not None

    await booking.confirm_booking(takes, taken.id)
    await execute("UPDATE appointments SET hold_until = now() - interval '1 second' WHERE id = $1", left.id)
    await cancelling.expire_holds()

    assert await places(other.id) == (2, 0, 1)
    assert {each.state for each in await WaitingEntry.all()} == {"taken", "lapsed"}


async def test_no_more_is_offered_than_there_is():
    line = await a_line()
    slot, other = await a_slot(5, line), await a_slot(2, line, 2 * DAY)
    for each in await many_people(5):
        await an_appointment(slot, each)

    done = await closing.close_slot(OPERATOR, slot.id, "停电")

    assert (done.cancelled, done.offered) == (5, 2)
    assert await places(other.id) == (2, 2, 0)


@pytest.mark.parametrize("why", ["unreleased", "closed", "begun", "of another line"])
async def test_a_slot_that_cannot_be_booked_is_not_offered(why: str):
    line = await a_line()
    slot = await a_slot(1, line)
    await an_appointment(slot)
    changes: dict[str, dict[str, Any]] = {
        "unreleased": {"release_at": clock.now() + DAY},
        "closed": {"closed_at": clock.now()},
        "begun": {"starts_in": timedelta(minutes=-5)},
        "of another line": {"line": await a_line()},
    }
    await a_slot(1, **{"line": line, "starts_in": 2 * DAY, **changes[why]})

    done = await closing.close_slot(OPERATOR, slot.id, "停电")

    assert (done.cancelled, done.offered) == (1, 0)
    assert await Appointment.filter(state=S.HELD).count() == 0


async def test_places_of_a_draw_that_is_not_held_yet_are_not_offered():
    line = await a_line(admission=Admission.DRAW)
    slot, other = await a_slot(1, line), await a_slot(1, line, 2 * DAY)
    await an_appointment(slot)
    draw = await Draw.create(
        line=line, day=other.day, opens_at=clock.now(), closes_at=clock.now(), seed="0" * 64, seed_digest="1" * 64
    )
    await closing.close_slot(OPERATOR, slot.id, "停电")
    before = await places(other.id)
    await closing.reopen_slot(OPERATOR, slot.id)
    await an_appointment(slot)
    await Draw.filter(id=draw.id).update(drawn_at=clock.now())

    done = await closing.close_slot(OPERATOR, slot.id, "停电")

    assert (before, done.offered) == ((1, 0, 0), 1)


async def test_a_resident_with_a_visit_for_the_same_item_that_day_gets_one_on_another_day():
    line = await a_line()
    slot, same_day, later = await a_slot(1, line), await a_slot(3, line, 2 * DAY), await a_slot(3, line, 3 * DAY)
    owner = await somebody()
    await an_appointment(slot, owner)
    await an_appointment(same_day, owner)

    await closing.close_slot(OPERATOR, slot.id, "停电")

    given = await held_by(owner)
    assert given is not None
    assert given.slot_id == later.id  # type: ignore[attr-defined]


async def test_a_resident_who_waits_for_that_day_gets_the_place_as_the_one_they_waited_for():
    line = await a_line()
    item = await item_of(line)
    slot, full = await a_slot(1, line), await a_slot(1, line, 2 * DAY)
    owner, blocker = await many_people(2)
    await an_appointment(slot, owner)
    blocking = await an_appointment(full, blocker)
    entry = await waiting.join_waiting_list(owner, line.id, full.day, item)
    await Appointment.filter(id=blocking.id).update(state=S.CANCELLED)
    await Slot.filter(id=full.id).update(booked=0)

    await closing.close_slot(OPERATOR, slot.id, "停电")

    now = await WaitingEntry.get(id=entry.id)
    given = await held_by(owner)
    assert given is not None
    assert (now.state, now.appointment_id) == ("offered", given.id)
    assert await WaitingEntry.all().count() == 1


async def test_a_holder_chooses_again_and_an_offer_of_the_list_is_followed_by_another_while_the_wait_goes_on():
    line = await a_line()
    item = await item_of(line)
    slot, other = await a_slot(2, line), await a_slot(5, line, 2 * DAY)
    fills_in = await somebody()
    await booking.hold_place(fills_in, slot.id, item)
    leaver, waits = await many_people(2)
    leaving = await booking.book_place(leaver, slot.id, item)
    entry = await waiting.join_waiting_list(waits, line.id, slot.day, item)
    await cancelling.cancel_appointment(leaver, leaving.id)
    assert (await waiting.get_own_waiting_entry(waits, entry.id)).state == "offered"

    done = await closing.close_slot(OPERATOR, slot.id, "停电")

    assert (done.cancelled, done.offered) == (2, 1)
    assert (await places(slot.id), await places(other.id)) == ((2, 0, 0), (5, 1, 0))
    assert await held_by(waits) is not None
    assert (await waiting.get_own_waiting_entry(waits, entry.id)).state == "waiting"
    assert await held_by(fills_in) is None


async def test_visitors_in_the_hall_are_served():
    slot = await a_slot(2)
    here = await an_appointment(slot, state=S.CHECKED_IN)

    done = await closing.close_slot(OPERATOR, slot.id, "停电")

    assert done.cancelled == 0
    assert (await Appointment.get(id=here.id)).state is S.CHECKED_IN
    assert await places(slot.id) == (2, 0, 1)


async def test_the_name_for_the_window_and_the_key_of_the_kiosk_go_along():
    line = await a_line()
    slot, _ = await a_slot(1, line), await a_slot(1, line, 2 * DAY)
    owner = await somebody()
    visitor = Visitor(name="田秀英", id_last_four="123X", phone="13800000000")
    made = await booking.book_place(owner, slot.id, await item_of(line), visitor=visitor)
    before = await Appointment.get(id=made.id)

    await closing.close_slot(OPERATOR, slot.id, "停电")

    given = await held_by(owner)
    assert given is not None
    assert given.visitor_name is not None
    assert open_sealed(given.visitor_name, where=SEALED_IN, row=given.id) == "田秀英"
    assert given.visitor_key == before.visitor_key


async def test_what_is_closed_or_past_or_foreign_cannot_be_closed():
    closed, past, foreign = await a_slot(), await a_slot(starts_in=timedelta(hours=-2)), await a_slot()
    await closing.close_slot(OPERATOR, closed.id, "停电")
    stranger = AsStaff(uuid4(), uuid4(), frozenset({"hall:nowhere"}))

    with pytest.raises(SlotClosed):
        await closing.close_slot(OPERATOR, closed.id, "停电")
    with pytest.raises(SlotExpired):
        await closing.close_slot(OPERATOR, past.id, "停电")
    with pytest.raises(SlotNotFound):
        await closing.close_slot(stranger, foreign.id, "停电")
    with pytest.raises(SlotNotFound):
        await closing.reopen_slot(stranger, closed.id)


# -- a day ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("delivered")
async def test_a_day_closes_at_once_and_offers_nothing_of_the_same_day():
    line = await a_line()
    start = clock.now().replace(hour=2, minute=0) + 3 * DAY - clock.now()
    first, second = await a_slot(2, line, start), await a_slot(2, line, start + timedelta(hours=1))
    another_day = await a_slot(9, line, start + DAY)
    people = await many_people(4)
    for number, each in enumerate(people):
        await an_appointment((first, second)[number % 2], each)

    done = await closing.close_day(OPERATOR, hall_of(line), first.day, "暴雪停办")
    with pytest.raises(SlotClosed):
        await booking.book_place(await somebody(), first.id, await item_of(line))
    await drain()

    assert (done.slots, done.cancelled) == (2, 4)
    assert (await places(first.id), await places(second.id)) == ((2, 0, 0), (2, 0, 0))
    assert await places(another_day.id) == (9, 4, 0)
    assert len(await facts("appointment.cancelled")) == 4
    assert len(await facts("slot.closed")) == 2


async def test_closing_a_day_again_goes_on_with_the_rest():
    line = await a_line()
    first, second = await a_slot(1, line, 3 * DAY), await a_slot(1, line, 3 * DAY + timedelta(minutes=1))
    await closing.close_slot(OPERATOR, first.id, "停电")

    once = await closing.close_day(OPERATOR, hall_of(line), second.day, "停电")
    twice = await closing.close_day(OPERATOR, hall_of(line), second.day, "停电")

    assert (once.slots, twice.slots) == (1, 0)


async def test_a_day_can_be_closed_for_one_line_only():
    line = await a_line()
    other = await a_line(hall=await line.hall)
    mine, theirs = await a_slot(1, line, 3 * DAY), await a_slot(1, other, 3 * DAY)
    elsewhere = await a_line()

    await closing.close_day(OPERATOR, hall_of(line), mine.day, "停电", line_id=line.id)

    assert (await Slot.get(id=mine.id)).closed_at is not None
    assert (await Slot.get(id=theirs.id)).closed_at is None
    with pytest.raises(ServiceLineNotFound):
        await closing.close_day(OPERATOR, hall_of(line), mine.day, "停电", line_id=elsewhere.id)
    with pytest.raises(HallNotFound):
        await closing.close_day(OPERATOR, uuid4(), mine.day, "停电")


@pytest.mark.usefixtures("delivered")
async def test_a_day_reopened_before_residents_were_notified_leaves_them_their_places():
    line = await a_line()
    slot = await a_slot(2, line, 3 * DAY)
    kept = await an_appointment(slot)
    await closing.close_day(OPERATOR, hall_of(line), slot.day, "误操作")

    reopened = await closing.reopen_day(OPERATOR, hall_of(line), slot.day)
    await drain()

    assert reopened == 1
    assert (await Appointment.get(id=kept.id)).state is S.BOOKED
    assert len(await facts("slot.reopened", subject_id=slot.id)) == 1


async def test_a_reopened_slot_is_offered_to_the_waiting_list():
    line = await a_line()
    slot, item = await a_slot(1, line), await item_of(line)
    await an_appointment(slot)
    waits = await somebody()
    await waiting.join_waiting_list(waits, line.id, slot.day, item)
    await closing.close_slot(OPERATOR, slot.id, "停电")

    await closing.reopen_slot(OPERATOR, slot.id)

    assert await held_by(waits) is not None
    with pytest.raises(SlotFull):
        await booking.book_place(await somebody(), slot.id, item)


async def test_only_a_closed_slot_that_has_not_begun_is_reopened():
    open_slot, begun = await a_slot(), await a_slot(starts_in=timedelta(minutes=-1), closed_at=clock.now())

    with pytest.raises(SlotOpen):
        await closing.reopen_slot(OPERATOR, open_slot.id)
    with pytest.raises(SlotExpired):
        await closing.reopen_slot(OPERATOR, begun.id)


# -- races ------------------------------------------------------------------------------------------


async def test_no_booking_keeps_a_place_in_a_slot_that_closes_meanwhile():
    line = await a_line()
    slot, other, item = await a_slot(40, line), await a_slot(40, line, 2 * DAY), await item_of(line)
    crowd = await many_people(40)

    async def late_close() -> closing.SlotClosure:
        await asyncio.sleep(0.05)
        return await closing.close_slot(OPERATOR, slot.id, "停电")

    outcomes = await asyncio.gather(
        late_close(), *(booking.book_place(each, slot.id, item) for each in crowd), return_exceptions=True
    )

    done = outcomes[0]
    assert isinstance(done, closing.SlotClosure)
    booked = sum(isinstance(each, booking.Booking) for each in outcomes[1:])
    assert all(isinstance(each, booking.Booking | SlotClosed) for each in outcomes[1:])
    assert done.cancelled == booked == done.offered
    assert (await places(slot.id), await places(other.id)) == ((40, 0, 0), (40, booked, 0))
    assert await Appointment.filter(slot_id=slot.id, state__in=[S.HELD, S.BOOKED]).count() == 0


async def test_two_slots_that_close_at_once_and_people_who_cancel_end_in_order():
    line = await a_line()
    one, two = await a_slot(10, line), await a_slot(10, line, 1.5 * DAY)
    refuge = await a_slot(7, line, 2 * DAY)
    people = await many_people(16)
    made = [await an_appointment((one, two)[number % 2], each) for number, each in enumerate(people)]

    outcomes = await asyncio.gather(
        closing.close_slot(OPERATOR, one.id, "停电"),
        closing.close_slot(OPERATOR, two.id, "停电"),
        *(cancelling.cancel_appointment(each, which.id) for each, which in zip(people[:4], made[:4], strict=True)),
        return_exceptions=True,
    )

    assert isinstance(outcomes[0], closing.SlotClosure)
    assert isinstance(outcomes[1], closing.SlotClosure)
    assert await Appointment.filter(slot_id__in=[one.id, two.id], state=S.BOOKED).count() == 0
    held = await Appointment.filter(state=S.HELD).count()
    assert (await places(one.id))[1:] == (0, 0) or (await Slot.get(id=one.id)).closed_at is not None
    counted = [await places(each.id) for each in (one, two, refuge)]
    assert sum(each[1] for each in counted) == held <= 7 + 10
    assert all(taken[1] + taken[2] <= taken[0] for taken in counted)
