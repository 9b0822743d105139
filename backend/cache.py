"""Redis or Valkey: short-lived answers, locks, counters. It may be lost at any moment and nothing true is lost.

A caller decides what a dead cache means: reads go on without it, sign-in and codes refuse (CacheDown is a 503).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from backend import clock
from backend.errors import Unavailable
from backend.settings import Settings, settings

# redis-py is loaded with the first question: it brings OpenTelemetry with it, and most commands ask nothing.
if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

OPENS_AFTER = 3
"""Failures in a row after which we stop asking for a while."""
CONNECTIONS = 32
"""As many as ask at once; the others wait for their turn."""
STAYS_OPEN = 2.0
"""Seconds for which a cache that failed is not asked again."""
LISTEN_AGAIN = 1.0
"""Seconds between the loss of a subscription and the next try."""


class CacheDown(Unavailable):
    """Redis does not answer."""

    title = "服务繁忙，请稍后再试"


class Verdict(NamedTuple):
    """What a counter says: whether this one is within the limit, how many are left, seconds until the next window."""

    allowed: bool
    remaining: int
    retry_after: int


_values: Settings | None = None
_redis: Redis | None = None
_failures = 0
_closed_until = 0.0

# One script, so that two processes at the limit cannot both pass; the window ends by itself.
_COUNT = """
local n = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if n == 1 or left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {n, left}
"""


async def connect() -> None:
    """Open the cache at the address of the settings; the client is made when it is first needed."""
    global _values, _redis, _failures, _closed_until
    _values, _redis = settings(), None
    _failures, _closed_until = 0, 0.0


async def close() -> None:
    """Give the connections back."""
    global _values, _redis
    if _redis is not None:
        with suppress(*_errors()):
            await _redis.aclose()
    _values = _redis = None


def _errors() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return RedisError, OSError, TimeoutError


def errors() -> tuple[type[Exception], ...]:
    """The exceptions to catch around the client itself: Redis does not answer."""
    return *_errors(), CacheDown


def redis() -> Redis:
    """The client itself, for subscriptions; everything else goes through `ask`."""
    global _redis
    if _values is None:
        raise CacheDown
    if _redis is None:
        _redis = _client(_values)
    return _redis


def _client(values: Settings) -> Redis:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    wait = values.redis_timeout
    # A pool that does not block raises when its connections are all in use, and a crowd would look like a dead Redis.
    pool = BlockingConnectionPool.from_url(
        values.redis_url,
        socket_timeout=wait,
        socket_connect_timeout=wait,
        # The default is ten retries with back-off: a dead Redis would hold every request for seconds.
        retry=Retry(NoBackoff(), 0),
        max_connections=CONNECTIONS,
        timeout=wait,
    )
    return Redis.from_pool(pool)


async def ask(operation: Callable[[Redis], Awaitable[T]]) -> T:
    """Run the operation on Redis.

    Raises CacheDown when it does not answer within `redis_timeout` seconds; after three failures in a row
    callers do not wait for it for two seconds.
    """
    global _failures, _closed_until
    if clock.monotonic() < _closed_until:
        raise CacheDown(retry_after=STAYS_OPEN)
    try:
        answer = await operation(redis())
    except _errors() as error:
        _failures += 1
        if _failures >= OPENS_AFTER:
            _closed_until = clock.monotonic() + STAYS_OPEN
        raise CacheDown(retry_after=STAYS_OPEN) from error
    _failures = 0
    return answer


async def count_within(key: str, limit: int, seconds: float) -> Verdict:
    """Count one more under `key`; allowed while no more than `limit` were counted in the window."""

    async def counted(client: Redis) -> list[int]:
        return await client.eval(_COUNT, 1, f"limit:{key}", int(seconds * 1000))  # type: ignore[no-any-return]

    number, left = await ask(counted)
    return Verdict(number <= limit, max(0, limit - number), max(1, -(-left // 1000)))


@asynccontextmanager
async def lock(name: str, seconds: float, *, wait: float = 0.0) -> AsyncIterator[bool]:
    """Hold the name for at most `seconds`; yields whether we got it within `wait` seconds.

    A lock in a cache is a courtesy that saves work; what must not happen twice is kept by the database.
    """
    from redis.exceptions import LockError

    holder = redis().lock(f"lock:{name}", timeout=seconds, sleep=0.02, blocking_timeout=wait)

    async def release(_: Redis) -> None:
        # A lock that ran out meanwhile may be another's by now; that is no failure of Redis.
        with suppress(LockError):
            await holder.release()

    held = await ask(lambda _: holder.acquire())
    try:
        yield held
    finally:
        if held:
            with suppress(CacheDown):
                await ask(release)


async def listen(
    pattern: str,
    handle: Callable[[bytes, bytes], None],
    *,
    connected: Callable[[bool], None] = lambda _: None,
) -> None:
    """Call `handle` with the channel and the data of every message on channels of the pattern, until cancelled.

    `connected` is called with True after each subscription and with False when it is lost: what is announced in
    between does not arrive.
    """
    while True:
        try:
            async with redis().pubsub() as subscription:
                await subscription.psubscribe(pattern)
                connected(True)
                while True:
                    message = await subscription.get_message(ignore_subscribe_messages=True, timeout=10)
                    if message is not None:
                        handle(message["channel"], message["data"])
        except errors():
            connected(False)
            await asyncio.sleep(LISTEN_AGAIN)
