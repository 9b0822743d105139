"""Acting for a principal: a delegate does all that the principal could do; from the end on they find nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import pytest

from backend import clock, jobs
from backend.appointments import (
    attending,
    booking,
    cancelling,
    check_in_codes,
    drawing,
    estimating,
    rescheduling,
    resident_views,
    strikes,
    waiting,
)
from backend.appointments.errors import (
    AppointmentLimitExceeded,
    AppointmentNotFound,
    PersonNotFound,
    StrikeNotFound,
    TicketNotFound,
    WaitingEntryNotFound,
)
from backend.database import execute, fetch, transaction
from backend.identity import AsOperator, AsResident, delegating
from models.appointments import Appointment, AppointmentState, ServiceLine, Slot
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, places
from tests.factories.identity import a_delegation, a_resident
from tests.factories.notifications import partners_in_the_sandbox


@pytest.fixture(autouse=True)
async def _wechat(_clean: None) -> AsyncIterator[None]:
    """Messages go out through the sandbox."""
    async with partners_in_the_sandbox():
        yield


class Pair(NamedTuple):
    """A mother, her daughter who may act for her, and what makes that end."""

    mother: AsResident
    daughter: AsResident
    delegation: UUID


async def a_pair(**changes: object) -> Pair:
    mother, daughter = await a_resident(), await a_resident()
    return Pair(mother, daughter, await a_delegation(mother, daughter, **changes))  # type: ignore[arg-type]


async def a_place(capacity: int = 3, **changes: object) -> tuple[ServiceLine, Slot, str]:
    line = await a_line()
    return line, await a_slot(capacity, line, **changes), await item_of(line)  # type: ignore[arg-type]


async def messages_of(resident: AsResident) -> list[str]:
    """Names of the messages about visits that they got."""
    await jobs.drain()
    rows = await fetch(
        "SELECT name FROM messages WHERE resident_id = $1 AND name NOT LIKE 'delegation%' ORDER BY created_at",
        resident.id,
    )
    return [row["name"] for row in rows]


async def test_the_daughter_books_moves_and_cancels_and_both_are_notified():
    pair = await a_pair()
    line, slot, item = await a_place()
    other = await a_slot(1, line, starts_in=timedelta(days=2))

    made = await booking.book_place(pair.daughter, slot.id, item, person_id=pair.mother.id)

    assert (made.person_id, made.resident_id) == (pair.mother.id, pair.daughter.id)
    for who in (pair.mother, pair.daughter):
        [line_seen], _ = await resident_views.list_own_appointments(who, limit=10)
        assert (line_seen.id, line_seen.person_id) == (made.id, pair.mother.id)
        assert (await resident_views.get_own_appointment(who, made.id)).number == made.number
    assert (await rescheduling.reschedule_appointment(pair.daughter, made.id, other.id)).slot_id == other.id
    await cancelling.cancel_appointment(pair.daughter, made.id)
    assert await places(other.id) == (1, 0, 0)
    assert await messages_of(pair.mother) == ["appointment_booked", "appointment_moved", "appointment_cancelled"]
    assert await messages_of(pair.daughter) == ["appointment_booked", "appointment_moved", "appointment_cancelled"]


async def test_she_also_holds_and_confirms_and_her_mother_can_confirm_what_she_held():
    pair = await a_pair()
    _, slot, item = await a_place()

    held = await booking.hold_place(pair.daughter, slot.id, item, person_id=pair.mother.id)
    booked = await booking.confirm_booking(pair.mother, held.id)

    assert booked.state is AppointmentState.BOOKED
    assert await places(slot.id) == (3, 0, 1)


async def test_what_the_mother_booked_herself_the_daughter_can_show_at_the_kiosk():
    pair = await a_pair()
    slot = await a_slot(starts_in=timedelta(seconds=1), day=clock.today())
    visit = await an_appointment(slot, pair.mother)
    with pytest.raises(TicketNotFound):
        await estimating.get_queue_place(pair.daughter, visit.id)

    code = (await check_in_codes.issue_check_in_code(pair.daughter, visit.id)).code
    ticket = await attending.check_in_by_code(AsOperator(), slot.hall_id, code)

    for who in (pair.mother, pair.daughter):
        assert (await estimating.get_queue_place(who, visit.id)).label == ticket.label


async def test_she_waits_and_takes_part_in_draws_for_her_mother():
    pair = await a_pair()
    line, slot, item = await a_place(1)
    somebodys = await an_appointment(slot)

    entry = await waiting.join_waiting_list(pair.daughter, line.id, slot.day, item, person_id=pair.mother.id)
    assert [each.id for each in await waiting.list_own_waiting_entries(pair.mother)] == [entry.id]
    async with transaction():
        await cancelling.release_place(somebodys.id)

    offered = await waiting.get_own_waiting_entry(pair.daughter, entry.id)
    assert offered.appointment_id is not None
    await booking.confirm_booking(pair.daughter, offered.appointment_id)
    assert (await Appointment.get(id=offered.appointment_id)).person_id == pair.mother.id  # type: ignore[attr-defined]

    drawn = await a_line(admission="draw")
    chance = await a_slot(1, drawn)
    await drawing.prepare_draws()
    entered = await drawing.enter_draw(
        pair.daughter, drawn.id, chance.day, await item_of(drawn), [chance.id], person_id=pair.mother.id
    )
    await execute("UPDATE draws SET closes_at = now()")
    await drawing.hold_due_draws()
    assert (await drawing.get_draw_proof(drawn.id, chance.day)).entries[0].id == entered.id
    mothers, _ = await resident_views.list_own_appointments(pair.daughter, person_id=pair.mother.id, limit=10)
    assert {each.line_name for each in mothers} == {"综合业务"}
    assert len(mothers) == 2


async def test_a_limit_counts_for_the_person_who_comes_and_not_for_the_booker():
    pair = await a_pair()
    line = await a_line(person_limit=1, items=1)
    item = await item_of(line)
    first, second = await a_slot(3, line), await a_slot(3, line, starts_in=timedelta(days=2))
    await booking.book_place(pair.mother, first.id, item)

    with pytest.raises(AppointmentLimitExceeded):
        await booking.book_place(pair.daughter, second.id, item, person_id=pair.mother.id)

    assert (await booking.book_place(pair.daughter, second.id, item)).person_id == pair.daughter.id


async def test_a_strike_of_the_mother_is_seen_and_appealed_by_the_daughter():
    pair = await a_pair()
    visit = await an_appointment(None, pair.mother)
    async with transaction():
        strike = await strikes.give_strike(visit.id, "no-show")
    assert strike is not None

    await strikes.appeal_strike(pair.daughter, strike, "那天住院了")

    [seen], _ = await strikes.list_own_strikes(pair.daughter)
    assert (seen.id, seen.standing) == (strike, "appealed")


async def revoked(pair: Pair) -> None:
    await delegating.end_delegation(pair.mother, pair.delegation)


async def given_up(pair: Pair) -> None:
    await delegating.end_delegation(pair.daughter, pair.delegation)


async def over(pair: Pair) -> None:
    await execute("UPDATE delegations SET ends_at = now() WHERE id = $1", pair.delegation)


@pytest.mark.parametrize("ends", [revoked, given_up, over])
async def test_when_it_has_ended_there_is_nothing_and_the_mother_keeps_her_visit(
    ends: Callable[[Pair], Awaitable[None]],
):
    pair = await a_pair()
    line, slot, item = await a_place(2)
    made = await booking.book_place(pair.daughter, slot.id, item, person_id=pair.mother.id)
    other = await a_slot(1, line, starts_in=timedelta(days=2))
    full = await a_slot(1, line, starts_in=timedelta(days=3))
    await an_appointment(full)
    entry = await waiting.join_waiting_list(pair.daughter, line.id, full.day, item, person_id=pair.mother.id)
    async with transaction():
        strike = await strikes.give_strike(made.id, "no-show")
    assert strike is not None
    await messages_of(pair.daughter)

    await ends(pair)

    refusals: list[tuple[type[Exception], Awaitable[object]]] = [
        (PersonNotFound, booking.book_place(pair.daughter, other.id, item, person_id=pair.mother.id)),
        (PersonNotFound, booking.hold_place(pair.daughter, other.id, item, person_id=pair.mother.id)),
        (PersonNotFound, waiting.join_waiting_list(pair.daughter, line.id, full.day, item, person_id=pair.mother.id)),
        (PersonNotFound, resident_views.list_own_appointments(pair.daughter, person_id=pair.mother.id, limit=10)),
        (AppointmentNotFound, resident_views.get_own_appointment(pair.daughter, made.id)),
        (AppointmentNotFound, booking.confirm_booking(pair.daughter, made.id)),
        (AppointmentNotFound, rescheduling.reschedule_appointment(pair.daughter, made.id, other.id)),
        (AppointmentNotFound, cancelling.cancel_appointment(pair.daughter, made.id)),
        (AppointmentNotFound, check_in_codes.issue_check_in_code(pair.daughter, made.id)),
        (AppointmentNotFound, estimating.get_queue_place(pair.daughter, made.id)),
        (WaitingEntryNotFound, waiting.get_own_waiting_entry(pair.daughter, entry.id)),
        (WaitingEntryNotFound, waiting.leave_waiting_list(pair.daughter, entry.id)),
        (StrikeNotFound, strikes.appeal_strike(pair.daughter, strike, "那天住院了")),
    ]
    for trouble, asking in refusals:
        with pytest.raises(trouble):
            await asking
    assert await resident_views.list_own_appointments(pair.daughter, limit=10) == ([], None)
    assert await strikes.list_own_strikes(pair.daughter) == ([], None)
    await cancelling.cancel_appointment(pair.mother, made.id)
    assert (await messages_of(pair.mother))[-1] == "appointment_cancelled"
    assert "appointment_cancelled" not in await messages_of(pair.daughter)


async def test_a_delegation_in_other_matters_opens_nothing_here():
    pair = await a_pair(matters=["cases", "payments", "deliveries"])
    _, slot, item = await a_place()
    visit = await an_appointment(slot, pair.mother)

    with pytest.raises(PersonNotFound):
        await booking.book_place(pair.daughter, slot.id, item, person_id=pair.mother.id)
    with pytest.raises(AppointmentNotFound):
        await resident_views.get_own_appointment(pair.daughter, visit.id)


async def test_who_is_acted_for_gets_no_right_over_who_acts():
    pair = await a_pair()
    visit = await an_appointment(None, pair.daughter)

    with pytest.raises(AppointmentNotFound):
        await cancelling.cancel_appointment(pair.mother, visit.id)
    assert await resident_views.list_own_appointments(pair.mother, limit=10) == ([], None)
