"""Where a command finds PostgreSQL and Valkey: at the addresses given, or in servers it starts itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from backend.settings import SettingsError, configure, settings


@contextmanager
def databases(*, durable: bool = True) -> Iterator[bool]:
    """Hold the servers that have no address and put their addresses in force inside the block.

    Yields whether PostgreSQL is one that we started. Raises SettingsError in production, where the
    bundled servers are refused, and EmbeddedFailed when one of them does not start.
    """
    before = settings()
    missing = [name.upper() for name in ("database_url", "redis_url") if not getattr(before, name)]
    if not missing:
        yield False
        return
    if before.profile == "production":
        raise SettingsError(f"{' and '.join(missing)} must be set in production")
    with ExitStack() as stack:
        # Imported here so that a service with real servers never loads what starts the bundled ones.
        from backend.embedded import servers

        urls = stack.enter_context(
            servers(durable=durable, postgres=not before.database_url, valkey=not before.redis_url)
        )
        values = replace(
            before,
            database_url=before.database_url or urls.database_url,
            redis_url=before.redis_url or urls.redis_url,
        )
        configure(values)
        stack.callback(configure, before)
        yield not before.database_url
