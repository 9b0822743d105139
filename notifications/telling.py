"""What a rule says of an event: the messages that it leads to, or why it leads to none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from backend.events import EventMeta


class Told(NamedTuple):
    """One message to one resident."""

    resident_id: UUID
    name: str
    """Which template."""
    context: Mapping[str, str]


Telling = Callable[[Any, EventMeta], Awaitable[Sequence[Told]]]


class Tell(NamedTuple):
    """The messages that an event may lead to, and the function that says which of them go to whom."""

    names: tuple[str, ...]
    telling: Telling


class Silence(NamedTuple):
    """Why nobody is told."""

    why: str
