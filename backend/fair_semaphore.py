"""A semaphore that serves in the order of arrival, with permits reserved for priority work.

Priority work may use the ordinary permits too. Two semaphores would not do: a waiter of one does not see that a permit
of the other has come free.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count


class FairSemaphore:
    """`permits` for all work, and `reserved` more for priority work. Belongs to one event loop."""

    __slots__ = ("_arrivals", "_free", "_ordinary", "_priority", "_reserved_free")

    def __init__(self, permits: int, *, reserved: int = 0) -> None:
        self._free, self._reserved_free = permits, reserved
        self._arrivals = count()
        self._ordinary: deque[tuple[int, asyncio.Future[bool]]] = deque()
        self._priority: deque[tuple[int, asyncio.Future[bool]]] = deque()

    def try_acquire(self, *, priority: bool = False) -> bool | None:
        """Acquire a free permit without waiting: whether it is a reserved one (`release` needs to know), or None."""
        # A permit is free only when no waiter may have it, so nothing is overtaken here.
        if self._free:
            self._free -= 1
            return False
        if priority and self._reserved_free:
            self._reserved_free -= 1
            return True
        return None

    async def acquire(self, *, priority: bool = False) -> bool:
        """Acquire a permit in the order of arrival; whether it is a reserved one. The caller bounds the wait."""
        if (permit := self.try_acquire(priority=priority)) is not None:
            return permit
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        (self._priority if priority else self._ordinary).append((next(self._arrivals), waiter))
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(reserved=waiter.result())
            raise

    def release(self, *, reserved: bool) -> None:
        """Give the permit to the longest waiter that may have it, or keep it free."""
        queues = (self._priority,) if reserved else (self._priority, self._ordinary)
        while waiting := [queue for queue in queues if queue]:
            _, waiter = min(waiting, key=lambda queue: queue[0][0]).popleft()
            if not waiter.done():
                waiter.set_result(reserved)
                return
        if reserved:
            self._reserved_free += 1
        else:
            self._free += 1
