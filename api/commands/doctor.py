"""`zhangban doctor`: what is missing or unsafe, and what to do about it."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace

import msgspec

from api.commands import say
from api.commands.databases import databases
from backend import diagnosis, logs
from backend.diagnosis import Remark
from backend.settings import Settings, SettingsError, configure, environment, settings

ORDER = ("broken", "unsafe", "missing", "note")


def add(parser: ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--profile", choices=["development", "production"], help="judge for this profile (PROFILE)")
    parser.add_argument("--json", action="store_true", help="print the remarks as JSON")


def run(arguments: Namespace) -> int:
    """Look at everything; 1 when it is not good enough for the profile."""
    logs.configure("CRITICAL")
    profile = arguments.profile or environment().get("PROFILE") or "development"
    production = profile == "production"
    try:
        # Production refuses a bad configuration at its first fault; the doctor lists all faults at once.
        configure(Settings.from_environment(environment(PROFILE="development")))
    except SettingsError as error:
        remarks = [Remark("broken", "settings", str(error), "correct the variable")]
    else:
        remarks = remarks_on(production=production)
    remarks.sort(key=lambda each: ORDER.index(each.weight))
    return _print(remarks, profile, as_json=arguments.json)


def remarks_on(*, production: bool) -> list[Remark]:
    """What is said about the settings, and about the servers as far as there are any to ask."""
    values = settings()
    found = diagnosis.of_settings(values, production=production)
    if production and not (values.database_url and values.redis_url):
        return found
    with databases() as ours:
        if ours:
            say("no DATABASE_URL: looking at the bundled PostgreSQL")
        found += asyncio.run(diagnosis.of_database(production=production))
        found += asyncio.run(diagnosis.of_cache(production=production))
    return found


def _print(remarks: list[Remark], profile: str, *, as_json: bool) -> int:
    fatal = [each for each in remarks if each.fatal]
    if as_json:
        answer = {"profile": profile, "ok": not fatal, "remarks": remarks}
        print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        return 1 if fatal else 0
    for each in remarks:
        print(f"{each.weight:8}{each.about} {each.what}\n        → {each.remedy}")
    verdict = f"Not ready for {profile}: {len(fatal)} to settle." if fatal else f"Good enough for {profile}."
    print(verdict)
    return 1 if fatal else 0
