"""Whether we live, whether we are ready, and what we measured."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from litestar import Response, get
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from backend import cache, database, migrations
from backend.settings import settings


class Draining:
    """Set when the process is draining: no new work should be sent here."""

    begun: ClassVar[bool] = False


class Health(Struct):
    """We run."""

    status: str


class Readiness(Struct):
    """Whether requests should be sent here, and if not, what is missing."""

    ready: bool
    database: bool
    cache: bool
    migrations: bool
    draining: bool


@get(
    "/healthz",
    tags=["运行"],
    summary="进程是否存活（不依赖任何外部组件）",
    operation_id="health",
    sync_to_thread=False,
)
def healthz() -> Health:
    """Touches nothing: a dead database must not make anyone restart us."""
    return Health("ok")


_migrated = False


async def _database_state() -> tuple[bool, bool]:
    """Whether PostgreSQL answers with the guarantees we need, and whether no migration is missing."""
    global _migrated
    try:
        kept = await database.fetch_value(
            "SELECT current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' "
            "AND current_setting('synchronous_commit') <> 'off'"
        )
        # Migrations only ever go forward: once complete, complete for the life of this code.
        if not _migrated:
            _migrated = not await migrations.pending()
    except Exception:
        return False, False
    return bool(kept) or settings().profile != "production", _migrated


@get("/readyz", tags=["运行"], summary="是否可以接收请求", operation_id="readiness")
async def readyz() -> Response[Readiness]:
    """503 while draining, without a database, or before the migrations. A lost cache is shown and tolerated."""
    answers, migrated = await _database_state()
    cached = False
    with suppress(cache.CacheDown):
        cached = bool(await cache.ask(lambda r: r.ping()))
    ready = answers and migrated and not Draining.begun
    state = Readiness(ready, answers, cached, migrated, Draining.begun)
    return Response(state, status_code=200 if ready else 503)


@get(
    "/metrics",
    tags=["运行"],
    summary="Prometheus 指标",
    operation_id="metrics",
    sync_to_thread=False,
    media_type="text/plain",
)
def metrics() -> Response[bytes]:
    """Counters and durations of this process; labels never carry personal data."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
