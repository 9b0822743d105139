"""Who is let in to PostgreSQL at 08:00, when thousands tap for a few hundred places.

Two doors, both before any transaction. The first is a count in Redis of the places that a slot has left, taken down by
one with each who passes; at zero the answer is SlotFull, and PostgreSQL is not asked. The second lets a fixed
number of bookings work at once in each process, and a bounded number wait: the pool's other connections stay free for
reads and callbacks, and a request that would wait too long is refused (BookingRushLimitExceeded with Retry-After).

The count only ever *refuses*. It is loaded from the slot's row, lives for under a second and is loaded anew: a count
that was lost or flushed, a process that died with one, a place that was given back, all of it is right again after
that time, and meanwhile the conditional UPDATE decides as always. Without Redis each process counts for itself.

A resident who was admitted, or has an appointment in the slot, passes the first door again: a winner whose answer was
lost repeats the request and must get the same answer, even when the slot has long been full.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from prometheus_client import Counter

from backend import cache, clock
from backend.appointments.errors import (
    BookingRushLimitExceeded,
    SlotClosed,
    SlotExpired,
    SlotFull,
    SlotNotFound,
    SlotNotReleased,
)
from backend.database import fetch_row
from backend.errors import DomainError, raises
from backend.identity import AsResident
from backend.settings import settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

OUTCOMES = Counter("zhangban_admission_total", "Bookings at the door before the database", ["outcome"])
KNOWN_SECONDS = 3600
MOST_KEPT = 5_000
"""Slots of which a process keeps a count of its own while Redis is away."""

_WHY: dict[str, type[DomainError]] = {
    "missing": SlotNotFound,
    "closed": SlotClosed,
    "over": SlotExpired,
    "early": SlotNotReleased,
}

# 1: one place less; 2: they were here before; 0: none left; "missing" …: why there are none; nil: not counted.
_ENTER = """
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return 2 end
local left = redis.call('GET', KEYS[1])
if not left then return nil end
local number = tonumber(left)
if not number then return left end
if number <= 0 then return 0 end
redis.call('DECR', KEYS[1])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
"""
# For a resident who was admitted and got no place. A count that has expired meanwhile is not renewed.
_BACK = """
redis.call('SREM', KEYS[2], ARGV[1])
if ARGV[2] == 'empty' then redis.call('SET', KEYS[1], '0', 'XX', 'KEEPTTL')
elseif tonumber(redis.call('GET', KEYS[1]) or '') then redis.call('INCR', KEYS[1]) end
"""
_LOAD = """
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if #ARGV > 3 then
  redis.call('SADD', KEYS[2], unpack(ARGV, 4))
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
"""
_COUNT = """
SELECT greatest(capacity - held - booked, 0) AS free, closed_at IS NOT NULL AS closed, starts_at <= now() AS over,
       extract(epoch FROM release_at - now())::float8 AS opens_in,
       ARRAY(SELECT DISTINCT resident_id::text FROM appointments WHERE slot_id = $1 LIMIT 5000) AS known
FROM slots WHERE id = $1
"""


@dataclass
class _Counted:
    """The slot's row when counted: places left or why there are none, who was admitted, and until when that is
    valid."""

    left: int
    why: str
    seconds: float
    known: set[str] = field(default_factory=set)
    until: float = 0.0


@raises(BookingRushLimitExceeded, SlotFull, SlotNotFound, SlotClosed, SlotExpired, SlotNotReleased)
@asynccontextmanager
async def admitted_to_slot(resident: AsResident, slot_id: UUID) -> AsyncIterator[None]:
    """The block takes a place in this slot, if it comes to that. Not inside a transaction.

    Raises SlotFull, or why the slot gives no places, without asking PostgreSQL.
    """
    counted = await _enter_slot(str(resident.id), slot_id)
    try:
        async with booking_queue():
            yield
    except SlotFull:
        await _return_place(str(resident.id) if counted else "", slot_id, "empty")
        raise
    except BaseException:
        if counted:
            await _return_place(str(resident.id), slot_id, "one")
        raise


async def _enter_slot(resident_id: str, slot_id: UUID) -> bool:
    """Whether they took a place off the count; raises when there is none."""
    try:
        verdict = await _enter(resident_id, slot_id)
        if verdict is None:
            await _load(await _counted(slot_id), slot_id)
            verdict = await _enter(resident_id, slot_id)
    except cache.CacheDown:
        verdict = await _without_redis(resident_id, slot_id)
    if verdict in (1, 2):
        OUTCOMES.labels("admitted" if verdict == 1 else "again").inc()
        return verdict == 1
    if verdict is None:  # counted and over at once: the database decides
        return False
    OUTCOMES.labels("refused").inc()
    raise _WHY.get(verdict, SlotFull)() if isinstance(verdict, str) else SlotFull


def _keys(slot_id: UUID) -> tuple[str, str]:
    return f"places:{{{slot_id}}}", f"known:{{{slot_id}}}"


async def _enter(resident_id: str, slot_id: UUID) -> int | str | None:
    async def enter(client: Redis) -> int | bytes | str | None:
        return await client.eval(_ENTER, 2, *_keys(slot_id), resident_id, KNOWN_SECONDS)  # type: ignore[no-any-return]

    answer = await cache.ask(enter)
    return answer.decode() if isinstance(answer, bytes) else answer


async def _load(counted: _Counted, slot_id: UUID) -> None:
    left = counted.why or str(counted.left)
    milliseconds = max(1, int(counted.seconds * 1000))

    async def load(client: Redis) -> None:
        await client.eval(_LOAD, 2, *_keys(slot_id), left, milliseconds, KNOWN_SECONDS, *counted.known)

    await cache.ask(load)


async def _return_place(resident_id: str, slot_id: UUID, how: str) -> None:
    if (count := _own.get(slot_id)) is not None:
        count.known.discard(resident_id)
        count.left = 0 if how == "empty" else count.left + 1

    async def return_place(client: Redis) -> None:
        await client.eval(_BACK, 2, *_keys(slot_id), resident_id, how)

    with suppress(cache.CacheDown):  # then the count is gone too
        await cache.ask(return_place)


# -- the count of this process -----------------------------------------------------------------------------------

_own: dict[UUID, _Counted] = {}
_counting: dict[UUID, asyncio.Task[_Counted]] = {}


async def _without_redis(resident_id: str, slot_id: UUID) -> int | str:
    count = _own.get(slot_id)
    if count is None or clock.monotonic() >= count.until:
        count = await _counted(slot_id)
    if resident_id in count.known:
        return 2
    if count.why or count.left <= 0:
        return count.why or 0
    count.left -= 1
    count.known.add(resident_id)
    return 1


async def _counted(slot_id: UUID) -> _Counted:
    """Count the slot's places, once for all who want to know at this moment."""
    task = _counting.get(slot_id)
    if task is None:
        task = _counting[slot_id] = asyncio.create_task(_count(slot_id))
        task.add_done_callback(lambda _: _counting.pop(slot_id, None))
    return await asyncio.shield(task)


async def _count(slot_id: UUID) -> _Counted:
    row = await fetch_row(_COUNT, slot_id)
    seconds = settings().free_places_seconds
    if row is None:
        counted = _Counted(0, "missing", seconds)
    else:
        why = "closed" if row["closed"] else "over" if row["over"] else "early" if row["opens_in"] > 0 else ""
        if why == "early":  # no request waits for the next count once the hour has struck
            seconds = min(seconds, row["opens_in"])
        counted = _Counted(row["free"], why, seconds, set(row["known"]))
    if len(_own) >= MOST_KEPT:
        _own.clear()
    counted.until = clock.monotonic() + seconds
    _own[slot_id] = counted
    return counted


# -- the second door ---------------------------------------------------------------------------------------------


class _Queue:
    """So many work at once, so many may wait."""

    def __init__(self, at_once: int) -> None:
        self.at_once, self.waiting = at_once, 0
        self.free = asyncio.Semaphore(at_once)


_queue: _Queue | None = None


@raises(BookingRushLimitExceeded)
@asynccontextmanager
async def booking_queue() -> AsyncIterator[None]:
    """The block is one of the few that write appointments in this process at a time.

    Raises BookingRushLimitExceeded when too many are waiting, or it took too long.
    """
    global _queue
    values = settings()
    if _queue is None or _queue.at_once != values.booking_concurrency:
        _queue = _Queue(values.booking_concurrency)
    queue = _queue
    if queue.waiting >= values.booking_queue:
        _refuse()
    queue.waiting += 1
    try:
        async with asyncio.timeout(values.booking_wait_seconds):
            await queue.free.acquire()
    except TimeoutError:
        _refuse()
    finally:
        queue.waiting -= 1
    try:
        yield
    finally:
        queue.free.release()


def _refuse() -> None:
    OUTCOMES.labels("rush").inc()
    # Spread, so that those who were refused together do not come back together.
    raise BookingRushLimitExceeded(retry_after=random.randint(1, 3))  # noqa: S311 - jitter, no secret


def clear() -> None:
    """Forget this process's counts: for tests and after a fork."""
    global _queue
    _own.clear()
    _queue = None
