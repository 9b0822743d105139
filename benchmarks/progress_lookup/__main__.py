"""`python -m benchmarks.progress_lookup`: load, check that all three say the same, measure in turns, report."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from backend import embedded
from benchmarks import machine
from benchmarks.progress_lookup import report
from benchmarks.progress_lookup.rounds import PROGRAMS, Servers, measure
from benchmarks.progress_lookup.stage import set_stage


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.progress_lookup")
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--residents", type=int, default=2_000, help="how many different residents ask")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--pool", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", type=float, default=1.5)
    parser.add_argument("--only", choices=list(PROGRAMS), action="append", help="measure only these")
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--docs", type=Path, help="replace the result in this document")
    return parser.parse_args(given)


def say(line: str) -> None:
    """Progress, for whoever waits."""
    print(f"· {line}", file=sys.stderr, flush=True)


def main(given: list[str]) -> int:
    """Run it; 0 when every answer was right."""
    asked = arguments(given)
    where = machine.described()
    os.environ["DATABASE_POOL_SIZE"] = str(asked.pool)
    with tempfile.TemporaryDirectory(prefix="zbb-") as folder, embedded.servers(durable=False) as urls:
        began = time.monotonic()
        stage = asyncio.run(set_stage(urls, Path(folder), asked.cases, asked.residents))
        say(f"{asked.cases} cases with their events are loaded after {time.monotonic() - began:.0f} s")
        with Servers(stage, asked.only or list(PROGRAMS)) as servers:
            servers.agree()
            say("the programs give the same answers")
            result = measure(servers, asked, where, say)
    print(report.table(result))
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    if asked.docs:
        report.write_into(asked.docs, result)
    return 1 if any(each["failed"] for each in result["programs"].values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
