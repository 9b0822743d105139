"""After every error inside, what gets out is a problem document for the client alone."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from api.app import build
from api.edge import Edge
from backend.database import execute
from backend.errors import DomainError, NotFound
from models.events import UnsealedEvent

SECRETS = "postgresql://zhangban:hunter2@db.internal:5432/zb SELECT secret FROM residents"


class Inner(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=2, max_length=5)]
    when: UUID | None = None


class Outer(Struct, forbid_unknown_fields=True):
    items: list[Inner]
    count: Annotated[int, Meta(ge=1, le=10)] = 1


@get("/broken")
async def _broken() -> None:
    raise KeyError(SECRETS)


@get("/chained")
async def _chained() -> None:
    try:
        raise asyncpg.PostgresSyntaxError(SECRETS)
    except asyncpg.PostgresError as error:
        raise RuntimeError(SECRETS) from error


@get("/sql")
async def _sql() -> None:
    await execute("SELECT no_such_column FROM events")


@get("/number")
async def _number(n: FromQuery[int]) -> None:
    await execute("SELECT $1::int", n)


@get("/model")
async def _model(n: FromQuery[int]) -> None:
    await UnsealedEvent.filter(shard=n).count()


@get("/text")
async def _text(t: FromQuery[str]) -> None:
    await execute("SELECT $1::text", t)


@get("/wrong-call")
async def _wrong_call() -> None:
    await execute("SELECT $1::int")


@get("/missing")
async def _missing() -> None:
    raise NotFound(case_id=UUID(int=7))


@get("/by-id/{thing:uuid}")
async def _by_id(thing: FromPath[UUID]) -> None:
    return None


@post("/body")
async def _body(data: JSONBody[Outer]) -> None:
    return None


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = build()
    for handler in (_broken, _chained, _sql, _number, _model, _text, _wrong_call, _missing, _by_id, _body):
        app.register(handler)
    transport = httpx.ASGITransport(app=Edge(app), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://zhangban.test") as each:
        yield each


@pytest.mark.parametrize("path", ["/broken", "/chained", "/sql", "/wrong-call"])
async def test_our_own_mistakes_are_shown_to_the_log_and_not_to_the_client(
    client: httpx.AsyncClient, path: str, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.ERROR):
        answer = await client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    for word in ("hunter2", "SELECT", "Traceback", "asyncpg", "no_such_column", "postgres", "expects"):
        assert word not in answer.text
        assert word not in str(answer.headers)
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("path", ["/number?n=99999999999", "/model?n=99999", "/model?n=99999999999999999999999"])
async def test_a_number_that_no_column_holds_is_the_clients_mistake(client: httpx.AsyncClient, path: str):
    answer = await client.get(path)

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/text?t=a%00b", "/text?t=%ff", "/text?t=%ed%a0%80", "/by-id/%00", "/by-id/%ff"])
async def test_text_that_postgresql_cannot_hold_is_the_clients_mistake(client: httpx.AsyncClient, path: str):
    answer = await client.get(path)

    assert 200 <= answer.status_code < 500


async def test_every_problem_has_the_same_members(client: httpx.AsyncClient):
    body = (await client.get("/missing")).json()

    assert body == {
        "type": "/v1/public/problems#not-found", "title": "没有找到您要的内容", "status": 404, "code": "not-found",
        "request_id": body["request_id"], "retryable": False, "case_id": "00000000-0000-0000-0000-000000000007",
    }  # fmt: skip


def test_facts_may_not_hide_the_members():
    for name in ("status", "type", "title", "detail", "code", "request_id"):
        facts: dict[str, Any] = {name: 1}
        if name == "detail":
            continue
        with pytest.raises(ValueError, match=name):
            DomainError(**facts)


async def test_a_wrong_method_and_a_wrong_address_are_problems(client: httpx.AsyncClient):
    wrong = await client.put("/missing")
    nowhere = await client.get("/by-id/not-a-uuid")

    assert (wrong.status_code, wrong.json()["code"]) == (405, "method-not-allowed")
    assert nowhere.status_code == 404
    assert nowhere.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("path", "pointer"), [("/number", "/query/n"), ("/number?n=x", "/query/n")])
async def test_a_fault_in_the_query_is_pointed_to_in_chinese(client: httpx.AsyncClient, path: str, pointer: str):
    answer = await client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    [fault] = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert any("\u4e00" <= letter <= "\u9fff" for letter in fault["message"])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"items": [{"name": "好"}]}, "/items/0/name"),
        ({"items": [{"name": "好好"}, {"name": "太长了太长了"}]}, "/items/1/name"),
        ({"items": [{"name": "好好", "when": "x"}]}, "/items/0/when"),
        ({"items": [{"name": "好好", "role": "admin"}]}, "/items/0/role"),
        ({"items": [{}]}, "/items/0/name"),
        ({"items": [], "count": 99}, "/count"),
        ({"items": [], "count": "1"}, "/count"),
        ({"items": [], "is_staff": True}, "/is_staff"),
        ({}, "/items"),
        ([], ""),
    ],
)
async def test_a_fault_in_the_body_is_pointed_to_in_chinese(client: httpx.AsyncClient, body: Any, pointer: str):
    answer = await client.post("/body", json=body)

    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert any("\u4e00" <= letter <= "\u9fff" for letter in fault["message"])
