"""A process that kills itself with SIGKILL before or after the n-th SQL statement of an operation. The product needs no
hook for it: asyncpg's connection is counted, in every use."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

import asyncpg

When = Literal["before", "after"]
Operation = Callable[[], Awaitable[object]]


class Place(NamedTuple):
    """Where to die."""

    when: When
    statement: int


class Death:
    """Counts statements once it is armed, and dies at its place."""

    def __init__(self, place: Place | None) -> None:
        self.place, self.count, self.armed = place, 0, False

    def watch(self) -> None:
        """Stand beside every connection of this process."""
        for name in ("fetch", "fetchrow", "fetchval", "execute", "executemany"):
            setattr(asyncpg.Connection, name, self._counted(getattr(asyncpg.Connection, name)))

    def _counted(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*arguments: Any, **named: Any) -> Any:
            number = self._next()
            if number and self.place == ("before", number):
                os.kill(os.getpid(), signal.SIGKILL)
            answer = await original(*arguments, **named)
            if number and self.place == ("after", number):
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return run

    def _next(self) -> int:
        if not self.armed:
            return 0
        self.count += 1
        return self.count


def in_a_process_of_its_own(
    live: Callable[[Operation], Awaitable[object]], operation: Operation, place: Place | None
) -> tuple[bool, int]:
    """Run the operation in a child that dies at the place; whether it died there, and how many statements it counted.

    `live` opens what a process needs, calls what it is given and closes it again. Raises RuntimeError when the child
    failed in any other way.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            death = Death(place)
            death.watch()

            async def armed() -> None:
                death.armed = True
                try:
                    await operation()
                finally:
                    death.armed = False

            asyncio.run(live(armed))  # type: ignore[arg-type]
            os.write(writing, str(death.count).encode())
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, outcome = os.waitpid(child, 0)
    if os.WIFSIGNALED(outcome) and os.WTERMSIG(outcome) == signal.SIGKILL:
        return True, 0
    if outcome != 0:
        raise RuntimeError("the child failed by itself; what it said is above")
    return False, int(said or b"0")
