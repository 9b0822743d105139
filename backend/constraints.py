"""What the models declare, and whether the database really keeps it.

Tortoise drops the constraints of a table that is created in the same migration and then sees no difference; a restored
dump or a hand in the database may lose others. So the catalogue of PostgreSQL is asked, not the migrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tortoise import Tortoise
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint, UniqueConstraint
from tortoise.models import Model

from backend.database import fetch
from backend.migrations import APPEND_ONLY
from backend.settings import settings

TRIGGERS: dict[str, tuple[str, ...]] = {
    **{table: (f"{table}_append_only", f"{table}_no_truncate") for table in APPEND_ONLY},
    "item_versions": ("item_versions_fixed",),
    "ledger_groups": ("ledger_groups_append_only", "ledger_groups_no_truncate", "ledger_group_balanced"),
    "ledger_postings": ("ledger_postings_append_only", "ledger_postings_no_truncate", "ledger_posting_in_time"),
}
"""Triggers by table; they stand in the migrations, because models cannot declare them."""


class Promise(NamedTuple):
    """One thing that the database must keep: on which table, what kind of thing, and its name or columns."""

    table: str
    kind: str
    what: str


class Kept(NamedTuple):
    """What PostgreSQL knows of itself, as far as promises go."""

    named: frozenset[tuple[str, str]]
    unique: frozenset[tuple[str, frozenset[str]]]
    indexed: frozenset[tuple[str, tuple[str, ...]]]
    foreign: frozenset[tuple[str, str]]
    required: frozenset[tuple[str, str]]
    triggers: frozenset[tuple[str, str]]


_INDEXES = """
SELECT t.relname AS on_table, i.relname AS name, x.indisunique AS is_unique, x.indpred IS NULL AS is_whole,
       ARRAY(SELECT a.attname::text FROM unnest(x.indkey::int[]) WITH ORDINALITY AS k (n, o)
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.n ORDER BY k.o) AS columns
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
WHERE t.relnamespace = 'public'::regnamespace AND x.indisvalid AND x.indisready
"""
_CONSTRAINTS = """
SELECT t.relname AS on_table, c.conname AS name, c.contype::text AS kind,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = t.oid AND a.attnum = ANY(c.conkey)) AS columns
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
WHERE t.relnamespace = 'public'::regnamespace AND c.convalidated
"""
_REQUIRED = """
SELECT t.relname AS on_table, a.attname AS name FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid
WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r' AND a.attnotnull AND a.attnum > 0
"""
_TRIGGERS = """
SELECT t.relname AS on_table, g.tgname AS name FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid
WHERE t.relnamespace = 'public'::regnamespace AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
"""
_RIGHTS = """
SELECT has_table_privilege($1, t, p) AS may FROM unnest($2::text[]) AS t, unnest($3::text[]) AS p
"""


def models() -> list[type[Model]]:
    """Every table's model, in the order of their names."""
    assert Tortoise.apps is not None
    return [model for _, model in sorted(Tortoise.apps["models"].items())]


def declared() -> list[Promise]:
    """Every promise of every model, and the triggers."""
    found = [promise for model in models() for promise in _of_model(model)]
    return found + [Promise(table, "trigger", name) for table, names in TRIGGERS.items() for name in names]


def _of_model(model: type[Model]) -> Iterator[Promise]:
    meta, table = model._meta, model._meta.db_table
    columns = {**meta.fields_db_projection, **{name: f"{name}_id" for name in meta.fk_fields | meta.o2o_fields}}

    def spelled(names: Any) -> str:
        return ",".join(columns[name] for name in names)

    for name, column in meta.fields_db_projection.items():
        field = meta.fields_map[name]
        if not field.null:
            yield Promise(table, "not-null", column)
        if field.unique and not field.pk:
            yield Promise(table, "unique", column)
    yield Promise(table, "unique", spelled([meta.pk_attr]))
    for name in meta.fk_fields | meta.o2o_fields:
        field = meta.fields_map[name]
        if isinstance(field, ForeignKeyFieldInstance) and field.db_constraint:
            yield Promise(table, "foreign-key", columns[name])
    for together in meta.unique_together:
        yield Promise(table, "unique", spelled(together))
    for index in meta.indexes:
        if isinstance(index, Index):
            yield Promise(table, "name", index.name) if index.name else Promise(table, "index", spelled(index.fields))
        else:
            yield Promise(table, "index", spelled(index))
    for constraint in meta.constraints:
        if isinstance(constraint, CheckConstraint | UniqueConstraint):
            yield Promise(table, "name", str(constraint.name))


async def _kept() -> Kept:
    indexes, constraints = await fetch(_INDEXES), await fetch(_CONSTRAINTS)
    names = {(row["on_table"], row["name"]) for row in [*indexes, *constraints]}
    return Kept(
        frozenset(names),
        frozenset(
            (row["on_table"], frozenset(row["columns"])) for row in indexes if row["is_unique"] and row["is_whole"]
        ),
        frozenset((row["on_table"], tuple(row["columns"])) for row in indexes if row["is_whole"]),
        frozenset((row["on_table"], row["columns"][0]) for row in constraints if row["kind"] == "f"),
        frozenset((row["on_table"], row["name"]) for row in await fetch(_REQUIRED)),
        frozenset((row["on_table"], row["name"]) for row in await fetch(_TRIGGERS)),
    )


def _holds(promise: Promise, kept: Kept) -> bool:
    table, kind, what = promise
    names = what.split(",")
    return {
        "name": (table, what) in kept.named,
        "unique": (table, frozenset(names)) in kept.unique,
        # An index that begins with these columns serves as well.
        "index": any(on == table and list(columns[: len(names)]) == names for on, columns in kept.indexed),
        "foreign-key": (table, what) in kept.foreign,
        "not-null": (table, what) in kept.required,
        "trigger": (table, what) in kept.triggers,
    }[kind]


async def broken() -> list[Promise]:
    """Promises that the database does not keep."""
    kept = await _kept()
    return [promise for promise in declared() if not _holds(promise, kept)]


async def excessive_rights() -> list[Promise]:
    """What the service's role may do to the ledger and should not be able to."""
    found: list[Promise] = []
    for table in APPEND_ONLY:
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            rows = await fetch(_RIGHTS, settings().database_role, [table], [right])
            if rows[0]["may"]:
                found.append(Promise(table, "right", f"{settings().database_role} may {right}"))
    return found
