"""A pooled connection has nothing left of its last user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from tortoise.exceptions import OperationalError

from backend import database, identity
from backend.database import DatabaseBusy, fetch, fetch_value, transaction
from backend.settings import using
from models.appointments import Slot

PATIENCE = 0.7
"""Seconds that a statement may take here."""
TOO_LARGE = 2**40
"""A number that fits into no column of the kind: asyncpg has prepared the statement at the server when it notices."""


@pytest.fixture
async def alone() -> AsyncIterator[None]:
    """One connection for all, on which statements may not take long."""
    await database.close()
    with using(database_pool_size=1, database_reserved_connections=0, database_statement_timeout=PATIENCE):
        await database.connect()
        yield
        await database.close()
    await database.connect()
    identity.clear_watch()


async def _by_model() -> Any:
    return await Slot.filter(capacity=TOO_LARGE).exists()


async def _by_statement() -> Any:
    return await fetch("SELECT $1::int", TOO_LARGE)


async def _in_a_transaction() -> Any:
    async with transaction():
        return await Slot.filter(capacity=TOO_LARGE).exists()


@pytest.mark.parametrize("ask", [_by_model, _by_statement, _in_a_transaction])
async def test_a_query_that_could_not_be_sent_costs_no_later_query(alone: None, ask: Callable[[], Awaitable[Any]]):
    with pytest.raises((asyncpg.DataError, OperationalError)):
        await ask()
    await asyncio.sleep(2 * PATIENCE)

    assert await fetch_value("SELECT 1") == 1


async def test_a_caller_who_leaves_between_preparing_and_executing_costs_no_later_query(
    alone: None, monkeypatch: pytest.MonkeyPatch
):
    told = asyncio.Event()
    tell = asyncpg.Connection._get_statement

    async def and_wait(*given: Any, **named: Any) -> Any:
        statement = await tell(*given, **named)
        told.set()
        await asyncio.Event().wait()
        return statement

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "_get_statement", and_wait)
        asking = asyncio.create_task(_any_slot())
        await told.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await asyncio.sleep(2 * PATIENCE)

    assert await fetch_value("SELECT 1") == 1


async def test_models_wait_for_their_turn_like_every_statement_and_not_for_ever(alone: None):
    with using(database_acquire_timeout=0.1):
        asked = asyncio.create_task(_any_slot())
        async with transaction():
            with pytest.raises(DatabaseBusy):
                await asked


async def _any_slot() -> bool:
    return await Slot.all().exists()
