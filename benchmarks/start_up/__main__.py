"""`python -m benchmarks.start_up`: fresh interpreters in turns, and an empty database for each `migrate`."""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from backend.embedded import Urls
from benchmarks import databases, reports
from benchmarks.command import Benchmark, main

FRAMEWORKS, APPLICATION, COMMAND, MIGRATE = "frameworks", "application", "command", "migrate"
TITLES = {
    FRAMEWORKS: "`import litestar, tortoise` (the limit)",
    APPLICATION: "`import api.app`",
    COMMAND: "`zhangban --help`",
    MIGRATE: "`zhangban migrate` of an empty database",
}
_AT_ONCE = "\nimport os; os._exit(0)"
"""Without taking the interpreter apart, which is no part of the start."""
PROGRAMS: Mapping[str, Sequence[str]] = {
    FRAMEWORKS: ("-c", f"import litestar, tortoise{_AT_ONCE}"),
    APPLICATION: ("-c", f"import api.app{_AT_ONCE}"),
    COMMAND: ("-m", "api.cli", "--help"),
    MIGRATE: ("-m", "api.cli", "migrate"),
}
IMPORT_LIMIT = 2.5
"""How many times the import of the frameworks the import of the application may cost."""
MIGRATE_LIMIT = 2.0
"""How many times the import of the frameworks the migration of an empty database may cost."""


def cpu_seconds(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """User and system time of one fresh interpreter. Raises CalledProcessError when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], env={**os.environ, **environment}, capture_output=True)
    if done.returncode:
        sys.stderr.buffer.write(done.stderr)
        done.check_returncode()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


async def _empty_database(urls: Urls, name: str) -> str:
    async with databases.owner(urls) as connection:
        await connection.execute(f"CREATE DATABASE {name}")
    return databases.named(urls, name)


def play(asked: argparse.Namespace, urls: Urls, _: Path) -> dict[str, Any]:
    """Each program once per round, in an order that moves on from round to round."""
    bare = cpu_seconds(("-c", "pass"), {})
    names, taken = [name for name in PROGRAMS if name in asked.only], dict[str, list[float]]()
    numbers = count(1)
    for turn in range(asked.rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            environment = {"REDIS_URL": urls.redis_url}
            if name == MIGRATE:
                environment["DATABASE_URL"] = asyncio.run(_empty_database(urls, f"empty_{next(numbers)}"))
            taken.setdefault(name, []).append(cpu_seconds(PROGRAMS[name], environment))
    # The first round compiles and fills the caches of the disk.
    return summary(bare, {name: each[1:] for name, each in taken.items()})


def summary(bare: float, taken: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Medians without what Python itself takes, and the medians of the ratios within a round."""
    ratios = {}
    if FRAMEWORKS in taken:
        for name, seconds in taken.items():
            within = [(mine - bare) / (base - bare) for mine, base in zip(seconds, taken[FRAMEWORKS], strict=True)]
            ratios[name] = statistics.median(within)
    programs = {name: {"cpu_seconds": statistics.median(seconds) - bare} for name, seconds in taken.items()}
    return {"python_seconds": bare, "programs": programs, "ratios": ratios}


def goals(result: Mapping[str, Any]) -> list[reports.Goal]:
    """The two ratios that were promised; the command line starts with a fraction of them."""
    return [
        *reports.at_most(
            result, APPLICATION, IMPORT_LIMIT, "the application imports in at most 2.5 times the frameworks"
        ),
        *reports.at_most(result, COMMAND, 0.5, "the command line starts in at most half of the frameworks' import"),
        *reports.at_most(
            result, MIGRATE, MIGRATE_LIMIT, "an empty database migrates in at most twice the frameworks' import"
        ),
    ]


def table(result: Mapping[str, Any]) -> str:
    """A line per program."""
    lines = ["| program | CPU seconds | of the limit |", "|---|---|---|"]
    for name, each in result["programs"].items():
        ratio = result["ratios"].get(name)
        lines.append(f"| {TITLES[name]} | {each['cpu_seconds']:.2f} | {'–' if ratio is None else f'{ratio:.2f}'} |")
    how = (
        f"CPU seconds (user and system) of fresh interpreters beyond Python's own {result['python_seconds']:.2f} s; "
        f"{result['load']['rounds']} rounds in turns after one that is thrown away, medians; ratios are medians of the "
        "ratios within a round. PostgreSQL's own time is not counted."
    )
    return "\n".join([*lines, *reports.ending(result, how)])


START_UP = Benchmark(
    name="start_up",
    options={"rounds": (9, "")},
    quick={"rounds": 2},
    play=play,
    goals=goals,
    table=table,
    parts=tuple(PROGRAMS),
    durable=False,
)

if __name__ == "__main__":
    sys.exit(main(START_UP))
