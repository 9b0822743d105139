"""`zhangban export-subject`: everything we hold about one resident, as they may ask for it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from uuid import UUID

import msgspec

from api.commands.running import opened
from api.commands.running import run as run_main
from backend import data_subjects


def add(parser: ArgumentParser) -> None:
    """The options."""
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--resident", type=UUID, metavar="ID", help="the resident's id")
    who.add_argument("--phone", metavar="NUMBER", help="the phone that the resident confirmed")


async def resident_of(given: Namespace) -> UUID:
    """Whom the options name."""
    return given.resident or await data_subjects.find(given.phone)


def run(given: Namespace) -> int:
    """Print the copy as JSON."""

    async def exported() -> int:
        async with opened():
            copy = await data_subjects.export(await resident_of(given))
        print(msgspec.json.format(msgspec.json.encode(copy, enc_hook=str), indent=2).decode())
        return 0

    return run_main(exported)
