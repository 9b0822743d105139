"""ETag and 304 for reads that repeat: a mini-program opens the same page again and again over a weak network.

`Revalidated` stands in the `middleware` of a handler or controller and needs nothing from it: the tag is taken from
the bytes that were about to be sent. A handler that knows the version of what it serves without reading it whole
asks `unchanged` first and saves that work too.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from litestar import Request, Response
from litestar.datastructures import CacheControlHeader, ResponseHeader
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
PRIVATE = CacheControlHeader(private=True, no_cache=True).to_header()
"""The caching rule of what belongs to one person: only their device keeps it, and asks every time."""
_KEPT = frozenset({b"content-type", b"content-length", b"content-encoding"})

NOT_MODIFIED = {304: ResponseSpec(None, description="内容没有变化（If-None-Match 相符）", generate_examples=False)}
"""For the `responses` of a handler behind `Revalidated`."""

HEADERS = [
    ResponseHeader(name="ETag", description="内容的版本，可放入 If-None-Match", documentation_only=True),
]
"""For the `response_headers` of a handler behind `Revalidated`."""


def strong(body: bytes) -> str:
    """The strong tag of exactly these bytes."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def weak(*version: object) -> str:
    """The weak tag of a version: equal in meaning, perhaps not in bytes. The parts are hashed, so nothing shows."""
    digest = hashlib.sha256("\x00".join(map(str, version)).encode()).hexdigest()
    return f'W/"{digest[:32]}"'


def matches(if_none_match: str, tag: str) -> bool:
    """Whether the header names the tag, by the weak comparison that RFC 9110 §13.1.2 wants here."""
    if if_none_match.strip() == "*":
        return True
    wanted = tag.removeprefix("W/")
    return any(found == wanted for found in _TAG.findall(if_none_match))


def unchanged(request: Request[Any, Any, Any], tag: str) -> bool:
    """Whether the client already holds what the tag stands for."""
    return any(matches(given, tag) for given in request.headers.getall("if-none-match", []))


def not_modified(tag: str, caching: str) -> Response[None]:
    """The answer 304 to a client for whom `unchanged` is true."""
    return Response(None, status_code=304, headers={"etag": tag, "cache-control": caching})


class Revalidated(ASGIMiddleware):
    """Give every successful GET its ETag and caching rule, and answer 304 when the client has it already.

    `public=True` lets shared caches keep the answer for `max_age` seconds and use it while they revalidate for
    ten times as long. Otherwise it belongs to one person: only their device keeps it, and asks every time.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, *, public: bool = False, max_age: int = 0) -> None:
        kept = CacheControlHeader(public=True, max_age=max_age, stale_while_revalidate=max_age * 10)
        self.caching = kept.to_header() if public else PRIVATE

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Hold the answer back until its bytes are known."""
        if scope["type"] != ScopeType.HTTP or scope["method"] not in ("GET", "HEAD"):
            await next_app(scope, receive, send)
            return
        given = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match")
        held: Any = None

        async def tagged(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and message["status"] == 200:
                held = message
                return
            if held is None or message["type"] != "http.response.body":
                await send(message)
                return
            start, held = held, None
            if message.get("more_body") or any(name == b"etag" for name, _ in start["headers"]):
                await send(start)
                await send(message)
                return
            await self._answer(start, message, given, send)

        await next_app(scope, receive, tagged)

    async def _answer(self, start: Any, message: Any, given: str, send: Send) -> None:
        tag = strong(message["body"])
        headers = [pair for pair in start["headers"] if pair[0] != b"cache-control"]
        headers += [(b"etag", tag.encode()), (b"cache-control", self.caching.encode())]
        if given and matches(given, tag):
            start["status"], message["body"] = 304, b""
            headers = [pair for pair in headers if pair[0] not in _KEPT]
        start["headers"] = headers
        await send(start)
        await send(message)
