"""A morning's journeys, a part of them pushed twice, folded by one worker; what the timelines hold then."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from benchmarks.command import say
from benchmarks.courier_push.stage import JOURNEY, Parcel, Stage
from benchmarks.databases import found, owner, until_handled, without_backlog
from benchmarks.processes import running
from benchmarks.servers import Servers

PATIENCE = 600.0
_HOME = "SELECT count(*) FROM deliveries WHERE id = ANY($1) AND state = 'signed'"
_TRAIL = """
SELECT (SELECT count(*) FROM deliveries WHERE id = ANY($1) AND state = 'signed') AS signed,
    (SELECT count(*) FROM shipment_nodes n JOIN shipments s ON s.id = n.shipment_id
        WHERE s.delivery_id = ANY($1)) AS nodes,
    (SELECT count(*) FROM delivery_transitions WHERE delivery_id = ANY($1)) AS moves,
    (SELECT count(*) FROM events WHERE name = 'delivery.state-changed' AND subject_id = ANY($1)) AS events
"""


def folded(servers: Servers, stage: Stage, asked: argparse.Namespace) -> dict[str, Any]:
    """Every push is answered before the worker comes; how many journeys it folds a second, and what is there then."""
    asyncio.run(without_backlog(stage.urls))
    parcels = asyncio.run(stage.parcels(asked.fold))
    requests = [stage.request(each) for each in parcels]
    requests += requests[::5]
    answers = servers.send("ours", requests, asked.connections)["answers"]
    with running([("-m", "api.cli", "work")], stage.environment):
        per_second = asyncio.run(_home(stage, parcels))
        asyncio.run(until_handled(stage.urls))  # repetitions come last
    say(f"{asked.fold} journeys folded, {per_second:.0f}/s")
    (trail,) = asyncio.run(found(stage.urls, _TRAIL, [each.delivery for each in parcels]))
    wanted = {"signed": asked.fold, "nodes": asked.fold * len(JOURNEY), "moves": asked.fold, "events": asked.fold}
    return {"pushes": len(requests), "answers": answers, "per_second": per_second,
            "trail": dict(trail), "wanted": wanted}  # fmt: skip


async def _home(stage: Stage, parcels: list[Parcel]) -> float:
    """Wait until the last parcel has arrived; journeys folded per second between the first and the last tenth."""
    ids, seen = [each.delivery for each in parcels], list[tuple[float, int]]()
    deadline = time.monotonic() + PATIENCE
    async with owner(stage.urls) as connection:
        while True:
            count = await connection.fetchval(_HOME, ids)
            seen.append((time.monotonic(), count))
            if count == len(ids):
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(ids) - count} parcels are still under way")
            await asyncio.sleep(0.1)
    first = max((each for each in seen if each[1] <= len(ids) * 0.1), key=lambda each: each[0])
    last = min((each for each in seen if each[1] >= len(ids) * 0.9), key=lambda each: each[0])
    return (last[1] - first[1]) / max(last[0] - first[0], 0.001)
