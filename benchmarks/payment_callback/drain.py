"""A generator that sends each request once: a queue, and a fixed number of keep-alive connections that empty it.

It runs as a process of its own (`python -m benchmarks.payment_callback.drain`), reads its order from stdin and answers
on stdout, both as JSON. Requests are separated by their length in the file.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.load import HEAD_END, LENGTH, percentile


class Connection(asyncio.Protocol):
    """One keep-alive connection that takes the next request when it has its answer."""

    def __init__(self, queue: list[bytes], answers: Counter[int], latencies: list[float]) -> None:
        self.queue, self.answers, self.latencies = queue, answers, latencies
        self.transport: Any = None
        self.buffer = b""
        self.sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send the next request, or leave when none is left."""
        if not self.queue:
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(self.queue.pop())

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        end = self.buffer.find(HEAD_END)
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(LENGTH)
        length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        whole = end + len(HEAD_END) + length
        if len(self.buffer) < whole:
            return
        self.latencies.append(time.perf_counter() - self.sent_at)
        self.answers[int(head[9:12])] += 1
        self.buffer = self.buffer[whole:]
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def packed(requests: list[bytes]) -> bytes:
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
    """Empty the queue over all ports in turns; how long it took, what was answered, and the latencies."""
    loop, answers, latencies = asyncio.get_running_loop(), Counter[int](), list[float]()
    queue.reverse()
    sent, began = len(queue), time.perf_counter()
    connections = []
    for number in range(order["connections"]):
        port = order["ports"][number % len(order["ports"])]
        _, connection = await loop.create_connection(lambda: Connection(queue, answers, latencies), order["host"], port)
        connections.append(connection)
    await asyncio.wait([connection.done for connection in connections], timeout=order.get("patience", 300))
    took = time.perf_counter() - began
    latencies.sort()
    return {
        "requests": sent,
        "answers": {str(status): count for status, count in sorted(answers.items())},
        "seconds": took,
        "per_second": len(latencies) / took,
        "p50_ms": percentile(latencies, 0.50),
        "p99_ms": percentile(latencies, 0.99),
        "max_ms": latencies[-1] * 1000 if latencies else None,
    }


def main() -> None:
    """Read the order, carry it out, write what came of it."""
    order = json.load(sys.stdin)
    json.dump(uvloop.run(run(order, unpacked(Path(order["requests"]).read_bytes()))), sys.stdout)


if __name__ == "__main__":
    main()
