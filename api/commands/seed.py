"""`zhangban seed`: what a demo or an examination finds when it begins."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import get_args

import msgspec

from api.commands.migrate import migrate
from api.commands.running import opened
from api.commands.running import run as run_main
from backend import seeding


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "--profile",
        choices=get_args(seeding.Profile),
        default="demo",
        help="demo: catalogue, agencies, staff, halls; acceptance: residents R001 to R050 too",
    )
    parser.add_argument(
        "--open-now",
        metavar="PLACES",
        type=int,
        nargs="+",
        default=[],
        help="also open slots with so many places each in city-hall that begin within the hour",
    )
    parser.add_argument("--migrate", action="store_true", help="bring the database to the newest form first")


def run(arguments: Namespace) -> int:
    """Seed, and print as JSON what opens the doors."""

    async def seeded() -> int:
        if arguments.migrate:
            await migrate()
        async with opened():
            credentials = await seeding.seed(arguments.profile, open_now=tuple(arguments.open_now))
        print(msgspec.json.format(msgspec.json.encode(credentials), indent=2).decode())
        return 0

    return run_main(seeded)
