"""The ledger of facts: `record(event)` inside a transaction; its subscribers run afterwards, in the worker.

The event row, its place in the sealing queue and the job that dispatches the event are written in the caller's
transaction: a crash after COMMIT loses nothing, a rollback leaves nothing. A subscriber runs in its own transaction,
exactly once: the receipt, under the subscriber's name, is written in that transaction too.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from backend import clock, jobs, logs
from backend.database import fetch_row, require_transaction, transaction
from backend.settings import settings
from backend.sql import named


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Something that happened. Subclasses name it (`tag="case.accepted"`) and say which field is its subject.

    Fields carry ids and codes, never personal data: the ledger is kept for ever.
    """

    about: ClassVar[str]
    """The field that holds the subject's id; the subject's kind is the first part of the tag."""


class EventMeta(NamedTuple):
    """What the ledger knows about an event besides the event."""

    id: UUID
    at: datetime
    actor_kind: str
    actor_id: str
    request_id: str


E = TypeVar("E", bound=Event)
Handler = Callable[[Any, EventMeta], Awaitable[None]]


class Subscriber(NamedTuple):
    """A function that handles the events of some classes, under a name that its receipts keep."""

    name: str
    """`cases.link-on-phone`: stored in subscriber_receipts, so it outlives every renaming of modules."""
    handle: Handler


_subscribers: dict[type[Event], list[Subscriber]] = {}
_actor: ContextVar[tuple[str, str]] = ContextVar("actor", default=("system", "-"))
_encoder = msgspec.json.Encoder(order="deterministic")


@contextmanager
def acting_as(kind: str, identity: UUID | str) -> Iterator[None]:
    """Record every fact inside the block as done by this actor."""
    token = _actor.set((kind, str(identity)))
    try:
        yield
    finally:
        _actor.reset(token)


def act_as(kind: str, identity: UUID | str) -> None:
    """Record every later fact of this task as done by this actor: the doors of the API call it after authentication."""
    _actor.set((kind, str(identity)))


def actor() -> tuple[str, str]:
    """The kind and id of the actor of this task."""
    return _actor.get()


def name_of(kind: type[Event]) -> str:
    """The name under which events of this class stand in the ledger."""
    return str(kind.__struct_config__.tag)


def kinds() -> dict[str, type[Event]]:
    """Every event class that the loaded code knows, by name."""
    found: dict[str, type[Event]] = {}
    queue: list[type[Event]] = [*Event.__subclasses__()]
    while queue:
        kind = queue.pop()
        if not kind.__name__.startswith("_"):  # what several events have in common is no event
            found[name_of(kind)] = kind
        queue.extend(kind.__subclasses__())
    return found


_INSERT = jobs.statement_with_job("""
unsealed AS (INSERT INTO unsealed_events (event_id, shard) VALUES (:id, :shard)),
fact AS (
    INSERT INTO events (id, created_at, at, name, subject_kind, subject_id, actor_kind, actor_id, request_id, payload)
    VALUES (:id, :at, :at, :name, :subject_kind, :subject_id, :actor_kind, :actor_id, :request_id, :payload))
""")


async def record(event: Event) -> UUID:
    """Write the fact into the ledger and the job that dispatches it to the subscribers; return the id of the row.

    Refuses to run outside a transaction: a fact without its change, or a change without its fact, is a lie.
    """
    require_transaction("record")
    identity, name = uuid7(), name_of(type(event))
    subject: UUID = getattr(event, event.about)
    actor_kind, actor_id = _actor.get()
    values = {
        "id": identity,
        "shard": zlib.crc32(subject.bytes) % settings().ledger_shards,
        "at": clock.now(),
        "name": name,
        "subject_kind": name.partition(".")[0],
        "subject_id": subject,
        "actor_kind": actor_kind,
        "actor_id": actor_id,
        "request_id": logs.request_id.get(),
        "payload": _encoder.encode(event).decode(),
    }
    job = jobs.job_parameters("events.dispatch", {"event_id": str(identity)})
    async with transaction() as connection:
        await connection.execute(*named(_INSERT, values, *job))
    return identity


_FACTS = """
unsealed AS (
    INSERT INTO unsealed_events (event_id, shard) SELECT * FROM unnest(:fact_ids::uuid[], :fact_shards::smallint[])),
fact AS (
    INSERT INTO events (id, created_at, at, name, subject_kind, subject_id, actor_kind, actor_id, request_id, payload)
    SELECT e.id, :facts_at, :facts_at, e.name, split_part(e.name, '.', 1), e.subject_id, :fact_actor_kind,
           :fact_actor_id, :fact_request_id, e.payload
    FROM unnest(:fact_ids::uuid[], :fact_names::text[], :fact_subjects::uuid[], :fact_payloads::text[])
        AS e (id, name, subject_id, payload))
"""


def statement_with_facts(others: str) -> str:
    """A statement that records several events and does `others` too: CTEs, separated by commas, with named parameters.

    For the paths where a round trip counts; all others call `record`. `with_facts` gives its arguments.
    """
    return jobs.statement_with_job(f"{others}, {_FACTS}")


def with_facts(statement: str, values: Mapping[str, Any], *events: Event) -> tuple[Any, ...]:
    """The arguments of `execute` for such a statement. It belongs inside transaction(), like `record`."""
    require_transaction("with_facts")
    ids, subjects = [uuid7() for _ in events], [getattr(each, each.about) for each in events]
    many, (actor_kind, actor_id) = len(ids), _actor.get()
    facts = {
        "fact_ids": ids,
        "fact_shards": [zlib.crc32(each.bytes) % settings().ledger_shards for each in subjects],
        "facts_at": clock.now(),
        "fact_names": [name_of(type(each)) for each in events],
        "fact_subjects": subjects,
        "fact_actor_kind": actor_kind,
        "fact_actor_id": actor_id,
        "fact_request_id": logs.request_id.get(),
        "fact_payloads": [_encoder.encode(each).decode() for each in events],
    }
    job = (
        [0] * many,
        ["events.dispatch"] * many,
        [msgspec.json.encode({"event_id": str(each)}) for each in ids],
        [timedelta(0)] * many,
        [None] * many,
        ["null"] * many,
    )
    return named(statement, {**values, **facts}, *job)


def subscribe(kind: type[E], name: str, handle: Callable[[E, EventMeta], Awaitable[None]]) -> None:
    """Have the function called once for every event of this class. Wiring belongs into the tables, at start-up.

    Raises ValueError when another function has the name for this class already: one of the two would never run.
    """
    subscribers = _subscribers.setdefault(kind, [])
    if known := next((each for each in subscribers if each.name == name), None):
        if known.handle is not handle:
            raise ValueError(f"two subscribers of {name_of(kind)} are called {name}")
        return
    subscribers.append(Subscriber(name, handle))


def subscribers_of(kind: type[Event]) -> tuple[Subscriber, ...]:
    """The subscribers of this class, in the order of the tables."""
    return tuple(_subscribers.get(kind, ()))


@jobs.job("events.dispatch")
async def dispatch(payload: dict[str, Any]) -> None:
    """Run every subscriber that has no receipt yet; one that fails does not keep the others from running.

    Raises ExceptionGroup with the failures, so that the job is tried again.
    """
    row = await fetch_row(
        "SELECT id, at, actor_kind, actor_id, request_id, name, payload FROM events WHERE id = $1",
        UUID(payload["event_id"]),
    )
    if row is None:
        raise LookupError(f"no event {payload['event_id']}")
    kind = kinds().get(row["name"])
    if kind is None:
        raise LookupError(f"no event class is named {row['name']}")
    event = msgspec.json.decode(row["payload"], type=kind)
    meta = EventMeta(row["id"], row["at"], row["actor_kind"], row["actor_id"], row["request_id"])
    failures: list[Exception] = []
    for subscriber in subscribers_of(kind):
        try:
            await _run(subscriber, event, meta)
        except Exception as error:
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"subscribers of {row['name']} failed", failures)


async def _run(subscriber: Subscriber, event: Event, meta: EventMeta) -> None:
    async with transaction() as connection:
        fresh = await connection.fetchval(
            "INSERT INTO subscriber_receipts (event_id, subscriber, at) VALUES ($1, $2, now()) "
            "ON CONFLICT DO NOTHING RETURNING id",
            meta.id,
            subscriber.name,
        )
        if fresh is not None:
            await subscriber.handle(event, meta)
