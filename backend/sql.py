"""SQL with named parameters, for statements with more of them than a reader can count."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

# A name stands after a single colon; `::type` is a cast, and text between quotes is text.
_PARTS = re.compile(r"'(?:[^']|'')*'|::|:([a-z_][a-z0-9_]*)")


@lru_cache(maxsize=256)
def positional(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with $1, $2 … in place of `:name`, and the names in the order of their positions."""
    names: dict[str, int] = {}

    def position(part: re.Match[str]) -> str:
        name = part.group(1)
        return part.group() if name is None else f"${names.setdefault(name, len(names) + 1)}"

    return _PARTS.sub(position, sql), tuple(names)


def named(sql: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments of `fetch` or `execute`: `await execute(*named(_INSERT, {"id": …, "at": …}))`.

    Raises KeyError for a name without a value, and ValueError for a value without a place.
    """
    statement, names = positional(sql)
    if unused := values.keys() - set(names):
        raise ValueError(f"the statement has no place for {sorted(unused)}")
    return (statement, *(values[name] for name in names))
