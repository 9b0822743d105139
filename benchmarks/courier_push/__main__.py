"""`python -m benchmarks.courier_push`: check that both do the same, measure in turns, fold a morning's journeys."""

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
from benchmarks.courier_push import report
from benchmarks.courier_push.rounds import Servers, folded, measure
from benchmarks.courier_push.stage import Stage


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.courier_push")
    parser.add_argument("--quick", action="store_true", help="small enough for CI; figures mean little")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pushes", type=int, default=4_000, help="per program and round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--pool", type=int, default=10)
    parser.add_argument("--fold", type=int, default=3_000, help="journeys for the worker; 0 leaves it out")
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--docs", type=Path, help="replace the result in this document")
    asked = parser.parse_args(given)
    if asked.quick:
        asked.rounds, asked.pushes, asked.fold = 1, 200, 100
    return asked


def say(line: str) -> None:
    """Progress, for whoever waits."""
    print(f"· {line}", file=sys.stderr, flush=True)


def play(stage: Stage, asked: argparse.Namespace) -> dict[str, Any]:
    """Both parts."""
    asyncio.run(stage.prepare())
    with Servers(stage) as servers:
        servers.agree()
        say("both programs keep the same")
        result = measure(servers, asked, say)
        if asked.fold:
            result["fold"] = folded(servers, asked, say)
    return result


def main(given: list[str]) -> int:
    """Run it; 0 when every parcel stands where its journey ended, once."""
    asked = arguments(given)
    where = machine.described()
    os.environ["DATABASE_POOL_SIZE"] = str(asked.pool)
    result: dict[str, Any] = {
        "benchmark": "courier_push",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": where,
        "load": {name: getattr(asked, name) for name in ("rounds", "pushes", "connections", "pool", "fold")},
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
    proofs = [kept for goal, kept in report.goals(result).items() if goal.startswith("the fold:")]
    return 0 if all(proofs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
