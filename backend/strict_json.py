"""JSON with one meaning or none.

Of two equal names one reader takes the first and another the last: a proxy that checked the text may have seen the
other one. Repeated names, NaN and a byte order mark are therefore refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class StrictJsonInvalid(ValueError):
    """The text has no single meaning; the message gives the reason and quotes nothing."""


class NameRepeated(StrictJsonInvalid):
    """An object has the same name twice."""


def decode(text: str | bytes, *, number: Callable[[str], Any] | None = None) -> Any:
    """The value of the text; bytes must be UTF-8. `number` reads a number from its digits. Raises StrictJsonInvalid."""
    try:
        # json.loads guesses at UTF-16 and UTF-32 when it gets bytes.
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        return json.loads(
            decoded,
            object_pairs_hook=_names_once,
            parse_constant=_no_constant,
            parse_int=number,
            parse_float=number,
        )
    except StrictJsonInvalid:
        raise
    except (ValueError, RecursionError):
        raise StrictJsonInvalid("not JSON") from None


def _names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise NameRepeated("a name twice")
    return names


def _no_constant(name: str) -> Any:
    raise StrictJsonInvalid("a number that is none")
