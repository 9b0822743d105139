"""Everything that the models declare is in the database, and the database knows nothing that the models do not."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.operations import AlterModelOptions
from tortoise.migrations.schema_generator.state import ModelState

from backend import constraints
from backend.constraints import Promise
from backend.database import execute, fetch, tortoise_config
from backend.settings import settings
from tests.owner import as_owner

MIGRATIONS = Path(__file__).parents[2] / "models" / "migrations"
QUEUE = "pgqueuer"
"""Tables of the job queue, which keeps its own house."""


async def test_every_promise_of_the_models_is_kept():
    assert await constraints.broken() == []


def test_the_promises_are_read_from_the_models_and_not_few():
    found = constraints.declared()

    assert {promise.kind for promise in found} == {"name", "unique", "index", "foreign-key", "not-null", "trigger"}
    assert Promise("event_seals", "unique", "shard,position") in found
    assert Promise("cases", "name", "case_number_spelling") in found
    assert Promise("messages", "foreign-key", "resident_id") in found
    assert len(found) > 200


@pytest.mark.parametrize(
    ("sql", "missing"),
    [
        ("ALTER TABLE cases DROP CONSTRAINT case_number_spelling", Promise("cases", "name", "case_number_spelling")),
        ("ALTER TABLE residents ALTER COLUMN created_at DROP NOT NULL", Promise("residents", "not-null", "created_at")),
        (
            "ALTER TABLE messages DROP CONSTRAINT {messages.resident_id}",
            Promise("messages", "foreign-key", "resident_id"),
        ),
        ("ALTER TABLE cases DROP CONSTRAINT {cases.number}", Promise("cases", "unique", "number")),
        ("DROP INDEX messages_due", Promise("messages", "name", "messages_due")),
        ("DROP TRIGGER events_append_only ON events", Promise("events", "trigger", "events_append_only")),
        ("ALTER TABLE events DISABLE TRIGGER events_no_truncate", Promise("events", "trigger", "events_no_truncate")),
    ],
)
async def test_a_dropped_constraint_is_noticed(sql: str, missing: Promise, monkeypatch: pytest.MonkeyPatch):
    async with as_owner() as owner, _taken_back(owner):
        await owner.execute(await _with_names(owner, sql))
        monkeypatch.setattr(constraints, "fetch", owner.fetch)

        assert await constraints.broken() == [missing]


async def test_a_granted_right_is_noticed(monkeypatch: pytest.MonkeyPatch):
    async with as_owner() as owner, _taken_back(owner):
        await owner.execute(f"GRANT UPDATE ON events TO {settings().database_role}")
        monkeypatch.setattr(constraints, "fetch", owner.fetch)

        [found] = await constraints.excessive_rights()

    assert (found.table, found.what) == ("events", f"{settings().database_role} may UPDATE")


async def _with_names(owner: asyncpg.Connection, sql: str) -> str:
    """The statement with `{table.column}` replaced by the name that the constraint on just this column got."""
    found = re.search(r"\{(\w+)\.(\w+)\}", sql)
    if found is None:
        return sql
    name = await owner.fetchval(
        "SELECT conname FROM pg_constraint c WHERE conrelid = $1::text::regclass AND contype IN ('f', 'u') "
        "AND conkey = ARRAY[(SELECT attnum FROM pg_attribute WHERE attrelid = conrelid AND attname = $2)]",
        *found.groups(),
    )
    return sql.replace(found[0], f'"{name}"')


class _taken_back:  # noqa: N801 - reads as a word
    """A transaction that is always rolled back."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.transaction = connection.transaction()

    async def __aenter__(self) -> None:
        await self.transaction.start()

    async def __aexit__(self, *_: object) -> None:
        await self.transaction.rollback()


async def test_the_autodetector_finds_nothing_to_migrate():
    assert Tortoise.apps is not None
    detector = MigrationAutodetector(Tortoise.apps, tortoise_config()["apps"])  # type: ignore[arg-type]

    changes = await detector.changes()
    before = await detector._project_state()

    def is_real(operation: object) -> bool:
        # Tortoise writes the primary key of a one-to-one field in two ways and takes them for a difference.
        if not isinstance(operation, AlterModelOptions):
            return True
        known = {**before.models["models", operation.name].options, "pk_attr": operation.options["pk_attr"]}
        return operation.options != known

    assert [each for migration in changes for each in migration.operations if is_real(each)] == []


async def test_the_database_has_no_table_and_no_column_that_no_model_knows():
    rows = await fetch(
        "SELECT c.relname AS on_table, a.attname AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
    )
    there = {
        (row["on_table"], row["name"])
        for row in rows
        if not row["on_table"].startswith(QUEUE) and row["on_table"] != "tortoise_migrations"
    }

    known = {
        (model._meta.db_table, column)
        for model in constraints.models()
        for column in model._meta.fields_db_projection.values()
    }

    assert there == known


def test_migrations_are_numbered_without_a_gap_and_each_names_the_one_before():
    files = sorted(path for path in MIGRATIONS.glob("*.py") if path.name != "__init__.py")

    assert [int(path.name[:4]) for path in files] == list(range(1, len(files) + 1))
    for before, path in pairwise(files):
        assert re.search(rf"dependencies = \[\(.models., .{before.stem}.\)\]", path.read_text()), path.name


async def test_the_service_may_not_change_the_ledger_and_owns_nothing():
    assert await constraints.excessive_rights() == []
    role = settings().database_role
    owned = await fetch("SELECT relname FROM pg_class WHERE relowner = $1::regrole", role)
    rights = await fetch(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = $1", role
    )

    assert owned == []
    assert not any(rights[0].values())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (x int)",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DROP TABLE event_seals",
        "SET session_replication_role = replica",
        "UPDATE event_seals SET hash = 'x'",
        "DELETE FROM tortoise_migrations",
        "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
async def test_what_only_the_owner_may_do_is_refused_to_the_service(statement: str):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(statement)


async def test_not_even_the_owner_changes_the_ledger_without_taking_the_triggers_off():
    async with as_owner() as owner:
        await owner.execute("SET session_replication_role = origin")
        await owner.execute(
            "INSERT INTO event_seals (shard, position, event_id, hash, sealed_at) "
            "VALUES (0, 1, gen_random_uuid(), 'x', now())"
        )
        for statement in ("UPDATE event_seals SET hash = 'y'", "DELETE FROM event_seals", "TRUNCATE event_seals"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await owner.execute(statement)


async def test_migrating_renders_every_model_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch):
    """The cost grows with the tables, not with their square: each is rendered once, and again for a later change."""
    rendered: list[str] = []
    render = ModelState.render

    def counted(self: ModelState, *arguments: Any, **options: Any) -> Any:
        rendered.append(self.name)
        return render(self, *arguments, **options)

    monkeypatch.setattr(ModelState, "render", counted)
    assert Tortoise.apps is not None
    detector = MigrationAutodetector(Tortoise.apps, tortoise_config()["apps"])  # type: ignore[arg-type]
    await detector.loader.build_graph()

    state = await detector._project_state()

    assert len(state.models) > 50
    assert len(rendered) <= 2 * len(state.models)
