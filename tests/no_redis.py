"""A Redis that is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend import cache
from backend.settings import using


@asynccontextmanager
async def no_redis() -> AsyncIterator[None]:
    """Nothing listens where Redis should be."""
    await cache.close()
    with using(redis_url="redis://127.0.0.1:9/0"):
        await cache.connect()
        yield
        await cache.close()
    await cache.connect()
