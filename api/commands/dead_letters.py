"""`zhangban dead-letters`: jobs that failed as often as they may."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from api.commands.running import opened
from api.commands.running import run as run_main
from backend import job_keeping


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--again", type=int, nargs="+", metavar="ID", help="try these once more, from the beginning")


def run(given: Namespace) -> int:
    """Print the dead letters as JSON, or how many were given another chance."""

    async def looked() -> int:
        async with opened():
            if given.again:
                print(json.dumps({"again": await job_keeping.again(given.again)}))
            else:
                letters = [letter._asdict() for letter in await job_keeping.dead_letters()]
                print(json.dumps(letters, ensure_ascii=False, indent=2))
        return 0

    return run_main(looked)
