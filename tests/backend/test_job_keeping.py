"""Dead letters can be listed and requeued; the log of ended jobs does not grow for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backend import job_keeping, jobs
from backend.database import execute, fetch_value, transaction

fails = True


@pytest.fixture(autouse=True)
def _brittle() -> Iterator[None]:
    """A job that fails while `fails` is set."""

    async def brittle(_: dict[str, Any]) -> None:
        if fails:
            raise OSError("the bridge is out; call 13812345678")

    jobs._handlers["tests.brittle"] = jobs.Registered(brittle, 0, 0)
    yield
    del jobs._handlers["tests.brittle"]


async def _a_dead_letter() -> job_keeping.DeadLetter:
    global fails
    fails = True
    async with transaction():
        await jobs.enqueue("tests.brittle", {"case": 7})
    await jobs.drain(strict=False)
    [letter] = await job_keeping.list_dead_letters()
    return letter


async def test_a_job_that_failed_too_often_is_kept_with_the_reason_and_without_personal_data():
    letter = await _a_dead_letter()

    assert (letter.job, letter.payload, letter.failures) == ("tests.brittle", '{"case":7}', 4)
    assert letter.error == "OSError: the bridge is out; call [phone]"


async def test_a_dead_job_can_be_requeued():
    global fails
    letter = await _a_dead_letter()
    fails = False

    assert await job_keeping.requeue([letter.id, letter.id + 1000]) == 1
    assert await jobs.drain() == 1
    assert await job_keeping.list_dead_letters() == []
    assert await job_keeping.requeue([letter.id]) == 0


async def test_old_log_lines_go_and_those_of_dead_letters_stay():
    global fails
    letter = await _a_dead_letter()
    fails = False
    async with transaction():
        await jobs.enqueue("tests.brittle", {})
    await jobs.drain()
    await execute("UPDATE pgqueuer_log SET aggregated = true, created = now() - interval '90 days'")

    assert await job_keeping.delete_old_logs() > 0
    assert await fetch_value("SELECT count(*) FROM pgqueuer_log WHERE job_id <> $1", letter.id) == 0
    assert (await job_keeping.list_dead_letters())[0].error
