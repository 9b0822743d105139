"""Reading JSON that decides about money: one meaning or none.

Ordinary readers take the last of two equal names, make 1500 of 1500.0 and skip what they do not like at the beginning;
two readers of the same signed bytes may then see two amounts. Here equal names, NaN, a byte order mark
(`strict_json`), and text that cannot be stored are refused, and an amount is a whole number written as one. The order
of the names means nothing.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from backend import strict_json

MOST_FEN = 10**13
"""An amount beyond this is no fee."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


class Ambiguous(ValueError):
    """The text has no single meaning for us; the message says why and quotes nothing."""


def read_object(raw: bytes) -> dict[str, Any]:
    """The object. Raises Ambiguous for everything else, and for UTF-8 with a byte order mark."""
    try:
        value = strict_json.decode(raw)
    except strict_json.StrictJsonInvalid as error:
        raise Ambiguous(str(error)) from None
    if not isinstance(value, dict):
        raise Ambiguous("no object")
    return value


def group(content: dict[str, Any], name: str) -> dict[str, Any]:
    """The object inside. Raises Ambiguous."""
    value = content.get(name)
    if not isinstance(value, dict):
        raise Ambiguous(f"{name} is no object")
    return value


def text(content: dict[str, Any], name: str, *, most: int = 64) -> str:
    """The text, 1 to `most` characters that can be printed. Raises Ambiguous."""
    value = content.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise Ambiguous(f"{name} is no text")
    return value


def text_or_none(content: dict[str, Any], name: str, *, most: int = 64) -> str | None:
    """The text; None when it is missing, null or empty. Raises Ambiguous for anything else."""
    return None if content.get(name) in (None, "") else text(content, name, most=most)


def fen(content: dict[str, Any], name: str, *, least: int = 1) -> int:
    """The amount, written as a whole number: neither 1500.0 nor "1500" nor true. Raises Ambiguous."""
    value = content.get(name)
    if type(value) is not int or not least <= value <= MOST_FEN:
        raise Ambiguous(f"{name} is no amount")
    return value


def moment(content: dict[str, Any], name: str) -> datetime:
    """The instant, RFC 3339 with its offset. Raises Ambiguous."""
    value = text(content, name)
    try:
        if _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise Ambiguous(f"{name} is no instant")


def moment_or_none(content: dict[str, Any], name: str) -> datetime | None:
    """The instant; None when it is missing, null or empty. Raises Ambiguous."""
    return None if content.get(name) in (None, "") else moment(content, name)
