"""The owner of the database: sees every session, and may switch the triggers off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from backend import database
from backend.settings import settings


@asynccontextmanager
async def as_owner() -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection of the owner of the tables, without triggers."""
    connection = await asyncpg.connect(**database.credentials(settings().database_url))
    try:
        await connection.execute("SET session_replication_role = replica")
        yield connection
    finally:
        await connection.close()


async def owner_fetch_value(sql: str, *arguments: Any) -> Any:
    """One value, as the owner sees it."""
    async with as_owner() as connection:
        return await connection.fetchval(sql, *arguments)
