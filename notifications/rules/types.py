"""What a rule makes of an event: notifications, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from backend.events import EventMeta


class Notification(NamedTuple):
    """One message to one resident."""

    resident_id: UUID
    name: str
    """Which template."""
    context: Mapping[str, str]


class NoNotification(tuple[Notification, ...]):
    """No notifications, and why: for a class of events in the table, or for one event as the result of its rule.

    The reason of one event is stored beside it as `notification_outcomes.reason` (at most 64 characters), so that
    silence is a decision that can be read, and a lost message is not taken for one.
    """

    reason: str

    def __new__(cls, reason: str) -> NoNotification:
        made = super().__new__(cls)
        made.reason = reason
        return made


NOTHING_NEW = NoNotification("the step says nothing new to the resident")
GONE = NoNotification("the subject no longer exists")
NO_ACCOUNT = NoNotification("no account is concerned")

RESIDENT_DID_IT = NoNotification("the resident did it and sees the result at once")
FOR_OPERATORS = NoNotification("concerns operators, who watch the alarms")


class Notify(NamedTuple):
    """The messages that an event may lead to, and the function that decides which of them go to whom."""

    names: tuple[str, ...]
    decide: Callable[[Any, EventMeta], Awaitable[Sequence[Notification]]]


Rule = Notify | NoNotification
