"""Pages by cursor: the place where the last page ended, signed so that a caller cannot make one up."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import asyncpg
import msgspec

from backend.database import fetch
from backend.errors import Fault, Invalid
from backend.settings import settings

SMALLEST, USUAL, LARGEST = 1, 20, 100
_SIGNATURE = 12

R = TypeVar("R")


class CursorInvalid(Invalid):
    """The cursor was not made by us for this list, or was changed."""

    title = "翻页标识无效，请从第一页重新开始"


def _sign(body: bytes, purpose: str) -> bytes:
    key = hashlib.sha256(f"cursor {settings().token_secret}".encode()).digest()
    return hmac.digest(key, purpose.encode() + b"\x00" + body, "sha256")[:_SIGNATURE]


def cursor_of(place: list[Any], purpose: str) -> str:
    """A cursor for the place where a page of the list `purpose` ended."""
    body = msgspec.json.encode(place)
    return urlsafe_b64encode(_sign(body, purpose) + body).decode().rstrip("=")


def place_of(cursor: str, purpose: str) -> list[Any]:
    """The place that the cursor names. Raises CursorInvalid when we did not make it for this list."""
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        signature, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if hmac.compare_digest(signature, _sign(body, purpose)):
            return msgspec.json.decode(body, type=list)
    except ValueError:
        pass
    raise CursorInvalid(fields=[Fault("/cursor", "翻页标识无效")])


async def paged(
    sql: str,
    *arguments: Any,
    by: Mapping[str, Callable[[str], Any]],
    make: Callable[[asyncpg.Record], R],
    purpose: str,
    cursor: str | None,
    limit: int,
) -> tuple[list[R], str | None]:
    """One page of a list and the cursor of the next page, None on the last one.

    `by` names the columns that the list is ordered by and says how each is read back from a cursor. After `arguments`
    the statement is given one parameter for each of them (null on the first page) and the number of rows to return.
    `purpose` names the list with its filters: a cursor of another list is refused. Raises CursorInvalid.
    """
    place = place_of(cursor, purpose) if cursor else [None] * len(by)
    if len(place) != len(by):
        raise CursorInvalid(fields=[Fault("/cursor", "翻页标识无效")])
    after = [None if value is None else read(value) for read, value in zip(by.values(), place, strict=True)]
    rows = await fetch(sql, *arguments, *after, limit + 1)
    more = len(rows) > limit
    following = cursor_of([_written(rows[limit - 1][column]) for column in by], purpose) if more else None
    return [make(row) for row in rows[:limit]], following


def _written(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
