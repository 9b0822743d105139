"""The guards: who gets through which door, and what it costs (B-05, B-07, B-08, B-18)."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar, Router, get
from litestar.di import NamedDependency, Provide

from api.auth import bearer, duty, provide_staff, residents_only, staff_only
from api.problems import answer
from backend import database
from backend.identity import AsResident, AsStaff, refresh_tokens, session_watch, staff, tokens
from backend.identity.errors import TokenInvalid
from tests.factories.identity import (
    OPERATOR,
    a_resident,
    a_staff,
    an_agency,
    headers_of,
    signed_in,
    staff_headers_of,
    with_token,
)

ME = "/v1/resident/me"
STAFF_ME = "/v1/staff/me"


def is_challenge(response: httpx.Response, code: str | None = None) -> bool:
    return (
        response.status_code == 401
        and response.headers["www-authenticate"].startswith("Bearer")
        and response.headers["content-type"] == "application/problem+json"
        and (code is None or response.json()["code"] == code)
    )


async def test_a_resident_gets_in_with_their_token(client: httpx.AsyncClient) -> None:
    resident = await a_resident()

    answered = await client.get(ME, headers=headers_of(resident))

    assert answered.status_code == 200
    assert answered.json()["id"] == str(resident.id)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "token-missing"),
        ("", "token-invalid"),
        ("Basic dXNlcjpwYXNz", "token-invalid"),
        ("Bearer", "token-invalid"),
        ("Bearer ", "token-invalid"),
        ("Bearer a.b.c", "token-invalid"),
        ("Bearer é", "token-invalid"),
        ("Token x", "token-invalid"),
    ],
)
async def test_without_a_good_token_there_is_a_challenge(
    client: httpx.AsyncClient, header: str | None, code: str
) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}

    assert is_challenge(await client.get(ME, headers=headers), code)


async def test_the_scheme_is_read_in_any_case(client: httpx.AsyncClient) -> None:
    resident = await a_resident()
    token = headers_of(resident)["Authorization"].removeprefix("Bearer ")

    assert (await client.get(ME, headers={"Authorization": f"bearer {token}"})).status_code == 200


async def test_two_authorization_headers_are_one_too_many(client: httpx.AsyncClient) -> None:
    header = headers_of(await a_resident())["Authorization"]

    answered = await client.get(ME, headers=[("Authorization", header), ("Authorization", header)])

    assert is_challenge(answered, "token-invalid")


@pytest.mark.parametrize("name", ["access_token", "token", "ACCESS_TOKEN", "authorization"])
async def test_a_token_in_the_address_opens_nothing_even_beside_a_good_header(
    client: httpx.AsyncClient, name: str
) -> None:
    headers = headers_of(await a_resident())
    token = headers["Authorization"].removeprefix("Bearer ")

    for given in ({}, headers):
        assert is_challenge(await client.get(ME, params={name: token}, headers=given), "token-in-address")


async def test_a_token_in_a_cookie_opens_nothing(client: httpx.AsyncClient) -> None:
    token = headers_of(await a_resident())["Authorization"].removeprefix("Bearer ")

    answered = await client.get(ME, headers={"Cookie": f"access_token={token}; Authorization={token}"})

    assert is_challenge(answered, "token-missing")


async def test_no_other_token_of_ours_is_a_residents_access_token(client: httpx.AsyncClient) -> None:
    given = await signed_in()
    member = await a_staff()
    others = [
        given.refresh_token,
        refresh_tokens.create_token(given.session_id, 0),
        staff_headers_of(member)["Authorization"].removeprefix("Bearer "),
        (await an_agency()).secret,
    ]

    for token in others:
        assert is_challenge(await client.get(ME, headers=with_token(token)), "token-invalid")


async def test_a_residents_token_does_not_open_the_staff_door(client: httpx.AsyncClient) -> None:
    assert is_challenge(await client.get(STAFF_ME, headers=headers_of(await a_resident())), "token-invalid")


async def test_a_signature_does_not_open_the_residents_door(client: httpx.AsyncClient) -> None:
    agency = await an_agency()

    assert is_challenge(await client.get(ME, headers=dict(agency.headers("GET", ME))), "token-missing")


async def test_after_signing_out_the_token_is_refused_at_once(client: httpx.AsyncClient) -> None:
    headers = headers_of(await a_resident())
    assert (await client.get(ME, headers=headers)).status_code == 200

    assert (await client.delete("/v1/resident/session", headers=headers)).status_code == 204

    assert is_challenge(await client.get(ME, headers=headers))


async def test_a_session_ended_by_another_process_is_refused_as_soon_as_ours_has_asked(
    client: httpx.AsyncClient,
) -> None:
    resident = await a_resident()
    headers = headers_of(resident)
    assert (await client.get(ME, headers=headers)).status_code == 200
    await database.execute(
        "UPDATE sessions SET ended_at = clock_timestamp(), end_reason = 'x' WHERE id = $1", resident.session_id
    )

    await session_watch.refresh_watch()

    assert is_challenge(await client.get(ME, headers=headers), "session-ended")


async def test_what_changes_about_staff_holds_from_the_next_request_on(client: httpx.AsyncClient) -> None:
    member = await a_staff(duties=["cases.read"])
    headers = staff_headers_of(member)
    assert (await client.get(STAFF_ME, headers=headers)).json()["duties"] == ["cases.read"]

    await staff.change_duties(OPERATOR, member.id, ["cases.handle"])
    assert (await client.get(STAFF_ME, headers=headers)).json()["duties"] == ["cases.handle"]
    await staff.disable_staff(OPERATOR, member.id)

    assert is_challenge(await client.get(STAFF_ME, headers=headers), "session-ended")


async def test_when_ended_sessions_are_unknown_no_token_is_accepted(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = headers_of(await a_resident())

    async def dead(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(session_watch, "is_stale", lambda: True)
    monkeypatch.setattr(session_watch, "fetch", dead)

    answered = await client.get(ME, headers=headers)

    assert answered.status_code == 503
    assert answered.json()["code"] == "session-store-unavailable"
    assert answered.headers["retry-after"]


@pytest.fixture
def door() -> Litestar:
    """A door with a route for one duty, and one that says who came."""

    @get("/publish", guards=[duty("catalogue.publish")])
    async def publish(staff: NamedDependency[AsStaff]) -> str:
        return str(staff.id)

    inside = Router(
        "/",
        guards=[staff_only],
        dependencies={"staff": Provide(provide_staff, sync_to_thread=False)},
        route_handlers=[publish],
    )
    return Litestar([inside], exception_handlers={Exception: answer}, openapi_config=None)


async def test_a_route_may_ask_for_a_duty(door: Litestar) -> None:
    editor, publisher = await a_staff(duties=["catalogue.edit"]), await a_staff(duties=["catalogue.publish"])

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=door), base_url="http://x") as client:  # type: ignore[arg-type]
        refused = await client.get("/publish", headers=staff_headers_of(editor))
        allowed = await client.get("/publish", headers=staff_headers_of(publisher))

    assert (refused.status_code, refused.json()["code"]) == (403, "duty-missing")
    assert (allowed.status_code, allowed.text) == (200, str(publisher.id))


class Connection:
    """As much of a connection as the guard of the residents' door touches."""

    def __init__(self, header: bytes) -> None:
        self.scope: dict[str, Any] = {
            "headers": [(b"host", b"x"), (b"user-agent", b"x"), (b"authorization", header)],
            "query_string": b"",
        }


async def test_a_token_seen_before_costs_no_query_and_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = await a_resident()
    connection: Any = Connection(headers_of(resident)["Authorization"].encode())
    handler: Any = None
    await residents_only(connection, handler)

    async def forbidden(*_: object) -> None:
        raise AssertionError("a query")

    monkeypatch.setattr(database, "_permit", forbidden)
    monkeypatch.setattr(tokens, "check_token", forbidden)
    await residents_only(connection, handler)

    assert connection.scope["auth"] == AsResident(resident.id, resident.session_id)


async def test_every_actor_stands_in_the_ledger(client: httpx.AsyncClient) -> None:
    resident = await a_resident()

    await client.delete("/v1/resident/session", headers=headers_of(resident))

    row = await database.fetch_row("SELECT actor_kind, actor_id FROM events WHERE name = 'resident.sessions-ended'")
    assert row is not None
    assert tuple(row) == ("resident", str(resident.id))


async def test_two_requests_at_once_are_not_taken_for_each_other(client: httpx.AsyncClient) -> None:
    crowd = [await a_resident() for _ in range(10)]

    answers = await asyncio.gather(*(client.get(ME, headers=headers_of(each)) for each in crowd * 3))

    assert [each.json()["id"] for each in answers] == [str(each.id) for each in crowd * 3]


def test_a_header_that_is_no_text_is_no_token() -> None:
    scope: Any = {"headers": [(b"authorization", b"Bearer \xff\xfe")], "query_string": b""}

    with pytest.raises(TokenInvalid):
        tokens.check_token(bearer(scope), "resident")


async def test_a_token_for_a_session_that_never_was_identifies_no_resident(client: httpx.AsyncClient) -> None:
    await session_watch.ensure_fresh()
    token = tokens.issue_token(uuid4(), uuid4(), "resident", seconds=900).token

    answered = await client.get(ME, headers=with_token(token))

    assert is_challenge(answered, "token-invalid")
