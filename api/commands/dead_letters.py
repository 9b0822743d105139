"""`zhangban dead-letters`: jobs that failed as often as they may."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from api.commands.running import opened
from api.commands.running import run as run_main
from backend import job_keeping


def add(parser: ArgumentParser) -> None:
    """Declare `--requeue`."""
    parser.add_argument("--requeue", type=int, nargs="+", metavar="ID", help="run these again, with all their attempts")


def run(given: Namespace) -> int:
    """Print the dead letters as JSON, or how many were requeued."""

    async def dead_letters() -> int:
        async with opened():
            if given.requeue:
                print(json.dumps({"requeued": await job_keeping.requeue(given.requeue)}))
            else:
                letters = [letter._asdict() for letter in await job_keeping.list_dead_letters()]
                print(json.dumps(letters, ensure_ascii=False, indent=2))
        return 0

    return run_main(dead_letters)
