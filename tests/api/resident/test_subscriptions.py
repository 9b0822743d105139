"""Consent over HTTP: what a page must ask for, and bringing the results."""

from __future__ import annotations

import httpx

from backend.database import fetch_value
from tests.factories.identity import a_resident, headers_of
from tests.factories.notifications import template_id

SUBSCRIPTIONS = "/v1/resident/subscriptions"


async def test_a_page_gets_what_to_request_with_counts(client: httpx.AsyncClient):
    mine = await a_resident()

    found = (await client.get(SUBSCRIPTIONS, params={"page": "case"}, headers=headers_of(mine))).json()

    assert found["kind"] == "one-off"
    assert set(found["template_ids"]) == {
        template_id(name) for name in ("case-progress", "case-supplement", "case-result", "fee-due")
    }
    assert {each["remaining"] for each in found["templates"]} == {0}


async def test_results_count_once_per_key_and_are_answered_with_the_new_counts(client: httpx.AsyncClient):
    mine, progress = await a_resident(), template_id()
    body = {"page": "case", "results": {progress: "accept", template_id("case-result"): "reject"}}
    headers = {**headers_of(mine), "idempotency-key": "popup-1"}

    first = await client.post(SUBSCRIPTIONS, json=body, headers=headers)
    again = await client.post(SUBSCRIPTIONS, json=body, headers=headers)
    other = await client.post(SUBSCRIPTIONS, json=body, headers={**headers_of(mine), "idempotency-key": "popup-2"})

    assert (first.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    counts = {each["template_id"]: each["remaining"] for each in other.json()["templates"]}
    assert (counts[progress], counts[template_id("case-result")]) == (2, 0)


async def test_results_without_a_key_are_refused(client: httpx.AsyncClient):
    mine = await a_resident()

    answer = await client.post(
        SUBSCRIPTIONS, json={"page": "case", "results": {template_id(): "accept"}}, headers=headers_of(mine)
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-missing")


async def test_a_template_that_is_not_ours_is_pointed_at_and_nothing_is_counted(client: httpx.AsyncClient):
    mine = await a_resident()
    body = {"page": "case", "results": {template_id(): "accept", "a/b~c": "accept"}}

    answer = await client.post(SUBSCRIPTIONS, json=body, headers={**headers_of(mine), "idempotency-key": "k"})

    assert (answer.status_code, answer.json()["code"]) == (422, "template-invalid")
    assert answer.json()["errors"][0]["pointer"] == "/results/a~1b~0c"
    assert await fetch_value("SELECT count(*) FROM consent_changes") == 0


async def test_a_page_that_asks_nothing_is_not_found(client: httpx.AsyncClient):
    mine = await a_resident()

    answer = await client.get(SUBSCRIPTIONS, params={"page": "weather"}, headers=headers_of(mine))

    assert (answer.status_code, answer.json()["code"]) == (404, "subscription-page-not-found")


async def test_answers_that_no_popup_gives_are_refused(client: httpx.AsyncClient):
    mine = await a_resident()
    results = [{template_id(): "maybe"}, {}, {f"t{n}": "accept" for n in range(6)}, {template_id(): 1}]

    answers = [
        await client.post(
            SUBSCRIPTIONS, json={"page": "case", "results": each}, headers={**headers_of(mine), "idempotency-key": "k"}
        )
        for each in results
    ]

    assert [each.status_code for each in answers] == [422] * 4
