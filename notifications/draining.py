"""Draining the outbox by hand: every message that is due is sent here and now."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from backend import jobs
from backend.database import fetch
from models.notifications import MessageState
from notifications import delivering

AT_ONCE = 20


class Drained(NamedTuple):
    """What a drain left: messages by state."""

    sent: int
    inbox: int
    waiting: int
    dead: int


async def drain_outbox(*, once: bool = True) -> Drained:
    """Send everything that is due. With `once`, what has to wait for another attempt stays; without, we wait for it.

    Needs `partners.equip()`. Workers may run at the same time: one process at a time holds a resident's lease.
    """
    while True:
        await jobs.drain(strict=False)
        waits = await delivering.deliver_due(AT_ONCE)
        left = await count_by_state()
        if once or not left.waiting:
            return left
        await asyncio.sleep(min([5.0, *waits]))


async def count_by_state() -> Drained:
    """Messages by state."""
    rows = await fetch("SELECT state, count(*) FROM messages GROUP BY state")
    counted = {MessageState(row["state"]): row["count"] for row in rows}
    waiting = counted.get(MessageState.PENDING, 0) + counted.get(MessageState.LEASED, 0)
    sent, inbox, dead = (counted.get(each, 0) for each in (MessageState.SENT, MessageState.INBOX, MessageState.DEAD))
    return Drained(sent, inbox, waiting, dead)
