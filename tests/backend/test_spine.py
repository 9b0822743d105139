"""The spine holds: transactions, the ledger, jobs, receipts."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID, uuid4

import asyncpg
import pytest

from backend import events, jobs
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.events import Event, EventMeta, Subscriber, record


class LampLit(Event, tag="lamp.lit"):
    """An event of these tests."""

    about: ClassVar[str] = "lamp_id"
    lamp_id: UUID


handled: list[UUID] = []


async def remember(event: LampLit, meta: EventMeta) -> None:
    handled.append(event.lamp_id)


@pytest.fixture(autouse=True)
def _subscribed(monkeypatch: pytest.MonkeyPatch) -> None:
    handled.clear()
    monkeypatch.setitem(events._subscribers, LampLit, [Subscriber("test.remember", remember)])


async def test_a_fact_and_its_job_are_written_together_and_handled_once():
    lamp = uuid4()
    async with transaction():
        await record(LampLit(lamp_id=lamp))

    await jobs.drain()
    await jobs.drain()

    row = await fetch_row("SELECT name, subject_kind, actor_kind FROM events WHERE subject_id = $1", lamp)
    assert row is not None
    assert tuple(row) == ("lamp.lit", "lamp", "system")
    assert handled == [lamp]


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


async def test_a_subscriber_that_fails_runs_again_and_the_others_do_not():
    calls: list[str] = []

    async def fail_once(event: LampLit, meta: EventMeta) -> None:
        calls.append("called")
        if len(calls) == 1:
            raise OSError("not now")

    events._subscribers[LampLit] = [
        Subscriber("test.fail-once", fail_once),
        Subscriber("test.remember", remember),
    ]
    async with transaction():
        await record(LampLit(lamp_id=uuid4()))

    await jobs.drain(strict=False)

    assert calls == ["called", "called"]
    assert len(handled) == 1


async def test_a_receipt_keeps_the_name_of_its_subscriber_when_the_function_is_renamed(
    monkeypatch: pytest.MonkeyPatch,
):
    async with transaction():
        await record(LampLit(lamp_id=uuid4()))
    await jobs.drain()
    row = await fetch_row("SELECT event_id, subscriber FROM subscriber_receipts")
    assert row is not None
    assert row["subscriber"] == "test.remember"

    async def renamed(event: LampLit, meta: EventMeta) -> None:
        handled.append(event.lamp_id)

    monkeypatch.setitem(events._subscribers, LampLit, [Subscriber("test.remember", renamed)])
    async with transaction():
        await jobs.enqueue("events.dispatch", {"event_id": str(row["event_id"])})
    await jobs.drain()

    assert len(handled) == 1


def test_two_functions_never_share_the_name_of_a_subscriber():
    async def other(event: LampLit, meta: EventMeta) -> None: ...

    events.subscribe(LampLit, "test.remember", remember)
    with pytest.raises(ValueError, match=r"test\.remember"):
        events.subscribe(LampLit, "test.remember", other)


@pytest.mark.parametrize("statement", ["UPDATE events SET name = 'x'", "DELETE FROM events", "TRUNCATE events"])
async def test_the_service_may_not_change_the_ledger(statement: str):
    async with transaction():
        await record(LampLit(lamp_id=uuid4()))

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(statement)
