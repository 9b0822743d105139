"""Faults between two machines, on demand and per address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

Mode = Literal["timeout", "status", "errcode", "slow", "broken_json", "html", "reset", "drop_reply", "redirect", "huge"]
TEST_CONTROL = "/sandbox"


class Fault(Struct, forbid_unknown_fields=True, kw_only=True):
    """What happens at `path` (one that ends in `*` is all that begin so) the next `times` times; None means until it
    is lifted.

    `timeout` sends nothing for `seconds`; `slow` drips the true answer over `seconds`; `drop_reply` does
    the work and then breaks the connection; `status` and `errcode` answer `number`.
    """

    path: str = "*"
    mode: Mode
    times: int | None = None
    number: int = 0
    seconds: float = 30.0


@dataclass
class FaultBox:
    """The faults in force; the first that fits is used up first."""

    faults: list[Fault] = field(default_factory=list)
    struck: int = 0

    def add(self, path: str, mode: Mode, *, times: int | None = None, number: int = 0, seconds: float = 30.0) -> None:
        """Put a fault in force."""
        self.faults.append(Fault(path=path, mode=mode, times=times, number=number, seconds=seconds))

    def clear(self) -> None:
        """Lift every fault."""
        self.faults.clear()

    def next_fault(self, path: str) -> Fault | None:
        """The fault of this request, if one is in force."""
        for fault in self.faults:
            if fault.path == path or (fault.path.endswith("*") and path.startswith(fault.path[:-1])):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                self.struck += 1
                return fault
        return None


class FaultInjector:
    """The app with the faults in front; the test control is never hit."""

    def __init__(self, app: ASGIApp, box: FaultBox) -> None:
        self._app = app
        self._box = box

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = scope.get("path", "")
        hit = str(scope["type"]) == "http" and not path.startswith(TEST_CONTROL)
        fault = self._box.next_fault(path) if hit else None
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await self._strike(fault, scope, receive, send)

    async def _strike(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.mode:
            case "timeout":
                await asyncio.sleep(fault.seconds)
                await _cut(send, receive)
            case "reset":
                await _cut(send, receive)
            case "drop_reply":
                await self._app(scope, receive, _swallow)
                await _cut(send, receive)
            case "slow":
                await self._app(scope, receive, _dripping(send, fault.seconds))
            case "status":
                await _answer(send, fault.number or 502, b"<html><h1>502 Bad Gateway</h1></html>", b"text/html")
            case "html":
                await _answer(send, 200, b"<html><body>Please wait</body></html>", b"text/html")
            case "redirect":
                await _answer(send, 302, b"", b"text/html", [(b"location", b"http://127.0.0.1:9/elsewhere")])
            case "broken_json":
                await _answer(send, 200, b'{"errcode":0,"errm', b"application/json")
            case "huge":
                await _answer(send, 200, b'{"errmsg":"' + b"x" * 2_000_000 + b'"}', b"application/json")
            case "errcode":
                body = msgspec.json.encode({"errcode": fault.number, "errmsg": "injected"})
                await _answer(send, 200, body, b"application/json")


async def _answer(
    send: Send, status: int, body: bytes, content_type: bytes, more: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _swallow(message: Message) -> None:
    """The reply that never arrives."""


def _dripping(send: Send, seconds: float) -> Send:
    async def drip(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        body, pieces = message.get("body", b""), 10
        size = max(1, -(-len(body) // pieces))
        for start in range(0, len(body), size):
            await asyncio.sleep(seconds / pieces)
            await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return drip


async def _cut(send: Send, receive: Receive) -> None:
    """Reset the TCP connection. ASGI has no word for it: uvicorn's `send` is a method of the object that
    holds the connection, and this sandbox is only ever served by uvicorn."""
    cycle: Any = getattr(send, "__self__", None)
    transport: Any = getattr(cycle, "transport", None)
    if transport is None:
        raise RuntimeError("the sandbox must be served by uvicorn")
    with contextlib.suppress(OSError, AttributeError):
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
