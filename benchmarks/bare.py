"""What the bare programs share: a pool without resets, and no more requests inside than it has connections."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from typing import Any

import asyncpg

POOL = int(os.environ.get("DATABASE_POOL_SIZE", "10"))


async def _leave(connection: Any) -> None:
    """No reset: the statements leave nothing behind."""


class Bare(ABC):
    """A program but for what it answers."""

    def __init__(self) -> None:
        self.pool: Any = None
        self.gate = asyncio.Semaphore(POOL)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
        else:
            await self.answer(scope, receive, send)

    @abstractmethod
    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""

    async def lifespan(self, receive: Any, send: Any) -> None:
        """Open and close the pool."""
        await receive()
        self.pool = await asyncpg.create_pool(
            os.environ["DATABASE_URL"],
            min_size=POOL,
            max_size=POOL,
            reset=_leave,
            server_settings={"jit": "off", "timezone": "UTC"},
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.pool.close()
        await send({"type": "lifespan.shutdown.complete"})


async def body_of(receive: Any) -> bytes:
    """The whole body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def respond(send: Any, status: int, body: bytes = b"") -> None:
    """One answer; 204 has no body, and a body is JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))] if status != 204 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
