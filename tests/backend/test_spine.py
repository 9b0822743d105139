"""The spine holds: transactions, the ledger, jobs, receipts."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID, uuid4

import asyncpg
import pytest

from backend import events, jobs
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.events import Event, EventMeta, record


class LampLit(Event, tag="lamp.lit"):
    """An event of these tests."""

    about: ClassVar[str] = "lamp_id"
    lamp_id: UUID


heard: list[UUID] = []


async def hear(event: LampLit, meta: EventMeta) -> None:
    heard.append(event.lamp_id)


@pytest.fixture(autouse=True)
def _listening(monkeypatch: pytest.MonkeyPatch) -> None:
    heard.clear()
    monkeypatch.setitem(events._listeners, LampLit, [hear])


async def test_a_fact_and_its_job_are_written_together_and_heard_once():
    lamp = uuid4()
    async with transaction():
        await record(LampLit(lamp_id=lamp))

    await jobs.drain()
    await jobs.drain()

    row = await fetch_row("SELECT name, subject_kind, actor_kind FROM events WHERE subject_id = $1", lamp)
    assert row is not None
    assert tuple(row) == ("lamp.lit", "lamp", "system")
    assert heard == [lamp]


async def test_a_transaction_that_fails_leaves_neither_fact_nor_job():
    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await record(LampLit(lamp_id=uuid4()))
            raise ZeroDivisionError

    assert await fetch_value("SELECT count(*) FROM events") == 0
    assert await jobs.drain() == 0


async def test_a_fact_outside_a_transaction_is_refused():
    with pytest.raises(RuntimeError):
        await record(LampLit(lamp_id=uuid4()))


async def test_a_listener_that_fails_is_told_again_and_the_others_are_not():
    calls: list[str] = []

    async def deaf(event: LampLit, meta: EventMeta) -> None:
        calls.append("deaf")
        if len(calls) == 1:
            raise OSError("not now")

    events._listeners[LampLit] = [deaf, hear]
    async with transaction():
        await record(LampLit(lamp_id=uuid4()))

    await jobs.drain(strict=False)

    assert calls == ["deaf", "deaf"]
    assert len(heard) == 1


@pytest.mark.parametrize("statement", ["UPDATE events SET name = 'x'", "DELETE FROM events", "TRUNCATE events"])
async def test_the_service_may_not_change_the_ledger(statement: str):
    async with transaction():
        await record(LampLit(lamp_id=uuid4()))

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(statement)
