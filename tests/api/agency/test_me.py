"""Signed requests over HTTP, body included."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.factories.identity import a_resident, a_staff, an_agency, headers_of, staff_headers_of

ME = "/v1/agency/me"
JSON = {"Content-Type": "application/json"}


async def test_a_signed_request_is_let_in(client: httpx.AsyncClient) -> None:
    agency = await an_agency()

    answered = await client.get(ME, headers=dict(agency.headers("GET", ME)))

    assert (answered.status_code, answered.json()) == (
        200,
        {"id": str(agency.id), "department_id": str(agency.department_id)},
    )


async def test_the_body_is_signed_byte_by_byte_and_still_reaches_the_handler(client: httpx.AsyncClient) -> None:
    agency = await an_agency()
    body = '{ "text" :\n "办\\u4ef6 ✓" }'.encode()

    headers = {**agency.headers("POST", ME, body), **JSON}
    answered = await client.post(ME, content=body, headers=headers)
    rewritten = await client.post(
        ME, content=json.dumps(json.loads(body)).encode(), headers={**agency.headers("POST", ME, body), **JSON}
    )

    assert (answered.status_code, answered.json()["text"]) == (200, "办件 ✓")
    assert (rewritten.status_code, rewritten.json()["code"]) == (401, "signature-invalid")


async def test_the_query_is_signed_in_any_order(client: httpx.AsyncClient) -> None:
    agency = await an_agency()

    headers = dict(agency.headers("GET", f"{ME}?b=2&a=张 三"))
    answered = await client.get(f"{ME}?a=%E5%BC%A0+%E4%B8%89&b=2", headers=headers)
    changed = await client.get(f"{ME}?a=1&b=2", headers=dict(agency.headers("GET", f"{ME}?a=1&b=3")))

    assert answered.status_code == 200
    assert changed.status_code == 401


async def test_a_request_sent_again_is_refused(client: httpx.AsyncClient) -> None:
    headers = dict((await an_agency()).headers("GET", ME))

    first, second = [await client.get(ME, headers=headers) for _ in range(2)]

    assert (first.status_code, second.status_code) == (200, 401)
    assert second.json()["code"] == "signature-replayed"


@pytest.mark.parametrize("name", ["Zhangban-Key", "Zhangban-Timestamp", "Zhangban-Nonce", "Zhangban-Signature"])
async def test_a_missing_header_is_named(client: httpx.AsyncClient, name: str) -> None:
    headers = dict((await an_agency()).headers("GET", ME))
    del headers[name]

    answered = await client.get(ME, headers=headers)

    assert (answered.status_code, answered.json()["headers"]) == (401, [name])


async def test_tokens_open_nothing_here(client: httpx.AsyncClient) -> None:
    for headers in (headers_of(await a_resident()), staff_headers_of(await a_staff()), {}):
        answered = await client.get(ME, headers=headers)
        assert (answered.status_code, answered.json()["code"]) == (401, "signature-missing")


async def test_a_hostile_query_is_refused_and_not_an_error_of_ours(client: httpx.AsyncClient) -> None:
    headers = dict((await an_agency()).headers("GET", ME))

    answered = await client.get(f"{ME}?%ff=%fe&=&%", headers=headers)

    assert answered.status_code == 401
