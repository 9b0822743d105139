"""The short way of a read that the whole service lives by: from a known token straight to finished bytes.

What a framework does for a request (guards, parameters, dependencies, a response object) costs several times as much as
the read itself. `ShortWay` stands in the `middleware` of such a handler, behind the router. A resident whose token this
process has checked before gets the bytes at once, with the same ETag as on the ordinary way. Everything else (a token
seen for the first time, an ended session, no token at all) goes the ordinary way, where the guard decides: nothing is
allowed here that would not be allowed there. docs/performance.md has the figures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send

from api.auth import known_resident
from api.etag import PRIVATE, matches, strong
from backend.identity import AsResident

Read = Callable[..., Awaitable[bytes]]
"""Takes the resident and the path parameters by name; raises Trouble like the handler."""

_JSON = (b"content-type", b"application/json")
_CACHING = (b"cache-control", PRIVATE.encode())


class ShortWay(ASGIMiddleware):
    """Answer a GET of a known resident with the JSON that `read` gives."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, read: Read) -> None:
        self.read = read

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Go the short way if we know who is asking."""
        resident: AsResident | None = known_resident(scope)
        if resident is None:
            await next_app(scope, receive, send)
            return
        body = await self.read(resident, **scope["path_params"])
        tag = strong(body)
        start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": 200,
            "headers": [_JSON, (b"content-length", b"%d" % len(body)), (b"etag", tag.encode()), _CACHING],
        }
        given = [value for name, value in scope["headers"] if name == b"if-none-match"]
        if given and matches(b",".join(given).decode("latin-1"), tag):
            start["status"], start["headers"], body = 304, start["headers"][2:], b""  # type: ignore[index]
        await send(start)
        end: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
        await send(end)
