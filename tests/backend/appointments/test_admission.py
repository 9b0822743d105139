"""Who is let in at 08:00: no more than there are places, losers without PostgreSQL, winners again, with and without
Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from backend import cache, clock, database
from backend.appointments import admission, booking, cancelling
from backend.appointments.errors import (
    BookingRushLimitExceeded,
    SlotClosed,
    SlotExpired,
    SlotFull,
    SlotNotFound,
    SlotNotReleased,
)
from backend.database import execute
from backend.fair_semaphore import FairSemaphore
from backend.identity import AsResident
from backend.settings import using
from tests.factories.appointments import a_line, a_slot, item_of, many_people, places, somebody


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    admission.clear()
    yield
    admission.clear()


@asynccontextmanager
async def without_redis(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Redis is away inside the block."""

    async def refuse(_: Any) -> Any:
        raise cache.CacheDown

    with monkeypatch.context() as patch:
        patch.setattr(cache, "ask", refuse)
        yield


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the connections that are lent."""
    seen: Counter[str] = Counter()
    permit = database._permit

    async def counted(semaphore: FairSemaphore) -> bool:
        seen["lent"] += 1
        return await permit(semaphore)

    monkeypatch.setattr(database, "_permit", counted)
    return seen


async def tries(resident: AsResident, slot_id: UUID, item: str) -> str:
    try:
        async with admission.admitted_to_slot(resident, slot_id):
            await booking.book_place(resident, slot_id, item)
    except (SlotFull, BookingRushLimitExceeded) as refused:
        return type(refused).__name__
    return "booked"


async def test_four_hundred_at_once_and_fifty_places_fifty_transactions(transactions: Counter[str]):
    line = await a_line()
    slot, item, crowd = await a_slot(50, line), await item_of(line), await many_people(400)
    transactions.clear()

    with using(booking_wait_seconds=5.0):
        outcomes = Counter(await asyncio.gather(*(tries(each, slot.id, item) for each in crowd)))

    assert outcomes == {"booked": 50, "SlotFull": 350}
    assert await places(slot.id) == (50, 0, 50)
    # One for each who booked, and a few to count the places anew; none for the 350.
    assert transactions["lent"] < 75


async def test_without_redis_the_database_sells_what_it_has_and_no_more(monkeypatch: pytest.MonkeyPatch):
    line = await a_line()
    slot, item, crowd = await a_slot(30, line), await item_of(line), await many_people(200)

    async with without_redis(monkeypatch):
        with using(booking_wait_seconds=5.0):
            outcomes = Counter(await asyncio.gather(*(tries(each, slot.id, item) for each in crowd)))

    assert outcomes["booked"] == 30
    assert await places(slot.id) == (30, 0, 30)


async def test_redis_flushed_in_the_middle_sells_nothing_twice_and_loses_nothing():
    line = await a_line()
    slot, item, crowd = await a_slot(40, line), await item_of(line), await many_people(200)

    async def flushes() -> str:
        for _ in range(5):
            await asyncio.sleep(0.02)
            await cache.redis().flushdb()
        return "flushed"

    with using(booking_wait_seconds=5.0):
        outcomes = Counter(await asyncio.gather(flushes(), *(tries(each, slot.id, item) for each in crowd)))

    assert outcomes["booked"] == 40
    assert await places(slot.id) == (40, 0, 40)


async def test_sixty_four_people_book_and_cancel_on_seven_places_while_redis_is_flushed():
    line = await a_line(person_limit=50)
    slot, item, crowd = await a_slot(7, line), await item_of(line), await many_people(64)
    until = clock.monotonic() + 4  # the whole of it, with kills and for longer: tests/journeys/test_booking_race.py
    seen: Counter[str] = Counter()
    certainly: set[UUID] = set()
    most = 0

    async def comes_and_goes(who: AsResident) -> None:
        nonlocal most
        while clock.monotonic() < until:
            try:
                async with admission.admitted_to_slot(who, slot.id):
                    made = await booking.book_place(who, slot.id, item)
            except (SlotFull, BookingRushLimitExceeded, database.DatabaseBusy) as refused:
                seen[type(refused).__name__] += 1
                await asyncio.sleep(0.02)
                continue
            # Between the answer and the next request the place is certainly theirs: never more than there are.
            certainly.add(made.id)
            most = max(most, len(certainly))
            seen["booked"] += 1
            await asyncio.sleep(0.005)
            certainly.discard(made.id)
            await cancelling.cancel_appointment(who, made.id)

    async def flushes() -> None:
        await asyncio.sleep(2)
        await cache.redis().flushdb()

    with using(free_places_seconds=0.05):
        await asyncio.gather(flushes(), *(comes_and_goes(who) for who in crowd))

    assert most <= 7
    assert seen["booked"] > 50
    assert await places(slot.id) == (7, 0, 0)


async def test_capacity_lowered_in_the_rush_sells_no_more_than_the_lower_number():
    line = await a_line()
    slot, item, crowd = await a_slot(60, line), await item_of(line), await many_people(200)

    async def lowers() -> str:
        await asyncio.sleep(0.05)
        await execute("UPDATE slots SET capacity = greatest(held + booked, 20) WHERE id = $1", slot.id)
        return "lowered"

    with using(booking_wait_seconds=5.0):
        outcomes = Counter(await asyncio.gather(lowers(), *(tries(each, slot.id, item) for each in crowd)))

    capacity, held, booked = await places(slot.id)
    assert (held, booked) == (0, outcomes["booked"])
    assert booked <= capacity < 60


async def test_a_winner_comes_in_again_for_the_answer_that_was_lost():
    line = await a_line()
    slot, item, winner = await a_slot(1, line), await item_of(line), await somebody()
    assert await tries(winner, slot.id, item) == "booked"
    with pytest.raises(SlotFull):
        async with admission.admitted_to_slot(await somebody(), slot.id):
            pytest.fail("there is no place left")

    async with admission.admitted_to_slot(winner, slot.id):
        pass
    await cache.redis().flushdb()
    async with admission.admitted_to_slot(winner, slot.id):
        pass


async def test_an_admitted_caller_who_took_nothing_leaves_the_place_to_others():
    line = await a_line()
    slot, item = await a_slot(1, line), await item_of(line)
    with pytest.raises(KeyError):
        async with admission.admitted_to_slot(await somebody(), slot.id):
            raise KeyError("anything")

    assert await tries(await somebody(), slot.id, item) == "booked"


async def test_a_cancelled_place_is_let_out_again_within_a_second():
    line = await a_line()
    slot, item, first = await a_slot(1, line), await item_of(line), await somebody()
    async with admission.admitted_to_slot(first, slot.id):
        made = await booking.book_place(first, slot.id, item)
    second = await somebody()
    assert await tries(second, slot.id, item) == "SlotFull"
    await cancelling.cancel_appointment(first, made.id)

    await asyncio.sleep(0.9)

    assert await tries(second, slot.id, item) == "booked"


@pytest.mark.parametrize("redis", [True, False])
async def test_before_the_hour_and_after_it_the_reason_is_given_without_a_transaction(
    redis: bool, monkeypatch: pytest.MonkeyPatch, transactions: Counter[str]
):
    line, resident = await a_line(), await somebody()
    soon = clock.now() + timedelta(minutes=5)
    slots = {
        SlotNotReleased: (await a_slot(3, line, release_at=soon)).id,
        SlotClosed: (await a_slot(3, line, starts_in=timedelta(hours=8), closed_at=clock.now())).id,
        SlotExpired: (await a_slot(3, line, starts_in=timedelta(minutes=-8))).id,
        SlotNotFound: uuid7(),
    }
    transactions.clear()

    async def asks(refusal: type[Exception], slot_id: UUID) -> None:
        for _ in range(10):
            with pytest.raises(refusal):
                async with admission.admitted_to_slot(resident, slot_id):
                    pytest.fail("there is nothing to be had")

    if redis:
        await asyncio.gather(*(asks(*each) for each in slots.items()))
    else:
        async with without_redis(monkeypatch):
            await asyncio.gather(*(asks(*each) for each in slots.items()))

    assert transactions["lent"] <= 8


async def test_when_the_hour_strikes_no_caller_waits_for_an_old_count():
    line = await a_line()
    slot = await a_slot(1, line, release_at=clock.now() + timedelta(seconds=0.3))
    item, resident = await item_of(line), await somebody()
    with pytest.raises(SlotNotReleased):
        await tries(resident, slot.id, item)

    await asyncio.sleep(0.35)

    assert await tries(resident, slot.id, item) == "booked"


async def test_more_than_may_wait_are_sent_away_and_the_rest_are_served():
    going = asyncio.Event()
    inside = 0

    async def works() -> str:
        nonlocal inside
        try:
            async with admission.booking_queue():
                inside += 1
                assert inside <= 2
                await going.wait()
                inside -= 1
        except BookingRushLimitExceeded as refused:
            return "refused" if refused.retry_after else "without a time"
        return "done"

    with using(booking_concurrency=2, booking_queue=3, booking_wait_seconds=5.0):
        tasks = [asyncio.create_task(works()) for _ in range(10)]
        await asyncio.sleep(0.05)
        going.set()
        outcomes = Counter(await asyncio.gather(*tasks))

    assert outcomes["done"] >= 3
    assert outcomes["refused"] >= 5


async def test_no_caller_waits_beyond_the_limit():
    async with admission.booking_queue():
        with using(booking_wait_seconds=0.05, booking_concurrency=4):
            turns = [admission.booking_queue() for _ in range(3)]
            for each in turns:
                await each.__aenter__()
            with pytest.raises(BookingRushLimitExceeded):
                async with admission.booking_queue():
                    pytest.fail("there is no turn")
            for each in turns:
                await each.__aexit__(None, None, None)
