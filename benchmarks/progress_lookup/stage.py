"""What all three programs find: a database with its cases, residents with tokens, and the requests they will send."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import NamedTuple

from uuid_utils.compat import uuid7

from backend import database, identity
from backend.embedded import Urls
from backend.identity import session_watch, tokens
from backend.settings import environment
from benchmarks.databases import for_sqlalchemy, migrated, owner
from benchmarks.progress_lookup import data

TOKEN_SECONDS = 3600
CASES_ASKED = 10
"""Cases that each of the asking residents looks at."""


class Stage(NamedTuple):
    """The environment of the programs, and the file with the requests."""

    environment: dict[str, str]
    requests: Path
    samples: list[str]


async def set_stage(urls: Urls, folder: Path, asked: argparse.Namespace) -> Stage:
    """Migrate, load, sign tokens and write the requests down."""
    await migrated(urls, access_token_seconds=TOKEN_SECONDS)
    async with owner(urls) as connection:
        made = await data.load(connection, asked.cases)
    await database.connect()
    try:
        await session_watch.refresh_watch()
        kid = identity.keys.get_key_set()["keys"][0]["kid"]
        public_key = await database.fetch_value("SELECT public_key FROM signing_keys")
        lines = _requests(made, asked.residents)
    finally:
        await database.close()
    requests = folder / "requests.json"
    requests.write_text(json.dumps(lines), "latin-1")
    # One request of each resident: the next one in the list is then a stranger.
    samples = list({line.partition("authorization:")[2]: line for line in lines}.values())
    given = environment(
        DATABASE_URL=urls.database_url,
        REDIS_URL=urls.redis_url,
        ACCESS_TOKEN_SECONDS=str(TOKEN_SECONDS),
        LOG_LEVEL="WARNING",
        DATABASE_POOL_SIZE=str(asked.pool),
        BENCH_KID=kid,
        BENCH_PUBLIC_KEY=public_key,
        BENCH_AUDIENCE=tokens.audience_of("resident"),
        BENCH_ISSUER="zhangban",
        BENCH_SQLALCHEMY_URL=for_sqlalchemy(urls.database_url),
    )
    return Stage(given, requests, random.Random(7).sample(samples, 40))


def _requests(made: list[data.Case], residents: int) -> list[str]:
    """One request per case of the asking residents, in the bytes that go over the wire."""
    owners: dict[object, list[data.Case]] = {}
    for case in made:
        owners.setdefault(case.owner, []).append(case)
    chance = random.Random(2027)
    lines: list[str] = []
    for person in chance.sample(list(owners), min(residents, len(owners))):
        token = tokens.issue_token(person, uuid7(), "resident", seconds=TOKEN_SECONDS, scattered=False).token  # type: ignore[arg-type]
        lines += [
            f"GET /v1/resident/cases/{case.number} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n"
            f"authorization: Bearer {token}\r\n\r\n"
            for case in owners[person][:CASES_ASKED]
        ]
    return lines
