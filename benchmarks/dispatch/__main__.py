"""`python -m benchmarks.dispatch`: the client alone and a worker in turns, then a backlog."""

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
from benchmarks.dispatch import report
from benchmarks.dispatch.rounds import measure, partner
from benchmarks.dispatch.stage import Stage


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dispatch")
    parser.add_argument("--quick", action="store_true", help="small enough for CI; figures mean little")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=5_000, help="per program and round, one for each resident")
    parser.add_argument("--milliseconds", type=float, default=20.0, help="what the partner takes for a message")
    parser.add_argument("--at-once", type=int, default=20, help="calls at once (JOB_CONCURRENCY)")
    parser.add_argument("--backlog", type=int, default=50_000, help="messages that wait at once; 0 leaves it out")
    parser.add_argument("--each", type=int, default=10, help="how many of them for each resident")
    parser.add_argument("--workers", type=int, default=2, help="processes that drain the backlog")
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--docs", type=Path, help="replace the result in this document")
    asked = parser.parse_args(given)
    if asked.quick:
        asked.rounds, asked.messages, asked.backlog = 1, 400, 1_000
    return asked


def say(line: str) -> None:
    """Progress, for whoever waits."""
    print(f"· {line}", file=sys.stderr, flush=True)


def main(given: list[str]) -> int:
    """Run it; 0 when nothing was lost, nothing was out of order and nothing was sent twice without need."""
    asked = arguments(given)
    names = ("rounds", "messages", "milliseconds", "at_once", "backlog", "each", "workers")
    result: dict[str, Any] = {
        "benchmark": "dispatch",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.described(),
        "load": {name: getattr(asked, name) for name in names},
    }
    with tempfile.TemporaryDirectory(prefix="zbb-") as folder:
        os.chmod(folder, 0o755)  # started by root, PostgreSQL runs as somebody else
        with embedded.servers(folder, durable=True) as urls:
            stage = Stage(urls, asked.at_once)
            asyncio.run(stage.prepare(max(asked.messages, asked.backlog // asked.each)))
            with partner(stage, asked.milliseconds):
                result |= measure(stage, asked, say)
    print(report.table(result))
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    if asked.docs:
        report.write_into(asked.docs, result)
    proofs = [kept for goal, kept in report.goals(result).items() if goal.startswith("the backlog:")]
    return 0 if all(proofs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
