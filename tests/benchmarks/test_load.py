"""The load generator reports truly: how many, how long, how many wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from benchmarks import drain
from benchmarks.answers import percentile
from benchmarks.load import run

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def server(
    answer: Callable[[int], bytes], delay: Callable[[int], float], ending: int | None = None
) -> AsyncIterator[dict[str, Any]]:
    """A server that answers the n-th request so and after so long, and hangs up from the one named `ending` on; the
    order for the generator."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            number = seen = seen + 1
            await asyncio.sleep(delay(number))
            if ending is not None and number >= ending:
                break
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
        report = await run(order, [REQUEST])

    assert report["failed"] == 0
    assert 20 <= report["p50_ms"] < 200
    assert report["requests"] <= 4 * 0.4 / 0.02 + 4
    assert report["bytes"] == report["requests"] * len(ok(1))


async def test_answers_other_than_200_are_counted():
    async with server(lambda n: ok(n) if n % 2 else ok(n).replace(b"200 OK", b"500 No"), lambda _: 0.001) as order:
        report = await run(order, [REQUEST])

    assert 0.3 < report["failed"] / report["requests"] < 0.7


async def test_a_server_that_stands_still_shows_in_the_latencies():
    async with server(ok, lambda n: 0.3 if n == 20 else 0.001) as order:
        report = await run(order, [REQUEST])

    assert report["max_ms"] > 250


def test_percentiles_are_those_of_the_ordered_list():
    ordered = [n / 1000 for n in range(1, 101)]

    assert (percentile(ordered, 0.5), percentile(ordered, 0.99), percentile([], 0.5)) == (51.0, 100.0, None)


async def test_a_connection_that_is_broken_off_is_no_answer():
    async with server(ok, lambda _: 0.001, ending=10) as order:
        report = await run(order, [REQUEST])

    assert report["failed"] == 4


async def test_a_queue_is_sent_once_and_unanswered_requests_are_counted():
    async with server(ok, lambda _: 0.001) as order:
        report = await drain.run(order, drain.unpacked(drain.packed([REQUEST] * 50)))
    async with server(ok, lambda _: 0.001, ending=20) as order:
        broken = await drain.run(order, [REQUEST] * 50)

    assert (report["requests"], report["answers"]) == (50, {"200": 50})
    assert broken["answers"]["0"] + broken["answers"]["200"] == 50
    assert broken["answers"]["0"] > 0
