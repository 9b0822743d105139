"""A closed-loop load generator: a fixed number of keep-alive connections, each asking again once it has its answer.

It runs as a process of its own (`python -m benchmarks.load`), gets its order on stdin and answers on stdout, both
as JSON. Closed loops show how much a server can do; the latencies belong to that load and are not those of a quiet
evening.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.answers import Answers, percentile


class Connection(Answers):
    """One keep-alive connection that asks one thing after the other."""

    def __init__(self, requests: list[bytes], chance: random.Random) -> None:
        super().__init__()
        self.requests, self.chance = requests, chance
        self.sent_at = 0.0
        self.counting = self.stopped = False
        self.latencies: list[float] = []
        self.received = self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.ask()

    def ask(self) -> None:
        """Send the next request, or leave when time is over."""
        if self.stopped:
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(self.requests[self.chance.randrange(len(self.requests))])

    def answered(self, status: int, size: int) -> None:
        if self.counting:
            self.latencies.append(time.perf_counter() - self.sent_at)
            self.received += size
            self.failed += status != 200
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.failed += not self.stopped  # a caller still waited for an answer
        if not self.done.done():
            self.done.set_result(None)


async def run(order: dict[str, Any], requests: list[bytes]) -> dict[str, Any]:
    """Ask for `warm_up` seconds without counting, then for `seconds` counting."""
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    for number in range(order["connections"]):
        chance = random.Random(f"{order['seed']}-{number}")
        _, connection = await loop.create_connection(
            lambda chance=chance: Connection(requests, chance), order["host"], order["port"]
        )
        connections.append(connection)
    await asyncio.sleep(order["warm_up"])
    cpu, began = time.process_time(), time.perf_counter()
    for connection in connections:
        connection.counting = True
    await asyncio.sleep(order["seconds"])
    took, used = time.perf_counter() - began, time.process_time() - cpu
    for connection in connections:
        connection.counting, connection.stopped = False, True
    await asyncio.wait([connection.done for connection in connections], timeout=5)
    latencies = sorted(each for connection in connections for each in connection.latencies)
    return {
        "requests": len(latencies),
        "failed": sum(connection.failed for connection in connections),
        "seconds": took,
        "per_second": len(latencies) / took,
        "bytes": sum(connection.received for connection in connections),
        "p50_ms": percentile(latencies, 0.50),
        "p99_ms": percentile(latencies, 0.99),
        "max_ms": latencies[-1] * 1000 if latencies else None,
        "generator_busy": used / took,
    }


def main() -> None:
    """Read the order, carry it out, write what came of it."""
    order = json.load(sys.stdin)
    lines = json.loads(Path(order["requests"]).read_text("latin-1"))
    json.dump(uvloop.run(run(order, [line.encode("latin-1") for line in lines])), sys.stdout)


if __name__ == "__main__":
    main()
