"""PostgreSQL: `transaction()` is the one way to open one.

The pool has a bound on connecting, on waiting for a connection and on every statement. Connections go back to
the pool without a reset query (one round trip less per request), so nothing may leave session state behind:
only `SET LOCAL`, only transaction-level locks, no LISTEN.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg
import msgspec
from tortoise import Tortoise
from tortoise.backends.asyncpg.client import TransactionWrapper
from tortoise.connection import get_connection, get_connections

from backend.errors import Unavailable
from backend.fair_semaphore import FairSemaphore
from backend.settings import settings
from models import MODELS

R = TypeVar("R", bound=msgspec.Struct)
BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What asyncpg raises when a connection ends under it."""
_ENDED = (asyncio.CancelledError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""After these the state of the connection is unknown."""
_OUR_MISTAKES = ("the server expects", "cannot perform operation: another operation is in progress")
"""InterfaceErrors that report a wrong call, not a lost connection."""

_open: ContextVar[asyncpg.Connection[Any] | None] = ContextVar("open_connection", default=None)
_priority: ContextVar[bool] = ContextVar("priority", default=False)
_semaphore: FairSemaphore | None = None
"""One permit per connection of the pool; some permits are reserved for `priority()` work."""
_client: Any = None
"""Tortoise's client for our one database, which holds the pool."""


class DatabaseBusy(Unavailable):
    """Every connection is in use and none came free in time."""

    title = "办理人数较多，请稍后再试"


class DatabaseDown(Unavailable):
    """PostgreSQL does not answer, or ended the connection."""

    title = "服务暂时不可用，请稍后再试"


def credentials(url: str) -> dict[str, Any]:
    """Parse a DSN into keyword arguments of asyncpg. Several hosts may be given, comma separated."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    address = parts.netloc.rpartition("@")[2]
    hosts = [query.pop("host")] if "host" in query else []
    ports: list[int] = []
    for entry in filter(None, address.split(",")):
        host, _, port = entry.rpartition(":") if ":" in entry else (entry, "", "")
        hosts.append(host)
        ports.append(int(port or 5432))
    given: dict[str, Any] = {
        "host": hosts[0] if len(hosts) == 1 else hosts or "localhost",
        "port": int(query.pop("port", 0)) or (ports[0] if len(set(ports)) == 1 else ports or 5432),
        "user": unquote(parts.username or query.pop("user", "postgres")),
        "password": unquote(parts.password) if parts.password else query.pop("password", None),
        "database": unquote(parts.path.lstrip("/")) or "postgres",
    }
    if "sslmode" in query:
        given["ssl"] = query["sslmode"]
    if "target_session_attrs" in query:
        given["target_session_attrs"] = query["target_session_attrs"]
    return given


def connection_arguments(*, url: str = "", as_owner: bool = False) -> dict[str, Any]:
    """The keyword arguments that every asyncpg connection of the service is opened with."""
    values = settings()
    given = credentials(
        url or ((values.migration_database_url or values.database_url) if as_owner else values.database_url)
    )
    server: dict[str, str] = {
        "application_name": "zhangban",
        "timezone": "UTC",
        "jit": "off",
        "statement_timeout": f"{int(values.database_statement_timeout * 1000)}",
        "idle_in_transaction_session_timeout": f"{int(values.request_timeout * 2000)}",
    }
    if not as_owner and given["user"] != values.database_role:
        server["role"] = values.database_role
    return {
        **given,
        "server_settings": server,
        "timeout": values.database_connect_timeout,
        "command_timeout": values.database_statement_timeout + 1.0,
    }


def tortoise_config(*, as_owner: bool = False) -> dict[str, Any]:
    """The configuration that Tortoise is started with."""
    values = settings()
    arguments = connection_arguments(as_owner=as_owner)
    if as_owner:
        del arguments["server_settings"]["statement_timeout"], arguments["command_timeout"]
    else:
        arguments["reset"] = _leave_as_it_is
    arguments["minsize"] = 0
    arguments["maxsize"] = values.database_pool_size + values.database_reserved_connections
    return {
        "connections": {"default": {"engine": "tortoise.backends.asyncpg", "credentials": arguments}},
        "apps": {"models": {"models": MODELS, "default_connection": "default", "migrations": "models.migrations"}},
        "use_tz": True,
        "timezone": "UTC",
    }


async def _leave_as_it_is(connection: asyncpg.Connection[Any]) -> None:
    """The pool's reset hook: asyncpg has already ended an open transaction, and we leave nothing else behind."""


async def connect() -> None:
    """Set up the pool; connections are made when first needed, so PostgreSQL may come later than we do."""
    global _client, _semaphore
    await Tortoise.init(config=tortoise_config(), _enable_global_fallback=True)
    # Kept, because Tortoise looks it up through its context at every question.
    _client = get_connection("default")
    # Models outside of a transaction queue for a connection like every statement, and release it in order like one.
    _client.acquire_connection = _PooledConnection
    _semaphore = FairSemaphore(settings().database_pool_size, reserved=settings().database_reserved_connections)


async def close() -> None:
    """Close every connection."""
    global _client, _semaphore
    _client = _semaphore = None
    await Tortoise.close_connections()


async def pool() -> asyncpg.Pool[Any]:
    """The pool behind Tortoise's models."""
    client = _client
    if client is None:
        raise DatabaseDown
    if client._pool is None:
        async with client._pool_init_lock:
            if client._pool is None:
                await client.create_connection(with_db=True)
    return client._pool


@contextmanager
def priority() -> Iterator[None]:
    """Let the work inside use the reserved connections too."""
    before = _priority.set(True)
    try:
        yield
    finally:
        _priority.reset(before)


async def _permit(semaphore: FairSemaphore) -> bool:
    """Wait for a permit; whether it is a reserved one. Raises DatabaseBusy after `database_acquire_timeout` seconds.

    asyncpg's own queue of waiters costs more under load than this one, and has no bound.
    """
    priority = _priority.get()
    if (permit := semaphore.try_acquire(priority=priority)) is not None:
        return permit
    try:
        async with asyncio.timeout(settings().database_acquire_timeout):
            return await semaphore.acquire(priority=priority)
    except TimeoutError as error:
        raise DatabaseBusy(retry_after=1) from error


class _PooledConnection:
    """A connection of the pool. It is always released, and a broken one is not handed out again.

    A class, because this stands on the hot path: three nested generators cost more than the rest of it.
    """

    __slots__ = ("_connection", "_pool", "_reserved", "_semaphore")

    async def __aenter__(self) -> asyncpg.Connection[Any]:
        if _semaphore is None:
            raise DatabaseDown
        self._semaphore = _semaphore
        self._reserved = await _permit(self._semaphore)
        try:
            self._pool = await pool()
            self._connection: Any = await self._pool.acquire()
        except BaseException:
            self._semaphore.release(reserved=self._reserved)
            raise
        connection: asyncpg.Connection[Any] = self._connection
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, _ENDED):
                # A request to roll back would wait for a silent server again; a lost client makes it roll back itself.
                self._connection.terminate()
            elif isinstance(error, asyncpg.DataError):
                # A value that asyncpg cannot write: the server has the statement, waits for its parameters, and would
                # time out while the next borrower has the connection. Any whole statement ends the wait.
                with suppress(*BROKEN):
                    await self._connection.execute("SELECT")
        finally:
            try:
                # The pool ends a connection that cannot be released in order; the result of the work stands.
                # Only after an error can the release have to wait, and then for a bounded time.
                bound = settings().database_connect_timeout if error is not None else None
                with suppress(*BROKEN):
                    await self._pool.release(self._connection, timeout=bound)
            finally:
                self._semaphore.release(reserved=self._reserved)


def in_transaction() -> bool:
    """Whether a transaction is open in this task."""
    return _open.get() is not None


def require_transaction(function: str) -> None:
    """Raise RuntimeError when no transaction is open: a mistake of the function's caller."""
    if not in_transaction():
        raise RuntimeError(f"{function}() belongs inside transaction()")


@asynccontextmanager
async def transaction() -> AsyncIterator[asyncpg.Connection[Any]]:
    """Everything inside happens, or nothing does.

    Joins the transaction that is open in this task, if there is one: a use case may call another and both live
    or die together. There are no savepoints, so an error inside ends the whole.

    Raises DatabaseBusy when no connection comes free within `database_acquire_timeout` seconds.
    """
    if (joined := _open.get()) is not None:
        yield joined
        return
    async with _PooledConnection() as connection, _begun(connection):
        yield connection


@asynccontextmanager
async def _begun(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """BEGIN, and COMMIT or ROLLBACK; models and statements inside use this connection.

    Tortoise's own context is not used: when BEGIN or ROLLBACK fails, or the request is cancelled in between, it
    keeps the connection for ever, hides the cause, and leaves the dead transaction in force for the task.
    """
    begun = connection.transaction()
    await begun.start()
    wrapper = TransactionWrapper(get_connection("default"))  # type: ignore[arg-type]
    wrapper._connection = connection
    models, ours = get_connections().set("default", wrapper), _open.set(connection)
    try:
        yield
    except _ENDED:
        raise
    except BaseException:
        # Whether or not ROLLBACK arrives, nothing was committed; the first error is the one to raise.
        with suppress(*BROKEN):
            await begun.rollback()
        raise
    else:
        await begun.commit()
    finally:
        _open.reset(ours)
        get_connections().reset(models)


@asynccontextmanager
async def _any_connection() -> AsyncIterator[asyncpg.Connection[Any]]:
    if (joined := _open.get()) is not None:
        yield joined
        return
    async with _PooledConnection() as connection:
        yield connection


async def fetch(sql: str, *arguments: Any) -> list[asyncpg.Record]:
    """Every row of the statement, in the open transaction if there is one."""
    async with _any_connection() as connection:
        rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
        return rows


async def fetch_row(sql: str, *arguments: Any) -> asyncpg.Record | None:
    """The first row, or None."""
    async with _any_connection() as connection:
        return await connection.fetchrow(sql, *arguments)


def row_as(kind: type[R], row: asyncpg.Record | Mapping[str, Any], *, json: Collection[str] = ()) -> R:
    """The row as a struct, column by field; columns named in `json` hold JSON text. Further columns are left out."""
    values = dict(row)
    for name in json:
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name])
    return msgspec.convert(values, kind)


async def fetch_as(kind: type[R], sql: str, *arguments: Any, json: Collection[str] = ()) -> list[R]:
    """Every row of the statement as a struct of this kind."""
    return [row_as(kind, row, json=json) for row in await fetch(sql, *arguments)]


async def fetch_one_as(kind: type[R], sql: str, *arguments: Any, json: Collection[str] = ()) -> R | None:
    """The first row as a struct of this kind, or None."""
    row = await fetch_row(sql, *arguments)
    return None if row is None else row_as(kind, row, json=json)


async def fetch_value(sql: str, *arguments: Any) -> Any:
    """The first column of the first row, or None."""
    if (joined := _open.get()) is not None:
        return await joined.fetchval(sql, *arguments)
    async with _PooledConnection() as connection:
        return await connection.fetchval(sql, *arguments)


async def execute(sql: str, *arguments: Any) -> int:
    """Run the statement; how many rows it changed."""
    async with _any_connection() as connection:
        tag = await connection.execute(sql, *arguments)
    count = tag.rsplit(" ", 1)[-1]
    return int(count) if count.isdigit() else 0


RETRYABLE_STATES = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available: the same work may succeed at once."""
_DOWN_STATES = ("08", "53", "57P", "58")


def is_contention(error: BaseException) -> bool:
    """Whether PostgreSQL wants the same transaction to be tried again."""
    return _state(error) in RETRYABLE_STATES


def is_down(error: BaseException) -> bool:
    """Whether the error means that PostgreSQL, or the network to it, is out of order."""
    if isinstance(error, asyncpg.InterfaceError):
        return not str(error).startswith(_OUR_MISTAKES)
    if isinstance(error, asyncpg.InternalClientError | OSError | TimeoutError):
        return True
    return (_state(error) or "").startswith(_DOWN_STATES) or _state(error) == "57014"


def may_pass(error: BaseException) -> bool:
    """Whether the same work may succeed a moment later: a dependency failed, not the work."""
    return isinstance(error, Unavailable) or is_down(error) or is_contention(error)


def _state(error: BaseException) -> str | None:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, asyncpg.PostgresError):
            return str(seen.sqlstate)
        seen = seen.__cause__ or seen.__context__
    return None
