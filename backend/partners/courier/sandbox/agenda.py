"""The couriers' own time: it can be moved and made faster, and all that is due by then happens in order."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from backend import clock

log = logging.getLogger("zhangban.partners")

Work = Callable[[], Awaitable[None]]


class Agenda:
    """What will happen, by virtual time. The clock of this process, `clock.travel` included, is its origin."""

    def __init__(self) -> None:
        self._speed = 1.0
        self._since = clock.monotonic()
        self._shift = timedelta(0)
        self._due: list[tuple[datetime, int, Work]] = []
        self._numbers = itertools.count()
        self._one = asyncio.Lock()
        self._news = asyncio.Event()
        self._clockwork: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        """The couriers' time, UTC."""
        gained = (clock.monotonic() - self._since) * (self._speed - 1)
        return clock.now() + self._shift + timedelta(seconds=gained)

    @property
    def speed(self) -> float:
        """How many of their seconds pass in a real one."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._shift += timedelta(seconds=(clock.monotonic() - self._since) * (self._speed - 1))
        self._since, self._speed = clock.monotonic(), speed
        self._news.set()

    def later(self, seconds: float, work: Work) -> None:
        """Do it so many of their seconds from now."""
        self.at(self.now() + timedelta(seconds=seconds), work)

    def at(self, due: datetime, work: Work) -> None:
        """Do it at this moment of theirs."""
        heapq.heappush(self._due, (due, next(self._numbers), work))
        self._news.set()
        if self._clockwork is None or self._clockwork.done():
            self._clockwork = asyncio.get_running_loop().create_task(self._run())

    async def catch_up(self) -> None:
        """Do what is due by now."""
        async with self._one:
            while self._due and self._due[0][0] <= self.now():
                await heapq.heappop(self._due)[2]()

    async def advance(self, seconds: float) -> None:
        """Let time pass: everything due within it happens at its own moment, one after the other, before this
        returns."""
        async with self._one:
            end = self.now() + timedelta(seconds=seconds)
            while self._due and self._due[0][0] <= end:
                due, _, work = heapq.heappop(self._due)
                self._forward(due)
                await work()
            self._forward(end)
        self._news.set()

    async def stop(self) -> None:
        """Nothing happens any more."""
        if self._clockwork is not None:
            self._clockwork.cancel()
            await asyncio.gather(self._clockwork, return_exceptions=True)

    def _forward(self, moment: datetime) -> None:
        self._shift += max(moment - self.now(), timedelta(0))

    async def _run(self) -> None:
        while True:
            self._news.clear()
            wait = max((self._due[0][0] - self.now()).total_seconds() / self._speed, 0.0) if self._due else None
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                try:
                    await self.catch_up()
                except Exception:
                    log.exception("courier sandbox failed to run a due step", extra={"event": "sandbox.step-failed"})
