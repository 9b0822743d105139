"""One closed loop of bookings in a process of its own: `python -m benchmarks.booking.ceiling`, order on stdin as JSON.

`ours` calls the use case as the door does. `bare` is what a program must do at the very least: in one transaction the
conditional update, the appointment, an outbox row; prepared statements, no reset, no checks of anything else.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from uuid_utils.compat import uuid7

from backend import appointments, database
from backend.identity import AsResident
from backend.settings import Settings, configure
from benchmarks.answers import percentile
from benchmarks.booking.stage import ITEM

Once = Callable[[UUID, UUID], Awaitable[Any]]

_TAKE = """
UPDATE slots SET booked = booked + 1 WHERE id = $1 AND held + booked < capacity AND closed_at IS NULL
AND release_at <= now() AND starts_at > now() RETURNING day
"""
_WRITE = """
INSERT INTO appointments (id, created_at, changed_at, number, slot_id, resident_id, person_id, line_id, item_id, day,
                          state, from_waiting_list)
VALUES ($1, now(), now(), $2, $3, $4, $4, $5, $5, $6, 'booked', false)
"""
_OUTBOX = "INSERT INTO bare_outbox (id, at, payload) VALUES ($1, now(), $2)"


def bare(pool: asyncpg.Pool[Any], place: UUID) -> Once:
    """The limit."""

    async def once(slot_id: UUID, resident_id: UUID) -> None:
        async with pool.acquire() as connection, connection.transaction():
            day = await connection.fetchval(_TAKE, slot_id)
            if day is None:
                raise RuntimeError("the slots of a benchmark are never full")
            made = uuid7()
            await connection.execute(_WRITE, made, secrets.token_hex(8), slot_id, resident_id, place, day)
            await connection.execute(_OUTBOX, uuid7(), json.dumps({"event": "booked", "id": str(made)}))

    return once


def ours() -> Once:
    """`book`, with everything that it looks at and leaves behind."""

    async def once(slot_id: UUID, resident_id: UUID) -> None:
        await appointments.book_place(AsResident(resident_id, resident_id), slot_id, ITEM)

    return once


async def loop(once: Once, order: dict[str, Any], people: Iterator[UUID]) -> dict[str, Any]:
    """So many workers book one after the other, `warm_up` seconds uncounted and `seconds` counted."""
    slots = [UUID(each) for each in order["slots"]]
    chance, latencies = random.Random(order["seed"]), []
    counting = stopped = False

    async def worker() -> None:
        while not stopped:
            began = time.perf_counter()
            await once(chance.choice(slots), next(people))
            if counting:
                latencies.append(time.perf_counter() - began)

    tasks = [asyncio.create_task(worker()) for _ in range(order["workers"])]
    await asyncio.sleep(order["warm_up"])
    counting, began, cpu = True, time.perf_counter(), time.process_time()
    await asyncio.sleep(order["seconds"])
    took, used = time.perf_counter() - began, time.process_time() - cpu
    counting, stopped = False, True
    await asyncio.gather(*tasks)
    done = sorted(latencies)
    return {
        "bookings": len(done),
        "per_second": len(done) / took,
        "p50_ms": percentile(done, 0.5),
        "p99_ms": percentile(done, 0.99),
        "cpu_us": used / max(1, len(done)) * 1e6,
    }


async def main(order: dict[str, Any]) -> dict[str, Any]:
    """Connect and run."""
    configure(Settings(database_url=order["database_url"], database_pool_size=order["workers"], log_level="WARNING"))
    await database.connect()
    pool = await database.pool()
    rows = await pool.fetch("SELECT id FROM residents ORDER BY id OFFSET $1 LIMIT $2", order["offset"], order["people"])
    once = bare(pool, UUID(order["place"])) if order["program"] == "bare" else ours()
    try:
        return await loop(once, order, iter([row["id"] for row in rows]))
    finally:
        await database.close()


if __name__ == "__main__":
    json.dump(uvloop.run(main(json.load(sys.stdin))), sys.stdout)
