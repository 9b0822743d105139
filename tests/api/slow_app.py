"""A small ASGI application for the tests of serving: it can be slow, and it can refuse to start."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from api.health import Draining


def application() -> Any:
    """/slow takes a second, /pid names the process, /readyz turns 503 while draining, /hang never ends."""
    return answer


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """The whole application."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    status, body = 200, b"ok"
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    elif scope["path"] == "/hang":
        await asyncio.sleep(3600)
    elif scope["path"] == "/pid":
        body = str(os.getpid()).encode()
    elif scope["path"] == "/readyz":
        status = 503 if Draining.begun else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def broken() -> Any:
    """An application that cannot start."""

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    return fails
