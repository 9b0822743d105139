"""`zhangban work`: do the jobs until a signal stops it, then finish those in flight."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from contextlib import suppress

import uvloop

from api.commands import say
from api.commands.running import opened, prepared
from api.serving import LAST_SECONDS
from backend import jobs
from backend.settings import settings
from backend.shutdown import Orders


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--lifeline", type=int, metavar="FD", help="stop when the other end of this pipe closes")


def run(arguments: Namespace) -> int:
    """Work; 0 after a stop that was ordered."""
    with prepared(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_signalled(arguments.lifeline))
    return 0


async def _until_signalled(lifeline: int | None) -> None:
    patience = settings().shutdown_seconds
    orders = Orders(patience + LAST_SECONDS)
    if lifeline is not None:
        orders.watch(lifeline)
    async with opened() as timetable:
        say("zhangban works")
        working = asyncio.create_task(jobs.work(orders.stop, timetable))
        await orders.stop.wait()
        hurry = asyncio.create_task(orders.hurry.wait())
        await asyncio.wait({working, hurry}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        # What is cut off here is not lost: its lease runs out and another worker does it again.
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
