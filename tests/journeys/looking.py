"""Looking for what must not stand in clear: in everything that is stored, and in everything that is logged."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from backend import cache
from backend.logs import JsonLines
from tests.owner import as_owner


@contextmanager
def at_the_logs() -> Iterator[io.StringIO]:
    """Everything that is logged, at the most talkative level, as the service writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root, ours = logging.getLogger(), [logging.getLogger(name) for name in ("", "api", "backend", "notifications")]
    level = root.level
    root.addHandler(handler)
    for each in ours:
        each.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    for each in ours:
        each.setLevel(level if each is root else logging.NOTSET)


async def at_everything_stored() -> str:
    """Every row of every table as text, and every name and value of the cache."""
    parts = []
    async with as_owner() as owner:
        names = await owner.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )
        for each in names:
            rows = await owner.fetch(f'SELECT t::text AS row FROM "{each["relname"]}" t')
            parts += [f"{each['relname']} {row['row']}" for row in rows]
        blobs = await owner.fetch("SELECT encode(payload, 'escape') AS text FROM pgqueuer")
        parts += [f"pgqueuer {row['text']}" for row in blobs]
    async for key in cache.redis().scan_iter():
        parts.append(f"cache {key!r} {await cache.redis().dump(key)!r}")
    return "\n".join(parts)


def around(text: str, secret: str) -> str:
    """What stands before the secret, without it."""
    at = text.index(secret)
    return text[max(0, at - 200) : at].replace(secret, "***")
