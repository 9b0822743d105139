"""Every statement is prepared against the migrated schema, and none has more positions than one can count."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product as combinations
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pytest

from backend import database, key_rotation
from backend.catalogue import finding
from backend.sql import positional
from tests.house.reading import name, product, tree

MOST_POSITIONS = 10
_BEGINS = re.compile(r"(?:\s|--[^\n]*\n)*(?:WITH|SELECT|INSERT INTO|UPDATE|DELETE FROM)\s")
_POSITION = re.compile(r"\$(\d+)")
_EACH_SEALED = [{"each": each} for each in key_rotation.SEALED]


def _searches() -> list[str]:
    """The search in each form that it can have: by kind of match, filtered or not, on the first page or a later one."""
    filtered = finding.Filters(
        region_codes=("990000",), department_id=UUID(int=0), domain="a", theme="b", subject="personal"
    )
    return [
        finding.statement(match, ["身份证", "sfz"], filters, 21, place)[0]
        for match, filters, place in combinations(
            finding.Match, (finding.Filters(), filtered), (None, [0, 1, "name", "code"])
        )
    ]


LOCALS: dict[str, list[dict[str, Any]]] = {
    "backend/appointments/tickets.py _get": [
        {"condition": "WHERE t.id = $1"},
        {"condition": "WHERE t.appointment_id = $1"},
    ],
    "backend/key_rotation.py _batch": [
        {"each": each, "wanted": ", ".join(("id", each.column, *each.also))} for each in key_rotation.SEALED
    ],
    "backend/key_rotation.py _write": [
        {
            "each": each,
            "changes": ", ".join(f"{name} = ${at}" for at, name in enumerate((each.column, *each.indexes), start=2)),
        }
        for each in key_rotation.SEALED
    ],
    "backend/key_rotation.py keys_in_use": _EACH_SEALED,
    "backend/privacy_scan.py in_tables": [{"text": '"number"::text', "column": {"quoted_table": '"cases"'}}],
    "backend/privacy_scan.py unsealed": _EACH_SEALED,
}
"""What the local names in a statement can be, by the function that puts it together."""
COMPOSED: dict[str, Callable[[], list[str]]] = {"backend/catalogue/finding.py statement": _searches}
"""Functions whose statements take their form from what is asked, and the statements of each."""
UNPREPARED = {"backend/jobs.py statement_with_job": "its statements are constants where it is called"}
"""Functions whose statements are not prepared, and why."""


class Statement(NamedTuple):
    """A statement, and where it stands."""

    place: str
    sql: str


def module_of(path: Path) -> ModuleType:
    """The module of a file."""
    return importlib.import_module(name(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def expressions_in(node: ast.AST, function: str = "") -> Iterator[tuple[str, ast.expr]]:
    """The largest expressions that make a text, with the function where they stand."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Constant | ast.JoinedStr | ast.BinOp):
            yield function, child
        else:
            inner = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            yield from expressions_in(child, inner)


def begins_with_sql(node: ast.AST, names: dict[str, Any]) -> bool:
    """Whether the expression begins with SQL: its own text, or that of a constant."""
    match node:
        case ast.Constant(value=str(text)):
            return bool(_BEGINS.match(text))
        case ast.Name(id=known):
            return isinstance(names.get(known), str) and bool(_BEGINS.match(names[known]))
        case ast.Attribute(value=ast.Name(id=owner), attr=known):
            return begins_with_sql(ast.Constant(getattr(names.get(owner), known, None)), names)
        case ast.BinOp(left=first) | ast.JoinedStr(values=[first, *_]) | ast.FormattedValue(value=first):
            return begins_with_sql(first, names)
    return False


def statements_in(path: Path) -> Iterator[Statement]:
    """Statements that stand in the file, and constants of it that another function completes to one."""
    module = module_of(path)
    for function, node in expressions_in(tree(path)):
        place, composer = f"{name(path)}:{node.lineno}", f"{name(path)} {function}"
        if not begins_with_sql(node, vars(module)) or composer in UNPREPARED:
            continue
        if composer in COMPOSED:
            yield from (Statement(place, sql) for sql in COMPOSED[composer]())
            continue
        code = compile(ast.Expression(node), str(path), "eval")
        for known in LOCALS.get(composer, [{}]):
            try:
                sql = eval(code, {**vars(module), **known})  # noqa: S307 - an expression of our own source
            except NameError as error:
                raise AssertionError(f"{place}: LOCALS does not give the local names of {composer}()") from error
            yield Statement(place, sql)
    for assignment in tree(path).body:
        match assignment:
            case ast.Assign(targets=[ast.Name(id=constant)], value=ast.Call()):
                sql = getattr(module, constant)
                if isinstance(sql, str) and _BEGINS.match(sql):
                    yield Statement(f"{name(path)}:{assignment.lineno}", sql)


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
    assert len(statements()) > 700


async def test_every_statement_fits_the_schema():
    faults = {each.place: fault for each in statements() if (fault := await fault_of(each.sql))}

    assert faults == {}


@pytest.mark.parametrize("sql", ["SELECT nope FROM cases", "SELECT :name::uuid FROM nowhere", "SELECT FROM WHERE"])
async def test_a_statement_that_does_not_fit_is_found(sql: str):
    assert await fault_of(sql)


def test_no_statement_has_more_positions_than_one_can_count():
    composed = {each.partition(" ")[0] for each in COMPOSED}  # a program counts their positions
    written = [each for each in statements() if each.place.partition(":")[0] not in composed]
    crowded = [each.place for each in written if max(map(int, _POSITION.findall(each.sql)), default=0) > MOST_POSITIONS]

    assert crowded == []
