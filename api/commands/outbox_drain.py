"""`zhangban outbox-drain`: every job that is due now, one after the other, here."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from api.commands.running import opened
from api.commands.running import run as run_main
from backend import jobs


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--once", action="store_true", help="end when nothing is due (there is no other way)")


def run(_: Namespace) -> int:
    """Drain, and print how many jobs ran; those that failed wait for their next try as they do with a worker."""

    async def drained() -> int:
        async with opened():
            print(json.dumps({"ran": await jobs.drain(strict=False)}))
        return 0

    return run_main(drained)
