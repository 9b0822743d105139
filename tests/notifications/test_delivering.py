"""Messages go out: channel after channel, once, and every error is recorded."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from backend import jobs
from backend.backoff import retry_delay
from backend.database import fetch, fetch_row, fetch_value, in_transaction
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.live import LiveWeChat
from backend.partners.wechat.port import Sent, SubscribeMessage
from backend.settings import settings, using
from models.notifications import ChannelName, MessageAttempt
from notifications import channels, delivering, draining
from notifications.channels import PreparedMessage
from tests.factories.notifications import a_message, a_reachable_resident, consents, template_id

SUBSCRIBE = "/cgi-bin/message/subscribe/send"


async def state_of(message_id: UUID) -> tuple[str, str]:
    row = await fetch_row("SELECT state, channel FROM messages WHERE id = $1", message_id)
    assert row is not None
    return row["state"], row["channel"]


async def tried(message_id: UUID) -> list[tuple[str, str | None, str]]:
    rows = await MessageAttempt.filter(message_id=message_id).order_by("n")
    return [(str(each.channel), each.outcome and str(each.outcome), each.code) for each in rows]


async def test_with_consent_the_mini_program_carries_the_message(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    message = await a_message(resident, "case_accepted", item="企业职工基本养老保险参保登记（个人身份）变更申请")

    await jobs.drain()

    assert await state_of(message) == ("sent", "mini_program")
    assert await tried(message) == [("mini_program", "accepted", "0")]
    [delivered] = sandbox.world.delivered
    assert delivered.persona == persona.name
    assert delivered.data["thing1"] == "企业职工基本养老保险参保登记…变更申请"
    assert delivered.data["character_string2"] == "...202206230068"
    assert str(message) in delivered.details["page"]
    assert await fetch_value("SELECT remaining FROM consent_balances WHERE resident_id = $1", resident.id) == 0


async def test_without_consent_wechat_is_not_called_and_the_inbox_holds_the_message(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world)
    message = await a_message(resident)

    await jobs.drain()

    assert await state_of(message) == ("inbox", "inbox")
    assert await tried(message) == [
        ("mini_program", "skipped", "no-consent"),
        ("official_account", "skipped", "no-address"),
        ("sms", "skipped", "not-for-this-message"),
        ("inbox", "accepted", ""),
    ]
    assert sandbox.world.delivered == []


@pytest.mark.parametrize("code", [43101, 47003, 40037, 40003, 43107, 45168, 41030])
async def test_a_refusal_of_the_mini_program_goes_to_the_official_account_at_once(sandbox: Sandbox, code: int):
    resident, persona = await a_reachable_resident(sandbox.world, follows=True)
    await consents(resident, persona)
    sandbox.world.faults.add(SUBSCRIBE, "errcode", number=code)
    message = await a_message(resident)

    await jobs.drain()

    assert await state_of(message) == ("sent", "official_account")
    assert await tried(message) == [("mini_program", "refused", str(code)), ("official_account", "accepted", "0")]
    assert [each.channel for each in sandbox.world.delivered] == ["template"]
    assert sandbox.world.delivered[0].details["client_msg_id"] == message.hex


async def test_43101_takes_the_consent_out_of_the_ledger(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world)
    await consents(resident, times=3)
    await a_message(resident)

    await jobs.drain()

    rows = await fetch("SELECT answer, delta FROM consent_changes ORDER BY created_at, id")
    assert [tuple(row) for row in rows] == [("accept", 1), ("accept", 1), ("accept", 1), ("lost", -3)]
    assert await fetch_value("SELECT remaining FROM consent_balances") == 0


PASSING = [("errcode", -1), ("status", 502), ("timeout", 0), ("errcode", 45009), ("errcode", 43108)]


@pytest.mark.parametrize("fault", PASSING)
async def test_an_error_that_may_pass_is_retried_on_the_same_channel(sandbox: Sandbox, fault: tuple[str, int]):
    resident, persona = await a_reachable_resident(sandbox.world, follows=True)
    await consents(resident, persona)
    sandbox.world.faults.add(SUBSCRIBE, fault[0], number=fault[1], times=1, seconds=0.2)  # type: ignore[arg-type]
    message = await a_message(resident)

    with using(notification_quota_pause_seconds=0.0):
        await jobs.drain()

    assert await state_of(message) == ("sent", "mini_program")
    expected = "retry" if fault[0] == "errcode" else "uncertain"
    assert [(channel, outcome) for channel, outcome, _ in await tried(message)] == [
        ("mini_program", expected),
        ("mini_program", "accepted"),
    ]
    assert len(sandbox.world.delivered) == 1


async def test_after_the_last_retry_the_next_channel_is_taken(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world, phone=True)
    await consents(resident, persona, "case-result")
    sandbox.world.faults.add(SUBSCRIBE, "status", number=503)
    message = await a_message(resident, "case_approved")

    await jobs.drain()

    assert [(channel, outcome) for channel, outcome, _ in await tried(message)] == [
        ("mini_program", "uncertain"),
        ("mini_program", "uncertain"),
        ("mini_program", "exhausted"),
        ("official_account", "skipped"),
        ("sms", "accepted"),
    ]
    [text] = sandbox.sms.texts
    assert text.parameters == ["居民身份证申领", "...202206230068"]
    assert await state_of(message) == ("sent", "sms")


async def test_a_spent_quota_pauses_the_channel_for_all_residents_and_it_resumes(sandbox: Sandbox):
    people = [await a_reachable_resident(sandbox.world) for _ in range(5)]
    for resident, persona in people:
        await consents(resident, persona)
        await a_message(resident)
    sandbox.world.mini_program.daily_quota = 0
    before = sandbox.world.faults.struck

    with using(notification_retry_seconds="0.2,0.2,0.2,0.2,0.2,0.2", notification_quota_pause_seconds=0.7):
        await jobs.drain()
        refused = await fetch_value("SELECT count(*) FROM message_attempts WHERE code = '45009'")
        postponed = await fetch_value("SELECT count(*) FROM message_attempts WHERE outcome = 'postponed'")
        sandbox.world.mini_program.daily_quota = 1000
        await draining.drain_outbox(once=False)

    assert before == 0
    assert (refused, postponed) == (1, 4)
    assert await fetch_value("SELECT count(*) FROM messages WHERE state = 'sent' AND channel = 'mini_program'") == 5
    assert len(sandbox.world.delivered) == 5


async def test_messages_of_one_resident_never_run_side_by_side_and_keep_their_order(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=6)
    sandbox.world.send_seconds = 0.02
    made = [await a_message(resident, number=f"NUMBER-{n}") for n in range(6)]

    await asyncio.gather(*(delivering.deliver(resident.id) for _ in range(8)))

    assert [each.data["character_string2"] for each in sandbox.world.delivered] == [f"NUMBER-{n}" for n in range(6)]
    assert [await state_of(each) for each in made] == [("sent", "mini_program")] * 6
    assert await fetch_value("SELECT count(*) FROM message_attempts WHERE outcome <> 'accepted'") == 0


async def test_the_same_event_makes_one_message_however_often_it_is_handled(sandbox: Sandbox):
    resident, _ = await a_reachable_resident(sandbox.world)
    event = uuid7()

    first, second = await a_message(resident, event_id=event), await a_message(resident, event_id=event)

    assert first == second
    assert await fetch_value("SELECT count(*) FROM messages") == 1


async def test_a_token_that_died_mid_burst_is_fetched_once_for_fifty_sends(sandbox: Sandbox):
    people = [await a_reachable_resident(sandbox.world) for _ in range(50)]
    for resident, persona in people:
        await consents(resident, persona)
        await a_message(resident)
    await delivering.deliver(people[0][0].id)
    desk = sandbox.world.mini_program.tokens
    before = desk.asks
    desk.kill()

    await draining.drain_outbox()

    assert len(sandbox.world.delivered) == 50
    assert desk.asks == before + 1
    assert {each.template_id for each in sandbox.world.delivered} == {template_id()}


@given(st.integers(1, 4), st.floats(0, 1))
def test_retries_come_within_a_fifth_of_their_schedule_and_end_with_it(failures: int, chance: float):
    with using(notification_retry_seconds="2,10,60,300"):
        schedule = settings().notification_retry_seconds
        delay = retry_delay(schedule, failures, chance=lambda low, high: low + (high - low) * chance)

        assert delay is not None
        assert delay / (2, 10, 60, 300)[failures - 1] == pytest.approx(0.8 + 0.4 * chance), "the whole fifth is used"
        assert retry_delay(schedule, 5) is None


async def test_a_message_that_cannot_be_prepared_takes_the_next_channel_and_is_never_lost(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    resident, persona = await a_reachable_resident(sandbox.world, follows=True)
    await consents(resident, persona)
    message = await a_message(resident)
    monkeypatch.setitem(channels._PREPARE, ChannelName.MINI_PROGRAM, _broken)

    await jobs.drain()

    assert await tried(message) == [
        ("mini_program", "skipped", "our-mistake:KeyError"),
        ("official_account", "accepted", "0"),
    ]


async def _broken(message: object, partners: object) -> PreparedMessage:
    raise KeyError("item")


async def test_a_channel_that_fails_in_the_middle_falls_back_to_the_next(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    message = await a_message(resident)

    async def broken(self: object, message: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(LiveWeChat, "send_subscribe_message", broken)
    await jobs.drain()

    assert await state_of(message) == ("inbox", "inbox")
    assert (await tried(message))[0] == ("mini_program", "refused", "our-mistake:ZeroDivisionError")


async def test_no_transaction_is_open_while_a_partner_is_called(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    await a_message(resident)
    original, seen = LiveWeChat.send_subscribe_message, []

    async def watched(self: LiveWeChat, message: SubscribeMessage) -> Sent:
        idle = (
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"
        )
        seen.append((in_transaction(), await fetch_value(idle)))
        return await original(self, message)

    monkeypatch.setattr(LiveWeChat, "send_subscribe_message", watched)
    await draining.drain_outbox()

    assert seen == [(False, 0)]
