"""`python -m benchmarks.payment_callback`: check that all three do the same, measure in turns, play the outage."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from backend import embedded
from benchmarks import machine
from benchmarks.payment_callback import report
from benchmarks.payment_callback.outage import drained
from benchmarks.payment_callback.rounds import PROGRAMS, Servers, measure
from benchmarks.payment_callback.stage import Stage


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.payment_callback")
    parser.add_argument("--quick", action="store_true", help="small enough for CI; figures mean little")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--notices", type=int, default=4_000, help="per program and round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--pool", type=int, default=10)
    parser.add_argument(
        "--outage", type=int, default=10_800, help="payments of an hour at three a second; 0 leaves it out"
    )
    parser.add_argument("--only", choices=list(PROGRAMS), action="append", help="measure only these")
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--docs", type=Path, help="replace the result in this document")
    asked = parser.parse_args(given)
    if asked.quick:
        asked.rounds, asked.notices, asked.outage = 1, 200, 200
    return asked


def say(line: str) -> None:
    """Progress, for whoever waits."""
    print(f"· {line}", file=sys.stderr, flush=True)


def play(stage: Stage, asked: argparse.Namespace) -> dict[str, Any]:
    """Both parts."""
    asyncio.run(stage.prepare())
    with Servers(stage, asked.only or list(PROGRAMS)) as servers:
        servers.agree()
        say("the programs put the same into the books")
        result = measure(servers, asked, say)
    if asked.outage:
        result["outage"] = asyncio.run(drained(stage, asked.outage, asked.connections, say))
    return result


def main(given: list[str]) -> int:
    """Run it; 0 when every notice was taken once."""
    asked = arguments(given)
    where = machine.described()
    os.environ["DATABASE_POOL_SIZE"] = str(asked.pool)
    os.environ["DATABASE_KEPT_CONNECTIONS"] = "0"  # the others have none on top
    result: dict[str, Any] = {
        "benchmark": "payment_callback",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": where,
        "load": {name: getattr(asked, name) for name in ("rounds", "notices", "connections", "pool", "outage")},
    }
    with tempfile.TemporaryDirectory(prefix="zbb-") as folder:
        os.chmod(folder, 0o755)  # started by root, PostgreSQL runs as somebody else
        with embedded.servers(folder, durable=True) as urls:
            result |= play(Stage(urls, Path(folder)), asked)
    print(report.table(result))
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    if asked.docs:
        report.write_into(asked.docs, result)
    books = [kept for goal, kept in report.goals(result).items() if goal.startswith("after the outage: every")]
    return 0 if all(books) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
