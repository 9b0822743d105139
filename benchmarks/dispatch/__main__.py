"""`python -m benchmarks.dispatch`: the client alone and a worker in turns, then a backlog."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from backend.embedded import Urls
from benchmarks.command import Benchmark, main
from benchmarks.dispatch import report
from benchmarks.dispatch.sending import drained, measure, partner
from benchmarks.dispatch.stage import Stage


def play(asked: argparse.Namespace, urls: Urls, _: Path) -> dict[str, Any]:
    """Both parts."""
    stage, result = Stage(urls, asked.at_once), dict[str, Any]()
    asyncio.run(stage.prepare(max(asked.messages, asked.backlog // asked.each)))
    with partner(stage, asked.milliseconds):
        if "rounds" in asked.only:
            result = measure(stage, asked)
        if "backlog" in asked.only:
            result["backlog"] = drained(stage, asked)
    return result


DISPATCH = Benchmark(
    name="dispatch",
    options={
        "rounds": (5, ""),
        "messages": (5_000, "per program and round, one for each resident"),
        "milliseconds": (20.0, "what the partner takes for a message"),
        "at_once": (20, "calls at once, JOB_CONCURRENCY"),
        "backlog": (50_000, "messages that wait at once"),
        "each": (10, "how many of them for each resident"),
        "workers": (2, "processes that drain the backlog"),
    },
    quick={"rounds": 1, "messages": 400, "backlog": 1_000},
    play=play,
    goals=report.goals,
    table=report.table,
    parts=("rounds", "backlog"),
)

if __name__ == "__main__":
    sys.exit(main(DISPATCH))
