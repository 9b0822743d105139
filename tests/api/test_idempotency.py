"""A creating request that is repeated has one effect and one answer, in spite of everything in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from asyncpg.transaction import Transaction
from litestar import Request, Response, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from api.app import build
from api.edge import Edge
from api.idempotency import IdempotencyKeyHeader, once
from backend import idempotency
from backend.database import execute, fetch_value, transaction
from backend.errors import Conflict
from backend.events import Event, record
from tests.owner import owner_fetch_value


class BellRung(Event, tag="bell.rung"):
    """The effect of these tests."""

    about: ClassVar[str] = "bell_id"
    bell_id: UUID


class BellCracked(Conflict):
    """A refusal of these tests."""

    title = "裂了"


class BellIn(Struct, forbid_unknown_fields=True):
    loudness: int
    wait: float = 0
    refuse: bool = False


class BellOut(Struct):
    id: UUID
    loudness: int


@post("/bells/{owner:uuid}", status_code=201)
async def _ring(
    request: Request[Any, Any, Any],
    owner: FromPath[UUID],
    data: JSONBody[BellIn],
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response[bytes]:
    async def work() -> BellOut:
        bell = uuid4()
        await record(BellRung(bell_id=bell))
        await asyncio.sleep(data.wait)
        if data.refuse:
            raise BellCracked
        return BellOut(bell, data.loudness)

    return await once(request, owner, idempotency_key, work)


@pytest.fixture
async def bells() -> AsyncIterator[httpx.AsyncClient]:
    app = build()
    app.register(_ring)
    transport = httpx.ASGITransport(app=Edge(app), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://zhangban.test") as client:
        yield client


ME = "11111111-1111-4111-8111-111111111111"
YOU = "22222222-2222-4222-8222-222222222222"


async def ring(
    bells: httpx.AsyncClient, key: str | None = "key-1", owner: str = ME, loudness: int = 5, **more: Any
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await bells.post(f"/bells/{owner}", json={"loudness": loudness, **more}, headers=headers)


async def effects() -> int:
    return await fetch_value("SELECT count(*) FROM events WHERE name = 'bell.rung'")


async def test_a_repetition_gets_the_same_answer_and_is_marked(bells: httpx.AsyncClient):
    first = await ring(bells)
    again = await ring(bells)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await effects() == 1


@pytest.mark.parametrize("key", [None, "", "x" * 256, "tab\tkey", "键" * 300])
async def test_a_key_that_is_missing_or_unusable_is_refused(bells: httpx.AsyncClient, key: str | None):
    headers = {} if key is None else {"Idempotency-Key": key.encode()}
    answer = await bells.post(f"/bells/{ME}", json={"loudness": 1}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-missing")
    assert await effects() == 0


async def test_the_longest_key_is_accepted(bells: httpx.AsyncClient):
    assert (await ring(bells, "k" * 255)).status_code == 201


async def test_the_same_key_with_other_content_is_refused(bells: httpx.AsyncClient):
    await ring(bells, loudness=5)

    other = await ring(bells, loudness=6)

    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert await effects() == 1


async def test_a_second_request_while_the_first_is_running_is_refused_as_in_flight(bells: httpx.AsyncClient):
    first = asyncio.create_task(ring(bells, wait=0.4))
    await asyncio.sleep(0.15)

    second = await ring(bells, wait=0.4)

    assert (second.status_code, second.json()["code"]) == (409, "idempotency-key-in-flight")
    assert second.json()["retryable"] is True
    assert int(second.headers["retry-after"]) >= 1
    answered = await first
    assert answered.status_code == 201
    assert (await ring(bells, wait=0.4)).content == answered.content
    assert await effects() == 1


async def test_twenty_at_once_have_one_effect(bells: httpx.AsyncClient):
    crowd = await asyncio.gather(*(ring(bells, wait=0.05) for _ in range(20)))

    assert {answer.status_code for answer in crowd} <= {201, 409}
    bodies = {answer.content for answer in crowd if answer.status_code == 201}
    assert len(bodies) == 1
    later = await asyncio.gather(*(ring(bells, wait=0.05) for _ in range(3)))
    assert {answer.content for answer in later if answer.status_code == 201} == bodies
    assert await effects() == 1


async def test_another_resident_with_the_same_key_has_an_effect_of_their_own(bells: httpx.AsyncClient):
    mine, yours = await ring(bells, owner=ME), await ring(bells, owner=YOU, loudness=9)

    assert (mine.status_code, yours.status_code) == (201, 201)
    assert mine.json()["id"] != yours.json()["id"]
    assert "idempotency-replayed" not in yours.headers
    assert await effects() == 2


async def test_another_resident_with_the_same_key_does_not_have_to_wait(bells: httpx.AsyncClient):
    mine, yours = await asyncio.gather(ring(bells, owner=ME, wait=0.2), ring(bells, owner=YOU, wait=0.2))

    assert (mine.status_code, yours.status_code) == (201, 201)


async def test_work_that_was_refused_leaves_the_key_unused(bells: httpx.AsyncClient):
    refused = await ring(bells, refuse=True)
    assert refused.status_code == 409

    again = await ring(bells)

    assert again.status_code == 201
    assert await effects() == 1


async def test_a_connection_that_dies_in_the_work_leaves_nothing_and_the_key_unused(bells: httpx.AsyncClient):
    first = asyncio.create_task(ring(bells, wait=0.3))
    await asyncio.sleep(0.1)
    await owner_fetch_value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state = 'idle in transaction'"
    )

    assert (await first).status_code == 503
    assert await effects() == 0
    assert (await ring(bells, wait=0.3)).status_code == 201
    assert await effects() == 1


async def test_an_answer_that_was_lost_after_commit_is_given_again(
    bells: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    real = Transaction.commit

    async def lost(self: Transaction) -> None:
        await real(self)
        raise ConnectionResetError("the answer to COMMIT never came")

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "commit", lost)
        assert (await ring(bells)).status_code == 503

    again = await ring(bells)

    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert await effects() == 1


async def test_work_that_postgresql_wants_again_is_done_again(
    bells: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    real = idempotency.remember
    deadlocks = 2

    async def unlucky(*given: Any, **named: Any) -> None:
        nonlocal deadlocks
        await real(*given, **named)
        if deadlocks:
            deadlocks -= 1
            raise asyncpg.DeadlockDetectedError("chosen as the victim")

    monkeypatch.setattr(idempotency, "remember", unlucky)

    assert (await ring(bells)).status_code == 201
    assert await effects() == 1


async def test_work_that_never_gets_its_turn_is_a_503_and_not_a_500(
    bells: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    async def unlucky(*given: Any, **named: Any) -> None:
        raise asyncpg.SerializationError("again")

    monkeypatch.setattr(idempotency, "remember", unlucky)

    answer = await ring(bells)

    assert (answer.status_code, answer.json()["code"]) == (503, "database-busy")
    assert await effects() == 0


async def test_a_key_is_kept_for_its_hours_and_then_forgotten(bells: httpx.AsyncClient):
    first = await ring(bells)
    left = await fetch_value("SELECT expires_at - now() > interval '23 hours 59 minutes' FROM idempotency_keys")
    assert left is True
    assert await idempotency.forget_expired() == 0

    await execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
    second = await ring(bells)
    await execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")

    assert second.json()["id"] != first.json()["id"]
    assert await idempotency.forget_expired() == 1


async def test_the_key_and_the_effect_are_in_one_transaction():
    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await idempotency.once("k", scope="me", content=b"x")
            await idempotency.remember(
                "k", idempotency.Answer(201, b"{}", "application/json"), scope="me", content=b"x"
            )
            raise ZeroDivisionError

    async with transaction():
        assert await idempotency.once("k", scope="me", content=b"x") is None
