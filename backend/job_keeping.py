"""What stays of jobs after their end: dead letters until an operator handles them, the log for a while."""

from __future__ import annotations

from typing import NamedTuple

from backend.database import execute, fetch, transaction
from backend.logs import scrub
from backend.settings import settings


class DeadLetter(NamedTuple):
    """A job that failed as often as it may, with its last error."""

    id: int
    job: str
    payload: str
    failures: int
    died_at: str
    error: str


_DEAD = """
SELECT q.id, q.entrypoint, convert_from(coalesce(q.payload, ''), 'UTF8'), q.attempts + 1, q.updated,
    (SELECT l.traceback ->> 'exception_type' || ': ' || (l.traceback ->> 'exception_message') FROM pgqueuer_log l
     WHERE l.job_id = q.id AND l.traceback IS NOT NULL ORDER BY l.id DESC LIMIT 1) AS error
FROM pgqueuer q WHERE q.status = 'failed' ORDER BY q.updated LIMIT $1
"""
_DELETE_LOG = """
DELETE FROM pgqueuer_log l WHERE l.aggregated AND l.created < now() - make_interval(days => $1)
AND NOT EXISTS (SELECT 1 FROM pgqueuer q WHERE q.id = l.job_id)
"""


async def list_dead_letters(limit: int = 100) -> list[DeadLetter]:
    """The jobs that are dead, the oldest first."""
    return [
        DeadLetter(row[0], row[1], row[2], row[3], row[4].isoformat(), scrub(row[5] or ""))
        for row in await fetch(_DEAD, limit)
    ]


async def requeue(ids: list[int]) -> int:
    """Give dead jobs all their attempts again; how many of them were dead."""
    # Loaded here: a process that serves requests never requeues jobs.
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


async def delete_old_logs() -> int:
    """Delete log lines of jobs that ended more than `job_log_days` ago; how many. Dead letters keep theirs."""
    return await execute(_DELETE_LOG, settings().job_log_days)
