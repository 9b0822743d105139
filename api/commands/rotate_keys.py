"""`zhangban rotate-keys`: a new key for tokens, and everything sealed with an old data key sealed anew."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from api.commands.running import opened
from api.commands.running import run as run_main
from backend import identity, key_rotation


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--at-once", action="store_true", help="the token key was stolen: refuse what it signed")
    parser.add_argument("--data-only", action="store_true", help="leave the token key alone")


def run(given: Namespace) -> int:
    """Rotate, and print which keys are in use now."""

    async def rotated() -> int:
        async with opened():
            kid = None if given.data_only else await identity.rotate_keys(at_once=given.at_once)
            done = {
                "signing_key": kid,
                "resealed": await key_rotation.reseal(),
                "in_use": await key_rotation.keys_in_use(),
            }
        print(json.dumps(done, indent=2))
        return 0

    return run_main(rotated)
