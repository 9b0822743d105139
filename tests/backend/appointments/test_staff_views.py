"""What a hall sees of its day: figures and masked names, page by page."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from backend.appointments import booking, staff_views
from backend.appointments.booking import Visitor
from backend.identity.principals import AsOperator, AsStaff
from backend.paging import CursorInvalid
from backend.regions.errors import HallNotFound
from models.appointments import AppointmentState as S
from models.appointments import ServiceLine
from models.queueing import Ticket
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, somebody

OPERATOR = AsOperator()


def hall_of(line: ServiceLine) -> UUID:
    return line.hall_id  # type: ignore[attr-defined, no-any-return]


async def test_each_slot_comes_with_its_figures():
    line = await a_line(name="户籍")
    slot = await a_slot(9, line, walk_in_quota=4, walk_ins=1)
    for state in (S.HELD, S.BOOKED, S.BOOKED, S.CHECKED_IN, S.SERVED, S.CANCELLED):
        await an_appointment(slot, state=state)
    await a_slot(9, line, timedelta(days=3))
    await a_slot(9, await a_line())

    [found] = await staff_views.list_slot_summaries(OPERATOR, hall_of(line), slot.day)

    assert (found.id, found.line_name, found.capacity, found.held, found.booked) == (slot.id, "户籍", 9, 1, 4)
    assert (found.walk_in_quota, found.walk_ins, found.checked_in, found.served, found.missed) == (4, 1, 1, 1, 0)


async def test_figures_and_list_can_be_asked_for_one_line():
    line = await a_line()
    other = await a_line(hall=await line.hall)
    mine, theirs = await a_slot(1, line), await a_slot(1, other)
    visit, _ = await an_appointment(mine), await an_appointment(theirs)

    figures = await staff_views.list_slot_summaries(OPERATOR, hall_of(line), mine.day, line_id=line.id)
    people, _ = await staff_views.list_day_appointments(OPERATOR, hall_of(line), mine.day, line_id=line.id)

    assert [each.id for each in figures] == [mine.id]
    assert [each.id for each in people] == [visit.id]


async def test_the_day_list_masks_names_and_shows_number_state_and_ticket():
    line = await a_line()
    slot, item = await a_slot(5, line), await item_of(line)
    visitor = Visitor(name="田秀英", id_last_four="1234", phone="13800000000")
    named = await booking.book_place(await somebody(), slot.id, item, visitor=visitor)
    nameless = await an_appointment(slot, state=S.CHECKED_IN)
    await Ticket.create(
        hall_id=hall_of(line),
        line=line,
        day=slot.day,
        sequence=17,
        label="A017",
        appointment=nameless,
        wanted_at=slot.starts_at,
    )
    await an_appointment(slot, state=S.CANCELLED)

    people, end = await staff_views.list_day_appointments(OPERATOR, hall_of(line), slot.day)
    gone, _ = await staff_views.list_day_appointments(OPERATOR, hall_of(line), slot.day, states=["cancelled"])

    assert end is None
    assert {(each.id, each.number, each.name, each.state, each.ticket) for each in people} == {
        (named.id, named.number, "田**", "booked", None),
        (nameless.id, nameless.number, None, "checked-in", "A017"),
    }
    assert {each.item_code for each in people} == {item}
    assert [each.state for each in gone] == ["cancelled"]


async def test_the_list_comes_in_pages_that_hold_everybody_once_in_the_order_of_time():
    line = await a_line()
    late, early = await a_slot(9, line, timedelta(hours=50)), await a_slot(9, line, timedelta(hours=49, minutes=59))
    if late.day != early.day:  # the two lie on both sides of midnight: take the same slot for all
        late = early
    visits = [await an_appointment(slot) for slot in (late, early, late, early, early)]

    first, cursor = await staff_views.list_day_appointments(OPERATOR, hall_of(line), early.day, limit=3)
    rest, end = await staff_views.list_day_appointments(OPERATOR, hall_of(line), early.day, limit=3, cursor=cursor)

    everybody = [*first, *rest]
    assert {each.id for each in everybody} == {each.id for each in visits}
    assert [each.starts_at for each in everybody] == sorted(each.starts_at for each in everybody)
    assert (len(everybody), end) == (5, None)
    with pytest.raises(CursorInvalid):
        await staff_views.list_day_appointments(OPERATOR, hall_of(await a_line()), early.day, cursor=cursor)


async def test_another_hall_is_not_seen():
    line, stranger = await a_line(), AsStaff(uuid4(), uuid4(), frozenset({"hall:elsewhere"}))
    slot = await a_slot(1, line)

    with pytest.raises(HallNotFound):
        await staff_views.list_slot_summaries(stranger, hall_of(line), slot.day)
    with pytest.raises(HallNotFound):
        await staff_views.list_day_appointments(stranger, hall_of(line), slot.day)
    assert await staff_views.list_own_halls(stranger) == []


async def test_own_halls_come_as_the_public_knows_them():
    line = await a_line()
    hall = await line.hall
    staff = AsStaff(uuid4(), uuid4(), frozenset({f"hall:{hall.code}"}))

    assert [each.code for each in await staff_views.list_own_halls(staff)] == [hall.code]
