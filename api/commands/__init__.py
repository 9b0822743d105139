"""The commands of `zhangban`: one module per command, each with `add(parser)` and `run(arguments)`."""

import sys


class CommandFailed(Exception):
    """A command cannot go on; the message is for the operator, who needs no traceback."""


def say(line: str) -> None:
    """Print a line of progress, beside the answer that goes to stdout."""
    print(f"· {line}", file=sys.stderr, flush=True)
