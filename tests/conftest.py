"""One real PostgreSQL and one real Valkey for the run; every worker has a database of its own, built by the migrations.

`DATABASE_URL` and `REDIS_URL` choose other servers, as they do for the service.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime, time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import hypothesis
import pytest
from litestar import Litestar
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from api.app import build
from api.edge import Edge
from api.wiring import wire
from backend import cache, clock, database, embedded, identity, migrations
from backend import settings as settings_module
from backend.partners import Partners, equip, partners_from
from backend.partners.sandbox import Sandbox, serve_sandbox
from backend.settings import Settings

# A busy machine is no slow code: where time matters, a test measures it itself.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))[:8]


def pytest_configure(config: pytest.Config) -> None:
    """The controller starts the servers once; workers inherit their addresses."""
    if hasattr(config, "workerinput"):
        return
    database_url, redis_url = os.environ.get("DATABASE_URL", ""), os.environ.get("REDIS_URL", "")
    servers = embedded.servers(durable=False, postgres=not database_url, valkey=not redis_url)
    urls = servers.__enter__()
    os.environ["ZHANGBAN_TEST_DATABASE"] = database_url or urls.database_url
    os.environ["ZHANGBAN_TEST_REDIS"] = redis_url or urls.redis_url

    def stop() -> None:
        servers.__exit__(None, None, None)
        os.environ.pop("ZHANGBAN_TEST_DATABASE", None)
        os.environ.pop("ZHANGBAN_TEST_REDIS", None)

    config.add_cleanup(stop)


TOGETHER = ("tests/journeys/test_demo.py", "tests/journeys/test_readme.py")
"""What shares whole processes within its file: one worker runs all of it."""
FIRST = (
    *TOGETHER,
    "tests/journeys/test_booking_race.py",
    "tests/journeys/test_sweep.py",
    "tests/backend/payments/test_money_machine.py",
    "tests/api/test_hostile_input.py",
    "tests/api/test_fuzzing.py",
)
"""What takes longest begins first: no worker waits for it in the end."""


def file_of(nodeid: str) -> str:
    """The file that a test stands in."""
    return nodeid.partition("::")[0]


def unit_of(nodeid: str) -> str:
    """What one worker has to run together with this test: its file, or nothing but itself."""
    return file_of(nodeid) if file_of(nodeid) in TOGETHER else nodeid


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of FIRST, and after it everything else as it was."""
    items.sort(key=lambda item: FIRST.index(file_of(item.nodeid)) if file_of(item.nodeid) in FIRST else len(FIRST))


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # xdist says no types
    """Every test goes to the next free worker, but those of one file of TOGETHER to the same one.

    xdist 3.8 writes a group (`--dist loadgroup`) into a private name that pytest 9.2 no longer reads: it has no effect.
    """

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Spread:
    """Tests are spread as `Spread` says."""
    return Spread(config, log)


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def test_settings(**changes: object) -> Settings:
    """The settings that tests run with."""
    number = int(WORKER.removeprefix("gw") or 0) if WORKER.startswith("gw") else 0
    base = urlsplit(os.environ["ZHANGBAN_TEST_REDIS"])
    if base.scheme == "unix":  # urlunsplit would write unix:/path
        redis = f"unix://{base.path}?db={number}"
    else:
        redis = urlunsplit(base._replace(path=f"/{number}"))
    return replace(
        Settings(),
        database_url=with_database(os.environ["ZHANGBAN_TEST_DATABASE"], f"zb_{RUN}_{WORKER}"),
        redis_url=redis,
        sandbox=True,
        log_level="WARNING",
        job_retry_seconds="0,0,0",
        redis_timeout=5.0,  # a busy machine is no dead Redis
        database_statement_timeout=15.0,  # and no dead PostgreSQL
        database_acquire_timeout=5.0,
        freed_place_max_seconds=0.0,  # tests that want places to rest say so
        **changes,  # type: ignore[arg-type]
    )


async def fresh_database(name: str) -> None:
    """Create the database anew: a copy of one that the first worker to come here built with the migrations."""
    template = f"zb_{RUN}_template"
    admin = await asyncpg.connect(**database.credentials(os.environ["ZHANGBAN_TEST_DATABASE"]))
    try:
        await admin.execute("SELECT pg_advisory_lock(hashtext($1))", template)
        if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", template):
            await admin.execute(f'CREATE DATABASE "{template}"')
            url = with_database(os.environ["ZHANGBAN_TEST_DATABASE"], template)
            with settings_module.using(database_url=url):
                await migrations.migrate()
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await admin.close()


@pytest.fixture(scope="session", autouse=True)
async def _servers() -> AsyncIterator[None]:
    values = test_settings()
    settings_module.configure(values)
    name = urlsplit(values.database_url).path.lstrip("/")
    await fresh_database(name)
    await database.connect()
    await cache.connect()
    wire()
    yield
    await cache.close()
    await database.close()
    admin = await asyncpg.connect(**database.credentials(os.environ["ZHANGBAN_TEST_DATABASE"]))
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await admin.close()


_TABLES = """
SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = 'public' AND relkind = 'r' AND relname <> 'tortoise_migrations'
"""


class Broom:
    """The owner of the tables, who empties those that hold rows; one connection and one prepared question for a run."""

    def __init__(self) -> None:
        self._owner: asyncpg.Connection | None = None
        self._filled = ""

    async def sweep(self) -> None:
        """Triggers that keep a ledger append-only are off for the owner who asks for it."""
        try:
            await self._cut()
        except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):
            await self.put_away()  # a test took the server away, or ended everybody's connection
            await self._cut()

    async def _cut(self) -> None:
        if self._owner is None:
            self._owner = await asyncpg.connect(**database.credentials(settings_module.settings().database_url))
            await self._owner.execute("SET session_replication_role = replica")
            tables = [row["relname"] for row in await self._owner.fetch(_TABLES)]
            self._filled = " UNION ALL ".join(f"SELECT '{t}' WHERE EXISTS (SELECT 1 FROM {t})" for t in tables)
        for (table,) in await self._owner.fetch(self._filled):
            await self._owner.execute(f"DELETE FROM {table}")

    async def put_away(self) -> None:
        """Close the connection, if it is still there."""
        if self._owner is not None:
            self._owner.terminate()
        self._owner = None


@pytest.fixture(scope="session")
async def _broom(_servers: None) -> AsyncIterator[Broom]:
    broom = Broom()
    yield broom
    await broom.put_away()


@pytest.fixture(autouse=True)
async def _clean(_broom: Broom) -> None:
    """Every test begins with empty tables and an empty cache."""
    await _broom.sweep()
    await cache.redis().flushdb()
    identity.clear_watch()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The partners' simulators over real HTTP, with nothing remembered; the settings point to them."""
    async with serve_sandbox() as each:
        with settings_module.using(**each.settings()):
            yield each


@pytest.fixture
async def partners(sandbox: Sandbox, app: Litestar) -> AsyncIterator[Partners]:
    """Our side of the simulators, in the application and in jobs too."""
    app.state["partners"] = bundle = partners_from(settings_module.settings())
    equip(bundle)
    yield bundle
    equip(None)
    await bundle.close()


@pytest.fixture(scope="session")
def app(_servers: None) -> Litestar:
    """The application as `serve` runs it."""
    return build()


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, without a network between them."""
    transport = httpx.ASGITransport(app=Edge(app), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://zhangban.test") as each:
        yield each


@pytest.fixture
def noon() -> Iterator[None]:
    """It is noon in China, for everybody of this process: limits per day do not begin anew in the middle of a test."""
    with clock.travel(to=datetime.combine(clock.today(), time(12), clock.SHANGHAI)):
        yield


@pytest.fixture
def settings() -> Settings:
    """The values in force."""
    return settings_module.settings()
