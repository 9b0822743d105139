"""The draw: everybody has the same chance, the result follows from the published seed and list, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.appointments import booking, drawing, rescheduling
from backend.appointments.errors import AlreadyEntered, DrawClosed, DrawNotFound, ItemNotHandled, SlotNotFound
from backend.database import execute, fetch_value
from models.appointments import Appointment, Draw, ServiceLine, Slot
from tests.factories.appointments import a_line, a_slot, an_appointment, item_of, many_people, places, somebody

seeds = st.binary(min_size=32, max_size=32).map(bytes.hex)
lists = st.lists(st.uuids(), unique=True, max_size=40)


@given(seeds, lists, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_the_order_is_a_permutation_that_does_not_depend_on_who_came_first(seed: str, entries: list[UUID], chance: Any):
    shuffled = entries[:]
    chance.shuffle(shuffled)

    order = drawing.draw_order(seed, entries)

    assert sorted(order) == sorted(entries)
    assert drawing.draw_order(seed, shuffled + shuffled[:3]) == order


def test_the_order_is_what_the_documentation_says_done_by_hand():
    seed, entries = "07" * 32, [UUID(int=n) for n in (3, 1, 2)]
    everything = hashlib.sha256(b"".join(UUID(int=n).bytes for n in (1, 2, 3))).digest()

    expected = sorted(entries, key=lambda e: hashlib.sha256(bytes([7] * 32) + everything + e.bytes).hexdigest())

    assert drawing.draw_order(seed, entries) == expected


def test_every_entry_is_first_about_equally_often():
    entries = [UUID(int=n + 1) for n in range(10)]

    firsts = Counter(drawing.draw_order(f"{n:064x}", entries)[0] for n in range(5_000))

    chi_square = sum((firsts[each] - 500) ** 2 / 500 for each in entries)
    assert chi_square < 27.9  # 9 degrees of freedom, one in a thousand; the seeds are fixed, so it never wavers


def test_one_more_entry_changes_the_order_of_the_others():
    seed, entries = "a1" * 32, [UUID(int=n) for n in range(1, 40)]

    with_one_more = [each for each in drawing.draw_order(seed, [*entries, UUID(int=99)]) if each != UUID(int=99)]

    assert with_one_more != drawing.draw_order(seed, entries)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_entrant_is_left_without_while_a_wish_of_theirs_has_a_place_or_went_to_a_later_one(data: st.DataObject):
    slots = [UUID(int=100 + n) for n in range(4)]
    room = {slot: data.draw(st.integers(0, 3)) for slot in slots}
    order = [UUID(int=n) for n in range(data.draw(st.integers(0, 12)))]
    wishes = {each: data.draw(st.lists(st.sampled_from(slots), unique=True)) for each in order}

    given_out = drawing.allot_places(order, wishes, room)

    used: Counter[UUID] = Counter(given_out.values())
    assert all(used[slot] <= room[slot] for slot in slots)
    for position, each in enumerate(order):
        before = Counter(given_out[other] for other in order[:position] if other in given_out)
        possible = [slot for slot in wishes[each] if before[slot] < room[slot]]
        assert given_out.get(each) == (possible[0] if possible else None)


# -- with the database --------------------------------------------------------------------------------------------


async def an_open_draw(capacity: int = 3, **line: Any) -> tuple[ServiceLine, Slot, str]:
    """A line with a draw that takes entries now, its slot and item."""
    made = await a_line(admission="draw", **line)
    slot = await a_slot(capacity, made)
    assert await drawing.prepare_draws() == 1
    return made, slot, await item_of(made)


async def over() -> None:
    await execute("UPDATE draws SET closes_at = now()")


async def test_the_digest_is_public_before_and_the_seed_only_after():
    line, slot, item = await an_open_draw()
    await drawing.enter_draw(await somebody(), line.id, slot.day, item, [slot.id])

    before = await drawing.get_draw_proof(line.id, slot.day)
    await over()
    assert await drawing.hold_due_draws() == 1
    after = await drawing.get_draw_proof(line.id, slot.day)

    assert (before.seed, before.entries, before.entries_digest) == (None, [], None)
    assert after.seed is not None
    assert drawing.digest_of_seed(after.seed) == before.draw.seed_digest == after.draw.seed_digest
    assert await drawing.hold_due_draws() == 0


async def test_anybody_can_do_the_draw_again_from_what_is_published():
    line, first, item = await an_open_draw(3)
    second = await a_slot(2, line, starts_in=timedelta(days=1, minutes=30))
    await execute("UPDATE slots SET day = $2 WHERE id = $1", second.id, first.day)
    crowd = await many_people(30)
    receipts = [
        await drawing.enter_draw(who, line.id, first.day, item, [first.id, second.id] if n % 2 else [second.id])
        for n, who in enumerate(crowd)
    ]
    await over()
    await drawing.hold_due_draws()

    shown = await drawing.get_draw_proof(line.id, first.day)

    assert shown.seed is not None
    ids = [each.id for each in shown.entries]
    assert set(ids) == {each.id for each in receipts}
    assert drawing.digest_of_entries(ids) == shown.entries_digest
    order = drawing.draw_order(shown.seed, ids)
    assert [each.id for each in shown.entries] == order
    wishes = {each.id: each.slot_ids for each in shown.entries}
    room = {UUID(slot): free for slot, free in shown.places.items()}
    assert {each.id: each.slot_id for each in shown.entries if each.slot_id} == drawing.allot_places(
        order, wishes, room
    )
    assert not any(each.passed_over for each in shown.entries)
    assert (await places(first.id), await places(second.id)) == ((3, 0, 3), (2, 0, 2))
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'appointment.booked'") == 5
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'draw.lost'") == 25


async def test_two_workers_hold_a_draw_once():
    line, slot, item = await an_open_draw(1)
    for who in await many_people(5):
        await drawing.enter_draw(who, line.id, slot.day, item, [slot.id])
    await over()

    held = await asyncio.gather(*(drawing.hold_due_draws() for _ in range(4)))

    assert sum(held) == 1
    assert await places(slot.id) == (1, 0, 1)
    assert await Appointment.filter(slot_id=slot.id).count() == 1


async def test_entries_and_the_draw_at_the_same_moment_agree_on_who_took_part():
    line, slot, item = await an_open_draw(50)
    crowd = await many_people(30)
    await execute("UPDATE draws SET closes_at = clock_timestamp() + interval '60 ms'")

    async def draws_until_held() -> None:
        while not await drawing.hold_due_draws():  # noqa: ASYNC110 - it is what the worker's clock does
            await asyncio.sleep(0.005)

    async def enters(n: int, who: Any) -> Any:
        await asyncio.sleep(n * 0.004)
        return await drawing.enter_draw(who, line.id, slot.day, item, [slot.id])

    results = await asyncio.gather(
        *(enters(n, who) for n, who in enumerate(crowd)), draws_until_held(), return_exceptions=True
    )

    entered = [each for each in results if isinstance(each, drawing.DrawEntryReceipt)]
    shown = await drawing.get_draw_proof(line.id, slot.day)
    assert {each.id for each in entered} == {each.id for each in shown.entries}
    assert sum(isinstance(each, DrawClosed) for each in results) == 30 - len(entered)
    assert await places(slot.id) == (50, 0, len(entered))


async def test_an_entrant_who_found_a_place_meanwhile_is_skipped_and_the_proof_shows_it():
    line, slot, item = await an_open_draw(1)
    lucky = await somebody()
    await drawing.enter_draw(lucky, line.id, slot.day, item, [slot.id])
    elsewhere = await a_slot(1, await a_line())
    item_row = await fetch_value("SELECT id FROM service_items WHERE code = $1", item)
    theirs = await an_appointment(elsewhere, lucky)
    await execute("UPDATE appointments SET item_id = $2, day = $3 WHERE id = $1", theirs.id, item_row, slot.day)
    await over()

    await drawing.hold_due_draws()

    (entry,) = (await drawing.get_draw_proof(line.id, slot.day)).entries
    assert (entry.slot_id, entry.passed_over) == (None, True)
    assert await places(slot.id) == (1, 0, 0)


async def test_moving_a_place_that_was_won_does_not_change_the_proof():
    line, slot, item = await an_open_draw(1)
    who = await somebody()
    await drawing.enter_draw(who, line.id, slot.day, item, [slot.id])
    await over()
    await drawing.hold_due_draws()
    before = await drawing.get_draw_proof(line.id, slot.day)
    other = await a_slot(1, line, starts_in=timedelta(days=1, minutes=30))
    await execute("UPDATE slots SET day = $2 WHERE id = $1", other.id, slot.day)
    made = await Appointment.get(slot_id=slot.id)

    await rescheduling.reschedule_appointment(who, made.id, other.id)

    assert await drawing.get_draw_proof(line.id, slot.day) == before


async def test_what_a_draw_leaves_is_booked_like_anything_else():
    _, slot, item = await an_open_draw(2)
    await over()
    await drawing.hold_due_draws()

    made = await booking.book_place(await somebody(), slot.id, item)

    assert made.state == "booked"


async def test_entries_are_taken_in_time_once_and_for_slots_of_the_day_only():
    line, slot, item = await an_open_draw()
    other, resident = await a_slot(1, line, starts_in=timedelta(days=5)), await somebody()

    with pytest.raises(SlotNotFound):
        await drawing.enter_draw(resident, line.id, slot.day, item, [slot.id, other.id])
    with pytest.raises(SlotNotFound):
        await drawing.enter_draw(resident, line.id, slot.day, item, [])
    with pytest.raises(ItemNotHandled):
        await drawing.enter_draw(resident, line.id, slot.day, "nonsense", [slot.id])
    with pytest.raises(DrawNotFound):
        await drawing.enter_draw(resident, uuid4(), slot.day, item, [slot.id])
    await drawing.enter_draw(resident, line.id, slot.day, item, [slot.id])
    with pytest.raises(AlreadyEntered):
        await drawing.enter_draw(resident, line.id, slot.day, item, [slot.id])
    await over()
    with pytest.raises(DrawClosed):
        await drawing.enter_draw(await somebody(), line.id, slot.day, item, [slot.id])


async def test_draws_are_prepared_a_day_ahead_and_once():
    line = await a_line(admission="draw", draw_seconds=60)
    near = await a_slot(1, line, release_at=await fetch_value("SELECT now() + interval '23 hours'"))
    await a_slot(
        1, line, starts_in=timedelta(days=9), release_at=await fetch_value("SELECT now() + interval '25 hours'")
    )

    assert [await drawing.prepare_draws() for _ in range(2)] == [1, 0]

    (made,) = await Draw.all()
    assert (made.opens_at, made.closes_at) == (near.release_at, near.release_at + timedelta(seconds=60))
    with pytest.raises(DrawClosed):
        await drawing.enter_draw(await somebody(), line.id, near.day, await item_of(line), [near.id])
