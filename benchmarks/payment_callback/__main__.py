"""`python -m benchmarks.payment_callback`: check that all three do the same, measure in turns, play the outage."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from backend.embedded import Urls
from benchmarks.command import Benchmark, main, say
from benchmarks.payment_callback import report
from benchmarks.payment_callback.outage import drained
from benchmarks.payment_callback.programs import PROGRAMS, agree
from benchmarks.payment_callback.stage import Stage
from benchmarks.servers import Servers


def play(asked: argparse.Namespace, urls: Urls, folder: Path) -> dict[str, Any]:
    """Both parts."""
    stage, result = Stage(urls, folder, asked.pool), dict[str, Any]()
    asyncio.run(stage.prepare())
    if chosen := {name: program for name, program in PROGRAMS.items() if name in asked.only}:
        with Servers(chosen, stage.environment, folder) as servers:
            agree(servers, stage)
            say("the programs put the same into the books")
            result = servers.in_turns(asked.rounds, lambda: stage.notices(asked.notices), asked.connections, "204")
    if "outage" in asked.only:
        result["outage"] = asyncio.run(drained(stage, asked, folder))
    return result


PAYMENT_CALLBACK = Benchmark(
    name="payment_callback",
    options={
        "rounds": (5, ""),
        "notices": (3_000, "per program and round"),
        "connections": (32, ""),
        "pool": (10, "connections of each program to the database"),
        "outage": (10_800, "payments of an hour at three a second"),
    },
    quick={"rounds": 1, "notices": 200, "outage": 200},
    play=play,
    goals=report.goals,
    table=report.table,
    parts=(*PROGRAMS, "outage"),
)

if __name__ == "__main__":
    sys.exit(main(PAYMENT_CALLBACK))
