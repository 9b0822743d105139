"""The database of a benchmark, as its owner sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from backend import clock, database, migrations
from backend.embedded import Urls
from backend.settings import Settings, configure


async def migrated(urls: Urls, **changes: Any) -> None:
    """Bring the database to the newest form; this process, too, has these settings from now on."""
    configure(Settings(database_url=urls.database_url, redis_url=urls.redis_url, log_level="WARNING", **changes))
    await migrations.migrate()


@asynccontextmanager
async def owner(urls: Urls) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection of the owner of the tables."""
    connection = await asyncpg.connect(**database.credentials(urls.database_url))
    try:
        yield connection
    finally:
        await connection.close()


async def found(urls: Urls, sql: str, *arguments: object) -> list[asyncpg.Record]:
    """The rows of one statement, as the owner."""
    async with owner(urls) as connection:
        rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
    return rows


async def until_none(urls: Urls, sql: str, patience: float) -> None:
    """Wait until `SELECT EXISTS (sql)` is false. Raises TimeoutError when it stays true."""
    deadline = time.monotonic() + patience
    async with owner(urls) as connection:
        while await connection.fetchval(f"SELECT EXISTS ({sql})"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"still there after {patience:.0f} s: {sql}")
            await asyncio.sleep(0.2)


async def new_residents(connection: asyncpg.Connection[Any], count: int) -> list[UUID]:
    """So many residents of whom nothing is known."""
    made, now = [uuid7() for _ in range(count)], clock.now()
    await connection.copy_records_to_table(
        "residents", columns=["id", "created_at"], records=[(each, now) for each in made]
    )
    return made


async def until_handled(urls: Urls, patience: float = 600.0) -> None:
    """Wait until every event has been handled, or cannot be. Raises TimeoutError."""
    waiting = "SELECT FROM pgqueuer WHERE entrypoint = 'events.dispatch' AND status IN ('queued', 'picked')"
    await until_none(urls, waiting, patience)


async def without_backlog(urls: Urls) -> None:
    """Take away what rounds without a worker have left to be done, so that only what comes now is measured."""
    async with owner(urls) as connection:
        await connection.execute("TRUNCATE pgqueuer, unsealed_events")
        await connection.execute("ANALYZE pgqueuer, unsealed_events")


def named(urls: Urls, name: str) -> str:
    """The address of another database of the same server."""
    return urlsplit(urls.database_url)._replace(path=f"/{name}").geturl()


def for_sqlalchemy(url: str) -> str:
    """The address as SQLAlchemy wants it."""
    parts = urlsplit(url)
    host = dict(parse_qsl(parts.query)).get("host", "")
    return f"postgresql+asyncpg://{parts.netloc}{parts.path or '/postgres'}" + (f"?host={quote(host)}" if host else "")
