"""Both programs on the same server with the same options, each given so many new pushes in turns; then the fold."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import machine
from benchmarks.courier_push.stage import JOURNEY, Parcel, Stage
from benchmarks.payment_callback.drain import packed
from benchmarks.progress_lookup.rounds import OPTIONS, free_port, waited_for

PROGRAMS = {"bare": "benchmarks.courier_push.bare:application", "ours": "api.app:application"}
TITLES = {"bare": "bare ASGI + asyncpg, the same statements (the limit)", "ours": "Zhangban"}
PATIENCE = 600.0

_KEPT = """
SELECT partner, event, state, (SELECT count(*) FROM events e JOIN unsealed_events u ON u.event_id = e.id
        WHERE e.subject_id = m.id AND e.name = 'courier.pushed') AS facts,
    (SELECT count(*) FROM events e JOIN pgqueuer q
        ON convert_from(q.payload, 'UTF8')::json ->> 'event_id' = e.id::text WHERE e.subject_id = m.id) AS jobs,
    starts_with(body, 'v1.') AS sealed
FROM inbound_messages m WHERE received_at >= $1
"""
_HOME = "SELECT count(*) FROM deliveries WHERE id = ANY($1) AND state = 'signed'"
_TRAIL = """
SELECT (SELECT count(*) FROM deliveries WHERE id = ANY($1) AND state = 'signed') AS signed,
    (SELECT count(*) FROM shipment_nodes n JOIN shipments s ON s.id = n.shipment_id
        WHERE s.delivery_id = ANY($1)) AS nodes,
    (SELECT count(*) FROM delivery_moves WHERE delivery_id = ANY($1)) AS moves,
    (SELECT count(*) FROM events WHERE name = 'delivery.moved' AND subject_id = ANY($1)) AS told
"""
Say = Callable[[str], None]


class Servers:
    """One process per program."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ports = {name: free_port() for name in PROGRAMS}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Servers:
        for name, program in PROGRAMS.items():
            command = [sys.executable, "-m", "uvicorn", program, *OPTIONS, "--port", str(self.ports[name])]
            self.processes[name] = subprocess.Popen(command, env=self.stage.environment)
        try:
            for name, process in self.processes.items():
                waited_for(process, self.ports[name], name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def send(self, name: str, requests: list[bytes], connections: int) -> dict[str, Any]:
        """Have the generator send each of them once."""
        file = self.stage.folder / "requests.bin"
        file.write_bytes(packed(requests))
        order = {
            "host": "127.0.0.1",
            "ports": [self.ports[name]],
            "requests": str(file),
            "connections": min(connections, len(requests)),
        }
        command = [sys.executable, "-m", "benchmarks.payment_callback.drain"]
        pid = self.processes[name].pid
        before = machine.cpu_seconds(pid)
        ran = subprocess.run(command, input=json.dumps(order).encode(), capture_output=True, check=True)
        after = machine.cpu_seconds(pid)
        one: dict[str, Any] = json.loads(ran.stdout)
        one["cpu_us"] = (after - before) / len(requests) * 1e6 if before is not None and after is not None else None
        return one

    def agree(self) -> None:
        """Check that both keep the same, once, with one fact and one job, and refuse a forgery.

        Raises AssertionError when one does not: figures of different work compare nothing.
        """
        said = {name: asyncio.run(self._tried(name)) for name in PROGRAMS}
        assert said["ours"] == said["bare"], said
        assert said["ours"]["kept"] == [("kuaidi100", "track", "received", 1, 1, True)], said

    async def _tried(self, name: str) -> dict[str, Any]:
        stage = self.stage
        owner = await stage.owner()
        try:
            since = await owner.fetchval("SELECT clock_timestamp()")
            (parcel,) = await stage.parcels(1)
            push = stage.request(parcel)
            forged = self.send(name, [stage.request(parcel, salt="guessed")], 1)["answers"]
            answers = [self.send(name, [push], 1)["answers"] for _ in range(2)]
            kept = [tuple(row) for row in await owner.fetch(_KEPT, since)]
        finally:
            await owner.close()
        return {"refused": [int(status) >= 400 for status in forged], "answers": answers, "kept": kept}


def measure(servers: Servers, asked: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Give the programs new pushes in turns; the order changes from round to round."""
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in PROGRAMS}
    for number in range(-1, asked.rounds):
        names = list(PROGRAMS)[:: -1 if number % 2 else 1]
        for name in names:
            parcels = asyncio.run(servers.stage.parcels(asked.pushes))
            one = servers.send(name, [servers.stage.request(each) for each in parcels], asked.connections)
            if set(one["answers"]) != {"200"}:
                raise RuntimeError(f"{name} answered {one['answers']}")
            if number >= 0:  # the first round warms up
                taken[name].append(one)
                say(f"round {number + 1}/{asked.rounds} {name}: {one['per_second']:.0f}/s, p99 {one['p99_ms']:.1f} ms")
    ratios = [ours["per_second"] / bare["per_second"] for ours, bare in zip(taken["ours"], taken["bare"], strict=True)]
    return {"programs": {name: _summed(each) for name, each in taken.items()}, "ratio": statistics.median(ratios)}


def _summed(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "per_second": statistics.median(each["per_second"] for each in rounds),
        "per_second_lowest": min(each["per_second"] for each in rounds),
        "per_second_highest": max(each["per_second"] for each in rounds),
        "p50_ms": statistics.median(each["p50_ms"] for each in rounds),
        "p99_ms": statistics.median(each["p99_ms"] for each in rounds),
        "cpu_us": statistics.median(each["cpu_us"] for each in rounds) if rounds[0]["cpu_us"] else None,
    }


def folded(servers: Servers, asked: argparse.Namespace, say: Say) -> dict[str, Any]:
    """A morning's pushes, every fifth sent twice: answered, and folded by one worker; what the timelines hold then."""
    stage = servers.stage
    asyncio.run(_without_backlog(stage))
    parcels = asyncio.run(stage.parcels(asked.fold))
    requests = [stage.request(each) for each in parcels]
    answers = servers.send("ours", requests + requests[::5], asked.connections)["answers"]
    command = [sys.executable, "-m", "api.cli", "work"]
    worker = subprocess.Popen(command, env=stage.environment, start_new_session=True)
    try:
        took = asyncio.run(_home(stage, parcels))
    finally:
        worker.terminate()
        worker.wait(30)
    say(f"{asked.fold} journeys folded, {took:.0f}/s")
    trail = asyncio.run(_trail(stage, parcels))
    wanted = {"signed": asked.fold, "nodes": asked.fold * len(JOURNEY), "moves": asked.fold, "told": asked.fold}
    return {"pushes": len(requests) + len(requests[::5]), "answers": answers, "per_second": took,
            "trail": trail, "as_wanted": trail == wanted}  # fmt: skip


async def _without_backlog(stage: Stage) -> None:
    """The rounds have left jobs that nobody has done; only what comes now is folded."""
    owner = await stage.owner()
    try:
        await owner.execute("DELETE FROM pgqueuer")
    finally:
        await owner.close()


async def _home(stage: Stage, parcels: list[Parcel]) -> float:
    """Wait until the last parcel has arrived; journeys folded per second between the first and the last tenth."""
    ids, seen = [each.delivery for each in parcels], list[tuple[float, int]]()
    deadline = time.monotonic() + PATIENCE
    owner = await stage.owner()
    try:
        while True:
            count = await owner.fetchval(_HOME, ids)
            seen.append((time.monotonic(), count))
            if count == len(ids):
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(ids) - count} parcels are still under way")
            await asyncio.sleep(0.1)
    finally:
        await owner.close()
    first = max((each for each in seen if each[1] <= len(ids) * 0.1), key=lambda each: each[0])
    last = min((each for each in seen if each[1] >= len(ids) * 0.9), key=lambda each: each[0])
    return (last[1] - first[1]) / max(last[0] - first[0], 0.001)


async def _trail(stage: Stage, parcels: list[Parcel]) -> dict[str, int]:
    owner = await stage.owner()
    try:
        return dict(await owner.fetchrow(_TRAIL, [each.delivery for each in parcels]))
    finally:
        await owner.close()
