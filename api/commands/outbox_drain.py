"""`zhangban outbox-drain`: every job and every message that is due, here and now."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from api.commands.running import opened
from api.commands.running import run as run_main
from notifications import draining


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--once", action="store_true", help="leave what has to wait for another attempt, and end")


def run(given: Namespace) -> int:
    """Drain, and print the messages by state; 1 when one is quarantined. Without --once, wait until none is left to
    send."""

    async def drained() -> int:
        async with opened():
            left = await draining.drain_outbox(once=given.once)
            print(json.dumps(left._asdict()))
        return int(left.dead > 0)

    return run_main(drained)
