"""What goes wrong side by side: a database that goes away, workers with the same residents, answers that cross."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from backend import clock
from backend.crypto import SealBroken
from backend.database import DatabaseBusy, execute, fetch, fetch_row, fetch_value
from backend.partners import in_use
from backend.partners.sandbox import Sandbox
from backend.partners.sms.port import SmsTooOften
from backend.partners.wechat.live import LiveWeChat
from backend.settings import using
from backend.sql import positional
from models.notifications import ChannelName, ConsentAnswer, ConsentSource, MessageState, Outcome
from notifications import channels, consent, delivering, draining, outbox, recording
from notifications.consent import Report
from notifications.recording import Result
from tests.factories.notifications import a_message, a_reachable_resident, consents, template_id

SUBSCRIBE = "/cgi-bin/message/subscribe/send"


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """How often a function of the outbox is called from now on, and with what."""
    original, calls = getattr(outbox, name), list[tuple[Any, ...]]()

    async def counting(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        return await original(*arguments, **named)

    monkeypatch.setattr(outbox, name, counting)
    return calls


async def test_a_worker_that_finds_the_first_message_put_off_releases_the_lease_and_does_not_ask_again_at_once(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    """Another worker may have tried the first one between our look and our lease; those behind it are due."""
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=2)
    first, _ = await a_message(resident), await a_message(resident)
    await execute("UPDATE messages SET due_at = now() + interval '40 seconds' WHERE id = $1", first)
    calls = counted(monkeypatch, "lease_next")

    wait = await delivering.deliver(resident.id)

    assert wait is not None
    assert 30 < wait <= 40
    assert len(calls) == 1
    assert await fetch_value("SELECT leased_until FROM message_queues") is None
    assert sandbox.world.delivered == []


LOST = [
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    DatabaseBusy(retry_after=1),
    ConnectionRefusedError(),
]


@pytest.mark.parametrize("error", LOST, ids=lambda each: type(each).__name__)
async def test_a_database_that_goes_away_between_the_answer_and_its_record_costs_no_duplicate(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=2)
    first, second = await a_message(resident), await a_message(resident)
    original, failures = recording.fetch_row, [error, error]

    async def failing(sql: str, *arguments: Any) -> Any:
        if sql == positional(recording._RECORD)[0] and failures:
            raise failures.pop()
        return await original(sql, *arguments)

    monkeypatch.setattr(recording, "fetch_row", failing)
    async with asyncio.timeout(10):
        assert await delivering.deliver(resident.id) is None

    assert failures == []
    assert len(sandbox.world.delivered) == 2
    rows = await fetch("SELECT id, attempts FROM messages WHERE state = 'sent' ORDER BY event_id")
    assert [tuple(row) for row in rows] == [(first, 1), (second, 1)]


async def test_a_result_whose_commit_arrived_and_whose_answer_did_not_is_repeated_without_a_trace(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=3)
    await a_message(resident)
    await a_message(resident)
    original, lost = recording.fetch_row, [True]

    async def losing(sql: str, *arguments: Any) -> Any:
        answer = await original(sql, *arguments)
        if sql == positional(recording._RECORD)[0] and lost:
            lost.pop()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return answer

    monkeypatch.setattr(recording, "fetch_row", losing)
    assert await delivering.deliver(resident.id) is None

    assert len(sandbox.world.delivered) == 2
    rows = await fetch("SELECT outcome, code, partner_id <> '' FROM message_attempts ORDER BY id")
    assert [tuple(row) for row in rows] == [("accepted", "0", True)] * 2
    assert await fetch_value("SELECT count(*) FROM messages WHERE state = 'sent'") == 2
    assert await fetch_value("SELECT remaining FROM consent_balances") == 1


async def test_recording_is_given_up_when_the_lease_is_over_and_a_wrong_statement_is_not_repeated(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    resident, _ = await a_reachable_resident(sandbox.world)
    await a_message(resident)
    message = (await outbox.lease_next(resident.id, None)).message
    assert message is not None
    sent = Result(MessageState.SENT, ChannelName.MINI_PROGRAM, 0, 0, Outcome.ACCEPTED, "0", "77")
    raised: list[Exception] = [asyncpg.AdminShutdownError("gone")]
    calls = 0

    async def failing(sql: str, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        raise raised[0]

    monkeypatch.setattr(recording, "fetch_row", failing)
    with using(notification_lease_seconds=0.3):
        async with asyncio.timeout(10):
            with pytest.raises(asyncpg.AdminShutdownError):
                await recording.record_result(message, sent)
    assert calls > 1
    raised[0], calls = asyncpg.NotNullViolationError("ours"), 0
    with pytest.raises(asyncpg.NotNullViolationError):
        await recording.record_result(message, sent)
    assert calls == 1


@pytest.mark.parametrize("error", [SealBroken("no key 'k0'"), ZeroDivisionError(), AttributeError("x")])
async def test_any_error_while_a_channel_is_prepared_takes_the_next_channel_at_once(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    resident, persona = await a_reachable_resident(sandbox.world, follows=True)
    await consents(resident, persona)
    message = await a_message(resident)

    async def broken(message: object, partners: object) -> Any:
        raise error

    monkeypatch.setitem(channels._PREPARE, ChannelName.MINI_PROGRAM, broken)
    await delivering.deliver(resident.id)

    row = await fetch_row("SELECT state, channel, attempts FROM messages WHERE id = $1", message)
    assert tuple(row or ()) == ("sent", "official_account", 2)


async def test_a_database_that_goes_away_while_a_channel_is_prepared_skips_no_channel(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    message = await a_message(resident)

    async def gone(message: object, partners: object) -> Any:
        raise asyncpg.AdminShutdownError("terminating connection due to administrator command")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(channels._PREPARE, ChannelName.MINI_PROGRAM, gone)
        with pytest.raises(asyncpg.AdminShutdownError):
            await delivering.deliver(resident.id)
    assert await fetch_value("SELECT channel FROM messages") == "mini_program"
    await execute("UPDATE message_queues SET leased_until = clock_timestamp()")
    await draining.drain_outbox()

    row = await fetch_row("SELECT state, channel FROM messages WHERE id = $1", message)
    assert tuple(row or ()) == ("sent", "mini_program")


async def test_a_consent_given_while_wechat_reports_that_there_is_none_stays(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident)
    await a_message(resident)
    original = LiveWeChat.send_subscribe_message

    async def meanwhile(self: LiveWeChat, message: Any) -> Any:
        try:
            return await original(self, message)
        finally:
            accepted = Report(template_id(), ConsentAnswer.ACCEPT, ConsentSource.FRONT_END, f"f:{uuid7()}", clock.now())
            await consent.record_reports(resident.id, [accepted])
            persona.quota[template_id()] = 1

    monkeypatch.setattr(LiveWeChat, "send_subscribe_message", meanwhile)
    await delivering.deliver(resident.id)
    assert await fetch_value("SELECT code FROM message_attempts ORDER BY n LIMIT 1") == "43101"

    monkeypatch.setattr(LiveWeChat, "send_subscribe_message", original)
    message = await a_message(resident)
    await delivering.deliver(resident.id)

    assert await fetch_value("SELECT channel FROM messages WHERE id = $1", message) == "mini_program"


async def test_a_partner_that_hangs_is_left_before_the_lease_is_over(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    sandbox.world.faults.add(SUBSCRIBE, "timeout", seconds=5.0, times=1)
    message = await a_message(resident)

    with using(notification_lease_seconds=1.0, notification_retry_seconds="60"):
        wait = await delivering.deliver(resident.id)

    row = await fetch_row(
        "SELECT m.state, m.tries, a.outcome, a.code, a.finished_at - a.started_at < interval '1 second' "
        "FROM messages m JOIN message_attempts a ON a.message_id = m.id WHERE m.id = $1",
        message,
    )
    assert tuple(row or ()) == ("pending", 1, "uncertain", "timeout", True)
    assert wait is not None
    assert 48 <= wait <= 72


@pytest.mark.parametrize(("seconds", "stands"), [(86_400.0, ("inbox", "inbox")), (300.0, ("pending", "sms"))])
async def test_a_partner_that_puts_us_off_for_a_day_is_not_waited_for_so_that_later_messages_go_out(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, seconds: float, stands: tuple[str, str]
):
    resident, persona = await a_reachable_resident(sandbox.world, phone=True)
    message, later = await a_message(resident, "case_rejected"), await a_message(resident)
    await consents(resident, persona)

    async def too_often(message: object) -> None:
        raise SmsTooOften("tencent", "LimitExceeded.PhoneNumberDailyLimit", retry_after=seconds)

    monkeypatch.setattr(in_use().sms, "send", too_often)
    await delivering.deliver(resident.id)

    row = await fetch_row("SELECT state, channel, due_at - now() FROM messages WHERE id = $1", message)
    assert row is not None
    assert tuple(row)[:2] == stands
    assert await fetch_value("SELECT waiting FROM messages WHERE id = $1", later) is (stands[0] == "pending")
    if stands[0] == "pending":
        assert 290 < row[2].total_seconds() <= 300, "as long as the gateway requires, although our own delay is shorter"
