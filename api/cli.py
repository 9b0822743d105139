"""The one command, `zhangban`. Each of its commands is a module in `api/commands/`, loaded when it is asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from api.commands import CommandFailed
from api.loading import uncollected
from backend.settings import SettingsError

COMMANDS: dict[str, str] = {
    "serve": "answer HTTP requests",
    "work": "do the jobs: messages, deadlines, the clock",
    "migrate": "bring the database to the newest form",
    "seed": "fill in what a demo or an examination needs to begin",
    "doctor": "say in plain words what is missing or unsafe in the configuration",
    "openapi": "print the description of the API",
    "demo": "run the main job from end to end on this machine and show it",
    "check-invariants": "prove that what must always hold, holds",
    "verify-audit": "prove that the ledger of events is whole",
    "dead-letters": "list jobs that failed too often, or requeue them",
    "rotate-keys": "make a new signing key and seal anew what an old data key sealed",
    "export-subject": "print everything that is held about one resident",
    "erase-subject": "forget one resident",
    "reconcile": "compare the payment channels' bills with our books, and repair what they confirm",
    "outbox-drain": "do every job and send every message that is due",
}
"""Every command and what it does, in the order of `zhangban --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 well, 1 the command found something, 2 it could not run."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="zhangban",
        description="Zhangban (掌办): the back end of a mini-program for government services.",
        epilog="Settings come from the environment; `zhangban doctor` looks at them.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, what in COMMANDS.items():
        each = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        if given[:1] == [name]:
            # Only the command that was asked for is loaded: `zhangban --help` need not import the world.
            with uncollected():
                module = import_module(f"api.commands.{name.replace('-', '_')}")
            module.add(each)
            each.set_defaults(run=module.run)
    chosen = parser.parse_args(given)
    try:
        return int(chosen.run(chosen))
    except Exception as error:
        if not _is_plain(error):
            raise
        print(f"zhangban {chosen.command}: {error}", file=sys.stderr)
        return 2


def _is_plain(error: Exception) -> bool:
    """Whether the message alone is enough for an operator. The bundled servers are known by name, not by import."""
    plain = isinstance(error, CommandFailed | SettingsError | OSError)
    return plain or type(error).__name__ == "EmbeddedFailed"


if __name__ == "__main__":
    sys.exit(main())
