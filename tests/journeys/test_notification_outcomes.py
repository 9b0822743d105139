"""Every event that notifies ends in messages or with a reason, and a lost message is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backend import clock, data_subjects, invariants, jobs
from backend.database import fetch, fetch_value, transaction
from backend.deliveries.events import DeliveryStateChanged
from backend.events import record
from backend.partners.sandbox import Sandbox
from notifications.invariants import notifying_events
from tests.factories.deliveries import a_delivery
from tests.factories.ledger import tamper
from tests.factories.notifications import partners_in_the_sandbox
from tests.journeys.lives import a_notified_case

AGAIN = "UPDATE messages SET state = 'pending', waiting = true, finished_at = NULL"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with partners_in_the_sandbox() as each:
        yield each


@pytest.fixture
async def life() -> AsyncIterator[None]:
    async with a_notified_case():
        yield


async def violations_of_i_8() -> list[str]:
    """The findings of I-8."""
    found = {each.id: each for each in await invariants.check()}["I-8"]
    assert found.status == ("violated" if found.findings else "holds")
    return found.findings


@pytest.mark.usefixtures("life")
async def test_after_a_life_nothing_is_missing():
    assert await violations_of_i_8() == []
    with clock.travel(by=timedelta(days=1)):
        assert await violations_of_i_8() == []


@pytest.mark.usefixtures("life")
@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("DELETE FROM notification_outcomes WHERE event_id ="
         " (SELECT event_id FROM notification_outcomes ORDER BY event_id DESC LIMIT 1)",
         "was handled and has no outcome"),
        ("UPDATE notification_outcomes SET messages = messages + 1 WHERE messages > 0",
         "led to 2 messages, there are 1"),
        ("UPDATE notification_outcomes SET messages = 1, reason = '' WHERE reason <> ''",
         "led to 1 messages, there are 0"),
        ("UPDATE message_attempts SET outcome = 'retry' WHERE outcome = 'accepted'", "is sent without a proof"),
        ("UPDATE message_attempts SET channel = 'sms' WHERE outcome = 'accepted'", "is sent without a proof"),
        ("UPDATE messages SET state = 'inbox', channel = 'inbox'", "is inbox without a proof"),
        ("UPDATE messages SET state = 'dead', attempts = 0; DELETE FROM message_attempts", "is dead without a proof"),
        (f"{AGAIN}, due_at = now() + interval '1 year'",
         "put off for longer than any reason lasts"),
        (f"{AGAIN}, due_at = now() + interval '1 hour';"
         "DELETE FROM message_attempts", "without an attempt that explains it"),
    ],
)  # fmt: skip
async def test_an_event_whose_notification_did_not_end_is_found(sql: str, finding: str):
    await tamper("UPDATE messages SET created_at = created_at - interval '1 hour'")
    for each in sql.split(";"):
        await tamper(each)

    with clock.travel(by=timedelta(minutes=50)):
        found = await violations_of_i_8()

    assert any(finding in each for each in found), found


@pytest.mark.usefixtures("life")
async def test_a_message_whose_next_attempt_is_appointed_has_its_reason_and_so_have_those_behind_it():
    first, second = [row["id"] for row in await fetch("SELECT id FROM messages ORDER BY event_id LIMIT 2")]
    await tamper("UPDATE messages SET created_at = created_at - interval '1 hour'")
    for message, due in ((first, "5 minutes"), (second, "-30 minutes")):
        await tamper(f"{AGAIN}, due_at = now() + interval '{due}' WHERE id = $1", message)

    assert await violations_of_i_8() == []
    await tamper("DELETE FROM message_attempts WHERE message_id = $1", first)
    assert len(await violations_of_i_8()) == 2


@pytest.mark.usefixtures("life")
async def test_every_event_that_notifies_leaves_its_messages_or_the_reason_for_none():
    rows = await fetch(
        "SELECT e.name, o.messages, o.reason FROM notification_outcomes o JOIN events e ON e.id = o.event_id"
    )

    assert {(row["messages"], bool(row["reason"])) for row in rows} <= {(1, False), (0, True)}
    assert {row["name"] for row in rows} >= {"case.opened", "case.progressed"}
    assert {row["name"] for row in rows} <= set(notifying_events())


async def test_the_proof_covers_payments_and_deliveries():
    assert {"payment.succeeded", "refund.succeeded", "delivery.state-changed", "delivery-problem.opened"} <= set(
        notifying_events()
    )


@pytest.mark.parametrize("how", ["vanished", "erased"])
async def test_a_parcels_message_that_vanished_is_found_and_one_that_was_erased_with_its_resident_is_not(
    sandbox: Sandbox, how: str
):
    delivery = await a_delivery()
    async with transaction():
        await record(
            DeliveryStateChanged(
                delivery_id=delivery.id, resident_id=delivery.resident_id, from_state="ordered", to_state="picked_up",
                at=clock.now(), cause="courier",
            )
        )  # fmt: skip
    await tamper("UPDATE deliveries SET state = 'picked_up'")
    await jobs.drain()
    assert await fetch_value("SELECT count(*) FROM messages") == 1

    if how == "erased":
        await data_subjects.erase(delivery.resident_id)
    else:
        await tamper("DELETE FROM message_attempts")
        await tamper("DELETE FROM messages")
    found = await violations_of_i_8()

    assert await fetch_value("SELECT count(*) FROM messages") == 0
    assert any("led to 1 messages, there are 0" in finding for finding in found) is (how == "vanished")
