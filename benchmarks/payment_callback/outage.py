"""After an outage of an hour: everything that WeChat Pay held back comes at once, a part of it twice.

Two serving processes and a worker, as they are deployed. What counts is not only how fast the notices are answered, but
when the last event that followed from them has been handled and every message written.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Any

from benchmarks.command import say
from benchmarks.databases import found, until_handled, without_backlog
from benchmarks.drain import packed
from benchmarks.payment_callback.stage import Stage
from benchmarks.processes import free_port, run_module, running, waited_for

_BOOKS = """
SELECT (SELECT count(*) FROM payments WHERE state = 'paid') AS paid,
    (SELECT count(*) FROM ledger_groups WHERE kind = 'payment') AS groups,
    (SELECT coalesce(sum(amount_fen), 0) FROM ledger_postings)::bigint AS balance,
    (SELECT count(*) FROM refunds) AS refunds,
    (SELECT count(*) FROM events WHERE name IN ('payment.succeeded', 'fee.paid')) AS facts,
    (SELECT count(*) FROM receipts) AS receipts,
    (SELECT count(*) FROM messages WHERE name = 'payment_done') AS messages,
    (SELECT count(*) FROM pgqueuer WHERE entrypoint = 'events.dispatch') AS unheard
"""


async def drained(stage: Stage, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Send them all and wait until nothing is left to be done; what it took."""
    await without_backlog(stage.urls)
    orders, before = await stage.orders(asked.outage), await _books(stage)
    requests = [stage.request(each) for each in orders]
    requests += [stage.request(each) for each in orders[::5]]
    random.Random(11).shuffle(requests)
    port = free_port()
    environment = {**stage.environment, "PORT": str(port), "WORKERS": "2", "LOG_LEVEL": "ERROR"}
    commands = [("-m", "api.cli", command) for command in ("serve", "work")]
    with running(commands, environment) as (serving, _):
        waited_for(serving, port, "zhangban serve")
        file = folder / "outage.bin"
        file.write_bytes(packed(requests))
        say(f"{len(requests)} notices are waiting")
        order = {"host": "127.0.0.1", "port": port, "requests": str(file), "connections": asked.connections}
        began = time.monotonic()
        result = run_module("benchmarks.drain", order)
        result["backlog"] = (await _books(stage))["unheard"]
        say(f"answered after {result['seconds']:.1f} s, {result['backlog']} events still to be handled")
        await until_handled(stage.urls)
        result["settled_after"] = time.monotonic() - began
    after = await _books(stage)
    return {**result, "books": {name: after[name] - before[name] for name in before}}


async def _books(stage: Stage) -> dict[str, int]:
    (row,) = await found(stage.urls, _BOOKS)
    return dict(row)
