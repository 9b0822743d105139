"""Rate limits: atomic counters in Redis, with a stated policy for the day Redis is down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope
from prometheus_client import Counter

from backend import cache, crypto, logs
from backend.errors import TooMany
from backend.settings import settings

REFUSED = Counter("zhangban_limited_total", "Requests refused by a limit", ["limit"])

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


@lru_cache(maxsize=8)
def _networks(text: str) -> tuple[Any, ...]:
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def client_address(scope: Scope) -> str:
    """The address of the client. X-Forwarded-For counts only from a trusted proxy, and only its last entry."""
    client = scope.get("client")
    address = client[0] if client else "unknown"
    trusted = _networks(settings().trusted_proxies)
    if not trusted:
        return address
    try:
        if not any(ip_address(address) in network for network in trusted):
            return address
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = [hop.strip() for value in forwarded for hop in value.decode("latin-1").split(",")]
        for hop in reversed(hops):
            if not any(ip_address(hop) in network for network in trusted):
                return str(ip_address(hop))
    except ValueError:
        return address
    return address


async def within(name: str, who: str, times: int, seconds: float, *, fail_closed: bool) -> None:
    """Count one more; raises TooMany past the limit.

    When Redis is down: `fail_closed` raises CacheDown (503), otherwise the request goes on uncounted.
    """
    try:
        verdict = await cache.count_within(f"{name}:{crypto.fingerprint(who, 'limit')}", times, seconds)
    except cache.CacheDown:
        if fail_closed:
            raise
        return
    if not verdict.allowed:
        REFUSED.labels(name).inc()
        logs.security.warning("rate limit exceeded", extra={"event": "limit.exceeded", "limit": name})
        raise TooMany(retry_after=verdict.retry_after)


def limit(name: str, times: int, seconds: float, *, fail_closed: bool = False) -> Guard:
    """A guard: each address may call the route `times` in `seconds`."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        await within(name, client_address(connection.scope), times, seconds, fail_closed=fail_closed)

    return guard
