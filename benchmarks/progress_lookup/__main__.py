"""`python -m benchmarks.progress_lookup`: load, check that all three say the same, measure in turns, report."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from backend.embedded import Urls
from benchmarks.command import Benchmark, main, say
from benchmarks.progress_lookup import report
from benchmarks.progress_lookup.programs import PROGRAMS, agree, measure
from benchmarks.progress_lookup.stage import set_stage
from benchmarks.servers import Servers


def play(asked: argparse.Namespace, urls: Urls, folder: Path) -> dict[str, Any]:
    """Load and measure."""
    began = time.monotonic()
    stage = asyncio.run(set_stage(urls, folder, asked))
    say(f"{asked.cases} cases with their events are loaded after {time.monotonic() - began:.0f} s")
    with Servers({name: PROGRAMS[name] for name in asked.only}, stage.environment, folder) as servers:
        agree(servers, stage.samples)
        say("the programs give the same answers")
        return measure(servers, stage.requests, asked)


PROGRESS_LOOKUP = Benchmark(
    name="progress_lookup",
    options={
        "cases": (200_000, ""),
        "residents": (2_000, "how many different residents ask"),
        "connections": (64, ""),
        "pool": (10, "connections of each program to the database"),
        "rounds": (7, ""),
        "seconds": (5.0, ""),
        "warm_up": (1.5, "seconds"),
    },
    quick={"cases": 2_000, "residents": 100, "rounds": 1, "seconds": 1.0, "warm_up": 0.5},
    play=play,
    goals=report.goals,
    table=report.table,
    parts=tuple(PROGRAMS),
    durable=False,
)

if __name__ == "__main__":
    sys.exit(main(PROGRESS_LOOKUP))
