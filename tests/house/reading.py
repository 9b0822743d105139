"""The house as text and as syntax trees, for the tests that look at how it is built."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]
PRODUCT = ("api", "backend", "models", "notifications")


@cache
def files(*folders: str) -> tuple[Path, ...]:
    """Every Python file below these folders of the house."""
    return tuple(sorted(path for folder in folders for path in (HOUSE / folder).rglob("*.py")))


def product() -> tuple[Path, ...]:
    """Every Python file that is delivered."""
    return files(*PRODUCT)


@cache
def tree(path: Path) -> ast.Module:
    """The file as a syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name(path: Path) -> str:
    """The path as people write it."""
    return path.relative_to(HOUSE).as_posix()


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """What a file imports: the dotted name, and the name it has in the file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield each.name, each.asname or each.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                yield f"{node.module}.{each.name}", each.asname or each.name


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute or name; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}" if dotted(node.value) else ""
    return ""
