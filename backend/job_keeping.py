"""What stays of jobs when they have ended: dead letters until an operator deals with them, the log for a while."""

from __future__ import annotations

from typing import NamedTuple

from backend.database import execute, fetch, transaction
from backend.logs import scrub
from backend.settings import settings


class DeadLetter(NamedTuple):
    """A job that failed as often as it may, and what went wrong the last time."""

    id: int
    job: str
    payload: str
    failures: int
    died_at: str
    why: str


_DEAD = """
SELECT q.id, q.entrypoint, convert_from(coalesce(q.payload, ''), 'UTF8'), q.attempts + 1, q.updated,
    (SELECT l.traceback ->> 'exception_type' || ': ' || (l.traceback ->> 'exception_message') FROM pgqueuer_log l
     WHERE l.job_id = q.id AND l.traceback IS NOT NULL ORDER BY l.id DESC LIMIT 1) AS why
FROM pgqueuer q WHERE q.status = 'failed' ORDER BY q.updated LIMIT $1
"""
_FORGET = """
DELETE FROM pgqueuer_log l WHERE l.aggregated AND l.created < now() - make_interval(days => $1)
AND NOT EXISTS (SELECT 1 FROM pgqueuer q WHERE q.id = l.job_id)
"""


async def dead_letters(limit: int = 100) -> list[DeadLetter]:
    """The jobs that are dead, the oldest first."""
    return [
        DeadLetter(row[0], row[1], row[2], row[3], row[4].isoformat(), scrub(row[5] or ""))
        for row in await fetch(_DEAD, limit)
    ]


async def again(ids: list[int]) -> int:
    """Give dead jobs all their attempts anew; how many were dead."""
    # Loaded here: a process that serves requests lists dead letters and never runs them again.
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
    from pgqueuer.adapters.persistence.queries import Queries
    from pgqueuer.domain.types import JobId

    async with transaction() as connection:
        dead = await connection.fetch(
            "SELECT id FROM pgqueuer WHERE id = ANY($1) AND status = 'failed' FOR UPDATE", ids
        )
        if dead:
            await Queries(AsyncpgDriver(connection)).requeue_jobs([JobId(row["id"]) for row in dead])
    return len(dead)


async def forget_finished() -> int:
    """Delete log lines of jobs that ended more than `job_log_days` ago; how many. Dead letters keep theirs."""
    return await execute(_FORGET, settings().job_log_days)
