"""Departments push over HTTP: signed, repeated, wrong, hostile."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from backend.database import fetch_value
from models.cases import Case, CaseState
from tests.factories.cases import ID_NUMBER, ITEM, a_number
from tests.factories.identity import AgencyCredentials, an_agency

BASE = "/v1/agency/cases"


def case_in(**changes: Any) -> dict[str, Any]:
    return {
        "item_code": ITEM,
        "title": "居民身份证换领",
        "received_at": "2026-03-02T09:00:00+08:00",
        "promised_days": 5,
        "applicant": {"name": "张三丰", "id_number": ID_NUMBER, "phone": "138 0013 8000"},
        **changes,
    }


def event_in(code: str = "受理", event_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    return {"event_id": event_id, "code": code, "occurred_at": "2026-03-02T10:00:00+08:00", **changes}


async def send(
    client: httpx.AsyncClient, agency: AgencyCredentials, method: str, path: str, body: Any = None
) -> httpx.Response:
    """A signed request of the agency."""
    content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers = {**agency.headers(method, path, content), **({"content-type": "application/json"} if content else {})}
    return await client.request(method, path, content=content, headers=headers)


async def test_a_case_is_pushed_once_and_corrected_later(client: httpx.AsyncClient):
    agency, number = await an_agency(), a_number()

    first = await send(client, agency, "PUT", f"{BASE}/{number}", case_in())
    again = await send(client, agency, "PUT", f"{BASE}/{number}", case_in())
    amended = await send(client, agency, "PUT", f"{BASE}/{number}", case_in(title="换领"))

    assert [answer.status_code for answer in (first, again, amended)] == [201, 200, 200]
    assert first.json() == again.json()
    assert (amended.json()["title"], amended.json()["version"]) == ("换领", 2)
    assert first.json()["applicant"] == {
        "name": "张**",
        "id_kind": "resident_id",
        "id_number": "1****************X",
        "phone": "138****8000",
    }


async def test_a_case_gets_a_number_of_ours_and_the_same_one_again(client: httpx.AsyncClient):
    agency, body = await an_agency(), case_in(reference="JZ-1")

    first = await send(client, agency, "POST", BASE, body)
    again = await send(client, agency, "POST", BASE, body)

    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert first.status_code == 201
    assert len(first.json()["number"]) == 43


async def test_an_event_moves_the_case_and_its_repetition_gets_the_same_answer(client: httpx.AsyncClient):
    agency, number = await an_agency(), a_number()
    await send(client, agency, "PUT", f"{BASE}/{number}", case_in())

    answers = await asyncio.gather(
        *(send(client, agency, "POST", f"{BASE}/{number}/events", event_in()) for _ in range(20))
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["state"] == "accepted"
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.progressed'") == 1


async def test_another_content_under_the_same_event_id_is_a_conflict(client: httpx.AsyncClient):
    agency, number = await an_agency(), a_number()
    await send(client, agency, "POST", f"{BASE}/{number}/events", event_in())

    answer = await send(client, agency, "POST", f"{BASE}/{number}/events", event_in("不予受理"))

    assert (answer.status_code, answer.json()["code"]) == (409, "event-id-reused")
    assert answer.json()["errors"][0]["pointer"] == "/event_id"


async def test_an_event_before_its_case_is_kept(client: httpx.AsyncClient):
    agency, number = await an_agency(), a_number()

    early = await send(client, agency, "POST", f"{BASE}/{number}/events", event_in())
    pushed = await send(client, agency, "PUT", f"{BASE}/{number}", case_in())

    assert (early.status_code, early.json()["state"]) == (201, None)
    assert pushed.json()["state"] == "accepted"


async def test_batches_for_one_case_and_for_several(client: httpx.AsyncClient):
    agency, one, other = await an_agency(), a_number(), a_number()
    for number in (one, other):
        await send(client, agency, "PUT", f"{BASE}/{number}", case_in())

    single = await send(
        client, agency, "POST", f"{BASE}/{one}/event-batches", {"events": [event_in(), event_in("Z9", "e-2")]}
    )
    mixed = await send(
        client,
        agency,
        "POST",
        "/v1/agency/case-event-batches",
        {"events": [{"number": other, **event_in()}, {"number": one, **event_in("撤回", "e-3")}]},
    )

    assert [line["name"] for line in single.json()["items"]] == ["受理", "其他"]
    assert [line["number"] for line in mixed.json()["items"]] == [other, one]
    assert mixed.status_code == 201


async def test_the_department_reads_back_what_we_understood(client: httpx.AsyncClient):
    agency, number = await an_agency(), a_number()
    await send(client, agency, "PUT", f"{BASE}/{number}", case_in())
    await send(client, agency, "POST", f"{BASE}/{number}/events", event_in())
    await send(
        client,
        agency,
        "POST",
        f"{BASE}/{number}/events",
        event_in("不予受理", "e-2", occurred_at="2026-03-03T10:00:00+08:00"),
    )

    answer = await send(client, agency, "GET", f"{BASE}/{number}")

    assert [(line["led_to"], line["flag"]) for line in answer.json()["timeline"]] == [
        ("accepted", None),
        (None, "not-possible"),
    ]


async def test_another_agencys_case_looks_like_none_at_all(client: httpx.AsyncClient):
    owner, other, number = await an_agency(), await an_agency(), a_number()
    await send(client, owner, "PUT", f"{BASE}/{number}", case_in())

    asked = [
        await send(client, other, "GET", f"{BASE}/{number}"),
        await send(client, other, "GET", f"{BASE}/{a_number()}"),
        await send(client, other, "POST", f"{BASE}/{number}/events", event_in()),
    ]

    assert [answer.status_code for answer in asked] == [404, 404, 404]
    told = [{name: value for name, value in answer.json().items() if name != "request_id"} for answer in asked]
    assert told[0] == told[1] == told[2]
    assert (await Case.get(number=number)).state is CaseState.SUBMITTED


async def test_taking_a_number_of_another_agency_is_a_conflict(client: httpx.AsyncClient):
    number = a_number()
    await send(client, await an_agency(), "PUT", f"{BASE}/{number}", case_in())

    answer = await send(client, await an_agency(), "PUT", f"{BASE}/{number}", case_in())

    assert (answer.status_code, answer.json()["code"]) == (409, "case-number-taken")


async def test_no_push_without_a_signature_is_accepted(client: httpx.AsyncClient):
    answer = await client.put(f"{BASE}/{a_number()}", json=case_in())

    assert answer.status_code == 401
    assert await Case.all().count() == 0


@pytest.mark.parametrize(
    "body,pointer",
    [
        (case_in(applicant={"name": "张三"}), "/applicant"),
        (case_in(applicant={"id_number": "110105194912310021"}), "/applicant/id_number"),
        (case_in(applicant={"phone": "12345"}), "/applicant/phone"),
        (case_in(applicant={"phone": "13800138000", "id_kind": "passport"}), "/applicant/id_kind"),
        (case_in(item_code="123"), "/item_code"),
        (case_in(title=""), "/title"),
        (case_in(title="长" * 201), "/title"),
        (case_in(received_at="2026-03-02T09:00:00"), "/received_at"),
        (case_in(received_at="2999-03-02T09:00:00Z"), "/received_at"),
        (case_in(promised_days=-1), "/promised_days"),
        (case_in(promised_days="5"), "/promised_days"),
        (case_in(surprise=1), "/surprise"),
    ],
)
async def test_what_is_wrong_with_a_case_is_pointed_at(client: httpx.AsyncClient, body: dict[str, Any], pointer: str):
    answer = await send(client, await an_agency(), "PUT", f"{BASE}/{a_number()}", body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert await Case.all().count() == 0


@pytest.mark.parametrize(
    "body,pointer",
    [
        ({"events": []}, "/events"),
        ({"events": [event_in(event_id=f"{n}") for n in range(201)]}, "/events"),
        ({"events": [event_in(), event_in(event_id="")]}, "/events/1/event_id"),
        ({"events": [event_in(), event_in(event_id="  ")]}, "/events/1/event_id"),
        ({"events": [event_in(occurred_at="2999-01-01T00:00:00Z")]}, "/events/0/occurred_at"),
        ({"events": [event_in(code="长" * 65)]}, "/events/0/code"),
        ({"events": [event_in(outcome="maybe")]}, "/events/0/outcome"),
        ({"events": [event_in(materials=[{"name": ""}])]}, "/events/0/materials/0/name"),
    ],
)
async def test_what_is_wrong_with_an_event_is_pointed_at(client: httpx.AsyncClient, body: dict[str, Any], pointer: str):
    answer = await send(client, await an_agency(), "POST", f"{BASE}/{a_number()}/event-batches", body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert await fetch_value("SELECT count(*) FROM case_events") == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"event_id":"\\u0000","code":"x","occurred_at":"2026-03-02T10:00:00Z"}',
        b'{"event_id":1e400}',
        b"",
        b"null",
    ],
)
async def test_hostile_json_is_refused_and_keeps_nothing(client: httpx.AsyncClient, raw: bytes):
    answer = await send(client, await an_agency(), "POST", f"{BASE}/{a_number()}/events", raw)

    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert await fetch_value("SELECT count(*) FROM case_events") == 0


@pytest.mark.parametrize("number", ["办件", "a" * 300, "a b", "%00%00%00%00", "..%2f..", "'--"])
async def test_hostile_numbers_are_refused(client: httpx.AsyncClient, number: str):
    path = f"{BASE}/{quote(number, safe='%')}"
    agency = await an_agency()

    pushed = await send(client, agency, "PUT", path, case_in())
    read = await send(client, agency, "GET", path)

    assert pushed.status_code in (404, 422)
    assert read.status_code == 404


async def test_an_unknown_code_and_odd_characters_are_kept_as_they_came(client: httpx.AsyncClient):
    agency, number, code = await an_agency(), a_number(), "𠮷野家\u202e‮ ' \" \\ \t"
    await send(client, agency, "PUT", f"{BASE}/{number}", case_in())

    answer = await send(
        client, agency, "POST", f"{BASE}/{number}/events", event_in(code, text=code, public_remark=code)
    )

    assert answer.status_code == 201
    assert (answer.json()["code"], answer.json()["kind"]) == (code, "other")
