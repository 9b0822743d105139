"""Jobs: a row written in the same transaction as the change that wants it, run later by a worker (PgQueuer).

A job may run more than once (a worker can die after the work and before the mark), so handlers are idempotent.
A failing job is tried again after the delays of `job_retry_seconds`; then it is kept as a dead letter.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import msgspec
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.executors import EntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context, Job, Schedule, TracebackRecord
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter
from prometheus_client import Counter, Histogram

from backend import logs
from backend.database import connection_arguments, in_transaction, transaction
from backend.settings import settings

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
    if not in_transaction():
        raise RuntimeError("enqueue() belongs inside transaction()")
    async with transaction() as connection:
        await Queries(AsyncpgDriver(connection)).enqueue(
            name, msgspec.json.encode(payload), execute_after=after, dedupe_key=key, on_conflict="skip"
        )


_ENQUEUE = QueryQueueBuilder().build_enqueue_query("skip").strip()


def statement_with_job(others: str) -> str:
    """PgQueuer's statement that writes a job, doing `others` too: CTEs, separated by commas, with parameters from $7.

    One round trip less for whoever writes a row and its job; the first six parameters are `job_parameters`.
    """
    if not _ENQUEUE.startswith("WITH ") or "$7" in _ENQUEUE:
        raise RuntimeError("PgQueuer writes jobs in another manner than we know")
    return f"WITH {others}, {_ENQUEUE.removeprefix('WITH ')}"


def job_parameters(name: str, payload: Mapping[str, Any]) -> tuple[list[Any], ...]:
    """The first six parameters of such a statement: a job that is due at once, without a key."""
    return [0], [name], [msgspec.json.encode(payload)], [timedelta(0)], [None], ["null"]


def retry_delay(failures: int) -> timedelta | None:
    """How long to wait after the n-th failure (from 1), with up to a fifth of jitter; None when it was the last."""
    delays = [float(part) for part in settings().job_retry_seconds.split(",") if part.strip()]
    if failures > len(delays):
        return None
    return timedelta(seconds=delays[failures - 1] * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret


@dataclass
class _Executor(EntrypointExecutor):
    """Runs a handler: its own log context, metrics, and our schedule of retries."""

    name: str = ""

    async def execute(self, job: Job, context: Context) -> None:
        registered = _handlers[self.name]
        logs.request_id.set(f"job-{job.id}")
        with TOOK.labels(self.name).time():
            try:
                await registered.handler(msgspec.json.decode(job.payload or b"{}"))
            except Later as later:
                async with transaction():
                    await enqueue(self.name, msgspec.json.decode(job.payload or b"{}"), after=later.delay)
                DONE.labels(self.name, "later").inc()
            except Exception as error:
                failures = job.attempts + 1
                delay = retry_delay(failures)
                if delay is None or (registered.attempts and failures >= registered.attempts):
                    DONE.labels(self.name, "dead").inc()
                    log.exception("job is dead", extra={"job": self.name, "job_id": job.id})
                    raise
                DONE.labels(self.name, "retry").inc()
                log.warning(
                    "job failed, will be tried again",
                    extra={"job": self.name, "failures": failures, "why": repr(error)},
                )
                raise RetryRequested(delay=delay, reason=type(error).__name__) from error
            else:
                DONE.labels(self.name, "done").inc()


def _executor(name: str, registered: Registered) -> Callable[[EntrypointExecutorParameters], _Executor]:
    return lambda parameters: _Executor(parameters=parameters, name=name)


async def _never(job: Job) -> None:
    raise AssertionError("the executor runs the handler")


def _register_all(queuer: PgQueuer) -> None:
    for name, registered in _handlers.items():
        queuer.entrypoint(
            name,
            on_failure="hold",
            concurrency_limit=registered.at_once,
            accepts_context=False,
            executor_factory=_executor(name, registered),
        )(_never)


@dataclass(frozen=True)
class Timetable:
    """What a worker does beside the queue: `cron` entries are jobs, `every` are short functions run in each worker by
    the clock, `all_along` run in each worker from its start until the event they are given is set."""

    cron: Sequence[tuple[str, str]] = ()
    every: Sequence[tuple[float, Callable[[], Awaitable[Any]]]] = field(default=())
    all_along: Sequence[Callable[[asyncio.Event], Awaitable[Any]]] = field(default=())


def _scheduled(name: str) -> Callable[[Schedule], Awaitable[None]]:
    async def fire(schedule: Schedule) -> None:
        async with transaction():
            await enqueue(name, {}, key=f"cron:{name}")

    return fire


async def _repeat(seconds: float, function: Callable[[], Awaitable[Any]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await function()
        except Exception:
            log.exception("a repeated task failed", extra={"task": function.__qualname__})
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            continue


async def _keep_up(function: Callable[[asyncio.Event], Awaitable[Any]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await function(stop)
        except Exception:
            log.exception("what runs all along failed and starts again", extra={"task": function.__qualname__})
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            continue


async def work(stop: asyncio.Event, timetable: Timetable | None = None) -> None:
    """Run jobs until `stop` is set, then finish those in flight.

    When PostgreSQL goes away the worker starts again as soon as it is back. Jobs of a worker that has been silent
    for `job_lease_seconds` are taken over.
    """
    timetable = timetable or Timetable()
    repeating = [asyncio.create_task(_repeat(seconds, function, stop)) for seconds, function in timetable.every]
    repeating += [asyncio.create_task(_keep_up(function, stop)) for function in timetable.all_along]
    try:
        while not stop.is_set():
            try:
                await _work_once(stop, timetable)
            except Exception:
                log.exception("the worker lost its footing and starts again")
                try:
                    await asyncio.wait_for(stop.wait(), 1.0)
                except TimeoutError:
                    continue
    finally:
        stop.set()
        await asyncio.gather(*repeating)


class Driver(AsyncpgPoolDriver):
    """PgQueuer's driver, which asks itself for a sign of life only when it listens.

    PgQueuer begins both at once, on two connections: on a busy server the question may pass before anybody listens, and
    then it would give up on a queue that is well.
    """

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        super().__init__(pool)
        self._listens = asyncio.Event()

    async def add_listener(self, channel: str, callback: Callable[[str | bytes | bytearray], None]) -> None:
        """Begin to listen."""
        await super().add_listener(channel, callback)
        self._listens.set()

    async def notify(self, channel: str, payload: str) -> None:
        """Say something to all who listen, and to us among them."""
        await self._listens.wait()
        await super().notify(channel, payload)


async def _work_once(stop: asyncio.Event, timetable: Timetable) -> None:
    arguments = connection_arguments()
    # PgQueuer listens on a connection of this pool for as long as it lives: no statement bound for that one.
    async with asyncpg.create_pool(**arguments, min_size=2, max_size=4) as pool:
        queuer = PgQueuer(Driver(pool))
        _register_all(queuer)
        for expression, name in timetable.cron:
            queuer.schedule(name, expression)(_scheduled(name))
        watcher = asyncio.create_task(stop.wait())
        watcher.add_done_callback(lambda _: queuer.shutdown.set())
        at_once = max(2, settings().job_concurrency)  # PgQueuer wants twice a batch, and a batch is one job or more
        try:
            await queuer.run(
                dequeue_timeout=timedelta(seconds=settings().job_poll_seconds),
                batch_size=min(10, at_once // 2),
                max_concurrent_tasks=at_once,
                heartbeat_timeout=timedelta(seconds=settings().job_lease_seconds),
                shutdown_on_listener_failure=True,
            )
        finally:
            watcher.cancel()


async def drain(*, strict: bool = True, limit: int = 10_000) -> int:
    """Run everything that is due now, one after the other, here, and what waits beside the queue; how many jobs ran.

    With `strict`, the first failure is raised after it was recorded: tests want to see it.
    """
    ran = await _drain_queue(strict=strict, limit=limit)
    while _beside:
        for function in _beside:
            await _do_beside(function, strict=strict)
        more = await _drain_queue(strict=strict, limit=limit - ran)
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
        log.exception("what is done beside the queue failed", extra={"task": function.__qualname__})


async def _drain_queue(*, strict: bool, limit: int) -> int:
    arguments = connection_arguments()
    connection = await asyncpg.connect(**arguments)
    ran = 0
    try:
        queries = Queries(AsyncpgDriver(connection))
        entrypoints = {QueueEntrypoint(name): EntrypointExecutionParameter(concurrency_limit=0) for name in _handlers}
        manager = QueueManagerId(uuid.uuid4())
        while ran < limit:
            batch = await queries.dequeue(
                batch_size=10,
                entrypoints=entrypoints,
                queue_manager_id=manager,
                global_concurrency_limit=None,
                heartbeat_timeout=timedelta(seconds=settings().job_lease_seconds),
            )
            if not batch:
                return ran
            for each in batch:
                ran += 1
                await _run_one(queries, each, strict=strict)
    finally:
        await connection.close()
    return ran


async def _run_one(queries: Queries, each: Job, *, strict: bool) -> None:
    parameters = EntrypointExecutorParameters(concurrency_limit=0, func=_never, on_failure="hold")
    executor = _Executor(parameters=parameters, name=str(each.entrypoint))
    context = Context(cancellation=anyio.CancelScope(), resources={})
    try:
        await asyncio.create_task(executor.execute(each, context))
    except RetryRequested as retry:
        record = TracebackRecord.from_exception(exc=retry, job_id=each.id, additional_context={})
        await queries.retry_job(each, retry.delay, record)
        if strict:
            raise (retry.__cause__ or retry) from None
    except Exception as error:
        record = TracebackRecord.from_exception(exc=error, job_id=each.id, additional_context={})
        await queries.log_jobs([(each, "failed", record)])
        if strict:
            raise
    else:
        await queries.log_jobs([(each, "successful", None)])
