"""The behaviour of a simulated platform as a struct of which a test changes single fields over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar.exceptions import ValidationException

S = TypeVar("S", bound=msgspec.Struct)


def change(rules: S, fields: Mapping[str, Any]) -> S:
    """Set the named fields, checked against their types; the others stay. Raises ValidationException."""
    try:
        changed = msgspec.convert({**msgspec.structs.asdict(rules), **fields}, type(rules))
    except msgspec.ValidationError as error:
        raise ValidationException(str(error)) from error
    for name in fields:
        setattr(rules, name, getattr(changed, name))
    return rules
