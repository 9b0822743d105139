"""A generator that sends each request once: a queue, and a fixed number of keep-alive connections that empty it.

It runs as a process of its own (`python -m benchmarks.drain`), reads its order from stdin and answers
on stdout, both as JSON. Requests are separated by their length in the file.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.answers import Answers, percentile


class Connection(Answers):
    """One keep-alive connection that takes the next request when it has its answer."""

    def __init__(self, queue: list[bytes], answers: Counter[int], latencies: list[float]) -> None:
        super().__init__()
        self.queue, self.answers, self.latencies = queue, answers, latencies
        self.sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.ask()

    def ask(self) -> None:
        """Send the next request, or leave when none is left."""
        if not self.queue:
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(self.queue.pop())

    def answered(self, status: int, size: int) -> None:
        self.latencies.append(time.perf_counter() - self.sent_at)
        self.answers[status] += 1
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def packed(requests: Sequence[bytes]) -> bytes:
    """Requests as they stand in the file."""
    return b"".join(len(each).to_bytes(4, "big") + each for each in requests)


def unpacked(raw: bytes) -> list[bytes]:
    """The requests of a file."""
    requests, at = [], 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4], "big")
        requests.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    return requests


async def run(order: dict[str, Any], queue: list[bytes]) -> dict[str, Any]:
    """Empty the queue; how long it took, what was answered (0 for no answer at all), and the latencies."""
    loop, answers, latencies = asyncio.get_running_loop(), Counter[int](), list[float]()
    queue.reverse()
    sent, cpu, began = len(queue), time.process_time(), time.perf_counter()
    connections = []
    for _ in range(order["connections"]):
        _, connection = await loop.create_connection(
            lambda: Connection(queue, answers, latencies), order["host"], order["port"]
        )
        connections.append(connection)
    await asyncio.wait([connection.done for connection in connections], timeout=order.get("patience", 300))
    took, used = time.perf_counter() - began, time.process_time() - cpu
    if missing := sent - len(latencies):
        answers[0] = missing
    latencies.sort()
    return {
        "requests": sent,
        "answers": {str(status): count for status, count in sorted(answers.items())},
        "seconds": took,
        "per_second": len(latencies) / took,
        "p50_ms": percentile(latencies, 0.50),
        "p99_ms": percentile(latencies, 0.99),
        "max_ms": latencies[-1] * 1000 if latencies else None,
        "generator_busy": used / took,
    }


def main() -> None:
    """Read the order, carry it out, write what came of it."""
    order = json.load(sys.stdin)
    json.dump(uvloop.run(run(order, unpacked(Path(order["requests"]).read_bytes()))), sys.stdout)


if __name__ == "__main__":
    main()
