"""Jobs: a row written in the same transaction as the change that wants it, run later by a worker (PgQueuer).

A job may run more than once (a worker can die after the work and before the mark), so handlers are idempotent.
A failing job is tried again after the delays of `job_retry_seconds`; then it is kept as a dead letter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import Counter, Histogram

from backend import logs
from backend.backoff import retry_delay
from backend.database import require_transaction, transaction
from backend.settings import settings

# The functions that run jobs import PgQueuer, and `job_queue` with it: most processes only write them.
if TYPE_CHECKING:
    from pgqueuer.domain.models import Job

log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], Awaitable[None]]

DONE = Counter("zhangban_jobs_total", "Jobs that ended", ["job", "outcome"])
TOOK = Histogram("zhangban_job_seconds", "How long a job ran", ["job"])


@dataclass(frozen=True)
class Registered:
    """A handler, how often it may be tried and how many may run at once over all workers (0: no bound)."""

    handler: Handler
    attempts: int
    at_once: int


_handlers: dict[str, Registered] = {}
_beside: list[Callable[[], Awaitable[Any]]] = []


class Later(Exception):
    """Raised by a handler: nothing is wrong, come back after this time. Not counted as a failure."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__(f"later, in {delay}")
        self.delay = delay


def job(name: str, *, attempts: int = 0, at_once: int = 0) -> Callable[[Handler], Handler]:
    """Register the handler of jobs with this name; `attempts` 0 means one more than there are retry delays."""

    def register(handler: Handler) -> Handler:
        known = _handlers.get(name)
        if known is not None and known.handler.__qualname__ != handler.__qualname__:
            raise RuntimeError(f"two handlers for {name}")
        _handlers[name] = Registered(handler, attempts, at_once)
        return handler

    return register


def also_drains(function: Callable[[], Awaitable[Any]]) -> None:
    """Have `drain` do this too when no job is left: work that waits in a table of its own instead of the queue."""
    if function not in _beside:
        _beside.append(function)


def names() -> list[str]:
    """Every job that the loaded code can run."""
    return sorted(_handlers)


async def enqueue(
    name: str, payload: Mapping[str, Any], *, after: timedelta | None = None, key: str | None = None
) -> None:
    """Write a job into the open transaction; it exists if and only if the transaction commits.

    With `key`, a job that is still waiting under the same key makes this one superfluous.
    """
    require_transaction("enqueue")
    async with transaction() as connection:
        await connection.execute(ENQUEUE, *job_parameters(name, payload, after=after, key=key))


ENQUEUE = """
WITH input AS MATERIALIZED (
    SELECT nextval((SELECT pg_get_serial_sequence('pgqueuer', 'id'))) AS id,
        priority, entrypoint, payload, execute_after, dedupe_key, headers, ord
    FROM UNNEST($1::int[], $2::text[], $3::bytea[], $4::interval[], $5::text[], $6::jsonb[])
        WITH ORDINALITY AS t(priority, entrypoint, payload, execute_after, dedupe_key, headers, ord)
),
inserted AS (
    INSERT INTO pgqueuer AS job (id, priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
    SELECT id, priority, entrypoint, payload, execute_after + NOW(), dedupe_key, headers, 'queued'
    FROM input
    ON CONFLICT (dedupe_key)
        WHERE ((status = ANY (ARRAY['queued'::pgqueuer_status, 'picked'::pgqueuer_status]))
            AND (dedupe_key IS NOT NULL))
        DO NOTHING
    RETURNING id, entrypoint, priority, dedupe_key
),
logged AS (
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
    SELECT id, 'queued', entrypoint, priority FROM inserted WHERE id IN (SELECT id FROM input)
)
SELECT i.ord AS ord, ins.id AS id FROM inserted ins JOIN input i ON i.id = ins.id ORDER BY i.ord
"""
"""PgQueuer's statement that writes jobs and skips those whose key waits already, as its version that we pin builds it:
a test compares the two. It stands here so that a process that serves requests need not load PgQueuer."""


def statement_with_job(others: str) -> str:
    """PgQueuer's statement that writes a job, doing `others` too: CTEs, separated by commas, with parameters from $7.

    One round trip less for use cases that write a row and its job; the first six parameters are `job_parameters`.
    """
    return f"WITH {others}, {ENQUEUE.strip().removeprefix('WITH ')}"


def job_parameters(
    name: str, payload: Mapping[str, Any], *, after: timedelta | None = None, key: str | None = None
) -> tuple[list[Any], ...]:
    """The first six parameters of such a statement: one job, due at once unless `after` says later."""
    return [0], [name], [msgspec.json.encode(payload)], [after or timedelta(0)], [key], ["null"]


async def _run(name: str, job: Job) -> None:
    """Run a job: its own log context, metrics, and our schedule of retries."""
    from pgqueuer.domain.errors import RetryRequested

    registered = _handlers[name]
    logs.request_id.set(f"job-{job.id}")
    with TOOK.labels(name).time():
        try:
            await registered.handler(msgspec.json.decode(job.payload or b"{}"))
        except Later as later:
            async with transaction():
                await enqueue(name, msgspec.json.decode(job.payload or b"{}"), after=later.delay)
            DONE.labels(name, "later").inc()
        except Exception as error:
            failures = job.attempts + 1
            delay = retry_delay(settings().job_retry_seconds, failures)
            if delay is None or (registered.attempts and failures >= registered.attempts):
                DONE.labels(name, "dead").inc()
                log.exception("job failed for good", extra={"event": "job.dead", "job": name, "job_id": job.id})
                raise
            DONE.labels(name, "retry").inc()
            facts = {"job": name, "failures": failures, "reason": repr(error)}
            log.warning("job failed, trying it again", extra={"event": "job.failed", **facts})
            raise RetryRequested(delay=timedelta(seconds=delay), reason=type(error).__name__) from error
        else:
            DONE.labels(name, "done").inc()


@dataclass(frozen=True)
class Timetable:
    """What a worker does beside the queue: `cron` entries are jobs, `every` are short functions run in each worker by
    the clock, `all_along` run in each worker from its start until the event they are given is set."""

    cron: Sequence[tuple[str, str]] = ()
    every: Sequence[tuple[float, Callable[[], Awaitable[Any]]]] = field(default=())
    all_along: Sequence[Callable[[asyncio.Event], Awaitable[Any]]] = field(default=())


async def _enqueue_scheduled(name: str) -> None:
    async with transaction():
        await enqueue(name, {}, key=f"cron:{name}")


async def _repeat(seconds: float, function: Callable[[], Awaitable[Any]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await function()
        except Exception:
            log.exception("periodic task failed", extra={"event": "task.failed", "task": function.__qualname__})
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            continue


async def _keep_up(function: Callable[[asyncio.Event], Awaitable[Any]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await function(stop)
        except Exception:
            facts = {"event": "task.restarted", "task": function.__qualname__}
            log.exception("continuous task failed, restarting it in 1 s", extra=facts)
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            continue


async def work(stop: asyncio.Event, timetable: Timetable | None = None) -> None:
    """Run jobs until `stop` is set, then finish those in flight.

    When PostgreSQL goes away the worker starts again as soon as it is back. Jobs of a worker that has been silent
    for `job_lease_seconds` are taken over.
    """
    from backend import job_queue

    timetable = timetable or Timetable()
    at_once = {name: registered.at_once for name, registered in _handlers.items()}
    cron = [(expression, name, partial(_enqueue_scheduled, name)) for expression, name in timetable.cron]
    repeating = [asyncio.create_task(_repeat(seconds, function, stop)) for seconds, function in timetable.every]
    repeating += [asyncio.create_task(_keep_up(function, stop)) for function in timetable.all_along]
    try:
        while not stop.is_set():
            try:
                await job_queue.work_once(stop, _run, at_once, cron)
            except Exception:
                log.exception("worker crashed, restarting in 1 s", extra={"event": "worker.crashed"})
                try:
                    await asyncio.wait_for(stop.wait(), 1.0)
                except TimeoutError:
                    continue
    finally:
        stop.set()
        await asyncio.gather(*repeating)


async def drain(*, strict: bool = True, limit: int = 10_000) -> int:
    """Run everything that is due now, one after the other, here, and what waits beside the queue; how many jobs ran.

    With `strict`, the first failure is raised after it was recorded: tests want to see it.
    """
    from backend import job_queue

    ran = await job_queue.drain(list(_handlers), _run, strict=strict, limit=limit)
    while _beside:
        for function in _beside:
            await _do_beside(function, strict=strict)
        more = await job_queue.drain(list(_handlers), _run, strict=strict, limit=limit - ran)
        ran += more
        if not more:
            break
    return ran


async def _do_beside(function: Callable[[], Awaitable[Any]], *, strict: bool) -> None:
    try:
        await function()
    except Exception:
        if strict:
            raise
        log.exception("task beside the queue failed", extra={"event": "task.failed", "task": function.__qualname__})
