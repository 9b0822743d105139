"""`zhangban openapi`: the description of the API, without starting anything."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from api.app import build
from api.openapi import describe


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to a file instead of stdout")


def run(arguments: Namespace) -> int:
    """Print OpenAPI 3.1 as JSON."""
    described = describe(build())
    if arguments.out:
        arguments.out.write_bytes(described + b"\n")
    else:
        sys.stdout.buffer.write(described + b"\n")
    return 0
