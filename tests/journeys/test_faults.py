"""What happens when PostgreSQL or Redis goes away, hangs, or comes back: bounded, answered clearly, healed by
itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest
from litestar import Router, get, post
from litestar.params import FromQuery

from api.app import build
from api.edge import Edge
from api.limits import limit
from backend import cache, database, identity, settings
from backend.database import execute, fetch_value, transaction
from models.events import EventRecord
from tests.faultproxy import FaultProxy
from tests.owner import owner_fetch_value


@get("/value", guards=[limit("fault-read", 100_000, 60)])
async def _value() -> int:
    return await fetch_value("SELECT 42")


@get("/model")
async def _model() -> int:
    return await EventRecord.all().count()


@get("/slow")
async def _slow(seconds: FromQuery[float]) -> None:
    await execute("SELECT pg_sleep($1)", seconds)


@get("/hold")
async def _hold(seconds: FromQuery[float]) -> None:
    async with transaction() as connection:
        await asyncio.sleep(seconds)
        await connection.execute("SELECT 1")


@get("/never")
async def _never() -> None:
    async with transaction():
        await asyncio.sleep(60)


@post("/write")
async def _write() -> None:
    async with transaction() as connection:
        await connection.execute("INSERT INTO unsealed_events (event_id, shard) VALUES ($1, 0)", uuid4())
        await asyncio.sleep(0.01)
        await connection.execute(
            "INSERT INTO subscriber_receipts (event_id, subscriber, at) VALUES ($1, 'probe', now())", uuid4()
        )


@post("/code", guards=[limit("fault-code", 100_000, 60, fail_closed=True)])
async def _code() -> None:
    return None


@dataclass
class House:
    """The application behind two wires that can be cut."""

    client: httpx.AsyncClient
    postgres: FaultProxy
    redis: FaultProxy

    async def timed(self, method: str, path: str) -> tuple[httpx.Response, float]:
        began = monotonic()
        answer = await self.client.request(method, path)
        return answer, monotonic() - began

    async def is_well_within(self, seconds: float) -> float:
        """Wait until reads and writes work; how long it took."""
        began = monotonic()
        while monotonic() - began < seconds:
            answers = [await self.client.get("/probe/value"), await self.client.post("/probe/write")]
            if all(answer.is_success for answer in answers):
                return monotonic() - began
            await asyncio.sleep(0.05)
        raise AssertionError(f"not well after {seconds} s")


def _postgres_socket(url: str) -> Any:
    given = database.credentials(url)
    if str(given["host"]).startswith("/"):
        return f"{given['host']}/.s.PGSQL.{given['port']}"
    return (given["host"], given["port"])


def _redis_socket(url: str) -> Any:
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else (parts.hostname, parts.port or 6379)


@asynccontextmanager
async def _behind_wires(**changes: Any) -> AsyncIterator[House]:
    before = settings.settings()
    postgres, redis = FaultProxy(_postgres_socket(before.database_url)), FaultProxy(_redis_socket(before.redis_url))
    await postgres.start()
    await redis.start()
    name = urlsplit(before.database_url).path
    given = database.credentials(before.database_url)
    secret = f":{given['password']}" if given["password"] else ""
    number = (
        before.redis_url.rpartition("=")[2] if "db=" in before.redis_url else urlsplit(before.redis_url).path.strip("/")
    )
    await cache.close()
    await database.close()
    with settings.using(
        database_url=f"postgresql://{given['user']}{secret}@127.0.0.1:{postgres.port}{name}",
        redis_url=f"redis://127.0.0.1:{redis.port}/{number or 0}",
        database_connect_timeout=1.0,
        redis_timeout=0.5,
        **{"database_statement_timeout": 1.0, "database_pool_size": 4, "request_timeout": 4.0, **changes},
    ):
        await database.connect()
        await cache.connect()
        app = build()
        app.register(Router("/probe", route_handlers=[_value, _model, _slow, _hold, _never, _write, _code]))
        transport = httpx.ASGITransport(app=Edge(app), raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://zhangban.test") as client:
            yield House(client, postgres, redis)
        await cache.close()
        await database.close()
    await postgres.stop()
    await redis.stop()
    await database.connect()
    await cache.connect()
    identity.clear_watch()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with _behind_wires() as each:
        yield each


def is_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    if status == 503:
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["retryable"] is True


# -- PostgreSQL ---------------------------------------------------------------------------------


async def test_without_postgresql_we_say_so_at_once_and_recover_by_ourselves(house: House):
    await house.is_well_within(1)

    await house.postgres.turn("down")

    for method, path in [("GET", "/probe/value"), ("GET", "/probe/model"), ("POST", "/probe/write")] * 4:
        answer, took = await house.timed(method, path)
        is_problem(answer, 503)
        assert took < 1.5
    assert (await house.client.get("/healthz")).status_code == 200
    assert (await house.client.get("/readyz")).json()["database"] is False

    await house.postgres.turn("fine")

    assert await house.is_well_within(2) < 2
    assert (await house.client.get("/readyz")).status_code == 200


async def test_started_before_postgresql_we_wait_for_it(house: House):
    await house.postgres.turn("down")

    is_problem(await house.client.get("/probe/value"), 503)
    is_problem(await house.client.get("/probe/model"), 503)

    await house.postgres.turn("fine")
    await house.is_well_within(2)


async def test_backends_ended_under_load_are_never_a_500_and_write_nothing_half(house: House):
    killer = await asyncpg.connect(**database.credentials(settings.settings().database_url))
    seen: list[int] = []
    acknowledged = 0
    over = asyncio.Event()

    async def user() -> None:
        nonlocal acknowledged
        while not over.is_set():
            answer = await house.client.post("/probe/write")
            seen.append(answer.status_code)
            acknowledged += answer.status_code == 201
            seen.append((await house.client.get("/probe/model")).status_code)

    users = [asyncio.create_task(user()) for _ in range(6)]
    for _ in range(15):
        await asyncio.sleep(0.1)
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    over.set()
    await asyncio.gather(*users)
    await killer.close()

    await house.is_well_within(2)
    firsts, seconds = (
        await fetch_value("SELECT count(*) FROM unsealed_events"),
        await fetch_value("SELECT count(*) FROM subscriber_receipts"),
    )
    assert set(seen) <= {200, 201, 503}
    assert {201, 503} <= set(seen)
    assert firsts == seconds
    assert firsts > acknowledged > 0


async def test_a_postgresql_that_falls_silent_costs_seconds_and_no_connection(house: House):
    await asyncio.gather(*(house.client.get("/probe/value") for _ in range(8)))

    await house.postgres.turn("silent")
    answers = await asyncio.gather(
        *(house.timed("GET", path) for path in ["/probe/value", "/probe/model", "/probe/hold?seconds=0"] * 5)
    )
    for answer, took in answers:
        is_problem(answer, 503)
        assert took < 5

    await house.postgres.turn("fine")

    assert await house.is_well_within(5) < 5
    full = await asyncio.gather(*(house.client.get("/probe/hold?seconds=0.2") for _ in range(4)))
    assert [answer.status_code for answer in full] == [200] * 4


async def test_a_request_whose_time_is_up_does_not_wait_for_a_silent_postgresql_to_roll_back():
    async with _behind_wires(request_timeout=1.0, database_statement_timeout=5.0) as house:
        await house.is_well_within(1)
        asking = [asyncio.create_task(house.timed("GET", "/probe/hold?seconds=0.3")) for _ in range(3)]
        await asyncio.sleep(0.1)
        await house.postgres.turn("silent")

        for answer, took in await asyncio.gather(*asking):
            is_problem(answer, 503)
            assert took < 1.6

        await house.postgres.turn("fine")
        await house.is_well_within(2)


async def test_a_slow_wire_makes_no_pile_of_waiting_requests(house: House):
    await house.postgres.turn("slow", 0.15)

    answers = await asyncio.gather(*(house.timed("GET", "/probe/value") for _ in range(80)))

    assert {answer.status_code for answer, _ in answers} == {200, 503}
    assert max(took for _, took in answers) < 4.5
    await house.postgres.turn("fine")
    await house.is_well_within(1)


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(house: House):
    answer, took = await house.timed("GET", "/probe/slow?seconds=30")

    is_problem(answer, 503)
    assert 0.9 < took < 2
    assert (
        await owner_fetch_value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND query LIKE '%pg_sleep%' AND state = 'active' AND pid <> pg_backend_pid()"
        )
        == 0
    )


async def test_more_requests_than_connections_are_shed_and_not_left_waiting():
    async with _behind_wires(database_acquire_timeout=0.3) as house:
        answers = await asyncio.gather(*(house.timed("GET", "/probe/hold?seconds=0.8") for _ in range(20)))

        assert sorted(answer.status_code for answer, _ in answers) == [200] * 4 + [503] * 16
        for answer, took in answers:
            if answer.status_code == 503:
                is_problem(answer, 503)
                assert answer.json()["code"] == "database-busy"
                assert took < 1
        await house.is_well_within(1)


async def test_a_request_that_takes_too_long_is_answered_and_gives_its_connection_back():
    async with _behind_wires(request_timeout=0.5) as house:
        for _ in range(3):
            answers = await asyncio.gather(*(house.timed("GET", "/probe/never") for _ in range(4)))
            for answer, took in answers:
                is_problem(answer, 503)
                assert answer.json()["code"] == "took-too-long"
                assert took < 1.5

        await house.is_well_within(1)


async def test_clients_that_go_away_in_the_middle_take_no_connection_with_them(house: House):
    for pause in (0.0, 0.001, 0.002, 0.005, 0.01) * 8:
        calls = [asyncio.create_task(house.client.post("/probe/write")) for _ in range(4)]
        await asyncio.sleep(pause)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    full = await asyncio.gather(*(house.client.get("/probe/hold?seconds=0.2") for _ in range(4)))
    assert [answer.status_code for answer in full] == [200] * 4
    assert (
        await owner_fetch_value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
        )
        == 0
    )


async def test_a_task_whose_transaction_died_can_open_the_next_one(house: House):
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        async with transaction() as connection:
            await house.postgres.turn("down")
            await connection.execute("SELECT 1")
    await house.postgres.turn("fine")

    assert not database.in_transaction()
    async with transaction():
        assert await EventRecord.all().count() == 0


# -- Redis --------------------------------------------------------------------------------------


async def test_without_redis_reads_go_on_and_codes_are_refused(house: House):
    await house.redis.turn("down")

    for _ in range(8):
        read, took = await house.timed("GET", "/probe/value")
        assert (read.status_code, took < 1.5) == (200, True)
        refused, took = await house.timed("POST", "/probe/code")
        is_problem(refused, 503)
        assert took < 1.5
    ready = await house.client.get("/readyz")
    assert (ready.status_code, ready.json()["cache"]) == (200, False)

    await house.redis.turn("fine")

    began = monotonic()
    while (await house.client.post("/probe/code")).status_code != 201:
        assert monotonic() - began < 4
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("weather", ["silent", "slow"])
async def test_a_redis_that_hangs_holds_no_request_up(house: House, weather: Any):
    assert (await house.client.post("/probe/code")).status_code == 201
    await house.redis.turn(weather, 2.0)

    began = monotonic()
    # More than there are connections to Redis: who waits for one waits no longer than for an answer.
    reads = await asyncio.gather(*(house.timed("GET", "/probe/value") for _ in range(3 * cache.CONNECTIONS)))
    codes = [await house.timed("POST", "/probe/code") for _ in range(5)]

    assert all(answer.status_code == 200 and took < 1.5 for answer, took in reads)
    assert all(answer.status_code == 503 and took < 1.5 for answer, took in codes)
    assert monotonic() - began < 3.5


async def test_an_emptied_redis_forgets_counts_and_nothing_else(house: House):
    assert (await house.client.post("/probe/code")).status_code == 201

    await cache.ask(lambda r: r.flushdb())

    assert (await house.client.post("/probe/code")).status_code == 201
    assert (await house.client.get("/probe/value")).status_code == 200
