"""The queue: the order of calling, two windows at once, and what becomes of a number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from backend import clock
from backend.appointments import attending, calling, estimating
from backend.appointments.errors import (
    AppointmentNotFound,
    AppointmentTransitionRefused,
    QueueEmpty,
    ServiceLineNotFound,
    TicketNotFound,
    WindowBusy,
    WindowNotFound,
    WindowShut,
)
from backend.appointments.tickets import QueueTicket, issue_ticket
from backend.database import execute, fetch, transaction
from backend.identity.principals import AsOperator, AsStaff
from models.appointments import Appointment, AppointmentState, ServiceLine, TicketState, Window
from models.queueing import Ticket
from models.regions import Hall
from tests.factories.appointments import a_line, a_slot, a_window, an_appointment, many_people, somebody

STAFF = AsOperator()


async def in_queue(line: ServiceLine, wanted_at: datetime | None = None) -> QueueTicket:
    """A visitor without an appointment, who waits today."""
    async with transaction():
        return await issue_ticket(line.hall_id, line.id, clock.today(), wanted_at or clock.now())  # type: ignore[attr-defined]


async def checked_in(line: ServiceLine, number: int) -> list[QueueTicket]:
    """So many people with an appointment, in the hall."""
    slot = await a_slot(100, line, timedelta(seconds=1), day=clock.today())
    visits = [await an_appointment(slot, each) for each in await many_people(number)]
    return [await attending.check_in(STAFF, each.id) for each in visits]


async def another_line(line: ServiceLine) -> ServiceLine:
    """One more line of the same hall."""
    return await a_line(hall=await Hall.get(id=line.hall_id))  # type: ignore[attr-defined]


# -- the order -------------------------------------------------------------------------------------------


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-90, 90)), max_size=14), st.sampled_from([(0,), (0, 1), (1, 2)])
)
async def test_numbers_are_called_by_the_time_they_are_wanted_then_by_number(
    arrivals: Sequence[tuple[int, int]], served: tuple[int, ...]
):
    lines = [await a_line()]
    lines += [await another_line(lines[0]) for _ in range(2)]
    window = await a_window(lines[0], line_ids=[lines[each].id for each in served])
    base = clock.now()
    tickets = [(which, await in_queue(lines[which], base + timedelta(minutes=at))) for which, at in arrivals]

    called = []
    while True:
        try:
            found = await calling.call_next(STAFF, window.id)
        except QueueEmpty:
            break
        called.append(found.id)
        await calling.serve_ticket(STAFF, found.id)

    wanted = sorted((each for which, each in tickets if which in served), key=lambda t: (t.wanted_at, t.sequence))
    assert called == [each.id for each in wanted]
    assert await Ticket.filter(hall_id=window.hall_id, state="waiting").count() == len(tickets) - len(called)  # type: ignore[attr-defined]


@pytest.mark.parametrize("windows", [2, 8])
async def test_windows_that_call_at_once_never_get_the_same_number(windows: int):
    line = await a_line()
    at = [await a_window(line) for _ in range(windows)]
    waiting = [await in_queue(line) for _ in range(40)]
    called: list[UUID] = []

    async def work(window: Window) -> None:
        while True:
            try:
                found = await calling.call_next(STAFF, window.id)
            except QueueEmpty:
                return
            called.append(found.id)
            await calling.serve_ticket(STAFF, found.id)

    await asyncio.gather(*(work(each) for each in at))

    assert len(called) == len(set(called)) == 40
    assert set(called) == {each.id for each in waiting}


async def test_a_window_that_is_pressed_twice_calls_one_number():
    line = await a_line()
    window = await a_window(line)
    for _ in range(5):
        await in_queue(line)

    outcomes = await asyncio.gather(*(calling.call_next(STAFF, window.id) for _ in range(6)), return_exceptions=True)

    assert sum(isinstance(each, QueueTicket) for each in outcomes) == 1
    assert sum(isinstance(each, WindowBusy) for each in outcomes) == 5
    assert await Ticket.filter(state="called").count() == 1


async def test_no_number_of_yesterday_or_of_another_hall_is_called():
    line, elsewhere = await a_line(), await a_line()
    window = await a_window(line)
    await in_queue(elsewhere)
    await in_queue(line)
    await execute("UPDATE tickets SET day = day - 1 WHERE line_id = $1", line.id)

    with pytest.raises(QueueEmpty):
        await calling.call_next(STAFF, window.id)


async def test_a_shut_window_calls_no_number():
    line = await a_line()
    window = await a_window(line, open=False)
    await in_queue(line)

    with pytest.raises(WindowShut):
        await calling.call_next(STAFF, window.id)


# -- what becomes of a number ----------------------------------------------------------------------------


async def test_serving_ends_the_visit_and_says_so_in_the_ledger():
    line = await a_line()
    window = await a_window(line)
    [ticket] = await checked_in(line, 1)

    await calling.call_next(STAFF, window.id)
    served = await calling.serve_ticket(STAFF, ticket.id)

    visit = await Appointment.get(id=ticket.appointment_id)
    names = [row["name"] for row in await fetch("SELECT name FROM events ORDER BY id")]
    assert (served.state, visit.state) == (TicketState.SERVED, AppointmentState.SERVED)
    assert served.served_at
    assert names == [
        "ticket.issued", "appointment.checked-in", "ticket.called", "ticket.moved", "appointment.served",
    ]  # fmt: skip
    with pytest.raises(AppointmentTransitionRefused):
        await calling.serve_ticket(STAFF, ticket.id)


async def test_a_number_that_does_not_come_is_called_again_then_missed_and_may_rejoin_at_the_end():
    line = await a_line()
    window = await a_window(line)
    first, second, third = await checked_in(line, 3)

    await calling.call_next(STAFF, window.id)
    again = await calling.call_ticket_again(STAFF, first.id)
    missed = await calling.miss_ticket(STAFF, first.id)
    back = await calling.rejoin_queue(STAFF, first.id)
    order = []
    for _ in range(3):
        found = await calling.call_next(STAFF, window.id)
        order.append(found.id)
        await calling.serve_ticket(STAFF, found.id)

    assert (again.calls, missed.state, back.state) == (2, TicketState.MISSED, TicketState.WAITING)
    assert missed.window_id is None
    assert order == [second.id, third.id, first.id]
    assert (await Appointment.get(id=first.appointment_id)).state is AppointmentState.SERVED


async def test_a_number_that_is_handed_to_a_window_is_called_by_that_one_only_and_first():
    line = await a_line()
    here, there = await a_window(line), await a_window(line, line_ids=[])
    first, second = await checked_in(line, 2)
    await calling.call_next(STAFF, here.id)

    given = await calling.hand_over_ticket(STAFF, first.id, window_id=there.id)
    next_here = await calling.call_next(STAFF, here.id)
    next_there = await calling.call_next(STAFF, there.id)

    assert (given.label, given.state, given.window_id) == (first.label, TicketState.WAITING, there.id)
    assert (next_here.id, next_there.id) == (second.id, first.id)


async def test_a_number_that_is_handed_to_another_line_keeps_its_label_and_its_time():
    line = await a_line()
    other = await another_line(line)
    here, there = await a_window(line), await a_window(other)
    [first] = await checked_in(line, 1)
    await in_queue(other, clock.now() + timedelta(minutes=5))
    await calling.call_next(STAFF, here.id)

    await calling.hand_over_ticket(STAFF, first.id, line_id=other.id)
    found = await calling.call_next(STAFF, there.id)

    assert (found.id, found.label, found.line_id) == (first.id, first.label, other.id)


async def test_a_number_goes_to_no_window_and_no_line_of_another_hall():
    line, elsewhere = await a_line(), await a_line()
    far = await a_window(elsewhere)
    found = await in_queue(line)

    with pytest.raises(WindowNotFound):
        await calling.hand_over_ticket(STAFF, found.id, window_id=far.id)
    with pytest.raises(ServiceLineNotFound):
        await calling.hand_over_ticket(STAFF, found.id, line_id=elsewhere.id)
    with pytest.raises(WindowNotFound):
        await calling.hand_over_ticket(STAFF, found.id, window_id=uuid7())


@pytest.mark.parametrize(
    "transition", [calling.call_ticket_again, calling.serve_ticket, calling.miss_ticket, calling.rejoin_queue]
)
async def test_a_number_that_waits_can_only_be_called_or_handed_over(transition: Any):
    found = await in_queue(await a_line())

    with pytest.raises(AppointmentTransitionRefused):
        await transition(STAFF, found.id)
    with pytest.raises(TicketNotFound):
        await transition(STAFF, uuid7())


@pytest.mark.parametrize(
    "transitions",
    [
        (calling.serve_ticket, calling.miss_ticket),
        (calling.serve_ticket, calling.serve_ticket),
        (calling.miss_ticket, calling.hand_over_ticket),
    ],
)
async def test_of_two_transitions_at_once_one_happens(transitions: tuple[Any, Any]):
    line = await a_line()
    window = await a_window(line)
    [ticket] = await checked_in(line, 1)
    await calling.call_next(STAFF, window.id)

    outcomes = await asyncio.gather(*(each(STAFF, ticket.id) for each in transitions), return_exceptions=True)

    assert sum(isinstance(each, AppointmentTransitionRefused) for each in outcomes) == 1
    assert sum(isinstance(each, QueueTicket) for each in outcomes) == 1


async def test_staff_of_another_hall_see_neither_window_nor_number():
    line = await a_line()
    window = await a_window(line)
    found = await in_queue(line)
    stranger = AsStaff(uuid7(), uuid7(), frozenset({"hall:other-hall"}))

    with pytest.raises(WindowNotFound):
        await calling.call_next(stranger, window.id)
    for act in (
        calling.serve_ticket,
        calling.miss_ticket,
        calling.rejoin_queue,
        calling.call_ticket_again,
        calling.hand_over_ticket,
    ):
        with pytest.raises(TicketNotFound):
            await act(stranger, found.id)


# -- who is notified, and how long it takes ------------------------------------------------------------------


async def test_those_who_are_next_are_notified_once_to_come_near():
    line = await a_line()
    window = await a_window(line)
    tickets = await checked_in(line, 6)

    async def calls_near() -> list[tuple[str, str]]:
        rows = await fetch(
            "SELECT subject_id, payload::jsonb ->> 'ahead' AS ahead FROM events WHERE name = 'ticket.soon' ORDER BY id"
        )
        number = {each.id: each.label[-3:] for each in tickets}
        return [(number[row["subject_id"]], row["ahead"]) for row in rows]

    for _ in range(2):
        await calling.serve_ticket(STAFF, (await calling.call_next(STAFF, window.id)).id)

    assert sorted(await calls_near()) == [("002", "0"), ("003", "1"), ("004", "2"), ("005", "2")]


async def test_a_place_in_the_queue_says_how_many_are_before_and_how_long_that_takes():
    line = await a_line()
    windows = [await a_window(line) for _ in range(2)]
    resident = await somebody()
    slot = await a_slot(10, line, timedelta(minutes=10), day=clock.today())
    mine = await an_appointment(slot, resident)
    earlier = await checked_in(line, 5)
    await attending.check_in(STAFF, mine.id)

    guessed = await estimating.get_queue_place(resident, mine.id)
    for _ in range(2):
        await calling.serve_ticket(STAFF, (await calling.call_next(STAFF, windows[0].id)).id)
    await execute("UPDATE tickets SET called_at = served_at - interval '10 minutes' WHERE state = 'served'")
    measured = await estimating.get_queue_place(resident, mine.id)
    await execute("UPDATE windows SET open = false")
    shut = await estimating.get_queue_place(resident, mine.id)

    assert (guessed.ahead, guessed.measured) == (len(earlier), False)
    assert guessed.minutes == estimating.minutes_for(5, estimating.USUAL_SECONDS, 2)
    assert (measured.ahead, measured.minutes, measured.measured) == (3, 15, True)
    assert shut.minutes is None


async def test_a_called_number_knows_its_window_and_waits_for_nothing():
    line = await a_line()
    window = await a_window(line, "7")
    resident = await somebody()
    mine = await an_appointment(await a_slot(10, line, timedelta(seconds=1), day=clock.today()), resident)
    with pytest.raises(TicketNotFound):
        await estimating.get_queue_place(resident, mine.id)
    await attending.check_in(STAFF, mine.id)
    await calling.call_next(STAFF, window.id)

    found = await estimating.get_queue_place(resident, mine.id)

    assert (found.state, found.window, found.ahead, found.minutes) == (TicketState.CALLED, "7", 0, None)
    with pytest.raises(AppointmentNotFound):
        await estimating.get_queue_place(await somebody(), mine.id)


async def test_the_queue_shows_who_is_called_then_who_waits_in_order_then_who_was_missed():
    line = await a_line()
    window = await a_window(line)
    first, second, third = await checked_in(line, 3)
    await calling.call_next(STAFF, window.id)
    await calling.miss_ticket(STAFF, first.id)
    await calling.call_next(STAFF, window.id)

    found = await calling.list_queue(STAFF, line.hall_id)  # type: ignore[attr-defined]

    assert [each.id for each in found] == [second.id, third.id, first.id]
