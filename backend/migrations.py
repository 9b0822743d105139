"""Bring the database to the newest form: tables, constraints, queue, the service's role and what it may touch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncpg
from tortoise import Tortoise
from tortoise.connection import get_connection
from tortoise.migrations.api import migrate as tortoise_migrate
from tortoise.migrations.executor import MigrationExecutor

from backend.database import connection_arguments, tortoise_config
from backend.settings import settings

if TYPE_CHECKING:
    from pgqueuer.adapters.persistence.queries import Queries

APPEND_ONLY = ("events", "event_seals", "payment_transitions", "ledger_groups", "ledger_postings")
"""Tables whose rows the service may add and read, nothing else."""
_LOCK = 0x7A68616E6762616E
"""Two processes that migrate at once take turns."""


async def migrate(say: Callable[[str], Any] = lambda _: None) -> None:
    """Apply every migration that is missing, then the queue's own, then the grants. Safe to run again.

    Waits at most five seconds for a table lock, so that a running service is never held up behind it.
    """
    # Loaded here: `serve` imports this module to ask what is pending, and makes no queue.
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
    from pgqueuer.adapters.persistence.queries import Queries

    arguments = connection_arguments(as_owner=True)
    arguments["server_settings"] = {
        **arguments["server_settings"],
        "statement_timeout": "0",
        "lock_timeout": "5s",
    }
    arguments["command_timeout"] = None
    connection = await asyncpg.connect(**arguments)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await _ensure_roles(connection)
        await tortoise_migrate(
            config=tortoise_config(as_owner=True),
            progress=lambda what, _, name: say(name) if what == "apply_done" else None,
        )
        await Tortoise.close_connections()
        queries = Queries(AsyncpgDriver(connection))
        if await queries.has_table(queries.qbe.settings.queue_table):
            await queries.upgrade()
        else:
            await queries.install()
        await _silence_the_queue(connection, queries)
        await _grant(connection)
    finally:
        await connection.close()


async def _silence_the_queue(connection: asyncpg.Connection[Any], queries: Queries) -> None:
    """Workers look for jobs themselves: PgQueuer's trigger would NOTIFY at every change of its table.

    PostgreSQL lets transactions that notify commit one after another only, in the whole database; with the trigger,
    booking reached two fifths of the bare limit instead of two thirds (docs/performance.md).
    """
    names = queries.qbe.settings
    await connection.execute(f"ALTER TABLE {names.queue_table} DISABLE TRIGGER {names.trigger}")


async def pending() -> list[str]:
    """Names of the migrations that this code has and the database has not."""
    executor = MigrationExecutor(get_connection("default"), tortoise_config()["apps"])
    return [step.migration.name for step in await executor.plan()]


async def _ensure_roles(connection: asyncpg.Connection[Any]) -> None:
    """Make the roles that are missing. An owner who may not make roles finds them made by the administrator."""
    for role in (settings().database_role, settings().reader_role):
        if not role.replace("_", "").isalnum():
            raise ValueError(f"{role!r} is no name for a role: letters, digits and underscores only")
        if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
            continue
        with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            await connection.execute(f'CREATE ROLE "{role}" NOLOGIN')
    # A service that logs in as the owner steps down to the role; for that it must be a member.
    if not await connection.fetchval("SELECT pg_has_role($1, 'MEMBER')", settings().database_role):
        await connection.execute(f'GRANT "{settings().database_role}" TO CURRENT_USER')


async def _grant(connection: asyncpg.Connection[Any]) -> None:
    role, reader = settings().database_role, settings().reader_role
    for statement in (
        f'GRANT USAGE ON SCHEMA public TO "{role}"',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{role}"',
        f'GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO "{role}"',
        *(f'REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM "{role}"' for table in APPEND_ONLY),
        f'REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON tortoise_migrations FROM "{role}"',
        f'GRANT USAGE ON SCHEMA acceptance TO "{role}", "{reader}"',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA acceptance TO "{role}", "{reader}"',
    ):
        await connection.execute(statement)
