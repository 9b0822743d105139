"""`zhangban migrate`: tables, constraints, queue, the service's role. Safe to run again, and while others serve."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace

from api.commands import say
from api.commands.databases import databases
from backend import logs, migrations
from backend.settings import settings

MIGRATED = "the database has its newest form"
"""The last line of progress."""


def add(parser: ArgumentParser) -> None:
    """No options: MIGRATION_DATABASE_URL names the owner of the tables, when that is not DATABASE_URL's user."""


def run(_: Namespace) -> int:
    """Migrate."""
    logs.configure(settings().log_level)
    with databases():
        asyncio.run(migrate())
    return 0


async def migrate() -> None:
    """Migrate the database of the settings and report each migration."""
    await migrations.migrate(lambda name: say(f"migration {name}"))
    say(MIGRATED)
