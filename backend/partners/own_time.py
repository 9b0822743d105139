"""What every simulated platform has: a clock of its own that can be moved, and work that goes on after an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from backend import clock


@dataclass(eq=False)
class OwnTime:
    """A platform's time, by the clock of this process, and its background work."""

    shift: timedelta = field(default=timedelta(0), kw_only=True)
    """How far the platform is ahead."""
    background: set[asyncio.Task[None]] = field(default_factory=set, kw_only=True)

    def now(self) -> datetime:
        """The platform's time, UTC."""
        return clock.now() + self.shift

    def advance(self, seconds: float) -> None:
        """Let time pass for the platform only."""
        self.shift += timedelta(seconds=seconds)

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it after the answer; `settle` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def settle(self) -> None:
        """Wait until everything that goes on after an answer is done or given up."""
        while self.background:
            await asyncio.gather(*self.background, return_exceptions=True)
