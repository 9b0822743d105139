"""`zhangban erase-subject`: forget one resident, as they may ask for it."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from api.commands import CommandFailed, export_subject
from api.commands.running import opened
from api.commands.running import run as run_main
from backend import data_subjects


def add(parser: ArgumentParser) -> None:
    """The options."""
    export_subject.add(parser)
    parser.add_argument("--yes-erase", action="store_true", help="required: what is erased does not come back")


def run(given: Namespace) -> int:
    """Erase, and print what was erased, what stays and why."""
    if not given.yes_erase:
        raise CommandFailed("erasing cannot be undone; say --yes-erase")

    async def erased() -> int:
        async with opened():
            resident = await export_subject.resident_of(given)
            done = {
                "resident": str(resident),
                "erased": await data_subjects.erase(resident),
                "stays": data_subjects.STAYS,
            }
        print(json.dumps(done, indent=2))
        return 0

    return run_main(erased)
