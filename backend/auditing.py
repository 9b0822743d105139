"""Seal the ledger into hash chains and verify them: here, or from an export without a database.

Sealing happens in the worker, off the hot path. It takes what waits in `unsealed_events`, so an event whose
transaction committed late is sealed late and never skipped. The owner of the database could write a whole chain
anew; that is found by anchors, which must be kept where that person cannot write.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from backend import chain, clock, jobs
from backend.chain import COLUMNS, Anchor, Finding, Head, Sealed, Walk
from backend.database import fetch, transaction
from backend.settings import settings

log = logging.getLogger("zhangban.audit")

_LOCK = 0x5EA1
"""First half of the advisory locks under which a shard is sealed; the second is the shard."""
BATCH = 2000
_E = ", ".join(f"e.{name}" for name in COLUMNS)


class AnchorUnreadable(ValueError):
    """The file holds something that is not an anchor; the message names the line."""


# -- sealing ------------------------------------------------------------------------------------


async def seal_new(limit: int = BATCH) -> int:
    """Seal at most `limit` waiting events of every shard; how many were sealed.

    One transaction per shard. A shard that another worker is sealing is left to it.
    """
    waiting = await fetch("SELECT DISTINCT shard FROM unsealed_events")
    return sum([await _seal_shard(row["shard"], limit) for row in waiting])


async def seal_all() -> None:
    """Seal until nothing waits that we can have; the worker does this every `ledger_seal_seconds`."""
    while await seal_new():
        pass


async def _seal_shard(shard: int, limit: int) -> int:
    async with transaction() as connection:
        # Taken in a statement of its own: the next one then sees all that the last holder committed.
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", _LOCK, shard):
            return 0
        events = await connection.fetch(
            f"SELECT {_E} FROM unsealed_events u JOIN events e ON e.id = u.event_id "
            "WHERE u.shard = $1 ORDER BY u.event_id LIMIT $2",
            shard,
            limit,
        )
        if events:
            await _append(connection, shard, events)
    return len(events)


async def _append(connection: asyncpg.Connection[Any], shard: int, events: list[asyncpg.Record]) -> None:
    head = await connection.fetchrow(
        "SELECT position, hash FROM event_seals WHERE shard = $1 ORDER BY position DESC LIMIT 1", shard
    )
    first = head["position"] + 1 if head else 1
    last = chain.raw(head["hash"]) if head else chain.genesis(shard)
    hashes: list[str] = []
    for event in events:
        last = chain.link(last, chain.digest(tuple(event)))
        hashes.append(last.hex())
    ids = [event["id"] for event in events]
    await connection.execute(
        "INSERT INTO event_seals (shard, position, event_id, hash, sealed_at) "
        "SELECT $1, $2 + n - 1, id, hash, now() FROM unnest($3::uuid[], $4::text[]) WITH ORDINALITY AS t (id, hash, n)",
        shard,
        first,
        ids,
        hashes,
    )
    await connection.execute("DELETE FROM unsealed_events WHERE event_id = ANY($1::uuid[])", ids)


# -- anchors ------------------------------------------------------------------------------------


async def anchors() -> Anchor:
    """The heads of all shards now. Keep it outside of the database: it proves what was there."""
    # One step along the index per shard, however long the chains are.
    rows = await fetch(
        "WITH RECURSIVE s AS (SELECT min(shard) AS shard FROM event_seals UNION ALL "
        "SELECT (SELECT min(shard) FROM event_seals WHERE shard > s.shard) FROM s WHERE s.shard IS NOT NULL) "
        "SELECT s.shard, h.position, h.hash FROM s CROSS JOIN LATERAL (SELECT position, hash FROM event_seals "
        "WHERE shard = s.shard ORDER BY position DESC LIMIT 1) h ORDER BY s.shard"
    )
    return Anchor(clock.now(), [Head(*row) for row in rows])


def write_anchor(path: Path, anchor: Anchor) -> None:
    """Add the anchor to the file, one JSON line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(msgspec.json.encode(anchor) + b"\n")


def read_anchors(path: Path, until: datetime | None = None) -> dict[int, dict[int, str]]:
    """Hashes by shard and position, from every anchor in the file that is not younger than `until`.

    Raises AnchorUnreadable when a line is no anchor, or when two anchors contradict each other.
    """
    kept: dict[int, dict[int, str]] = defaultdict(dict)
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            anchor = msgspec.json.decode(line, type=Anchor)
        except msgspec.MsgspecError as error:
            raise AnchorUnreadable(f"line {number} of {path} is not an anchor: {error}") from error
        for head in anchor.heads if until is None or anchor.at <= until else ():
            if kept[head.shard].setdefault(head.position, head.hash) != head.hash:
                raise AnchorUnreadable(f"line {number} of {path} contradicts an earlier one at {head}")
    return dict(kept)


@jobs.job("audit.anchor")
async def keep_anchor(_: dict[str, Any]) -> None:
    """Put the heads into the log, and into the file that `anchor_file` names."""
    anchor = await anchors()
    log.info("heads of the hash chains", extra={"event": "audit.anchor", "anchor": msgspec.to_builtins(anchor)})
    if settings().anchor_file:
        write_anchor(Path(settings().anchor_file), anchor)


# -- verifying ----------------------------------------------------------------------------------


async def verify(anchor_file: Path | None = None) -> list[Finding]:
    """Everything that is wrong with the ledger, shard by shard; an empty list means that it is whole.

    With anchors a cut tail, a chain written anew and a restored older state are found too. Raises AnchorUnreadable.
    """
    kept = read_anchors(anchor_file) if anchor_file else {}
    findings: list[Finding] = []
    heads = (await anchors()).heads
    reached = {head.shard: head.position for head in heads}
    for shard in sorted({*reached, *kept}):
        walk = Walk(shard, kept.get(shard, {}))
        async for sealed in _places(shard, reached.get(shard, 0)):
            findings += walk.step(sealed)
        findings += walk.end()
    findings += [finding async for finding in _late()]
    findings += [finding async for finding in _outside()]
    return findings


async def _places(shard: int, until: int) -> AsyncIterator[Sealed]:
    """The places of a shard in order. Seals are only ever added, so batches need no common snapshot."""
    after = -(2**62)
    while after < until:
        rows = await fetch(
            f"SELECT s.position, s.hash, s.event_id, e.id IS NOT NULL, {_E} "
            "FROM event_seals s LEFT JOIN events e ON e.id = s.event_id "
            "WHERE s.shard = $1 AND s.position > $2 AND s.position <= $3 ORDER BY s.position LIMIT $4",
            shard,
            after,
            until,
            BATCH,
        )
        if not rows:
            return
        for position, hashed, event_id, there, *event in map(tuple, rows):
            yield Sealed(shard, position, hashed, str(event_id), event if there else None)
        after = rows[-1]["position"]


async def _late() -> AsyncIterator[Finding]:
    """Events that have been waiting too long: no worker seals, or a lock keeps them from being sealed."""
    rows = await fetch(
        "SELECT u.shard, u.event_id, e.id IS NULL AS gone "
        "FROM unsealed_events u LEFT JOIN events e ON e.id = u.event_id "
        "WHERE e.id IS NULL OR e.created_at < $1 ORDER BY u.event_id LIMIT $2",
        _long_ago(),
        BATCH,
    )
    for row in rows:
        message = "待封存的事件原记录不存在" if row["gone"] else "事件长时间未封存"
        yield Finding("event-missing" if row["gone"] else "unsealed", row["shard"], None, str(row["event_id"]), message)


async def _outside() -> AsyncIterator[Finding]:
    """Events that are neither sealed nor waiting: they were put in, or taken out of the chain, by hand."""
    after = UUID(int=0)
    while True:
        rows = await fetch("SELECT id FROM events WHERE id > $1 ORDER BY id LIMIT $2", after, BATCH)
        if not rows:
            return
        ids = [row["id"] for row in rows]
        loose = await fetch(
            "SELECT id FROM unnest($1::uuid[]) AS t (id) "
            "WHERE NOT EXISTS (SELECT FROM event_seals WHERE event_id = t.id) "
            "AND NOT EXISTS (SELECT FROM unsealed_events WHERE event_id = t.id) ORDER BY id",
            ids,
        )
        for row in loose:
            yield Finding("outside", -1, None, str(row["id"]), "事件不在链中，也不在待封存队列中")
        after = ids[-1]


def _long_ago() -> datetime:
    return clock.now() - timedelta(seconds=settings().ledger_unsealed_alarm_seconds)


# -- without a database -------------------------------------------------------------------------


class ExportHead(msgspec.Struct, frozen=True, tag="zhangban-ledger-1"):
    """The first line of an export: when it was made and how far every chain had come."""

    at: datetime
    heads: list[Head]


async def export(path: Path) -> int:
    """Write all that is needed to check the chains elsewhere, as JSON lines; how many places were written.

    The ledger holds ids and codes, no personal data; the file is still confidential.
    """
    state = await anchors()
    written = 0
    with path.open("wb") as file:
        file.write(msgspec.json.encode(ExportHead(state.at, state.heads)) + b"\n")
        for head in state.heads:
            async for sealed in _places(head.shard, head.position):
                file.write(msgspec.json.encode(sealed, enc_hook=str) + b"\n")
                written += 1
    return written


def verify_export(path: Path, anchor_file: Path | None = None) -> list[Finding]:
    """Check an export; needs neither a database nor the settings.

    Anchors that are younger than the export say nothing about it. Raises AnchorUnreadable when one of the files
    cannot be read as what it should be.
    """
    with path.open("rb") as file:
        try:
            first = msgspec.json.decode(file.readline(), type=ExportHead)
            kept = read_anchors(anchor_file, until=first.at) if anchor_file else {}
            places = (msgspec.json.decode(line, type=Sealed) for line in file)
            return [*_check(first, places, kept)]
        except msgspec.MsgspecError as error:
            raise AnchorUnreadable(f"{path} is not an export of the ledger: {error}") from error


def _check(first: ExportHead, places: Iterable[Sealed], kept: dict[int, dict[int, str]]) -> Iterator[Finding]:
    """The same walk as over the database; what the first line promises counts as an anchor of its own."""
    walks = {shard: Walk(shard, dict(kept.get(shard, {}))) for shard in kept}
    for head in first.heads:
        walk = walks.setdefault(head.shard, Walk(head.shard))
        walk.anchored = {head.position: head.hash, **walk.anchored}
    for sealed in places:
        walk = walks.setdefault(sealed.shard, Walk(sealed.shard))
        yield from walk.step(_with_instants(sealed))
    for walk in walks.values():
        yield from walk.end()


def _with_instants(sealed: Sealed) -> Sealed:
    if sealed.event is None:
        return sealed
    instants = {COLUMNS.index("created_at"), COLUMNS.index("at")}
    try:
        event = [datetime.fromisoformat(value) if n in instants else value for n, value in enumerate(sealed.event)]
    except (TypeError, ValueError):
        return sealed
    return msgspec.structs.replace(sealed, event=event)
