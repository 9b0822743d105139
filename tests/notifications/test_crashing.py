"""Workers die at every place there is; what was due is delivered at least once, and twice only where it must be."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import fields
from uuid import UUID

import pytest

from backend import clock
from backend.database import execute, fetch, fetch_row, fetch_value, transaction
from backend.partners.sandbox import Sandbox
from backend.settings import environment, settings, using
from models.notifications import ChannelName, MessageState, Outcome
from notifications import delivering, draining, outbox, receipts, recording
from notifications.receipts import Receipt
from notifications.recording import Result
from tests.factories.notifications import a_message, a_reachable_resident, consents, template_id

STATEMENTS = 3
"""What delivering one message takes: the lease, the openid, the result."""


async def a_worker(place: str, resident_id: UUID) -> asyncio.subprocess.Process:
    """A real process that will die at this place; it talks to our database and our sandbox."""
    values = settings()
    given = {each.name.upper(): str(getattr(values, each.name)) for each in fields(values)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.notifications.dying_worker", place, str(resident_id),
        env=environment(**given), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def is_sent(message: UUID) -> None:
    """Wait for it."""
    while await fetch_value("SELECT state FROM messages WHERE id = $1", message) != "sent":  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def leases_run_out() -> None:
    """The time of every lease passes."""
    await execute("UPDATE message_queues SET leased_until = clock_timestamp()")


async def recovered() -> None:
    """The leases of the dead run out, and other workers do what is left."""
    await leases_run_out()
    async with asyncio.timeout(60):
        await draining.drain_outbox(once=False)


PLACES = ["before-call", *(f"{when}-{n}" for n in range(1, STATEMENTS + 1) for when in ("before", "after"))]


@pytest.mark.parametrize("place", PLACES)
async def test_a_worker_killed_anywhere_else_delivers_once_and_between_accepted_and_recorded_at_most_twice(
    sandbox: Sandbox, place: str
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=5)
    message = await a_message(resident)

    worker = await a_worker(place, resident.id)
    assert await worker.wait() == -signal.SIGKILL
    await recovered()

    accepted_but_not_recorded = place == f"before-{STATEMENTS}"
    assert len(sandbox.world.delivered) == (2 if accepted_but_not_recorded else 1)
    assert await fetch_value("SELECT state FROM messages WHERE id = $1", message) == "sent"


async def test_a_worker_killed_when_wechat_had_accepted_costs_one_duplicate_and_leaves_its_trace(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=5)
    message = await a_message(resident)

    worker = await a_worker("after-call", resident.id)
    assert await worker.wait() == -signal.SIGKILL
    assert len(sandbox.world.delivered) == 1
    await recovered()

    assert len(sandbox.world.delivered) == 2
    tried = await fetch("SELECT n, outcome FROM message_attempts WHERE message_id = $1 ORDER BY n", message)
    assert [tuple(row) for row in tried] == [(1, None), (2, "accepted")]


async def test_wechats_receipt_saves_the_resident_from_the_duplicate(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=5)
    message = await a_message(resident)
    worker = await a_worker("after-call", resident.id)
    assert await worker.wait() == -signal.SIGKILL
    accepted = sandbox.world.delivered[0].message_id
    receipt = Receipt(resident.id, ChannelName.MINI_PROGRAM, accepted, "success", clock.now(), template_id())

    assert not await receipts.apply_receipt(receipt), "the lease still runs: the worker might live"
    await leases_run_out()
    assert await receipts.apply_receipt(receipt)
    await recovered()

    assert len(sandbox.world.delivered) == 1
    assert await fetch_value("SELECT state FROM messages WHERE id = $1", message) == "sent"
    assert await fetch_value("SELECT remaining FROM consent_balances") == 4


async def test_the_result_of_a_worker_frozen_past_its_lease_is_refused(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=5)
    message = await a_message(resident)

    worker = await a_worker("freeze", resident.id)
    assert worker.stdout is not None
    try:
        assert await worker.stdout.readline() == b"frozen\n"
        await recovered()
        mine = await fetch_row("SELECT attempts, finished_at FROM messages WHERE id = $1", message)
    finally:
        worker.send_signal(signal.SIGCONT)
    assert await worker.wait() == 0

    assert len(sandbox.world.delivered) == 2
    assert await fetch_row("SELECT attempts, finished_at FROM messages WHERE id = $1", message) == mine
    tried = await fetch("SELECT n, outcome, partner_id <> '' FROM message_attempts ORDER BY n")
    assert [tuple(row) for row in tried] == [(1, "late", True), (2, "accepted", True)]
    assert await fetch_value("SELECT remaining FROM consent_balances") == 4


async def test_a_message_that_kills_every_worker_is_quarantined_does_not_block_the_next_and_can_be_requeued(
    sandbox: Sandbox,
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=5)
    poison, healthy = await a_message(resident), await a_message(resident)
    before = outbox.QUARANTINED._value.get()

    with using(notification_quarantine_after=3, notification_lease_seconds=0.01):
        for _ in range(3):
            lease = await outbox.lease_next(resident.id, None)
            assert lease.message is not None
            assert lease.message.id == poison
            await asyncio.sleep(0.02)
    with using(notification_quarantine_after=3):
        assert await delivering.deliver(resident.id) is None

    assert [row["id"] for row in await fetch("SELECT id FROM messages WHERE state = 'dead'")] == [poison]
    assert await fetch_value("SELECT state FROM messages WHERE id = $1", healthy) == "sent"
    assert outbox.QUARANTINED._value.get() == before + 1

    assert await outbox.requeue(poison)
    assert not await outbox.requeue(healthy)
    await draining.drain_outbox()
    assert await fetch_value("SELECT state FROM messages WHERE id = $1", poison) == "sent"


async def test_attempt_numbers_only_grow_and_a_result_with_an_old_fence_changes_nothing(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world)
    await a_message(resident)
    with using(notification_lease_seconds=0.01):
        first = (await outbox.lease_next(resident.id, None)).message
        await asyncio.sleep(0.02)
        second = (await outbox.lease_next(resident.id, None)).message
    assert first is not None
    assert second is not None

    sent = Result(MessageState.SENT, ChannelName.MINI_PROGRAM, 0, 0, Outcome.ACCEPTED, "0", "77")
    stale = await recording.record_result(first, sent)
    state_between = await fetch_value("SELECT state FROM messages")
    fresh = await recording.record_result(second, sent)

    assert (first.attempt, second.attempt) == (1, 2)
    assert second.fence > first.fence
    assert (stale.accepted, state_between, fresh.accepted) == (False, "leased", True)


async def test_a_worker_finds_what_is_due_and_what_lies_too_long_is_an_alarm(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    await a_message(resident)
    await execute("UPDATE messages SET due_at = now() - interval '61 seconds'")

    await delivering.sweep({})
    stop = asyncio.Event()
    worker = asyncio.create_task(delivering.dispatch(stop))
    async with asyncio.timeout(30):
        await is_sent(await fetch_value("SELECT id FROM messages"))
    stop.set()
    await worker

    assert "messages are overdue" in caplog.text
    assert len(sandbox.world.delivered) == 1


async def test_one_slow_call_delays_no_other_resident_and_is_ended_before_the_worker_stops(sandbox: Sandbox):
    (slow, one), (quick, other) = [await a_reachable_resident(sandbox.world) for _ in range(2)]
    await consents(slow, one)
    await consents(quick, other)
    deliver, begun, go_on = delivering.deliver, asyncio.Event(), asyncio.Event()

    async def held(resident_id: UUID) -> float | None:
        if resident_id == slow.id:
            begun.set()
            await go_on.wait()
        return await deliver(resident_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivering, "deliver", held)
        await a_message(slow)
        stop = asyncio.Event()
        worker = asyncio.create_task(delivering.dispatch(stop))
        async with asyncio.timeout(30):
            await begun.wait()
            message = await a_message(quick)
            await is_sent(message)
            stop.set()
            await asyncio.sleep(0.05)
            assert not worker.done()
            go_on.set()
            await worker

    assert await fetch_value("SELECT count(*) FROM messages WHERE state = 'sent'") == 2


async def test_a_message_that_fails_does_not_delay_the_others(sandbox: Sandbox, caplog: pytest.LogCaptureFixture):
    (broken, one), (whole, other) = [await a_reachable_resident(sandbox.world) for _ in range(2)]
    await consents(broken, one)
    await consents(whole, other)
    await a_message(broken)
    message, deliver = await a_message(whole), delivering.deliver

    tried: list[UUID] = []

    async def breaking(resident_id: UUID) -> float | None:
        tried.append(resident_id)
        if resident_id == broken.id:
            raise RuntimeError("a mistake of ours")
        return await deliver(resident_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivering, "deliver", breaking)
        stop = asyncio.Event()
        worker = asyncio.create_task(delivering.dispatch(stop))
        async with asyncio.timeout(30):
            await is_sent(message)
        await asyncio.sleep(1.5)
        stop.set()
        await worker

    assert "delivering messages failed" in caplog.text
    assert tried.count(broken.id) in (2, 3), "again after a rest, and not without one"


async def test_a_message_that_commits_late_is_sent_all_the_same(sandbox: Sandbox):
    early, _ = await a_reachable_resident(sandbox.world)
    late, _ = await a_reachable_resident(sandbox.world)
    written, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        async with transaction():
            await a_message(late)
            written.set()
            await go_on.wait()

    slow = asyncio.create_task(slowly())
    await written.wait()
    await a_message(early)
    await draining.drain_outbox()
    assert await fetch_value("SELECT count(*) FROM messages WHERE NOT waiting") == 1
    go_on.set()
    await slow
    await draining.drain_outbox()

    assert await fetch_value("SELECT count(*) FROM messages WHERE NOT waiting") == 2
