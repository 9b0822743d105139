"""What operators do to messages. That a message exists or was sent is not an event: it has a table of its own."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from backend.events import Event


class MessageRequeued(Event, frozen=True, kw_only=True, tag="message.requeued"):
    """An operator had a quarantined message sent again."""

    about: ClassVar[str] = "message_id"
    message_id: UUID
