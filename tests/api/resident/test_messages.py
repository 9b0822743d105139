"""The inbox over HTTP: own messages only, in pages, with proof."""

from __future__ import annotations

from uuid import uuid4

import httpx

from backend import jobs
from backend.database import execute
from backend.identity import AsResident
from models.identity import Resident
from tests.factories.identity import a_resident, headers_of
from tests.factories.notifications import a_message, consents, partners_in_the_sandbox

MESSAGES = "/v1/resident/messages"


async def row_of(resident: AsResident) -> Resident:
    return await Resident.get(id=resident.id)


async def test_the_inbox_lists_own_messages_newest_first_in_pages(client: httpx.AsyncClient):
    mine, other = await a_resident(), await a_resident()
    made = [await a_message(await row_of(mine), number=f"NUMBER-{n}") for n in range(5)]
    await a_message(await row_of(other))

    seen, cursor = [], ""
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(MESSAGES, params=query, headers=headers_of(mine))).json()
        seen += [each["id"] for each in page["items"]]
        assert page["unread"] == 5
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == [str(each) for each in reversed(made)]


async def test_a_cursor_of_another_resident_is_refused(client: httpx.AsyncClient):
    mine, other = await a_resident(), await a_resident()
    for _ in range(2):
        await a_message(await row_of(other))
    cursor = (await client.get(MESSAGES, params={"limit": "1"}, headers=headers_of(other))).json()["next_cursor"]

    answer = await client.get(MESSAGES, params={"cursor": cursor}, headers=headers_of(mine))

    assert (answer.status_code, answer.json()["code"]) == (422, "cursor-invalid")


async def test_a_foreign_message_looks_exactly_like_one_that_never_was(client: httpx.AsyncClient):
    mine, other = await a_resident(), await a_resident()
    theirs = await a_message(await row_of(other))

    def stripped(answer: httpx.Response) -> dict[str, object]:
        return {name: value for name, value in answer.json().items() if name != "request_id"}

    for method, suffix in (("GET", ""), ("POST", "/read")):
        foreign = await client.request(method, f"{MESSAGES}/{theirs}{suffix}", headers=headers_of(mine))
        random = await client.request(method, f"{MESSAGES}/{uuid4()}{suffix}", headers=headers_of(mine))
        assert (foreign.status_code, foreign.json()["code"]) == (404, "message-not-found")
        assert stripped(foreign) == stripped(random)

    assert (await client.get(MESSAGES, headers=headers_of(other))).json()["unread"] == 1


async def test_reading_is_noted_once_and_the_count_follows(client: httpx.AsyncClient):
    mine = await a_resident()
    first, *_ = [await a_message(await row_of(mine)) for _ in range(3)]

    once = (await client.post(f"{MESSAGES}/{first}/read", headers=headers_of(mine))).json()
    again = (await client.post(f"{MESSAGES}/{first}/read", headers=headers_of(mine))).json()
    unread = (await client.get(MESSAGES, params={"unread": "true"}, headers=headers_of(mine))).json()
    rest = (await client.post(f"{MESSAGES}/read", json={}, headers=headers_of(mine))).json()

    assert once == again
    assert (unread["unread"], len(unread["items"])) == (2, 2)
    assert rest == {"read": 2}
    assert (await client.get(MESSAGES, headers=headers_of(mine))).json()["unread"] == 0


async def test_a_message_that_arrives_while_all_are_marked_read_stays_unread(client: httpx.AsyncClient):
    mine = await a_resident()
    seen = await a_message(await row_of(mine))
    await a_message(await row_of(mine))

    await client.post(f"{MESSAGES}/read", json={"up_to": str(seen)}, headers=headers_of(mine))

    assert (await client.get(MESSAGES, headers=headers_of(mine))).json()["unread"] == 1


async def test_the_proof_says_in_plain_words_why_only_the_inbox_has_it(client: httpx.AsyncClient):
    mine = await a_resident()
    message = await a_message(await row_of(mine))
    async with partners_in_the_sandbox():
        await jobs.drain()

    proof = (await client.get(f"{MESSAGES}/{message}", headers=headers_of(mine))).json()

    assert (proof["state"], proof["channel"], proof["fell_back"]) == ("inbox", "inbox", True)
    assert proof["words"] == "已送达站内信"
    assert proof["attempts"][0]["code"] == "no-consent"
    assert "没有订阅" in proof["attempts"][0]["words"]
    assert (proof["consent"]["template"], proof["consent"]["allowed"]) == ("办件进度通知", False)
    assert proof["message"]["read_at"] is None


async def test_the_proof_shows_the_consent_that_was_used_the_receipt_and_when_it_was_opened(client: httpx.AsyncClient):
    mine = await a_resident()
    async with partners_in_the_sandbox() as sandbox:
        await consents(await row_of(mine), sandbox.world.persona("reader"), times=3)
        message = await a_message(await row_of(mine))
        await jobs.drain()
    await execute("UPDATE message_attempts SET receipt = 'success', received_at = now() WHERE message_id = $1", message)
    opened = (await client.post(f"{MESSAGES}/{message}/read", headers=headers_of(mine))).json()

    proof = (await client.get(f"{MESSAGES}/{message}", headers=headers_of(mine))).json()

    assert (proof["consent"]["allowed"], proof["consent"]["remaining"]) == (True, 3)
    assert proof["attempts"][-1]["receipt_at"] is not None
    assert proof["message"]["read_at"] == opened["read_at"]


async def test_an_unchanged_inbox_is_answered_304(client: httpx.AsyncClient):
    mine = await a_resident()
    await a_message(await row_of(mine))
    first = await client.get(MESSAGES, headers=headers_of(mine))

    again = await client.get(MESSAGES, headers={**headers_of(mine), "if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
