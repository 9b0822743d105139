"""The load generator tells the truth: how many, how long, how many wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.load import percentile, run
from benchmarks.progress_lookup import report

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def server(answer: Callable[[int], bytes], delay: Callable[[int], float]) -> AsyncIterator[dict[str, Any]]:
    """A server that answers the n-th request so and after so long; the order for the generator."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            number = seen = seen + 1
            await asyncio.sleep(delay(number))
            body = answer(number)
            # In two pieces, so that the generator has to put them together.
            writer.write(body[:20])
            await asyncio.sleep(0)
            writer.write(body[20:])
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield {"host": "127.0.0.1", "port": port, "connections": 4, "warm_up": 0.05, "seconds": 0.4, "seed": 1}


def ok(_: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def test_answers_are_counted_and_timed():
    async with server(ok, lambda _: 0.02) as order:
        told = await run(order, [REQUEST])

    assert told["failed"] == 0
    assert 20 <= told["p50_ms"] < 200
    assert told["requests"] <= 4 * 0.4 / 0.02 + 4
    assert told["bytes"] == told["requests"] * len(ok(1))


async def test_answers_that_are_not_200_are_told():
    async with server(lambda n: ok(n) if n % 2 else ok(n).replace(b"200 OK", b"500 No"), lambda _: 0.001) as order:
        told = await run(order, [REQUEST])

    assert 0.3 < told["failed"] / told["requests"] < 0.7


async def test_a_server_that_stands_still_shows_in_the_latencies():
    async with server(ok, lambda n: 0.3 if n == 20 else 0.001) as order:
        told = await run(order, [REQUEST])

    assert told["max_ms"] > 250


def test_percentiles_are_those_of_the_ordered_list():
    ordered = [n / 1000 for n in range(1, 101)]

    assert (percentile(ordered, 0.5), percentile(ordered, 0.99), percentile([], 0.5)) == (51.0, 100.0, None)


def test_the_result_replaces_the_one_before(tmp_path: Any):
    one = {"per_second": 1000.0, "per_second_lowest": 900.0, "per_second_highest": 1100.0, "p50_ms": 1.0}
    one |= {"p99_ms": 2.0, "cpu_us": 100.0, "failed": 0}
    result = {
        "at": "2026-11-22T00:00:00+00:00",
        "machine": {
            "commit": "abc", "processor": "p", "cores": 4, "memory_gb": 8, "system": "s", "python": "3", "packages": {},
            "load_before": [1.0],
        },
        "load": {
            "cases": 10, "residents_asking": 1, "connections": 1, "pool": 1, "rounds": 1, "seconds": 1.0,
            "warm_up": 1.0,
        },
        "programs": {"bare": one, "ours": one},
        "ratios": {"ours/bare": 1.0},
    }  # fmt: skip
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")

    report.write_into(document, result)

    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| Zhangban | 1,000 (900 to 1,100) | 1.00 |" in text
