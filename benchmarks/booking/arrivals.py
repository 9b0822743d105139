"""An open-loop load generator: requests begin when they are meant to, whether or not earlier ones are answered.

A latency counts from the *intended* start, so a server (or this program) that falls behind pays for everybody who had
to wait; that from the moment of sending stands beside it. Runs as a process of its own: the plan comes on stdin as
JSON, a list of `[seconds, kind, request]`, and the answers go to stdout.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import uvloop

from benchmarks.answers import Answers, percentile

PATIENCE = 10.0
"""Seconds after which an answer is given up; it enters the figures with this latency."""
LATE = 0.02
"""Seconds by which a request may leave later than intended before the generator itself counts as late."""


def poisson(rate: float, seconds: float, chance: random.Random, *, begins: float = 0.0) -> list[float]:
    """Moments at which independent people arrive at this rate."""
    moments, at = [], begins
    while (at := at + chance.expovariate(rate)) < begins + seconds:
        moments.append(at)
    return moments


class Connection(Answers):
    """A connection whose caller waits for the status of the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: asyncio.Future[int] | None = None

    def answered(self, status: int, size: int) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(0)

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send it; the status of the answer, 0 for a connection that ended."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answer


class Generator:
    """Sends a plan, opening connections as they are needed."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.idle: list[Connection] = []
        self.seen: list[tuple[str, int, float, float, float]] = []
        """Kind, status, latency from the intended start and from sending, and how late it was sent."""

    async def open(self, number: int) -> None:
        """Have connections ready, so that their making is not what is measured."""
        loop = asyncio.get_running_loop()
        made = await asyncio.gather(*(loop.create_connection(Connection, self.host, self.port) for _ in range(number)))
        self.idle += [connection for _, connection in made]

    async def send_one(self, kind: str, request: bytes, intended: float) -> None:
        """One request; it is in the figures in any case."""
        sent, status = time.perf_counter(), 0
        connection: Connection | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while self.idle and (connection is None or connection.transport.is_closing()):
                    connection = self.idle.pop()
                if connection is None or connection.transport.is_closing():
                    _, connection = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
                status = await connection.ask(request)
        except (TimeoutError, OSError):
            self.seen.append((kind, 0, PATIENCE, PATIENCE, sent - intended))
            return
        done = time.perf_counter()
        self.idle.append(connection)
        self.seen.append((kind, status, done - intended, done - sent, sent - intended))

    async def run(self, plan: Sequence[tuple[float, str, str]]) -> None:
        """Send everything at its moment."""
        began, tasks = time.perf_counter(), []
        for at, kind, request in plan:
            wait = began + at - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self.send_one(kind, request.encode("latin-1"), began + at)))
        await asyncio.gather(*tasks)


def figures(seen: Sequence[tuple[str, int, float, float, float]]) -> dict[str, Any]:
    """What one kind of request saw."""
    intended, sent = sorted(each[2] for each in seen), sorted(each[3] for each in seen)
    statuses: dict[str, int] = {}
    for each in seen:
        statuses[str(each[1])] = statuses.get(str(each[1]), 0) + 1
    return {
        "requests": len(seen),
        "statuses": dict(sorted(statuses.items())),
        "p50_ms": percentile(intended, 0.5),
        "p90_ms": percentile(intended, 0.9),
        "p99_ms": percentile(intended, 0.99),
        "max_ms": intended[-1] * 1000 if intended else None,
        "p99_from_sending_ms": percentile(sent, 0.99),
    }


def summed(seen: Sequence[tuple[str, int, float, float, float]]) -> dict[str, Any]:
    """Figures by kind; winners of the rush for themselves; how often the generator was late."""
    kinds = {kind: figures([each for each in seen if each[0] == kind]) for kind in sorted({each[0] for each in seen})}
    winners = [each for each in seen if each[0] == "tap" and each[1] == 201]
    return {
        "kinds": kinds,
        "winners": figures(winners),
        "all": figures(seen),
        "late_share": sum(each[4] > LATE for each in seen) / max(1, len(seen)),
    }


async def main(order: dict[str, Any]) -> dict[str, Any]:
    """Open connections, wait for the agreed moment, send the plan."""
    generator = Generator(order["host"], order["port"])
    await generator.open(order["connections"])
    await asyncio.sleep(max(0.0, order["begins_at"] - time.time()))
    await generator.run(order["plan"])
    return summed(generator.seen)


if __name__ == "__main__":
    json.dump(uvloop.run(main(json.load(sys.stdin))), sys.stdout)
