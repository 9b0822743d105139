"""Every statement is prepared against the migrated schema, and none has more positions than one can count."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import asyncpg
import pytest

from backend import database
from backend.sql import positional
from tests.house.reading import name, product, tree

RUNS = {"execute", "executemany", "fetch", "fetch_row", "fetch_value", "fetchrow", "fetchval", "named", "paged"}
"""Functions whose first argument is a statement."""
RUNS_AS = {"fetch_as", "fetch_one_as"}
"""Functions whose second argument is a statement, after the struct of its rows."""
MOST_POSITIONS = 10
_BEGINS = re.compile(r"(?:\s|--[^\n]*\n)*(?:WITH|SELECT|INSERT|UPDATE|DELETE)\b")
_POSITION = re.compile(r"\$(\d+)")


class Statement(NamedTuple):
    """A statement, and where it is run."""

    place: str
    sql: str


def module_of(path: Path) -> ModuleType:
    """The module of a file."""
    return importlib.import_module(name(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def run_by(call: ast.Call) -> ast.expr | None:
    """The argument of a call that is a statement; None for other calls."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    at = 0 if function in RUNS else 1 if function in RUNS_AS else None
    return call.args[at] if at is not None and len(call.args) > at else None


def evaluated(expression: ast.expr, module: ModuleType) -> Any:
    """The value of an expression of the module's constants; None when it takes something of its function."""
    match expression:
        case ast.Constant(value):
            return value
        case ast.Name(identifier):
            return getattr(module, identifier, None)
        case ast.Attribute(owner, attribute):
            return getattr(evaluated(owner, module), attribute, None)
        case ast.BinOp(left, ast.Add(), right):
            parts = [evaluated(left, module), evaluated(right, module)]
        case ast.JoinedStr(values):
            parts = [evaluated(each, module) for each in values]
        case ast.FormattedValue(value, -1, None):
            return evaluated(value, module)
        case _:
            return None
    return "".join(map(str, parts)) if all(part is not None for part in parts) else None


def statements_in(path: Path) -> Iterator[Statement]:
    """Statements that the file runs, and constants of it that are a statement."""
    module, source = module_of(path), tree(path)
    for node in ast.walk(source):
        expression = run_by(node) if isinstance(node, ast.Call) else None
        if expression is not None and isinstance(sql := evaluated(expression, module), str) and _BEGINS.match(sql):
            yield Statement(f"{name(path)}:{expression.lineno}", sql)
    for node in source.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            sql = getattr(module, target.id, None) if isinstance(target, ast.Name) else None
            if isinstance(sql, str) and _BEGINS.match(sql):
                yield Statement(f"{name(path)}:{node.lineno}", sql)


@cache
def statements() -> tuple[Statement, ...]:
    """All of the product, each text once."""
    found = {each.sql: each for path in product() if "migrations" not in name(path) for each in statements_in(path)}
    return tuple(found.values())


async def fault_of(sql: str) -> str | None:
    """Why PostgreSQL does not accept the statement, if it does not."""
    text, _ = positional(sql, max(map(int, _POSITION.findall(sql)), default=0))
    async with database.transaction() as connection:
        try:
            await connection.prepare(text)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return str(error)
    return None


def test_most_of_the_statements_are_found():
    assert len(statements()) > 400


async def test_every_statement_fits_the_schema():
    faults = {each.place: fault for each in statements() if (fault := await fault_of(each.sql))}

    assert faults == {}


@pytest.mark.parametrize("sql", ["SELECT nope FROM cases", "SELECT :name::uuid FROM nowhere", "SELECT FROM WHERE"])
async def test_a_statement_that_does_not_fit_is_found(sql: str):
    assert await fault_of(sql)


def test_no_statement_has_more_positions_than_one_can_count():
    crowded = [
        each.place for each in statements() if max(map(int, _POSITION.findall(each.sql)), default=0) > MOST_POSITIONS
    ]

    assert crowded == []
