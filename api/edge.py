"""The outermost layer of the API: what every request gets, on every route.

A request id, a bound on time and size, security headers, metrics; an answer even when nothing inside could give
one. It is one plain ASGI layer because it stands on the hot path.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from api import problems
from backend import clock, logs
from backend.errors import DomainError, Malformed, TooLarge, Unavailable, UnsupportedMediaType
from backend.settings import settings

log = logging.getLogger(__name__)

REQUESTS = Counter("zhangban_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("zhangban_request_seconds", "Time from request to answer", ["route"])

_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LONGEST_LENGTH = 12
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_NOT_KEPT = (b"cache-control", b"no-store")


@lru_cache(maxsize=256)
def _is_host(value: bytes) -> bool:
    """Whether the framework can build an address from it; it falls over what is no host."""
    try:
        parts = urlsplit("//" + value.decode("ascii"))
        return bool(_HOST.fullmatch(parts.netloc) and parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


@lru_cache(maxsize=2048)
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The meters of a route, kept because finding them by their labels costs more than counting."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(route)


Span = Callable[[HTTPScope], AbstractContextManager[Any]]


class TookTooLong(Unavailable):
    """The answer was not ready within the time that a request may take."""

    title = "处理时间过长，请稍后查看结果或重试"


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            # It will stand in logs and in the ledger, so it must not be a person's number.
            if 8 <= len(given) <= 64 and _ID_LETTERS.issuperset(given) and logs.scrub(given) == given:
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
                log.info("client dropped: it did not read its stream", extra={"event": "request.stream-dropped"})
            else:
                log.exception("request failed outside of the application", extra={"event": "request.failed"})
            if not status:
                await _refuse(send_with_headers, problems.Internal())
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            count, duration = _meters(method, str(scope.get("path_template") or "-"), status)
            count.inc()
            if not streams:
                duration.observe(clock.monotonic() - started)
            logs.request_id.reset(token)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = _unreadable(scope)
        if problem is not None:
            await _refuse(send, problem)
            return
        await self.app(scope, receive, send)


def _is_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the response streams until the client leaves: its end cannot be timed."""
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


def _unreadable(scope: Scope) -> DomainError | None:
    """What is wrong with what says where the request goes and how its body is to be read."""
    limit, hosts = settings().body_limit, 0
    if not scope["query_string"].isascii():
        return Malformed("地址中的非 ASCII 字符须用百分号编码")
    for name, value in scope["headers"]:
        if name == b"host":
            hosts += 1
            if hosts > 1 or not _is_host(value):
                return Malformed("Host 有误")
        elif name == b"content-length":
            if not value.isdigit():
                return Malformed("Content-Length 有误")
            if len(value) > _LONGEST_LENGTH or int(value) > limit:
                return TooLarge()
        elif name == b"content-encoding" and value.lower() != b"identity":
            return UnsupportedMediaType("不支持压缩的请求内容")
    if not hosts:
        # Probes that speak HTTP/1.0 send none.
        scope["headers"] = [*scope["headers"], (b"host", b"localhost")]
    return None


async def _refuse(send: Send, problem: DomainError) -> None:
    status, headers, body = problems.encoded(problem)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
