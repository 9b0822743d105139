"""The three programs on the same server with the same options, each given so many new notices in turns."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks import machine
from benchmarks.payment_callback.drain import packed
from benchmarks.payment_callback.stage import MERCHANT, Order, Stage
from benchmarks.progress_lookup.rounds import OPTIONS, free_port, waited_for

PROGRAMS = {
    "bare": "benchmarks.payment_callback.bare:application",
    "ours": "api.app:application",
    "usual": "benchmarks.payment_callback.usual:application",
}
TITLES = {
    "bare": "bare ASGI + asyncpg, the same statements (the limit)",
    "ours": "Zhangban",
    "usual": "FastAPI + SQLAlchemy 2 + pydantic",
}
_BOOKS = """
SELECT p.state || '/' || f.state || '/' || p.paid_fen || '/' || (f.paid_by_id = p.id) AS order_and_fee,
    (SELECT count(*) FROM inbound_messages m WHERE m.partner = 'wechat-pay' AND m.partner_id = 'EV-' || p.number
        AND m.state = 'handled') AS notices,
    (SELECT string_agg(x.account || ' ' || x.amount_fen, ', ' ORDER BY x.amount_fen)
        FROM ledger_groups g JOIN ledger_postings x ON x.group_id = g.id WHERE g.ref = p.number) AS postings,
    (SELECT string_agg(from_state || '>' || to_state || ' ' || cause || ' ' || actor, ', ')
        FROM payment_moves WHERE entity_id = p.id) AS moves,
    (SELECT string_agg(e.name, ', ' ORDER BY e.name) FROM events e JOIN unsealed_events u ON u.event_id = e.id
        WHERE e.subject_id IN (p.id, f.id)) AS events,
    (SELECT count(*) FROM events e JOIN pgqueuer q
        ON convert_from(q.payload, 'UTF8')::json ->> 'event_id' = e.id::text
        WHERE e.subject_id IN (p.id, f.id)) AS jobs
FROM payments p JOIN fees f ON f.id = p.fee_id WHERE p.number = $1
"""


class Servers:
    """One process per program."""

    def __init__(self, stage: Stage, names: list[str]) -> None:
        self.stage, self.names = stage, names
        self.ports = {name: free_port() for name in names}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Servers:
        for name in self.names:
            command = [sys.executable, "-m", "uvicorn", PROGRAMS[name], *OPTIONS, "--port", str(self.ports[name])]
            self.processes[name] = subprocess.Popen(command, env=self.stage.environment)
        try:
            for name in self.names:
                waited_for(self.processes[name], self.ports[name], name)
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
        """Check that every program puts the same into the books, once, and refuses what is forged or unknown.

        Raises AssertionError when one does not: figures of different work compare nothing.
        """
        said = {name: asyncio.run(self._tried(name)) for name in self.names}
        first = next(iter(said.values()))
        assert first["books"]["order_and_fee"] == "paid/paid/2000/true", first
        assert first["books"]["jobs"] == 2, first
        assert first["books"]["notices"] == 1, first
        assert MERCHANT in str(first["books"]["postings"]), first
        assert all(each == first for each in said.values()), said

    async def _tried(self, name: str) -> dict[str, Any]:
        stage = self.stage
        (order, other) = await stage.orders(2)
        unknown = Order("P20261122UNKNOWN0", "4200000000000000000000009999")
        tries = {
            "forged": stage.request(other, flaw="AAAA"),
            "unknown": stage.request(unknown),
            "new": stage.request(order),
            "again": stage.request(order),
        }
        answers = {what: self.send(name, [request], 1)["answers"] for what, request in tries.items()}
        refused = {what: int(next(iter(answers[what]))) >= 400 for what in ("forged", "unknown")}
        owner = await stage.owner()
        try:
            books = dict(await owner.fetchrow(_BOOKS, order.number))
            untouched = await owner.fetchval("SELECT state FROM payments WHERE number = $1", other.number)
        finally:
            await owner.close()
        return {"answers": {w: answers[w] for w in ("new", "again")}, "refused": refused, "books": books,
                "untouched": untouched}  # fmt: skip


def measure(servers: Servers, asked: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Give the programs new notices in turns; the order changes from round to round."""
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in servers.names}
    for number in range(-1, asked.rounds):
        turn = max(0, number) % len(servers.names)
        for name in servers.names[turn:] + servers.names[:turn]:
            orders = asyncio.run(servers.stage.orders(asked.notices))
            one = servers.send(name, [servers.stage.request(each) for each in orders], asked.connections)
            if set(one["answers"]) != {"204"}:
                raise RuntimeError(f"{name} answered {one['answers']}")
            if number >= 0:  # the first round warms up
                taken[name].append(one)
                say(f"round {number + 1}/{asked.rounds} {name}: {one['per_second']:.0f}/s, p99 {one['p99_ms']:.1f} ms")
    return {"programs": {name: _summed(each) for name, each in taken.items()}, "ratios": _ratios(taken)}


def _summed(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "per_second": statistics.median(each["per_second"] for each in rounds),
        "per_second_lowest": min(each["per_second"] for each in rounds),
        "per_second_highest": max(each["per_second"] for each in rounds),
        "p50_ms": statistics.median(each["p50_ms"] for each in rounds),
        "p99_ms": statistics.median(each["p99_ms"] for each in rounds),
        "cpu_us": statistics.median(each["cpu_us"] for each in rounds) if rounds[0]["cpu_us"] else None,
    }


def _ratios(taken: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """The median over the rounds of the ratio within a round: what disturbs the machine disturbs both."""
    return {
        f"{name}/{of}": statistics.median(
            one["per_second"] / other["per_second"] for one, other in zip(taken[name], taken[of], strict=True)
        )
        for name, of in (("ours", "bare"), ("ours", "usual"), ("usual", "bare"))
        if name in taken and of in taken
    }
