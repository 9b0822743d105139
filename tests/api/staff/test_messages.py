"""`/v1/staff/messages`: how messages were delivered, without their content; quarantined ones are requeued."""

from __future__ import annotations

from uuid import UUID, uuid4

import httpx
import pytest

from backend import jobs
from backend.database import execute, fetch_row, fetch_value
from models.identity import Resident
from tests.factories.identity import a_resident, a_staff, staff_headers_of
from tests.factories.notifications import a_message, consents, partners_in_the_sandbox

MESSAGES = "/v1/staff/messages"
PHONE = "13800001234"


@pytest.fixture
async def operator() -> dict[str, str]:
    return staff_headers_of(await a_staff(duties=("messages.operate",)))


async def a_notified_resident(*names: str, phone: str | None = PHONE) -> tuple[Resident, list[UUID]]:
    resident = await Resident.get(id=(await a_resident(phone=phone)).id)
    return resident, [await a_message(resident, name) for name in names or ("case_rejected",)]


async def quarantine(message: UUID) -> None:
    await execute(
        "UPDATE messages SET state = 'dead', waiting = false, finished_at = now(), attempts = 3 WHERE id = $1", message
    )


async def test_without_the_duty_staff_neither_see_nor_send_anything(client: httpx.AsyncClient):
    _, [message] = await a_notified_resident()
    headers = staff_headers_of(await a_staff(duties=("cases.handle", "audit.read")))

    answers = [
        await client.get(MESSAGES, headers=headers),
        await client.get(f"{MESSAGES}/{message}", headers=headers),
        await client.post(f"{MESSAGES}/{message}/requeue", headers=headers),
    ]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(403, "duty-missing")] * 3


async def test_the_detail_shows_every_attempt_with_the_partners_codes_and_neither_content_nor_number(
    client: httpx.AsyncClient, operator: dict[str, str]
):
    async with partners_in_the_sandbox() as sandbox:
        _, [message] = await a_notified_resident()
        await jobs.drain()
        [text] = sandbox.sms.texts

    answer = await client.get(f"{MESSAGES}/{message}", headers=operator)

    detail = answer.json()
    assert (detail["state"], detail["channel"], detail["fell_back"], detail["phone"]) == (
        "sent",
        "sms",
        True,
        "138****1234",
    )
    assert (detail["consent"]["allowed"], detail["consent"]["remaining"]) == (False, 0)
    tried = [(each["channel"], each["outcome"], each["code"]) for each in detail["history"]]
    assert tried[0] == ("mini_program", "skipped", "no-consent")
    assert tried[-1] == ("sms", "accepted", "0")
    assert detail["history"][-1]["partner_id"] == text.serial
    row = await fetch_row("SELECT title, body FROM messages")
    assert row is not None
    assert PHONE not in answer.text
    assert row["title"] not in answer.text
    assert row["body"] not in answer.text


async def test_a_list_is_filtered_by_state_and_subject_and_comes_in_pages(
    client: httpx.AsyncClient, operator: dict[str, str]
):
    resident, made = await a_notified_resident(*["case_accepted"] * 5)
    await quarantine(made[1])
    await execute("UPDATE messages SET state = 'inbox', waiting = false, finished_at = now() WHERE id = $1", made[2])

    async def ids(query: str) -> list[str]:
        return [each["id"] for each in (await client.get(f"{MESSAGES}?{query}", headers=operator)).json()["items"]]

    first = (await client.get(f"{MESSAGES}?limit=3", headers=operator)).json()
    rest = (await client.get(f"{MESSAGES}?limit=3&cursor={first['next_cursor']}", headers=operator)).json()

    assert [each["id"] for each in first["items"] + rest["items"]] == [str(each) for each in reversed(made)]
    assert await ids("state=dead") == [str(made[1])]
    assert await ids("state=dead&state=inbox") == [str(made[2]), str(made[1])]
    kind = await fetch_value("SELECT subject_kind FROM messages LIMIT 1")
    assert len(await ids(f"subject_kind={kind}&subject_id={resident.id}")) == 5
    assert await ids(f"subject_kind=case&subject_id={resident.id}") == []
    assert await ids(f"subject_id={uuid4()}") == []


async def test_a_cursor_of_another_member_of_staff_is_refused(client: httpx.AsyncClient, operator: dict[str, str]):
    await a_notified_resident("case_accepted", "case_rejected")
    cursor = (await client.get(f"{MESSAGES}?limit=1", headers=operator)).json()["next_cursor"]
    other = staff_headers_of(await a_staff(duties=("messages.operate",)))

    answer = await client.get(f"{MESSAGES}?cursor={cursor}", headers=other)

    assert (answer.status_code, answer.json()["code"]) == (422, "cursor-invalid")


async def test_a_quarantined_message_is_requeued_once_and_the_ledger_names_the_operator(
    client: httpx.AsyncClient, operator: dict[str, str]
):
    _, [message] = await a_notified_resident()
    await quarantine(message)

    requeued = await client.post(f"{MESSAGES}/{message}/requeue", headers=operator)
    again = await client.post(f"{MESSAGES}/{message}/requeue", headers=operator)
    async with partners_in_the_sandbox() as sandbox:
        await jobs.drain()
        assert len(sandbox.sms.texts) == 1

    assert (requeued.status_code, requeued.json()["state"]) == (200, "pending")
    assert (again.status_code, again.json()["code"]) == (409, "message-not-quarantined")
    row = await fetch_row("SELECT actor_kind, subject_id FROM events WHERE name = 'message.requeued'")
    assert row is not None
    assert tuple(row) == ("staff", message)
    assert await fetch_value("SELECT state FROM messages WHERE id = $1", message) == "sent"


async def test_a_message_that_never_was_is_not_found(client: httpx.AsyncClient, operator: dict[str, str]):
    for method, suffix in (("GET", ""), ("POST", "/requeue")):
        answer = await client.request(method, f"{MESSAGES}/{uuid4()}{suffix}", headers=operator)
        assert (answer.status_code, answer.json()["code"]) == (404, "message-not-found")


async def test_consent_is_shown_as_it_was_when_the_message_went_out(
    client: httpx.AsyncClient, operator: dict[str, str]
):
    async with partners_in_the_sandbox():
        resident, _ = await a_notified_resident("case_accepted")
        await jobs.drain()
        await consents(resident, None, times=2)
        later = await a_message(resident, "case_accepted")
        await jobs.drain()
        await consents(resident, None, times=5)

    async def consent(message: UUID) -> tuple[bool, int]:
        consent = (await client.get(f"{MESSAGES}/{message}", headers=operator)).json()["consent"]
        return consent["allowed"], consent["remaining"]

    first = await fetch_value("SELECT id FROM messages ORDER BY id LIMIT 1")
    assert await consent(first) == (False, 0)
    assert await consent(later) == (True, 2)
