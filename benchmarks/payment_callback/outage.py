"""After an outage of an hour: everything that WeChat Pay held back comes at once, a part of it twice.

Two serving processes and a worker, as they are deployed. What counts is not only how fast the notices are answered, but
when the last event that followed from them has been heard and every message written.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.payment_callback.drain import packed
from benchmarks.payment_callback.stage import Stage
from benchmarks.progress_lookup.rounds import free_port, waited_for

_BOOKS = """
SELECT (SELECT count(*) FROM payments WHERE state = 'paid') AS paid,
    (SELECT count(*) FROM ledger_groups WHERE kind = 'payment') AS groups,
    (SELECT coalesce(sum(amount_fen), 0) FROM ledger_postings)::bigint AS balance,
    (SELECT count(*) FROM refunds) AS refunds
"""
_LEFT = "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'events.deliver'"


async def drained(stage: Stage, notices: int, connections: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Send them all and wait until nothing is left to be done; what it took."""
    orders = await stage.orders(notices)
    before = await _asked(stage, _BOOKS)
    requests = [stage.request(each) for each in orders]
    chance = random.Random(11)
    requests += [stage.request(each) for each in chance.sample(orders, notices // 5)]
    chance.shuffle(requests)
    file = stage.folder / "outage.bin"
    file.write_bytes(packed(requests))
    port = free_port()
    processes = _started(stage, port)
    try:
        left = await _settled_down(stage)
        say(f"{len(requests)} notices are waiting")
        order = {"host": "127.0.0.1", "ports": [port], "requests": str(file), "connections": connections}
        began = time.perf_counter()
        generator = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.payment_callback.drain",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await generator.communicate(json.dumps(order).encode())
        result: dict[str, Any] = json.loads(out)
        backlog = (await _asked(stage, _LEFT))["count"] - left
        say(f"answered after {result['seconds']:.1f} s, {backlog} events still to be heard")
        await _settled_down(stage)
        result |= {"backlog": backlog, "settled_after": time.perf_counter() - began}
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)
    after = await _asked(stage, _BOOKS)
    result["books"] = {name: after[name] - before[name] for name in before}
    return result


def _started(stage: Stage, port: int) -> list[subprocess.Popen[bytes]]:
    """Two serving processes on one port, and a worker."""
    given = {**stage.environment, "PORT": str(port), "WORKERS": "2", "LOG_LEVEL": "ERROR"}
    processes = [
        subprocess.Popen([sys.executable, "-m", "api.cli", command], env=given, start_new_session=True)
        for command in ("serve", "work")
    ]
    waited_for(processes[0], port, "zhangban serve")
    return processes


async def _settled_down(stage: Stage, patience: float = 600) -> int:
    """How many events still wait once their number falls no more: none, unless something is dead."""
    deadline, last = time.monotonic() + patience, -1
    while time.monotonic() < deadline:
        left = int((await _asked(stage, _LEFT))["count"])
        if left == 0 or left == last:
            return left
        last = left
        await asyncio.sleep(1.0)
    return last


async def _asked(stage: Stage, sql: str) -> dict[str, Any]:
    owner = await stage.owner()
    try:
        return dict(await owner.fetchrow(sql))
    finally:
        await owner.close()
