"""The outermost layer of the API: what every request gets, whatever it asks for.

A request id, a bound on time and size, security headers, metrics; an answer even when nothing inside could give
one. It is one plain ASGI layer because it stands on the hot path.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from api import problems
from backend import clock, logs
from backend.errors import TooLarge, Trouble, Unavailable, Unsupported
from backend.settings import settings

log = logging.getLogger(__name__)

REQUESTS = Counter("zhangban_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("zhangban_request_seconds", "Time from request to answer", ["route"])

_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_NOT_KEPT = (b"cache-control", b"no-store")


@lru_cache(maxsize=2048)
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The meters of a route, kept because finding them by their labels costs more than counting."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(route)


Span = Callable[[HTTPScope], AbstractContextManager[Any]]


class TookTooLong(Unavailable):
    """The answer was not ready within the time that a request may take."""

    code = "took-too-long"
    title = "处理时间过长，请稍后查看结果或重试"


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            if 8 <= len(given) <= 64 and _ID_LETTERS.issuperset(given):
                return given
    return secrets.token_hex(8)


class Edge:
    """Wraps the Litestar application; `serve` runs this."""

    def __init__(self, app: ASGIApp, span: Span | None = None) -> None:
        self.app = app
        self.span = span or (lambda _: nullcontext())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        identity = _request_id(scope)
        token = logs.request_id.set(identity)
        started, status = clock.monotonic(), 0
        streams = unread = False
        bound = asyncio.timeout(settings().request_timeout)

        async def send_with_headers(message: Message) -> None:
            nonlocal status, streams, unread
            if message["type"] == "http.response.start":
                status = message["status"]
                if streams := _is_stream(message["headers"]):
                    bound.reschedule(None)  # what follows is bounded message by message
                headers = [*message["headers"], (b"x-request-id", identity.encode()), *_ALWAYS]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(_NOT_KEPT)
                message["headers"] = headers
            if not streams:
                await send(message)
                return
            try:
                async with asyncio.timeout(settings().request_timeout):
                    await send(message)
            except TimeoutError:
                unread = True
                raise

        try:
            with self.span(scope):
                async with bound:
                    await self._answer(scope, receive, send_with_headers)
        except TimeoutError:
            if not status:
                await _refuse(send_with_headers, TookTooLong(retry_after=2))
        except Exception:
            if unread:
                log.info("dropped a client that did not read its stream")
            else:
                log.exception("nothing inside could answer")
            if not status:
                await _refuse(send_with_headers, problems.Internal())
        finally:
            count, duration = _meters(scope["method"], str(scope.get("path_template") or "-"), status)
            count.inc()
            if not streams:
                duration.observe(clock.monotonic() - started)
            logs.request_id.reset(token)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = settings().body_limit
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value) > limit):
                await _refuse(send, TooLarge())
                return
            if name == b"content-encoding" and value.lower() != b"identity":
                await _refuse(send, Unsupported("不支持压缩的请求内容"))
                return
        await self.app(scope, receive, send)


def _is_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the answer goes on for as long as somebody listens: such a one has no end to be timed."""
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


async def _refuse(send: Send, trouble: Trouble) -> None:
    status, headers, body = problems.encoded(trouble)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
