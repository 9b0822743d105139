"""Looking a case up without signing in, over HTTP; and the lifecycle as data."""

from __future__ import annotations

import httpx
import pytest

from backend import cache
from backend.cases.lifecycle import EDGES, TRANSITIONS
from backend.settings import using
from tests.factories.cases import a_case, a_number, reported

PATH = "/v1/public/case-lookups"


async def test_number_and_four_characters_show_the_masked_case(client: httpx.AsyncClient):
    case = await a_case()
    await reported(case, "受理", public_remark="张三丰")

    answer = await client.post(PATH, json={"number": case.number, "id_last_four": "002x"})

    assert answer.status_code == 200
    assert answer.json()["state_name"] == "已受理"
    assert "张三" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_wrong_numbers_and_wrong_characters_get_the_same_bytes(client: httpx.AsyncClient):
    case = await a_case()
    headers = {"x-request-id": "same-request-id"}

    answers = [
        await client.post(PATH, json={"number": number, "id_last_four": tail}, headers=headers)
        for number, tail in ((case.number, "0000"), (a_number(), "002X"), ("不是编号", "002X"))
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


async def test_one_address_cannot_go_through_many_numbers(client: httpx.AsyncClient):
    statuses = []
    for _ in range(31):
        answer = await client.post(PATH, json={"number": a_number(), "id_last_four": "0000"})
        statuses.append(answer.status_code)

    assert statuses == [404] * 30 + [429]
    assert int(answer.headers["retry-after"]) > 0


async def test_many_addresses_cannot_go_through_one_number(client: httpx.AsyncClient):
    case = await a_case()

    with using(case_lookups_per_hour=2, trusted_proxies="127.0.0.1"):
        statuses = [
            (
                await client.post(
                    PATH,
                    json={"number": case.number, "id_last_four": "0000"},
                    headers={"x-forwarded-for": f"203.0.113.{n}"},
                )
            ).status_code
            for n in range(4)
        ]

    assert statuses == [404, 404, 429, 429]


async def test_without_a_counter_no_guess_is_allowed(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch):
    case = await a_case()

    async def dead(*_: object) -> cache.Verdict:
        raise cache.CacheDown

    monkeypatch.setattr(cache, "count_within", dead)
    answer = await client.post(PATH, json={"number": case.number, "id_last_four": "002X"})

    assert answer.status_code == 503


@pytest.mark.parametrize(
    "body", [{}, {"number": "1234"}, {"number": "1234", "id_last_four": "12"}, {"number": 1, "id_last_four": "0000"}]
)
async def test_half_a_question_is_refused(client: httpx.AsyncClient, body: dict[str, object]):
    assert (await client.post(PATH, json=body)).status_code == 422


async def test_the_number_is_never_asked_for_in_an_address(client: httpx.AsyncClient):
    assert (await client.get(PATH, params={"number": "1234"})).status_code == 405


async def test_the_lifecycle_is_served_as_data(client: httpx.AsyncClient):
    answer = await client.get("/v1/public/lifecycle/cases")

    body = answer.json()
    assert {(edge["from"], edge["to"]) for edge in body["edges"]} == {(a, b) for a in EDGES for b in EDGES[a]}
    assert len(body["transitions"]) == len(TRANSITIONS)
    again = await client.get("/v1/public/lifecycle/cases", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
