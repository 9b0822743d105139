"""What both parts find: a hall with a line, its slots, and residents with tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from backend.embedded import Urls
from benchmarks.databases import migrated, owner

ITEM = "B" * 31
_PLACE = """
WITH region AS (
    INSERT INTO regions (id, created_at, code, name, level, valid_from)
    VALUES ($1, now(), '990000', '示例省', 'province', '2020-01-01') RETURNING id
), department AS (
    INSERT INTO departments (id, created_at, uscc, name, domain, region_id, phone)
    SELECT $1, now(), '11990100000000001X', '示例局', '公安', id, '12345' FROM region RETURNING id
), hall AS (
    INSERT INTO halls (id, created_at, code, name, region_id, address, phone, hours, latitude, longitude, directions)
    SELECT $1, now(), 'bench', '示例大厅', id, '示例路1号', '12345', '[]', 35, 105, '' FROM region RETURNING id
), item AS (
    INSERT INTO service_items (id, created_at, code, department_id, kind, level, basic_code)
    SELECT $1, now(), $2, id, 'payment', '4', '000000000001' FROM department RETURNING id
), line AS (
    INSERT INTO service_lines (id, created_at, hall_id, code, name, active, slot_minutes, release_time, release_days,
        admission, draw_seconds, hold_seconds, cancel_minutes, offer_minutes, person_limit, strikes_allowed,
        strike_days, block_days)
    SELECT $1, now(), id, 'A', '综合业务', true, 30, '08:00', 7, 'first-come', 60, 180, 120, 30, 3, 2, 90, 30
    FROM hall RETURNING id
)
INSERT INTO line_items (id, created_at, line_id, hall_id, item_id)
SELECT $1, now(), line.id, hall.id, item.id FROM line, hall, item
"""


class Stage(NamedTuple):
    """Where the servers are, and the hall, line and item, which share one id."""

    urls: Urls
    place: UUID


async def set_stage(urls: Urls, residents: int) -> Stage:
    """Migrate, and make the hall and the residents."""
    await migrated(urls)
    place = uuid7()
    async with owner(urls) as connection:
        await connection.execute(_PLACE, place, ITEM)
        await connection.execute(
            "INSERT INTO residents (id, created_at) SELECT gen_random_uuid(), now() FROM generate_series(1, $1)",
            residents,
        )
        await connection.execute(
            "CREATE TABLE bare_outbox (id uuid PRIMARY KEY, at timestamptz, payload jsonb NOT NULL)"
        )
        await connection.execute("GRANT ALL ON bare_outbox TO PUBLIC")
        await connection.execute("ANALYZE residents")
    return Stage(urls, place)


async def add_slots(stage: Stage, number: int, capacity: int, *, released_in: float = -60.0) -> list[UUID]:
    """So many slots of the line with so many places each, from tomorrow on, released so many seconds from now."""
    ids = [uuid7() for _ in range(number)]
    async with owner(stage.urls) as connection:
        last = await connection.fetchval("SELECT coalesce(max(starts_at), now() + interval '1 day') FROM slots")
        await connection.executemany(
            "INSERT INTO slots (id, created_at, line_id, hall_id, day, starts_at, ends_at, release_at, capacity, held, "
            "booked, walk_in_quota, walk_ins, closed_because) VALUES ($1, now(), $2, $2, "
            "($3::timestamptz AT TIME ZONE 'Asia/Shanghai')::date, $3, $3::timestamptz + interval '30 minutes', "
            "now() + make_interval(secs => $5), $4, 0, 0, 0, 0, '')",
            [(each, stage.place, last + timedelta(minutes=n + 1), capacity, released_in) for n, each in enumerate(ids)],
        )
    return ids
