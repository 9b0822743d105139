"""A job lives or dies with its transaction, is tried again, is never lost, and is kept when it fails for good."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.core.qm import QueueManager

from backend import job_queue, jobs
from backend.backoff import retry_delay
from backend.database import connection_arguments, execute, fetch, fetch_value, transaction
from backend.jobs import Later, Timetable, drain, enqueue, work
from backend.settings import environment, settings, using
from tests.owner import owner_fetch_value

ran: list[dict[str, Any]] = []
fails: list[Exception] = []


@pytest.fixture(autouse=True)
def _own_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of these tests only, forgotten afterwards."""
    monkeypatch.setattr(jobs, "_handlers", dict(jobs._handlers))
    ran.clear()
    fails.clear()

    @jobs.job("test.note")
    async def note(payload: dict[str, Any]) -> None:
        ran.append(payload)
        if fails:
            raise fails.pop(0)


@asynccontextmanager
async def a_worker(timetable: Timetable | None = None) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(work(stop, timetable))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def until(condition: Any, seconds: float = 8.0) -> None:
    began = monotonic()
    while not (await condition() if asyncio.iscoroutinefunction(condition) else condition()):
        assert monotonic() - began < seconds, "it did not happen in time"
        await asyncio.sleep(0.02)


async def waiting() -> int:
    return await fetch_value("SELECT count(*) FROM pgqueuer WHERE status IN ('queued', 'picked')")


async def held() -> list[str]:
    return [row["entrypoint"] for row in await fetch("SELECT entrypoint FROM pgqueuer WHERE status = 'failed'")]


async def put(payload: dict[str, Any] | None = None, **named: Any) -> None:
    async with transaction():
        await enqueue("test.note", payload or {"n": 1}, **named)


async def test_a_job_is_there_if_and_only_if_its_transaction_commits():
    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await enqueue("test.note", {"n": 1})
            raise ZeroDivisionError
    assert await waiting() == 0

    await put({"n": 2})

    assert await drain() == 1
    assert ran == [{"n": 2}]


async def test_a_job_outside_a_transaction_is_refused():
    with pytest.raises(RuntimeError):
        await enqueue("test.note", {})


async def test_two_waiting_jobs_under_one_key_are_one():
    await put({"n": 1}, key="k")
    await put({"n": 2}, key="k")
    await drain()
    await put({"n": 3}, key="k")
    await drain()

    assert ran == [{"n": 1}, {"n": 3}]


async def test_a_job_for_later_waits():
    await put(after=timedelta(hours=1))

    assert await drain() == 0
    await execute("UPDATE pgqueuer SET execute_after = now() - interval '1 second'")
    assert await drain() == 1


async def test_a_failing_job_is_tried_again_and_distinguished_from_a_dead_one():
    fails[:] = [OSError("1"), OSError("2")]
    await put()

    await drain(strict=False)

    assert len(ran) == 3
    assert await held() == []
    assert await waiting() == 0


async def test_a_job_without_a_handler_is_kept_as_a_dead_letter_and_blocks_nothing():
    fails[:] = [OSError(str(n)) for n in range(99)]
    await put({"poison": True})
    await drain(strict=False)
    attempts = len(ran)
    fails.clear()

    await put({"n": 2})
    await drain()

    assert attempts == len(settings().job_retry_seconds.split(",")) + 1
    assert await held() == ["test.note"]
    assert ran[-1] == {"n": 2}


async def test_a_worker_keeps_what_it_cannot_do_and_goes_on():
    attempts = len(settings().job_retry_seconds.split(",")) + 1
    fails[:] = [OSError(str(n)) for n in range(attempts)]
    async with a_worker():
        await put({"poison": True})
        await until(lambda: len(ran) == attempts)
        await put({"n": 2})
        await until(lambda: {"n": 2} in ran)

    assert await held() == ["test.note"]


async def test_coming_back_later_counts_as_no_failure():
    fails[:] = [Later(timedelta(0)) for _ in range(10)]
    await put()

    await drain()

    assert len(ran) == 11
    assert await held() == []


def test_the_pauses_between_attempts_follow_the_setting_with_a_fifth_of_jitter():
    with using(job_retry_seconds="1,5,30"):
        for failures, expected in ((1, 1), (2, 5), (3, 30)):
            pauses = [retry_delay(settings().job_retry_seconds, failures) for _ in range(200)]
            seconds = [pause for pause in pauses if pause]
            assert len(seconds) == 200
            assert expected * 0.8 <= min(seconds) < max(seconds) <= expected * 1.2
        assert retry_delay(settings().job_retry_seconds, 4) is None


async def test_strict_draining_raises_what_went_wrong_after_recording_it():
    fails[:] = [OSError("told")]
    await put()

    with pytest.raises(OSError, match="told"):
        await drain()

    assert await waiting() == 1


async def test_a_worker_does_what_is_written_while_it_runs():
    async with a_worker():
        await asyncio.sleep(0.3)
        await put({"n": 7})
        await until(lambda: ran == [{"n": 7}])


async def test_a_worker_that_stops_finishes_what_it_began():
    begun, done = asyncio.Event(), []

    @jobs.job("test.slow")
    async def slow(payload: dict[str, Any]) -> None:
        begun.set()
        await asyncio.sleep(0.5)
        done.append(1)

    async with transaction():
        await enqueue("test.slow", {})
    async with a_worker():
        await asyncio.wait_for(begun.wait(), 8)

    assert done == [1]
    assert await waiting() == 0


async def test_a_worker_whose_connections_are_cut_goes_on():
    async with a_worker():
        await put({"n": 1})
        await until(lambda: len(ran) == 1)
        for _ in range(3):
            await owner_fetch_value(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.2)

        async def put_somehow() -> bool:
            try:
                await put({"n": 2})
            except Exception:
                return False
            return True

        await until(put_somehow)
        await until(lambda: {"n": 2} in ran, 20)


async def test_a_repeated_task_that_fails_is_repeated():
    calls: list[int] = []

    async def flaky() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("not now")

    async with a_worker(Timetable(every=((0.05, flaky),))):
        await until(lambda: len(calls) >= 3)


async def test_a_job_by_the_clock_is_written_once_however_many_workers_there_are():
    timetable = Timetable(cron=(("* * * * * *", "test.note"),))

    began = monotonic()
    async with a_worker(timetable), a_worker(timetable):
        await until(lambda: len(ran) >= 3, 15)

    assert len(ran) <= monotonic() - began + 1
    rows = await fetch("SELECT count(*) AS n FROM pgqueuer_schedules WHERE entrypoint = 'test.note'")
    assert [row["n"] for row in rows] == [1]


KILLED = """
import asyncio, sys
from backend import database, jobs
from backend.settings import settings

@jobs.job("test.note")
async def stuck(payload):
    print("begun", flush=True)
    await asyncio.sleep(60)

async def main():
    await database.connect()
    await jobs.work(asyncio.Event())

asyncio.run(main())
"""


async def test_a_job_whose_worker_was_killed_is_given_to_another():
    await put({"n": 1})
    values = settings()
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
        env=environment(DATABASE_URL=values.database_url, REDIS_URL=values.redis_url, JOB_LEASE_SECONDS="2"),
    )
    try:
        assert child.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(child.stdout.readline), 20)
        assert line == b"begun\n"
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert ran == []
    assert await waiting() == 1

    with using(job_lease_seconds=2):
        async with a_worker():
            await until(lambda: ran == [{"n": 1}], 20)


async def test_writing_a_job_makes_no_commit_wait_for_another():
    """A transaction that notifies takes a lock on the whole database until it has committed."""
    listening = await fetch("SELECT tgname FROM pg_trigger WHERE tgrelid = 'pgqueuer'::regclass AND tgenabled <> 'D'")

    assert [row["tgname"] for row in listening] == []


def test_the_statement_that_writes_a_job_is_the_one_of_pgqueuer():
    """It is written out so that `serve` need not load PgQueuer; a new version may build another."""
    built = re.sub(r"--.*", "", QueryQueueBuilder().build_enqueue_query("skip"))

    assert re.sub(r"[\s()]+", " ", jobs.ENQUEUE).strip() == re.sub(r"[\s()]+", " ", built).strip()


async def test_the_smallest_worker_works_too():
    async with transaction():
        await enqueue("test.note", {"n": 1})

    with using(job_concurrency=1):
        async with a_worker():
            await until(lambda: ran == [{"n": 1}], 10)


async def test_a_worker_asks_itself_for_a_sign_of_life_only_when_it_listens():
    """However long beginning to listen takes: a ping without a listener would end a healthy queue."""
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncpg.create_pool(**connection_arguments(), min_size=2, max_size=4) as pool:
        async with job_queue.Driver(pool) as driver:
            asking = asyncio.create_task(driver.notify("signs_of_life", "well?"))
            await asyncio.sleep(0.2)
            assert not asking.done()

            await driver.add_listener("signs_of_life", lambda said: heard.set_result(str(said)))
            async with asyncio.timeout(10):
                await asking
                assert await heard == "well?"


async def test_a_worker_that_begins_to_listen_late_does_not_lose_its_footing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    listen, look = asyncpg.Connection.add_listener, QueueManager._run_periodic_health_check
    looked = asyncio.Event()

    async def late(self: Any, channel: str, callback: Any) -> None:
        await asyncio.sleep(0.3)
        await listen(self, channel, callback)

    async def often(self: QueueManager, interval: timedelta = timedelta(seconds=1)) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(look(self, interval), 2.5)
        looked.set()

    monkeypatch.setattr(asyncpg.Connection, "add_listener", late)
    monkeypatch.setattr(QueueManager, "_run_periodic_health_check", often)
    async with a_worker():
        async with asyncio.timeout(20):
            await looked.wait()

    assert "worker crashed" not in caplog.text


async def test_what_runs_all_along_begins_at_once_starts_again_after_a_failure_and_ends_with_the_worker():
    began: list[str] = []
    again = asyncio.Event()

    async def along(stop: asyncio.Event) -> None:
        began.append("again" if began else "first")
        if len(began) == 1:
            raise RuntimeError("a mistake of ours")
        again.set()
        await stop.wait()

    stop = asyncio.Event()
    worker = asyncio.create_task(jobs.work(stop, jobs.Timetable(all_along=(along,))))
    async with asyncio.timeout(30):
        await again.wait()
        stop.set()
        await worker

    assert began == ["first", "again"]


async def test_a_drain_does_what_waits_beside_the_queue_and_the_jobs_that_come_of_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "_beside", [])
    done: list[str] = []

    async def beside() -> None:
        done.append("beside")
        if len(done) == 1:
            async with transaction():
                await jobs.enqueue("test.note", {"n": 1})

    jobs.also_drains(beside)
    jobs.also_drains(beside)

    assert await jobs.drain() == 1
    assert done == ["beside", "beside"]
