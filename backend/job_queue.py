"""PgQueuer as a worker uses it. Loaded by processes that run jobs; to write one, the statement in `jobs` is enough."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.executors import EntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context, Job, Schedule, TracebackRecord
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from backend.database import connection_arguments
from backend.settings import settings

Run = Callable[[str, Job], Coroutine[Any, Any, None]]
"""Runs the job of this name. Raises RetryRequested for another attempt; after any other exception the job is dead."""


class Driver(AsyncpgPoolDriver):
    """PgQueuer's driver, which asks itself for a sign of life only when it listens.

    PgQueuer begins both at once, on two connections: on a busy server the question may pass before the listener is
    ready, and then it would give up on a queue that is well.
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


@dataclass
class _Executor(EntrypointExecutor):
    """Hands the jobs of one name to `run`."""

    name: str
    run: Run

    async def execute(self, job: Job, context: Context) -> None:
        await self.run(self.name, job)


def _executor(name: str, run: Run, parameters: EntrypointExecutorParameters) -> _Executor:
    return _Executor(parameters=parameters, name=name, run=run)


async def _never(job: Job) -> None:
    raise AssertionError("the executor runs the handler")


def _scheduled(fire: Callable[[], Awaitable[None]]) -> Callable[[Schedule], Awaitable[None]]:
    async def fired(schedule: Schedule) -> None:
        await fire()

    return fired


async def work_once(
    stop: asyncio.Event,
    run: Run,
    at_once: Mapping[str, int],
    cron: Iterable[tuple[str, str, Callable[[], Awaitable[None]]]],
) -> None:
    """Run jobs until `stop` is set; raises when the database goes away.

    `at_once`: how many jobs of each name may run at the same time over all workers (0: no bound). `cron`: expression,
    name and function of what is done by the clock, in one worker only.
    """
    # PgQueuer listens on a connection of this pool for as long as it lives: no statement bound for that one.
    async with asyncpg.create_pool(**connection_arguments(), min_size=2, max_size=4) as pool:
        queuer = PgQueuer(Driver(pool))
        for name, limit in at_once.items():
            queuer.entrypoint(
                name,
                on_failure="hold",
                concurrency_limit=limit,
                accepts_context=False,
                executor_factory=partial(_executor, name, run),
            )(_never)
        for expression, name, fire in cron:
            queuer.schedule(name, expression)(_scheduled(fire))
        watcher = asyncio.create_task(stop.wait())
        watcher.add_done_callback(lambda _: queuer.shutdown.set())
        most = max(2, settings().job_concurrency)  # PgQueuer wants twice a batch, and a batch is one job or more
        try:
            await queuer.run(
                dequeue_timeout=timedelta(seconds=settings().job_poll_seconds),
                batch_size=min(10, most // 2),
                max_concurrent_tasks=most,
                heartbeat_timeout=timedelta(seconds=settings().job_lease_seconds),
                shutdown_on_listener_failure=True,
            )
        finally:
            watcher.cancel()


async def drain(names: Iterable[str], run: Run, *, strict: bool, limit: int) -> int:
    """Run the jobs of these names that are due now, one after the other; how many ran.

    With `strict`, the first failure is raised after it was recorded.
    """
    connection = await asyncpg.connect(**connection_arguments())
    ran = 0
    try:
        queries = Queries(AsyncpgDriver(connection))
        entrypoints = {QueueEntrypoint(name): EntrypointExecutionParameter(concurrency_limit=0) for name in names}
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
                await _run_one(queries, each, run, strict=strict)
    finally:
        await connection.close()
    return ran


async def _run_one(queries: Queries, each: Job, run: Run, *, strict: bool) -> None:
    try:
        await asyncio.create_task(run(str(each.entrypoint), each))  # a task of its own has a log context of its own
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
