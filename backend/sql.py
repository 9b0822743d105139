"""SQL with named parameters, for statements with more of them than a reader can count."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

# A name stands after a single colon; `::type` is a cast, and text between quotes is text.
_PARTS = re.compile(r"'(?:[^']|'')*'|::|:([a-z_][a-z0-9_]*)")


@lru_cache(maxsize=256)
def positional(sql: str, taken: int = 0) -> tuple[str, tuple[str, ...]]:
    """The statement with $1, $2 … in place of `:name`, and the names in the order of their positions.

    The first `taken` positions belong to a part of the statement that has positions of its own.
    """
    names: dict[str, int] = {}

    def position(part: re.Match[str]) -> str:
        name = part.group(1)
        return part.group() if name is None else f"${names.setdefault(name, taken + len(names) + 1)}"

    return _PARTS.sub(position, sql), tuple(names)


def named(sql: str, values: Mapping[str, Any], *first: Any) -> tuple[Any, ...]:
    """The arguments of `fetch` or `execute`: `await execute(*named(_INSERT, {"id": …, "at": …}))`.

    `first` are the values of positions that the statement has besides its names: those of `jobs.statement_with_job`.
    Raises KeyError for a name without a value, and ValueError for a value without a place.
    """
    statement, names = positional(sql, len(first))
    if unused := values.keys() - set(names):
        raise ValueError(f"the statement has no place for {sorted(unused)}")
    return (statement, *first, *(values[name] for name in names))
