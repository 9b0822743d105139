"""What most commands need around them: logs, servers, pools, and an event loop that ends in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from api.commands import say
from api.commands.databases import databases
from api.wiring import wire
from backend import cache, database, logs, migrations
from backend.jobs import Timetable
from backend.partners import equip, partners_from
from backend.settings import configure, settings


def change_settings(**changes: Any) -> None:
    """Put what the command line says above the environment; None says nothing."""
    configure(replace(settings(), **{name: value for name, value in changes.items() if value is not None}))


@asynccontextmanager
async def opened() -> AsyncIterator[Timetable]:
    """The pools and the partners of a process that runs jobs or asks the database; what it does by the clock."""
    timetable = wire()
    await database.connect()
    await cache.connect()
    partners = partners_from(settings())
    equip(partners)
    try:
        yield timetable
    finally:
        equip(None)
        await partners.close()
        await cache.close()
        await database.close()


@contextmanager
def prepared() -> Iterator[None]:
    """Logs as JSON lines and the servers there; one that we started ourselves has its tables in the newest form.

    Any other database waits for `zhangban migrate`.
    """
    logs.configure(settings().log_level)
    with databases() as ours:
        if ours:
            asyncio.run(migrations.migrate(lambda name: say(f"migration {name}")))
        yield


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run `main` to its end with the servers there; what it returns is the exit status."""
    with prepared():
        return asyncio.run(main())
