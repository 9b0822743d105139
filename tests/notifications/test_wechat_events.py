"""WeChat's pushes, as WeChat writes them: sealed, signed, and then handled."""

from __future__ import annotations

import asyncio

import pytest

from backend import callbacks, jobs
from backend.database import execute, fetch, fetch_row, fetch_value
from backend.partners import in_use
from backend.partners.sandbox import Sandbox
from backend.partners.wechat.sandbox import messages
from backend.partners.wechat.sandbox.pushing import EventFault, written
from models.notifications import ConsentSource
from notifications import delivering, recording, subscribing, wechat_events
from tests.factories.notifications import a_message, a_reachable_resident, consents, template_id


async def pushes_arrive(sandbox: Sandbox) -> None:
    """Everything that the sandbox has pushed so far arrives and is handled."""
    apps = {app.account: app for app in sandbox.world.apps}
    while sandbox.pusher.sent:
        sending = sandbox.pusher.sent.pop(0)
        query, body, _ = written(apps[sending.account], sending.fields, EventFault())
        await callbacks.receive_wechat(query, body, wechat=in_use().wechat)
    await jobs.drain()


async def test_a_popup_is_counted_once_though_the_front_end_and_wechat_both_report_it(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    answers = {template_id(): "accept", template_id("case-result"): "reject"}
    messages.popup(sandbox.world, sandbox.pusher, persona, answers)

    await subscribing.report_popup(resident.id, "case", answers, key="popup-1")  # type: ignore[arg-type]
    await pushes_arrive(sandbox)

    rows = await fetch("SELECT template_id, remaining FROM consent_balances")
    assert {row["template_id"]: row["remaining"] for row in rows} == {
        template_id(): 1,
        template_id("case-result"): 0,
    }
    assert persona.quota == {template_id(): 1}


async def test_without_the_front_end_wechats_event_alone_counts(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    messages.popup(sandbox.world, sandbox.pusher, persona, {template_id(): "accept"})

    await pushes_arrive(sandbox)

    row = await fetch_row("SELECT source, delta FROM consent_changes WHERE resident_id = $1", resident.id)
    assert row is not None
    assert tuple(row) == (ConsentSource.POPUP, 1)


async def test_an_acceptance_in_the_settings_is_no_answer_to_a_popup_and_allows_nothing(sandbox: Sandbox):
    """WeChat pushes only what is switched off there; an acceptance would count although no popup was shown."""
    resident, persona = await a_reachable_resident(sandbox.world)
    messages.withdraw(sandbox.world, sandbox.pusher, persona, [template_id()])
    [push] = sandbox.pusher.sent
    push.fields["List"][0]["SubscribeStatusString"] = "accept"

    await pushes_arrive(sandbox)

    assert await fetch("SELECT answer FROM consent_changes WHERE resident_id = $1", resident.id) == []


async def test_switching_off_in_the_settings_ends_consent(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=2)
    await execute("UPDATE consent_balances SET accepted_at = accepted_at - interval '1 minute'")
    messages.withdraw(sandbox.world, sandbox.pusher, persona, [template_id()])

    await pushes_arrive(sandbox)

    assert await fetch_value("SELECT remaining FROM consent_balances") == 0


async def test_a_push_about_a_stranger_changes_nothing(sandbox: Sandbox):
    messages.popup(sandbox.world, sandbox.pusher, sandbox.world.persona("stranger"), {template_id(): "accept"})

    await pushes_arrive(sandbox)

    assert await fetch_value("SELECT count(*) FROM consent_changes") == 0


async def test_the_receipt_of_a_message_is_kept_with_its_attempt(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    await a_message(resident)
    await jobs.drain()

    await pushes_arrive(sandbox)

    row = await fetch_row("SELECT receipt, partner_id, received_at IS NOT NULL FROM message_attempts")
    assert row is not None
    assert tuple(row) == ("success", sandbox.world.delivered[0].message_id, True)


async def test_a_message_that_the_official_account_could_not_deliver_goes_on_by_sms(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world, follows=True, phone=True)
    persona.rejects_account = True
    message = await a_message(resident, "case_rejected")
    await jobs.drain()
    assert await fetch_value("SELECT channel FROM messages WHERE id = $1", message) == "official_account"

    await pushes_arrive(sandbox)

    row = await fetch_row("SELECT state, channel FROM messages WHERE id = $1", message)
    assert row is not None
    assert tuple(row) == ("sent", "sms")
    assert len(sandbox.sms.texts) == 1
    receipts = await fetch("SELECT receipt FROM message_attempts WHERE channel = 'official_account'")
    assert [each["receipt"] for each in receipts] == ["failed:user block"]


async def test_a_receipt_that_comes_before_the_result_is_recorded_waits_for_it(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona)
    await a_message(resident)
    held, go_on = asyncio.Event(), asyncio.Event()
    record_result = recording.record_result

    async def slowly(message, result):
        held.set()
        await go_on.wait()
        return await record_result(message, result)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "record_result", slowly)
        sending = asyncio.create_task(delivering.deliver(resident.id))
        await held.wait()
        await pushes_arrive(sandbox)
        assert await fetch_value("SELECT receipt FROM message_attempts") == ""
        go_on.set()
        await sending
    await execute("UPDATE pgqueuer SET execute_after = now() WHERE entrypoint = 'notifications.wechat-receipt'")
    await jobs.drain()

    assert await fetch_value("SELECT receipt FROM message_attempts") == "success"
    assert len(sandbox.world.delivered) == 1


async def test_an_answer_that_was_lost_is_replaced_by_the_receipt(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    await consents(resident, persona, times=3)
    sandbox.world.faults.add("/cgi-bin/message/subscribe/send", "drop_reply", times=1)
    message = await a_message(resident)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivering, "retry_delay", lambda schedule, failures: 60.0)
        await jobs.drain()
    assert len(sandbox.world.delivered) == 1
    assert await fetch_value("SELECT state FROM messages WHERE id = $1", message) == "pending"

    await pushes_arrive(sandbox)

    assert await fetch_value("SELECT state FROM messages WHERE id = $1", message) == "sent"
    assert len(sandbox.world.delivered) == 1
    assert await fetch_value("SELECT remaining FROM consent_balances") == 2


async def test_a_receipt_that_comes_before_the_next_channel_is_tried_restores_its_own(
    sandbox: Sandbox,
):
    resident, persona = await a_reachable_resident(sandbox.world, follows=True)
    await consents(resident, persona, times=3)
    sandbox.world.faults.add("/cgi-bin/message/subscribe/send", "drop_reply", times=1)
    message = await a_message(resident)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivering, "retry_delay", lambda schedule, failures: 60.0)
        await jobs.drain()
    await execute("UPDATE messages SET channel = 'official_account'")

    await pushes_arrive(sandbox)

    row = await fetch_row("SELECT state, channel FROM messages WHERE id = $1", message)
    assert row is not None
    assert tuple(row) == ("sent", "mini_program")


async def test_a_new_follower_is_recognised_and_can_be_reached(sandbox: Sandbox):
    resident, persona = await a_reachable_resident(sandbox.world)
    messages.follow(sandbox.world, sandbox.pusher, persona, True)
    await pushes_arrive(sandbox)
    await a_message(resident)
    await jobs.drain()
    assert [each.channel for each in sandbox.world.delivered] == ["template"]

    messages.follow(sandbox.world, sandbox.pusher, persona, False)
    await pushes_arrive(sandbox)

    assert await fetch_value("SELECT count(*) FROM wechat_accounts WHERE account = 'official_account'") == 0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("success", "success"),
        ("failed:user block", "failed:user block"),
        ("failed: system failed", "failed:system failed"),
        ("Failed:  user   block", "failed:user block"),
        ("", "failed"),
        ("something new", "something new"),
    ],
)
def test_a_status_has_one_spelling(status: str, expected: str):
    assert wechat_events.normalized(status) == expected
