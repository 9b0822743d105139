"""What an operator does with messages: drain the outbox, and send again what was set aside."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from uuid import UUID

from backend import jobs
from backend.database import fetch, transaction
from backend.events import record
from models.notifications import ChannelName, MessageState
from notifications import delivering
from notifications.events import MessageRevived

AT_ONCE = 20


class Drained(NamedTuple):
    """What a drain left: messages by state."""

    sent: int
    inbox: int
    waiting: int
    dead: int


async def outbox_drain(*, once: bool = True) -> Drained:
    """Send everything that is due. With `once`, what has to wait for another attempt stays; without, we wait for it.

    Needs `partners.equip()`. Workers may run at the same time: a resident's turn is taken by one of us.
    """
    while True:
        await jobs.drain(strict=False)
        waits = await delivering.bring_due(AT_ONCE)
        left = await state()
        if once or not left.waiting:
            return left
        await asyncio.sleep(min([5.0, *waits]))


async def state() -> Drained:
    """Messages by state."""
    rows = await fetch("SELECT state, count(*) FROM messages GROUP BY state")
    counted = {MessageState(row["state"]): row["count"] for row in rows}
    waiting = counted.get(MessageState.PENDING, 0) + counted.get(MessageState.LEASED, 0)
    return Drained(
        counted.get(MessageState.SENT, 0), counted.get(MessageState.INBOX, 0), waiting,
        counted.get(MessageState.DEAD, 0),
    )  # fmt: skip


async def send_again(message_id: UUID) -> bool:
    """Send a message that was set aside once more, from the first way on; False when it was not set aside."""
    async with transaction() as connection:
        resident_id = await connection.fetchval(
            "UPDATE messages SET state = 'pending', waiting = true, channel = $2, tries = 0, unanswered = 0, "
            "due_at = now(), finished_at = NULL WHERE id = $1 AND state = 'dead' RETURNING resident_id",
            message_id,
            str(ChannelName.MINI_PROGRAM),
        )
        if resident_id is None:
            return False
        await record(MessageRevived(message_id=message_id))
    return True
