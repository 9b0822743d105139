"""Operators drain the outbox, from one process or several, and see the messages by state."""

from __future__ import annotations

import asyncio

from backend import jobs
from backend.database import fetch, fetch_value
from backend.partners.sandbox import Sandbox
from backend.settings import using
from notifications import draining
from tests.factories.notifications import a_message, a_reachable_resident, consents


async def test_a_drain_sends_everything(sandbox: Sandbox):
    for _ in range(30):
        resident, persona = await a_reachable_resident(sandbox.world)
        await consents(resident, persona, times=2)
        await a_message(resident)
        await a_message(resident, "case_in_review")

    left = await draining.drain_outbox()

    assert left == draining.Drained(sent=60, inbox=0, waiting=0, dead=0)
    assert len(sandbox.world.delivered) == 60


async def test_several_drains_at_once_send_every_message_once(sandbox: Sandbox):
    for _ in range(12):
        resident, persona = await a_reachable_resident(sandbox.world)
        await consents(resident, persona, times=3)
        for _ in range(3):
            await a_message(resident)

    await asyncio.gather(*(draining.drain_outbox() for _ in range(4)))
    left = await draining.drain_outbox(once=False)

    assert left.sent == len(sandbox.world.delivered) == 36
    assert await fetch_value("SELECT count(*) FROM message_attempts") == 36


async def test_a_drain_with_once_leaves_what_has_to_wait(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    await a_message(resident)
    sandbox.world.faults.add("/cgi-bin/message/subscribe/send", "errcode", number=-1, times=1)

    with using(notification_retry_seconds="60"):
        left = await draining.drain_outbox()

    assert (left.waiting, left.sent) == (1, 0)
    due = await fetch_value("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM messages")
    assert 40 < due <= 72, "a minute, a fifth more or less"


async def test_the_table_shows_for_each_message_how_far_it_is(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    first, second = await a_message(resident), await a_message(resident)
    await jobs.drain()

    rows = await fetch("SELECT id, name, state, attempts FROM messages ORDER BY event_id")

    assert [tuple(row) for row in rows] == [(first, "case_accepted", "sent", 1), (second, "case_accepted", "inbox", 4)]
