"""The outbox leases one queue per resident: the oldest first, to one worker, and never on an old fence."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from backend import clock
from backend.database import execute, fetch_row, fetch_value, transaction
from backend.partners.sandbox import Sandbox
from backend.settings import using
from models.notifications import ChannelName, ConsentAnswer, ConsentSource, MessageState, Outcome
from notifications import consent, delivering, draining, outbox, receipts, recording
from notifications.consent import Report
from notifications.receipts import Receipt
from notifications.recording import Result
from tests.factories.notifications import a_message, a_reachable_resident, consents, template_id

LEASE = "SELECT extract(epoch FROM leased_until - clock_timestamp())::float8 FROM message_queues"


async def due_for(sandbox: Sandbox, minutes: int) -> UUID:
    """A resident with a message that has been due for so long."""
    resident, _ = await a_reachable_resident(sandbox.world)
    message = await a_message(resident)
    await execute("UPDATE messages SET due_at = now() - make_interval(mins => $2) WHERE id = $1", message, minutes)
    return resident.id


async def test_the_resident_who_has_waited_longest_comes_first(sandbox: Sandbox):
    waiting = {minutes: await due_for(sandbox, minutes) for minutes in (3, 30, 10)}

    assert await outbox.list_due_residents(0.0) == [waiting[30], waiting[10], waiting[3]]
    assert await outbox.list_due_residents(0.0, 1) == [waiting[30]]
    assert await outbox.list_due_residents(0.0, 1, but=[waiting[30]]) == [waiting[10]]
    assert await outbox.list_due_residents(600.0 - 1) == [waiting[30], waiting[10]]
    assert await outbox.list_due_residents(600.0 + 60) == [waiting[30]]


async def test_a_leased_queue_is_not_listed_until_the_lease_is_over(sandbox: Sandbox):
    held, free = await due_for(sandbox, 10), await due_for(sandbox, 3)
    lease = await outbox.lease_next(held, None)
    assert lease.message is not None

    assert await outbox.list_due_residents(0.0) == [free]
    await execute("UPDATE message_queues SET leased_until = clock_timestamp()")
    assert await outbox.list_due_residents(0.0) == [held, free]


async def test_a_worker_with_an_old_fence_neither_goes_on_nor_lengthens_the_lease_of_another(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world)
    await a_message(resident)
    with using(notification_lease_seconds=0.01):
        old = (await outbox.lease_next(resident.id, None)).message
        await asyncio.sleep(0.02)
    with using(notification_lease_seconds=5.0):
        new = (await outbox.lease_next(resident.id, None)).message
    assert old is not None
    assert new is not None

    with using(notification_lease_seconds=500.0):
        skipped = await outbox.skip_channels(old, [(ChannelName.MINI_PROGRAM, "no-consent")], ChannelName.SMS)
        await outbox.release(resident.id, old.fence)
        for delay in (0.0, 60.0):
            late = Result(MessageState.PENDING, ChannelName.SMS, 1, delay, Outcome.RETRY, "-1")
            assert await recording.record_result(old, late) == (False, False)

    assert skipped is None
    assert 0 < await fetch_value(LEASE) <= 5
    assert await fetch_value("SELECT channel FROM messages") == "mini_program"
    assert await fetch_value("SELECT outcome FROM message_attempts WHERE n = 1") == "late"
    assert await fetch_value("SELECT outcome FROM message_attempts WHERE n = 2") is None


async def test_skipping_a_channel_begins_the_lease_anew(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world)
    await a_message(resident)
    with using(notification_lease_seconds=5.0):
        message = (await outbox.lease_next(resident.id, None)).message
    assert message is not None

    with using(notification_lease_seconds=50.0):
        skipped = await outbox.skip_channels(message, [(ChannelName.MINI_PROGRAM, "no-consent")], ChannelName.SMS)

    assert skipped is not None
    assert (skipped.channel, skipped.attempt, skipped.tries) == (ChannelName.SMS, 2, 0)
    assert 40 < await fetch_value(LEASE) <= 50


async def test_a_longer_pause_is_not_shortened_by_a_later_shorter_one(sandbox: Sandbox):
    await outbox.pause_channel(ChannelName.SMS, 3600, "LimitExceeded.AppDailyLimit")
    await outbox.pause_channel(ChannelName.SMS, 1, "LimitExceeded.AppDailyLimit")

    left = await fetch_value("SELECT extract(epoch FROM until - clock_timestamp()) FROM channel_pauses")
    assert 3500 < left <= 3600


async def test_a_template_that_wechat_has_switched_off_is_not_used_until_the_next_acceptance(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=2)
    ban = Report(template_id(), ConsentAnswer.BAN, ConsentSource.FRONT_END, "front-end:ban", clock.now())
    await consent.record_reports(resident.id, [ban])
    first = await a_message(resident)
    await delivering.deliver(resident.id)
    await consents(resident, persona)
    second = await a_message(resident)
    await delivering.deliver(resident.id)

    channel = "SELECT channel FROM messages WHERE id = $1"
    assert await fetch_value(channel, first) == "inbox"
    assert await fetch_value(channel, second) == "mini_program"


async def test_a_worker_releases_the_lease_while_a_message_waits_for_another_attempt(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    await a_message(resident)
    sandbox.world.faults.add("/cgi-bin/message/subscribe/send", "errcode", number=-1, times=1)

    with using(notification_retry_seconds="0.5"):
        wait = await delivering.deliver(resident.id)
    assert wait is not None
    assert 0.4 <= wait <= 0.6
    assert await fetch_value("SELECT leased_until FROM message_queues") is None
    assert await outbox.list_due_residents(0.0) == []
    await asyncio.sleep(wait)
    assert await outbox.list_due_residents(0.0) == [resident.id]


async def test_attempts_that_were_answered_do_not_quarantine_a_message(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    message = await a_message(resident)
    sandbox.world.faults.add("/cgi-bin/message/subscribe/send", "errcode", number=-1, times=4)

    with using(notification_quarantine_after=2, notification_retry_seconds="0,0,0,0,0"):
        await draining.drain_outbox(once=False)

    row = await fetch_row("SELECT state, attempts FROM messages WHERE id = $1", message)
    assert tuple(row or ()) == ("sent", 5)


async def test_no_result_is_recorded_with_a_transaction_open(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world)
    await a_message(resident)
    message = (await outbox.lease_next(resident.id, None)).message
    assert message is not None

    async with transaction():
        with pytest.raises(RuntimeError, match="transaction of its own"):
            await recording.record_result(message, Result(MessageState.SENT, ChannelName.SMS, 0, 0, Outcome.ACCEPTED))

    assert await fetch_value("SELECT state FROM messages") == "leased"


async def test_a_worker_releases_the_lease_of_a_resident_with_very_many_messages(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world)
    for _ in range(21):
        await a_message(resident)

    assert await delivering.deliver(resident.id) == 0.0
    assert await fetch_value("SELECT leased_until FROM message_queues") is None
    assert await fetch_value("SELECT count(*) FROM messages WHERE waiting") == 1


async def test_a_receipt_that_an_earlier_attempt_failed_takes_nothing_from_a_later_one_that_arrived(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world)
    message = await a_message(resident)
    leased = []
    for _ in range(2):
        with using(notification_lease_seconds=0.01):
            leased.append((await outbox.lease_next(resident.id, None)).message)
            await asyncio.sleep(0.02)
    for each, serial in zip(reversed(leased), ("second", "first"), strict=True):
        assert each is not None
        sent = Result(MessageState.SENT, ChannelName.OFFICIAL_ACCOUNT, 0, 0, Outcome.ACCEPTED, "0", serial)
        await recording.record_result(each, sent)
    await execute("UPDATE message_attempts SET channel = 'official_account'")

    def failed(serial: str) -> Receipt:
        return Receipt(resident.id, ChannelName.OFFICIAL_ACCOUNT, serial, "failed:user block", clock.now())

    state = "SELECT state FROM messages WHERE id = $1"
    assert await receipts.apply_receipt(failed("first"))
    assert await fetch_value(state, message) == "sent"
    assert await receipts.apply_receipt(failed("second"))
    assert await fetch_value(state, message) == "pending"


async def test_a_receipt_for_another_resident_is_no_receipt_of_this_message(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    other, _ = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    await a_message(resident)
    await delivering.deliver(resident.id)
    serial = await fetch_value("SELECT partner_id FROM message_attempts")

    def receipt(resident_id: UUID, status: str) -> Receipt:
        return Receipt(resident_id, ChannelName.MINI_PROGRAM, serial, status, clock.now(), template_id())

    await receipts.apply_receipt(receipt(other.id, "failed"))
    assert await fetch_value("SELECT receipt FROM message_attempts") == ""
    assert await fetch_value("SELECT state FROM messages") == "sent"
    assert await receipts.apply_receipt(receipt(resident.id, "success"))
    assert await fetch_value("SELECT receipt FROM message_attempts") == "success"
