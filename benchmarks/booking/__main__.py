"""`python -m benchmarks.booking`: the ceiling of `book` beside the bare program, then the release."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from backend.embedded import Urls
from benchmarks.booking import release, report
from benchmarks.booking.stage import Stage, add_slots, set_stage
from benchmarks.command import Benchmark, main, say
from benchmarks.processes import run_module
from benchmarks.rounds import compared

WARM_UP = 1.0
PEOPLE_A_SECOND = 12_000
"""Everybody books once, so there must be more people than any program can serve."""


async def ceiling(stage: Stage, asked: argparse.Namespace, people: int) -> dict[str, Any]:
    """Both programs in turns on one slot and on a thousand; each run is a process that warms itself up."""
    many = [str(each) for each in await add_slots(stage, 1_000, 1_000_000)]
    slots = {"hot": many[:1], "many": many}
    taken: dict[str, dict[str, list[dict[str, Any]]]] = {name: {"bare": [], "ours": []} for name in slots}
    run = 0
    for number in range(asked.rounds):
        for name in slots:
            for program in ("bare", "ours") if number % 2 == 0 else ("ours", "bare"):
                order = {
                    "program": program, "database_url": stage.urls.database_url, "place": str(stage.place),
                    "slots": slots[name], "workers": asked.workers, "warm_up": WARM_UP, "seconds": asked.seconds,
                    "seed": run, "offset": run * people, "people": people,
                }  # fmt: skip
                one = run_module("benchmarks.booking.ceiling", order)
                run += 1
                taken[name][program].append(one)
                say(f"round {number + 1}/{asked.rounds} {name} {program}: {one['per_second']:.0f}/s")
    return {name: compared(each) for name, each in taken.items()}


async def measured(asked: argparse.Namespace, urls: Urls) -> dict[str, Any]:
    """Both parts."""
    people = int((WARM_UP + asked.seconds) * PEOPLE_A_SECOND)
    runs = asked.rounds * 4 if "ceiling" in asked.only else 0
    stage, result = await set_stage(urls, runs * people + asked.people), dict[str, Any]()
    if runs:
        result["ceiling"] = await ceiling(stage, asked, people)
    if "release" in asked.only:
        say("the release")
        result["release"] = await release.play(stage, asked)
    return result


def play(asked: argparse.Namespace, urls: Urls, _: Path) -> dict[str, Any]:
    """Both parts."""
    return asyncio.run(measured(asked, urls))


BOOKING = Benchmark(
    name="booking",
    options={
        "workers": (8, "bookings at once in the closed loop"),
        "rounds": (5, ""),
        "seconds": (5.0, ""),
        "base_rate": (30.0, "requests a second all the time"),
        "rush_rate": (400.0, "taps a second in the rush"),
        "rush_seconds": (20.0, ""),
        "people": (4_000, ""),
        "places": (200, ""),
        "slots": (10, ""),
        "processes": (2, "serving processes in the release"),
    },
    quick={"rounds": 1, "seconds": 2.0, "rush_rate": 100.0, "rush_seconds": 4.0, "people": 200, "places": 20},
    play=play,
    goals=report.goals,
    table=report.table,
    parts=("ceiling", "release"),
)

if __name__ == "__main__":
    sys.exit(main(BOOKING))
