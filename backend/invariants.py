"""What must always hold, proved from the data: `zhangban check-invariants`.

Every invariant answers `holds`, `violated` with what was found, or `not-applicable` with the reason. What only an
examiner outside can prove (a partner's books, a client's log, two answers side by side) is said to be so, never
pretended.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Literal

import asyncpg
import msgspec

from backend import auditing, cache, clock, constraints, privacy_scan
from backend.appointments import COUNTED
from backend.cache import CacheDown
from backend.cases.lifecycle import EDGES
from backend.database import fetch_row, transaction
from backend.deliveries import invariants as deliveries
from backend.events import kinds, subscribers_of
from backend.payments import invariants
from backend.settings import settings
from models.appointments import ACTIVE
from models.cases import CaseState

Status = Literal["holds", "violated", "not-applicable"]
MOST = 20
"""Examples that are given of one violation."""
PATIENCE = timedelta(minutes=15)
"""After this time a message that is due and not on its way, or an event that no subscriber handled, is a finding."""


class Verdict(msgspec.Struct, frozen=True):
    """What came of one invariant. `findings` are at most MOST examples, without personal data."""

    id: str
    statement: str
    status: Status
    reason: str = ""
    findings: list[str] = []


class NotApplicable(Exception):
    """It cannot be judged here; the message says why."""


Proof = Callable[[], Awaitable[list[str]]]
Rows = Callable[..., Awaitable[list[asyncpg.Record]]]
"""Runs a statement in a read-only transaction and returns its rows."""
Extension = Callable[[Rows, datetime], Awaitable[list[str]]]
_proofs: dict[str, tuple[str, Proof]] = {}
_extensions: dict[str, list[Extension]] = {}
STATEMENTS = {
    "I-12": ("Deny looks like absence", "seen only from outside, by comparing two answers byte for byte"),
    "I-13": ("Heals without a hand", "seen only from outside, by taking a dependency away and giving it back"),
    "I-14": ("Fails safe", "seen only from outside, by taking a dependency away"),
}
"""Invariants that nothing in the database can prove, and why."""


def proves(name: str, statement: str) -> Callable[[Proof], Proof]:
    """Register the proof of an invariant: it returns what violates it."""

    def register(proof: Proof) -> Proof:
        _proofs[name] = (statement, proof)
        return proof

    return register


def extend(name: str, proof: Extension) -> None:
    """Have a package above this one add to the proof of an invariant: what violates it before the given moment."""
    extensions = _extensions.setdefault(name, [])
    if proof not in extensions:
        extensions.append(proof)


async def check() -> list[Verdict]:
    """Every invariant in order. Subscribers must be wired, so that it is known which event each should have handled."""
    verdicts = [Verdict(name, text, "not-applicable", why) for name, (text, why) in STATEMENTS.items()]
    for name, (statement, proof) in _proofs.items():
        try:
            found = await proof()
            for extension in _extensions.get(name, ()):
                found += await extension(_rows, clock.now() - PATIENCE)
        except NotApplicable as because:
            verdicts.append(Verdict(name, statement, "not-applicable", str(because)))
            continue
        more = f"{len(found)} in all" if len(found) > MOST else ""
        verdicts.append(Verdict(name, statement, "violated" if found else "holds", more, found[:MOST]))
    return sorted(verdicts, key=lambda each: (each.id.partition("-")[0] != "I", int(each.id.partition("-")[2])))


async def _rows(sql: str, *arguments: Any) -> list[asyncpg.Record]:
    async with transaction() as connection:
        await connection.execute("SET TRANSACTION READ ONLY")
        await connection.execute("SET LOCAL statement_timeout = 0")
        rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments, timeout=privacy_scan.LONG)
        return rows


# Which states take a place, and in which column, is the table in backend/appointments/places.py; a place that rests
# after it was given back is counted as held (backend/appointments/resting.py).
_MISCOUNTED = """
SELECT s.id, s.capacity, s.held, s.booked, coalesce(c.booked, 0) AS are_booked,
       coalesce(c.held, 0) + coalesce(r.resting, 0) AS are_held
FROM slots s LEFT JOIN (SELECT slot_id, count(*) AS resting FROM resting_places GROUP BY slot_id) r ON r.slot_id = s.id
LEFT JOIN (
    SELECT slot_id, count(*) FILTER (WHERE state = ANY($1)) AS held, count(*) FILTER (WHERE state = ANY($2)) AS booked
    FROM appointments GROUP BY slot_id
) c ON c.slot_id = s.id
WHERE s.held <> coalesce(c.held, 0) + coalesce(r.resting, 0) OR s.booked <> coalesce(c.booked, 0)
   OR s.held + s.booked > s.capacity LIMIT 1000
"""
_BOOKED_TWICE = f"""
SELECT day, item_id, count(*) AS times FROM appointments WHERE {ACTIVE}
GROUP BY person_id, item_id, day HAVING count(*) > 1 LIMIT 1000
"""


@proves("I-1", "No lost payment: all that is open is asked about, all that bills know is known")
async def _no_payment_lost() -> list[str]:
    return await invariants.find_lost(_rows, clock.now() - PATIENCE)


@proves("I-2", "No phantom payment: what counts as paid is numbered, whole, and on the bill")
async def _no_phantom_payment() -> list[str]:
    return await invariants.find_phantom(_rows)


@proves("I-3", "Every payment and refund is posted once")
async def _posted_once() -> list[str]:
    return await invariants.find_repeated(_rows)


@proves("I-4", "Every posting group sums to zero; refunds are within what was paid")
async def _balanced() -> list[str]:
    return await invariants.find_unbalanced(_rows)


@proves("I-5", "No slot is oversold; no person has two places for one item and day")
async def _not_oversold() -> list[str]:
    columns = [[state.value for state, column in COUNTED.items() if column == name] for name in ("held", "booked")]
    found = [
        f"slot {row['id']} of {row['capacity']} says {row['held']} held and {row['booked']} booked, "
        f"there are {row['are_held']} and {row['are_booked']}"
        for row in await _rows(_MISCOUNTED, *columns)
    ]
    return found + [
        f"a person has {row['times']} places on {row['day']} for item {row['item_id']}"
        for row in await _rows(_BOOKED_TWICE)
    ]


@proves("I-6", "Acknowledged is durable")
async def _durable() -> list[str]:
    if settings().profile != "production":
        raise NotApplicable("the profile is not production; and the answers that clients got stand in their logs only")
    row = await fetch_row(
        "SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes, "
        "current_setting('synchronous_commit') AS synchronous_commit"
    )
    assert row is not None
    return [f"{name} is off" for name, value in row.items() if value == "off"]


@proves("I-7", "A key has one effect and one answer")
async def _idempotent() -> list[str]:
    rows = await _rows(
        "SELECT scope FROM idempotency_keys WHERE status NOT BETWEEN 200 AND 299 OR length(fingerprint) <> 32 "
        "OR octet_length(body) = 0 UNION ALL "
        "SELECT scope FROM idempotency_keys GROUP BY scope, key HAVING count(*) > 1 LIMIT 1000"
    )
    return [f"answer that should not be kept: {row['scope'].partition(' ')[2]}" for row in rows]


# Ids of events grow with time: an event older than the first one that a subscriber handled was before its time.
_UNHANDLED = """
SELECT e.id, q.id IS NOT NULL AS queued FROM events e
LEFT JOIN LATERAL (
    SELECT id FROM pgqueuer WHERE entrypoint = 'events.dispatch'
    AND convert_from(payload, 'UTF8')::jsonb ->> 'event_id' = e.id::text
) q ON true
WHERE e.name = $1 AND e.created_at < $3
  AND e.id >= (SELECT event_id FROM subscriber_receipts WHERE subscriber = $2 ORDER BY event_id LIMIT 1)
  AND NOT EXISTS (SELECT FROM subscriber_receipts r WHERE r.event_id = e.id AND r.subscriber = $2)
LIMIT 1000
"""


@proves("I-8", "Every change was notified at least once and bounded, and ended in a record or with a stated reason")
async def _notified() -> list[str]:
    before, found = clock.now() - PATIENCE, []
    for name, kind in sorted(kinds().items()):
        for subscriber in subscribers_of(kind):
            rows = await _rows(_UNHANDLED, name, subscriber.name, before)
            found += [
                f"event {row['id']} ({name}): {subscriber.name} never ran and no job is left"
                for row in rows
                if not row["queued"]
            ]
    return found


_STEPS = """
SELECT DISTINCT ON (s.origin, s.goal) s.origin, s.goal, e.id FROM case_events e,
LATERAL (SELECT e.path[n] AS origin, e.path[n + 1] AS goal FROM generate_series(1, cardinality(e.path) - 1) AS n) s
"""
# The order is that of the fold: by time, rank and the bytes of the agency's id.
_BROKEN_PATHS = """
SELECT id, origin, before FROM (
    SELECT id, path[1] AS origin, coalesce(lag(path[cardinality(path)]) OVER w, 'submitted') AS before FROM case_events
    WHERE case_id IS NOT NULL AND cardinality(path) > 0
    WINDOW w AS (PARTITION BY case_id ORDER BY occurred_at, rank, event_id COLLATE "C")
) p WHERE origin <> before LIMIT 1000
"""
_WRONG_STATES = """
SELECT c.number, c.state, coalesce(l.state, 'submitted') AS last FROM cases c LEFT JOIN LATERAL (
    SELECT path[cardinality(path)] AS state FROM case_events WHERE case_id = c.id AND cardinality(path) > 0
    ORDER BY occurred_at DESC, rank DESC, event_id COLLATE "C" DESC LIMIT 1
) l ON true WHERE c.state <> coalesce(l.state, 'submitted') LIMIT 1000
"""


@proves("I-9", "Legal transitions only; terminal states absorb")
async def _legal() -> list[str]:
    edges = {(origin.value, goal.value) for origin, goals in EDGES.items() for goal in goals}
    found = [
        f"case event {row['id']} leads from {row['origin']} to {row['goal']}"
        for row in await _rows(_STEPS)
        if (row["origin"], row["goal"]) not in edges
    ]
    found += [
        f"case event {row['id']} begins at {row['origin']}, the one before it ended at {row['before']}"
        for row in await _rows(_BROKEN_PATHS)
    ]
    return (
        found
        + [
            f"case {row['number']} is {row['state']}, its events come to {row['last']}"
            for row in await _rows(_WRONG_STATES)
        ]
        + await deliveries.illegal(_rows)
        + await invariants.find_illegal(_rows)
    )


# What led into a state less what led out of it is the state that the case is in, in any order of the facts.
_FLOWS = """
WITH facts AS (
    SELECT subject_id AS case_id, name, payload::jsonb AS said FROM events
    WHERE name IN ('case.opened', 'case.imported', 'case.progressed', 'case.caught-up')
), flows AS (
    SELECT case_id, said ->> 'state' AS state, 1 AS n FROM facts WHERE name IN ('case.opened', 'case.imported')
    UNION ALL SELECT case_id, said ->> 'to_state', 1 FROM facts WHERE name IN ('case.progressed', 'case.caught-up')
    UNION ALL SELECT case_id, said ->> 'from_state', -1 FROM facts WHERE name IN ('case.progressed', 'case.caught-up')
    UNION ALL SELECT id, state, -1 FROM cases
)
SELECT case_id, state, sum(n) AS n FROM flows GROUP BY case_id, state HAVING sum(n) <> 0 LIMIT 1000
"""
_OPENED = """
SELECT c.id, (SELECT count(*) FROM events e WHERE e.subject_kind = 'case' AND e.subject_id = c.id
              AND e.name IN ('case.opened', 'case.imported')) AS times
FROM cases c WHERE (SELECT count(*) FROM events e WHERE e.subject_kind = 'case' AND e.subject_id = c.id
                    AND e.name IN ('case.opened', 'case.imported')) <> 1 LIMIT 1000
"""


@proves("I-10", "Every transition is in the ledger, and the chains verify")
async def _audited() -> list[str]:
    found = [f"case {row['id']} was opened {row['times']} times in the ledger" for row in await _rows(_OPENED)]
    found += [
        f"case {row['case_id']}: the ledger and the case differ by {row['n']:+d} at {row['state']}"
        for row in await _rows(_FLOWS)
    ]
    found += await deliveries.unaudited(_rows)
    return found + [
        f"ledger: {each.kind} at shard {each.shard}, position {each.position}, event {each.event_id}"
        for each in await auditing.verify()
    ]


@proves("I-11", "No personal data in clear")
async def _confidential() -> list[str]:
    found = [f"{each} in clear" async for each in privacy_scan.in_tables()]
    found += [f"{each} values are not sealed with a key of the ring" async for each in privacy_scan.unsealed()]
    try:
        await cache.ask(lambda r: r.ping())
        found += [f"{each} in clear" async for each in privacy_scan.in_cache()]
    except CacheDown:
        found.append("the cache does not answer, so it could not be looked through")
    return found


@proves("D-1", "Every constraint, index and trigger that is declared exists")
async def _promised() -> list[str]:
    return [f"{each.table}: {each.kind} {each.what} is missing" for each in await constraints.broken()]


@proves("D-2", "The service may add to the ledger and not change it")
async def _rightless() -> list[str]:
    return [f"{each.table}: {each.what}" for each in await constraints.excessive_rights()]


@proves("D-3", "The tables know the states that the code knows")
async def _known_states() -> list[str]:
    rows = await _rows("SELECT DISTINCT state FROM cases UNION SELECT DISTINCT unnest(path) FROM case_events")
    known = {state.value for state in CaseState}
    return [f"unknown state {row['state']}" for row in rows if row["state"] not in known]


@proves("D-4", "What counts has a receipt that holds, what went back has none")
async def _receipted() -> list[str]:
    return await invariants.find_wrong_receipts(_rows, clock.now() - PATIENCE)


@proves("D-5", "A parcel is where its verified nodes come to, and a delivery where its last parcel is")
async def _placed() -> list[str]:
    return await deliveries.misplaced(_rows)


def worst(verdicts: list[Verdict]) -> int:
    """The exit status: 1 when anything is violated."""
    return int(any(each.status == "violated" for each in verdicts))


def as_lines(verdicts: list[Verdict]) -> str:
    """The verdicts as lines for people."""
    lines = itertools.chain.from_iterable(
        [f"{each.id:5} {each.status:15} {each.statement}{f' ({each.reason})' if each.reason else ''}"]
        + [f"      · {finding}" for finding in each.findings]
        for each in verdicts
    )
    return "\n".join(lines)
