"""What all three programs find: a database with its cases, residents with tokens, and the requests they will send."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import asyncpg
from uuid_utils.compat import uuid7

from backend import database, identity, migrations
from backend.embedded import Urls
from backend.identity import tokens, watching
from backend.settings import Settings, configure, environment
from benchmarks.progress_lookup import data

TOKEN_SECONDS = 3600
CASES_ASKED = 10
"""Cases that each of the asking residents looks at."""


class Stage(NamedTuple):
    """The environment of the programs, and the file with the requests."""

    environment: dict[str, str]
    requests: Path
    samples: list[str]


async def set_stage(urls: Urls, folder: Path, cases: int, residents: int) -> Stage:
    """Migrate, load, sign tokens and write the requests down."""
    configure(
        Settings(
            database_url=urls.database_url,
            redis_url=urls.redis_url,
            access_token_seconds=TOKEN_SECONDS,
            log_level="WARNING",
        )
    )
    await migrations.migrate()
    owner = await asyncpg.connect(**database.credentials(urls.database_url))
    made = await data.load(owner, cases)
    await owner.close()
    await database.connect()
    try:
        await watching.refresh()
        kid = identity.keys.key_set()["keys"][0]["kid"]
        lines = _requests(made, residents)
    finally:
        await database.close()
    requests = folder / "requests.json"
    requests.write_text(json.dumps(lines), "latin-1")
    chance = random.Random(7)
    given = environment(
        DATABASE_URL=urls.database_url,
        REDIS_URL=urls.redis_url,
        ACCESS_TOKEN_SECONDS=str(TOKEN_SECONDS),
        LOG_LEVEL="WARNING",
        BENCH_KID=kid,
        BENCH_AUDIENCE=tokens.audience_of("resident"),
        BENCH_ISSUER="zhangban",
        BENCH_SQLALCHEMY_URL=_for_sqlalchemy(urls.database_url),
    )
    return Stage(given, requests, chance.sample(lines, 40))


def _requests(made: list[data.Case], residents: int) -> list[str]:
    """One request per case of the asking residents, in the bytes that go over the wire."""
    owners: dict[object, list[data.Case]] = {}
    for case in made:
        owners.setdefault(case.owner, []).append(case)
    chance = random.Random(2027)
    lines: list[str] = []
    for owner in chance.sample(list(owners), min(residents, len(owners))):
        token = tokens.issue(owner, uuid7(), "resident", seconds=TOKEN_SECONDS, scattered=False).token  # type: ignore[arg-type]
        lines += [
            f"GET /v1/resident/cases/{case.number} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n"
            f"authorization: Bearer {token}\r\n\r\n"
            for case in owners[owner][:CASES_ASKED]
        ]
    return lines


def _for_sqlalchemy(url: str) -> str:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = query.get("host", "")
    return f"postgresql+asyncpg://{parts.netloc}{parts.path or '/postgres'}" + (f"?host={quote(host)}" if host else "")
