"""A worker that kills itself with SIGKILL: `python -m tests.notifications.dying_worker PLACE RESIDENT`.

PLACE is `before-call`, `after-call`, `before-N` or `after-N` (the N-th SQL statement of its life), or `freeze`: it
stops itself when the call is made and its result not yet recorded, and goes on when it is continued.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg

from api.wiring import wire
from backend import database
from backend.partners import equip, partners_from
from backend.partners.wechat.live import LiveWeChat
from backend.settings import settings
from notifications import delivering


def die() -> None:
    """No clean-up, no last words."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_statement(place: str) -> None:
    """Count the statements of every connection and die at one of them."""
    when, _, number = place.partition("-")
    count = 0

    def counted(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if when == "before" and count == int(number):
                die()
            answer = await original(*arguments, **named)
            if when == "after" and count == int(number):
                die()
            return answer

        return run

    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        setattr(asyncpg.Connection, name, counted(getattr(asyncpg.Connection, name)))


def die_at_call(place: str) -> None:
    """Die before WeChat is called, or when it has accepted; or freeze there."""
    original = LiveWeChat.send_subscribe_message

    async def send(self: LiveWeChat, message: Any) -> Any:
        if place == "before-call":
            die()
        answer = await original(self, message)
        if place == "after-call":
            die()
        if place == "freeze":
            print("frozen", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return answer

    LiveWeChat.send_subscribe_message = send  # type: ignore[method-assign]


async def main(place: str, resident_id: UUID) -> None:
    """Deliver the resident's messages, as far as the process lives."""
    wire()
    await database.connect()
    partners = partners_from(settings())
    equip(partners)
    if place.endswith("-call") or place == "freeze":
        die_at_call(place)
    else:
        die_at_statement(place)
    await delivering.deliver(resident_id)
    await partners.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], UUID(sys.argv[2])))
