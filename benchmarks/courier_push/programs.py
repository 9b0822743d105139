"""Both programs: that they keep the same, and how many new pushes they take."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.courier_push.stage import Stage
from benchmarks.databases import found
from benchmarks.servers import Servers

PROGRAMS = {"bare": "benchmarks.courier_push.bare:application", "ours": "api.app:application"}
TITLES = {"bare": "bare ASGI + asyncpg, the same statements (the limit)", "ours": "Zhangban"}

_KEPT = """
SELECT partner, event, state, (SELECT count(*) FROM events e JOIN unsealed_events u ON u.event_id = e.id
        WHERE e.subject_id = m.id AND e.name = 'courier.pushed') AS facts,
    (SELECT count(*) FROM events e JOIN pgqueuer q
        ON convert_from(q.payload, 'UTF8')::json ->> 'event_id' = e.id::text WHERE e.subject_id = m.id) AS jobs,
    starts_with(body, 'v1.') AS sealed
FROM inbound_messages m WHERE received_at >= $1
"""


def agree(servers: Servers, stage: Stage) -> None:
    """Check that both keep the same, once, with one fact and one job, and refuse a forgery.

    Raises AssertionError when one does not: figures of different work compare nothing.
    """
    said = {name: asyncio.run(_tried(servers, stage, name)) for name in servers.names}
    assert said["ours"] == said["bare"], said
    assert said["ours"] == {
        "refused": [True],
        "answers": [{"200": 1}, {"200": 1}],
        "kept": [("kuaidi100", "track", "received", 1, 1, True)],
    }, said


async def _tried(servers: Servers, stage: Stage, name: str) -> dict[str, Any]:
    ((since,),) = await found(stage.urls, "SELECT clock_timestamp()")
    (parcel,) = await stage.parcels(1)
    push = stage.request(parcel)
    forged = servers.send(name, [stage.request(parcel, salt="guessed")], 1)["answers"]
    answers = [servers.send(name, [push], 1)["answers"] for _ in range(2)]
    kept = [tuple(row) for row in await found(stage.urls, _KEPT, since)]
    return {"refused": [int(status) >= 400 for status in forged], "answers": answers, "kept": kept}
