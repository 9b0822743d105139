"""What a rule says of an event: the messages that it leads to, or why it leads to none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from backend.database import execute
from backend.events import EventMeta


class Told(NamedTuple):
    """One message to one resident."""

    resident_id: UUID
    name: str
    """Which template."""
    context: Mapping[str, str]


class Nobody(tuple[Told, ...]):
    """No messages, and why this one event led to none: kept beside the event as `tellings.why`, so that silence is
    a decision that somebody can read, and a lost message is not taken for one."""

    why: str

    def __new__(cls, why: str) -> Nobody:
        """The reason has at most 64 characters."""
        made = super().__new__(cls)
        made.why = why
        return made


NOTHING_NEW = Nobody("the step says nothing new to the resident")
GONE = Nobody("what it was about is gone")
NO_ACCOUNT = Nobody("nobody with an account is concerned")

Telling = Callable[[Any, EventMeta], Awaitable[Sequence[Told]]]


class Tell(NamedTuple):
    """The messages that an event may lead to, and the function that says which of them go to whom."""

    names: tuple[str, ...]
    telling: Telling


class Silence(NamedTuple):
    """Why nobody is told."""

    why: str


UNSTATED = "the rule tells nobody"
_NOTE = """
INSERT INTO tellings (event_id, at, messages, forgotten, why) VALUES ($1, now(), $2, 0, $3)
ON CONFLICT (event_id) DO NOTHING
"""


async def note(event_id: UUID, messages: Sequence[Told]) -> None:
    """Write down how many messages an event led to, or why to none; in the transaction that makes them."""
    count = len({(each.resident_id, each.name) for each in messages})
    why = "" if count else getattr(messages, "why", UNSTATED)
    await execute(_NOTE, event_id, count, why)
