"""FairSemaphore: no waiter is overtaken, reserved permits are for the priority, and no permit is ever lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.fair_semaphore import FairSemaphore


async def settle() -> None:
    """Run every task that can go on."""
    for _ in range(3):
        await asyncio.sleep(0)


def waiting(semaphore: FairSemaphore, *, priority: bool = False) -> asyncio.Task[bool]:
    return asyncio.create_task(semaphore.acquire(priority=priority))


async def test_the_favoured_take_an_ordinary_place_that_comes_free_while_all_kept_ones_are_in_use():
    semaphore = FairSemaphore(1, reserved=1)
    ordinary = semaphore.try_acquire()
    assert semaphore.try_acquire(priority=True) is True

    third = waiting(semaphore, priority=True)
    await settle()
    semaphore.release(reserved=bool(ordinary))

    assert await asyncio.wait_for(third, 1) is False


async def test_the_longest_waiter_is_next_with_or_without_priority():
    semaphore = FairSemaphore(1)
    semaphore.try_acquire()
    first = waiting(semaphore)
    await settle()
    second = waiting(semaphore, priority=True)
    await settle()

    semaphore.release(reserved=False)
    await settle()

    assert (first.done(), second.done()) == (True, False)
    semaphore.release(reserved=False)
    assert await second is False


async def test_a_reserved_permit_is_for_the_priority_only():
    semaphore = FairSemaphore(1, reserved=1)
    semaphore.try_acquire()

    assert semaphore.try_acquire() is None
    kept = semaphore.try_acquire(priority=True)
    ordinary = waiting(semaphore)
    await settle()
    semaphore.release(reserved=bool(kept))
    await settle()

    assert not ordinary.done()
    semaphore.release(reserved=False)
    assert await ordinary is False


async def test_the_permit_of_a_waiter_who_left_goes_to_the_next():
    semaphore = FairSemaphore(1)
    semaphore.try_acquire()
    gone, next_one = waiting(semaphore), waiting(semaphore)
    await settle()

    gone.cancel()
    await settle()
    semaphore.release(reserved=False)

    assert await asyncio.wait_for(next_one, 1) is False


async def test_a_waiter_who_leaves_in_the_moment_of_the_permit_leaves_it_behind():
    semaphore = FairSemaphore(1)
    semaphore.try_acquire()
    unlucky = waiting(semaphore)
    await settle()

    semaphore.release(reserved=False)
    unlucky.cancel()
    with pytest.raises(asyncio.CancelledError):
        await unlucky

    assert semaphore.try_acquire() is False


@given(
    st.integers(1, 3),
    st.integers(0, 2),
    st.lists(st.tuples(st.sampled_from(["come", "come-favoured", "leave", "done"]), st.integers(0, 9)), max_size=60),
)
async def test_no_permit_is_lost_or_given_twice_in_any_order(places: int, kept: int, steps: list[tuple[str, int]]):
    semaphore, people = FairSemaphore(places, reserved=kept), list[tuple[bool, asyncio.Task[bool]]]()
    for what, which in steps:
        inside = [each for each in people if each[1].done()]
        outside = [each for each in people if not each[1].done()]
        if what.startswith("come"):
            people.append((what == "come-favoured", waiting(semaphore, priority=what == "come-favoured")))
        elif what == "leave" and outside:
            people.remove(left := outside[which % len(outside)])
            left[1].cancel()
        elif what == "done" and inside:
            people.remove(ended := inside[which % len(inside)])
            semaphore.release(reserved=ended[1].result())
        await settle()
        held = [task.result() for _, task in people if task.done()]
        assert held.count(False) <= places
        assert held.count(True) <= kept
        assert all(priority for priority, task in people if task.done() and task.result())
        ordinary_wait = any(not priority and not task.done() for priority, task in people)
        favoured_wait = any(priority and not task.done() for priority, task in people)
        assert not (ordinary_wait or favoured_wait) or held.count(False) == places
        assert not favoured_wait or held.count(True) == kept
    for _, task in people:
        task.cancel()
    await asyncio.gather(*(task for _, task in people), return_exceptions=True)
