"""`zhangban check-invariants`: prove that what must always hold, holds."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import msgspec

from api.commands.running import opened
from api.commands.running import run as run_main
from backend import invariants


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")


def run(arguments: Namespace) -> int:
    """Prove; 1 when something is violated."""

    async def proved() -> int:
        async with opened():
            verdicts = await invariants.check()
        if arguments.json:
            answer = {"ok": not invariants.worst(verdicts), "invariants": verdicts}
            print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        else:
            print(invariants.as_lines(verdicts))
        return invariants.worst(verdicts)

    return run_main(proved)
