"""Whose turn it is when there are fewer places than people who want one: whoever has waited longest.

Some of the places are kept back for priority work, which may use all the others too. Two semaphores would not do: who
waits at one does not see that the other has come free.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count


class FairSemaphore:
    """`places` for everybody, and `kept` more for priority work. Belongs to one event loop."""

    __slots__ = ("_arrivals", "_free", "_kept_free", "_ordinary", "_priority")

    def __init__(self, places: int, kept: int = 0) -> None:
        self._free, self._kept_free = places, kept
        self._arrivals = count()
        self._ordinary: deque[tuple[int, asyncio.Future[bool]]] = deque()
        self._priority: deque[tuple[int, asyncio.Future[bool]]] = deque()

    def at_once(self, *, priority: bool = False) -> bool | None:
        """Take a place that is free, without waiting: whether it is a kept one (`give_back` wants to know), or None."""
        # A place is free only when nobody waits who may have it, so nobody is overtaken here.
        if self._free:
            self._free -= 1
            return False
        if priority and self._kept_free:
            self._kept_free -= 1
            return True
        return None

    async def wait(self, *, priority: bool = False) -> bool:
        """Take a place as soon as it is one's turn; whether it is a kept one. Bounded by whoever asks."""
        if (taken := self.at_once(priority=priority)) is not None:
            return taken
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        (self._priority if priority else self._ordinary).append((next(self._arrivals), turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(kept=turn.result())
            raise

    def give_back(self, *, kept: bool) -> None:
        """A place has come free: it goes to whoever has waited longest of those who may have it."""
        queues = (self._priority,) if kept else (self._priority, self._ordinary)
        while waiting := [queue for queue in queues if queue]:
            _, turn = min(waiting, key=lambda queue: queue[0][0]).popleft()
            if not turn.done():
                turn.set_result(kept)
                return
        if kept:
            self._kept_free += 1
        else:
            self._free += 1
