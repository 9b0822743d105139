"""Every log call of the product, found in the syntax trees: its sentence and its `event` keys."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tests.house.reading import dotted, name, product, tree

LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
LOGGERS = {"log", "logger", "security"}


@dataclass(frozen=True)
class LogLine:
    """One call of a logger. `events` holds several keys when the call's branch chooses between them."""

    where: str
    sentence: str | None
    events: frozenset[str]


def log_lines() -> Iterator[LogLine]:
    """The log calls of `api`, `backend`, `notifications` and `models`."""
    for path in product():
        for function in ast.walk(tree(path)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                assigned = _assigned(function)
                for call in _calls(function):
                    dicts = {name: value for line, name, value in assigned if line <= call.lineno}
                    yield LogLine(f"{name(path)}:{call.lineno}", _sentence(call), _events(call, dicts))


def _calls(function: ast.AST) -> Iterator[ast.Call]:
    """Log calls of the function, without those of functions inside of it."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
            logger = dotted(child.func.value).rpartition(".")[2]
            if child.func.attr in LEVELS and logger.strip("_") in LOGGERS:
                yield child
        yield from _calls(child)


def _sentence(call: ast.Call) -> str | None:
    """The text of the call; None when it is made at run time."""
    assert isinstance(call.func, ast.Attribute)
    texts = call.args[1 if call.func.attr == "log" else 0 :]
    if texts and isinstance(texts[0], ast.Constant) and isinstance(texts[0].value, str):
        return texts[0].value
    return None


def _assigned(function: ast.AST) -> list[tuple[int, str, ast.expr]]:
    """Line, name and value of what the function assigns to a name, from its first line to its last."""
    return sorted(
        (
            (node.lineno, target.id, node.value)
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ),
        key=lambda each: each[0],
    )


def _events(call: ast.Call, dicts: dict[str, ast.expr]) -> frozenset[str]:
    extra = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
    return frozenset(each for node in extra for each in _keys(node, dicts))


def _keys(node: ast.expr, dicts: dict[str, ast.expr]) -> Iterator[str]:
    """The values of `event` in a dict display, also through a variable and `**variable`."""
    if isinstance(node, ast.Name) and node.id in dicts:
        yield from _keys(dicts[node.id], {})
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                yield from _keys(value, dicts)
            elif isinstance(key, ast.Constant) and key.value == "event":
                yield from _texts(value)


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
