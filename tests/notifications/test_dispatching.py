"""Workers look for what is due: beside each other, fairly, and until they are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from backend.database import execute, fetch_row, fetch_value
from backend.partners.sandbox import Sandbox
from backend.settings import using
from notifications import delivering
from tests.factories.notifications import a_message, a_reachable_resident, consents


@asynccontextmanager
async def a_dispatcher() -> AsyncIterator[asyncio.Event]:
    """A worker that delivers messages for as long as the block lasts."""
    stop = asyncio.Event()
    worker = asyncio.create_task(delivering.dispatch(stop))
    try:
        yield stop
    finally:
        stop.set()
        await worker


async def ended(message: UUID) -> str:
    """The state in which the message ends; waits for it."""
    async with asyncio.timeout(30):
        while True:
            row = await fetch_row("SELECT state, waiting FROM messages WHERE id = $1", message)
            assert row is not None
            if not row["waiting"]:
                return str(row["state"])
            await asyncio.sleep(0.02)


async def test_residents_whose_queue_has_to_rest_delay_no_other_resident(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    """More of them than one look takes in, and all of them due for longer."""
    monkeypatch.setattr(delivering, "KNOWN", 2)
    resting = [await a_reachable_resident(sandbox.world) for _ in range(4)]
    for each, _ in resting:
        await a_message(each)
    await execute("UPDATE messages SET due_at = now() - interval '10 minutes'")
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    message, deliver = await a_message(resident), delivering.deliver

    async def has_to_rest(resident_id: UUID) -> float | None:
        return await deliver(resident_id) if resident_id == resident.id else 60.0

    monkeypatch.setattr(delivering, "deliver", has_to_rest)
    with using(job_concurrency=2):
        async with a_dispatcher():
            assert await ended(message) == "sent"


async def test_a_delivery_that_was_cancelled_from_inside_does_not_end_the_worker(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    (broken, _), (whole, persona) = [await a_reachable_resident(sandbox.world) for _ in range(2)]
    await consents(whole, persona)
    await a_message(broken)
    deliver = delivering.deliver

    async def cancelling(resident_id: UUID) -> float | None:
        if resident_id == broken.id:
            raise asyncio.CancelledError
        return await deliver(resident_id)

    monkeypatch.setattr(delivering, "deliver", cancelling)
    async with a_dispatcher():
        await asyncio.sleep(0.3)
        assert await ended(await a_message(whole)) == "sent"


async def test_two_workers_deliver_to_the_same_residents_once_each_and_in_order(sandbox: Sandbox):
    people = [await a_reachable_resident(sandbox.world) for _ in range(12)]
    sandbox.world.send_seconds = 0.01
    made = list[UUID]()
    for resident, persona in people:
        await consents(resident, persona, times=4)
        made += [await a_message(resident, number=f"N-{n}") for n in range(4)]

    with using(job_concurrency=6):
        async with a_dispatcher(), a_dispatcher():
            assert {await ended(each) for each in made} == {"sent"}

    assert len(sandbox.world.delivered) == 48
    for _, persona in people:
        numbers = [each.data["character_string2"] for each in sandbox.world.delivered if each.persona == persona.name]
        assert numbers == [f"N-{n}" for n in range(4)]
    assert await fetch_value("SELECT count(*) FROM message_attempts") == 48


async def test_a_resident_with_very_many_messages_lets_others_come_first(sandbox: Sandbox):
    many, one = [await a_reachable_resident(sandbox.world) for _ in range(2)]
    await consents(many[0], many[1], times=45)
    await consents(one[0], one[1])
    for _ in range(45):
        await a_message(many[0])
    await a_message(one[0])

    with using(job_concurrency=1):
        async with a_dispatcher():
            async with asyncio.timeout(30):
                while not [each for each in sandbox.world.delivered if each.persona == one[1].name]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            before = len(sandbox.world.delivered)

    assert before <= 41, "twenty, and twenty more when the lot fell so"


async def test_an_error_while_a_worker_stops_is_logged(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    resident, _ = await a_reachable_resident(sandbox.world)
    await a_message(resident)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def failing(resident_id: UUID) -> float | None:
        begun.set()
        await go_on.wait()
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(delivering, "deliver", failing)
    async with asyncio.timeout(30):
        async with a_dispatcher() as stop:
            await begun.wait()
            stop.set()
            go_on.set()

    assert "delivering messages failed" in caplog.text


async def test_a_worker_whose_hands_are_full_of_a_hanging_partner_ends_when_it_is_cut_off(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    resident, _ = await a_reachable_resident(sandbox.world)
    await a_message(resident)
    begun, cut_off = asyncio.Event(), asyncio.Event()

    async def hanging(resident_id: UUID) -> float | None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()
        return None

    monkeypatch.setattr(delivering, "deliver", hanging)
    stop = asyncio.Event()
    with using(job_concurrency=1):
        worker = asyncio.create_task(delivering.dispatch(stop))
        async with asyncio.timeout(10):
            await begun.wait()
            stop.set()
            await asyncio.sleep(0.5)
            assert not worker.done(), "what is in flight has its time"
            worker.cancel()
            ended, _ = await asyncio.wait({worker}, timeout=5)
    worker.cancel()

    assert ended == {worker}
    assert cut_off.is_set()
