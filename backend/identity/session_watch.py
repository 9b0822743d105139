"""What every process keeps in mind so that a resident's request needs no query: ended sessions, keys, the time.

The database is the truth and is asked every few seconds; a message through Redis makes it quicker and may be lost. So
an ended session is refused at once by the process that ended it, usually within milliseconds by the others, and at
the latest after `POLL` seconds. A process that could not read them for `TOO_OLD` seconds accepts no session until it
has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from backend import cache, clock
from backend.database import fetch, in_transaction, is_down
from backend.identity import keys, timing, tokens
from backend.identity.errors import SessionStoreUnavailable

log = logging.getLogger(__name__)

POLL = 3.0
"""Seconds between two questions to the database."""
TOO_OLD = 45.0
"""Seconds after which what we know is too old to let anybody in: the promise to residents is 60."""
OVERLAP = timedelta(seconds=60)
"""How far each question reaches back behind the last one: a session may have been marked as ended long before the
mark was committed, and a statement, a request and a transaction all end well within this time."""
CHANNEL = "identity:ended"

_ENDED = "SELECT id, ended_at FROM sessions WHERE ended_at > $1"

_ended: dict[UUID, float] = {}
"""Ended sessions and the second after which none of their tokens can be alive."""
_asked_at: float | None = None
_asked_until: datetime | None = None
_asking: asyncio.Task[None] | None = None


def is_live(session_id: UUID) -> bool:
    """Whether the session was not ended, as far as this process knows."""
    return session_id not in _ended


def is_stale() -> bool:
    """Whether what we know is too old to let anybody in."""
    return _asked_at is None or clock.monotonic() - _asked_at > TOO_OLD


async def ensure_fresh() -> None:
    """Make sure that the ended sessions are known. Raises SessionStoreUnavailable when the database does not answer."""
    global _asking
    if not is_stale():
        return
    if _asking is None or _asking.done() or _asking.get_loop() is not asyncio.get_running_loop():
        _asking = asyncio.create_task(refresh_watch())
    try:
        await asyncio.shield(_asking)
    except Exception as error:
        if is_down(error):
            raise SessionStoreUnavailable(retry_after=2) from error
        raise


async def refresh_watch() -> None:
    """Ask the database for the time, for the sessions that were ended lately and for the signing keys."""
    global _asked_at, _asked_until
    began = clock.monotonic()
    moment = await timing.database_now()
    life = timedelta(seconds=keys.longest_life("resident"))
    since = moment - life if _asked_until is None else min(_asked_until, moment) - OVERLAP
    for row in await fetch(_ENDED, since):
        _ended[row["id"]] = (row["ended_at"] + life).timestamp()
    for session_id in [each for each, until in _ended.items() if until < moment.timestamp()]:
        del _ended[session_id]
    if await keys.load_keys():
        tokens.clear_remembered()
    _asked_at, _asked_until = began, moment


async def get_key_set() -> dict[str, Any]:
    """The public keys of our access tokens as a JWK set. Raises SessionStoreUnavailable when we do not know them."""
    await ensure_fresh()
    return keys.get_key_set()


async def announce_ended(ended: Iterable[UUID]) -> None:
    """Refuse these sessions in this process from now on, and notify the others. Call it after the commit.

    Inside a caller's transaction it leaves everything to the next poll: it might still be rolled back.
    """
    ids = list(ended)
    if not ids or in_transaction():
        return
    _refuse(ids)
    with suppress(cache.CacheDown):
        await cache.ask(lambda redis: redis.publish(CHANNEL, ",".join(each.hex for each in ids)))


@asynccontextmanager
async def watch_sessions() -> AsyncIterator[None]:
    """Keep what this process knows fresh for as long as the block runs."""
    tasks = [asyncio.create_task(_ask_again()), asyncio.create_task(cache.listen(CHANNEL, _refuse_announced))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def clear_watch() -> None:
    """Know nothing, as a process that has just started."""
    global _asked_at, _asked_until, _asking
    _ended.clear()
    _asked_at = _asked_until = _asking = None
    keys.clear_keys()
    tokens.clear_remembered()
    timing.clear_offset()


def _refuse(ids: Iterable[UUID]) -> None:
    until = timing.seconds() + keys.longest_life("resident")
    for session_id in ids:
        _ended[session_id] = until


async def _ask_again() -> None:
    while True:
        try:
            await refresh_watch()
        except Exception as error:
            facts = {"reason": type(error).__name__}
            log.warning("ended sessions not read", extra={"event": "sessions.poll-failed", **facts})
        await asyncio.sleep(POLL)


def _refuse_announced(_: bytes, data: bytes) -> None:
    """Refuse sessions that another process has ended. A lost message does no harm: the database is asked anyway."""
    try:
        _refuse([UUID(hex=each) for each in data.decode("ascii").split(",")])
    except ValueError:
        log.warning("message on the channel of ended sessions not read", extra={"event": "sessions.message-invalid"})
