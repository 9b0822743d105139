"""`python -m benchmarks.courier_push`: check that both do the same, measure in turns, fold a morning's journeys."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from backend.embedded import Urls
from benchmarks.command import Benchmark, main, say
from benchmarks.courier_push import report
from benchmarks.courier_push.fold import folded
from benchmarks.courier_push.programs import PROGRAMS, agree
from benchmarks.courier_push.stage import Stage
from benchmarks.servers import Servers


def play(asked: argparse.Namespace, urls: Urls, folder: Path) -> dict[str, Any]:
    """Both parts."""
    stage, result = Stage(urls, asked.pool), dict[str, Any]()
    asyncio.run(stage.prepare())
    with Servers(PROGRAMS, stage.environment, folder) as servers:
        agree(servers, stage)
        say("both programs keep the same")
        if "rounds" in asked.only:
            result = servers.in_turns(asked.rounds, lambda: stage.pushes(asked.pushes), asked.connections, "200")
        if "fold" in asked.only:
            result["fold"] = folded(servers, stage, asked)
    return result


COURIER_PUSH = Benchmark(
    name="courier_push",
    options={
        "rounds": (5, ""),
        "pushes": (4_000, "per program and round"),
        "connections": (32, ""),
        "pool": (10, "connections of each program to the database"),
        "fold": (3_000, "journeys for the worker"),
    },
    quick={"rounds": 1, "pushes": 200, "fold": 100},
    play=play,
    goals=report.goals,
    table=report.table,
    parts=("rounds", "fold"),
)

if __name__ == "__main__":
    sys.exit(main(COURIER_PUSH))
