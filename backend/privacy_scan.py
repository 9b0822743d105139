"""Looking for personal data in clear: in every text of every table, in the queue, in the cache.

Sealed columns must hold sealed values and nothing else. Everywhere else no id number and no mobile number may stand.
Names cannot be found by their form; they are kept out by what the ledger and the tables are made of.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable

from stdnum.cn import ric

from backend import cache, crypto
from backend.database import transaction
from backend.key_rotation import SEALED

BY_DEPARTMENTS = {
    ("halls", "phone"): "the number of a hall",
    ("departments", "phone"): "the number of an authority",
    ("item_versions", "guide"): "a guide names whom to call",
    ("catalogue_entries", "card"): "taken from a guide",
    ("catalogue_entries", "body_text"): "taken from a guide",
    ("catalogue_entries", "grams"): "taken from a guide",
    ("cases", "title"): "the department's words",
    ("case_events", "text"): "the department's words, which may name an officer's number",
    ("case_events", "public_remark"): "the department's words, which may name an officer's number",
    ("case_events", "materials"): "the department's words",
}
"""Columns in which a phone number may stand, and why. An id number may stand in none."""

_DAY = "(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
ID_NUMBER = rf"(?<![0-9A-Za-z])[1-9][0-9]{{5}}{_DAY}[0-9]{{3}}[0-9Xx](?![0-9A-Za-z])"
PHONE = r"(?<![0-9A-Za-z.+-])(?:\+?86)?1[3-9][0-9]{9}(?![0-9A-Za-z.])"
_COLUMNS = """
SELECT c.relname::text AS on_table, a.attname::text AS name, format_type(a.atttypid, NULL) = 'bytea' AS is_bytes,
       quote_ident(c.relname) AS quoted_table, quote_ident(a.attname) AS quoted_name
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND format_type(a.atttypid, NULL) ~ '^(text|character varying|jsonb?|bytea)(\\[\\])?$'
ORDER BY 1, 2
"""
SAMPLE = 50
LONG = 3600.0
"""Seconds that one look over a large table may take."""


def personal(text: str, *, phones: bool = True) -> list[str]:
    """What kinds of personal data stand in the text: `id-number`, `phone`."""
    found = ["id-number"] if any(ric.is_valid(each.upper()) for each in re.findall(ID_NUMBER, text)) else []
    return [*found, "phone"] if phones and re.search(PHONE, text) else found


async def in_tables() -> AsyncIterator[str]:
    """Where personal data stands in clear: `table.column: kind`, without the value."""
    async with transaction() as connection:
        await connection.execute("SET TRANSACTION READ ONLY")
        await connection.execute("SET LOCAL statement_timeout = 0")
        sealed = {(each.table, each.column) for each in SEALED}
        for column in await connection.fetch(_COLUMNS):
            place = (column["on_table"], column["name"])
            if place in sealed:
                continue
            text = (
                f"encode({column['quoted_name']}, 'escape')" if column["is_bytes"] else f"{column['quoted_name']}::text"
            )
            rows = await connection.fetch(
                f"SELECT {text} AS found FROM {column['quoted_table']} WHERE {text} ~ $1 LIMIT $2",
                f"{ID_NUMBER}|{PHONE}",
                SAMPLE,
                timeout=LONG,
            )
            kinds = _kinds((row["found"] for row in rows), phones=place not in BY_DEPARTMENTS)
            for kind in kinds:
                yield f"{place[0]}.{place[1]}: {kind}"


def _kinds(texts: Iterable[str], *, phones: bool) -> list[str]:
    return sorted({kind for text in texts for kind in personal(text, phones=phones)})


async def unsealed() -> AsyncIterator[str]:
    """Sealed columns with values that are not sealed, or by a key that is not on the ring: `table.column: count`."""
    kids = list(crypto.data_ring())
    async with transaction() as connection:
        await connection.execute("SET LOCAL statement_timeout = 0")
        for each in SEALED:
            count = await connection.fetchval(
                f"SELECT count(*) FROM {each.table} WHERE {each.column} <> '' AND NOT ({each.column} ~ $1 "
                f"AND split_part({each.column}, '.', 3) = ANY($2))",
                r"^v1\.(aes-gcm|sm4-gcm)\.[0-9A-Za-z]+\.[0-9A-Za-z_=-]+$",
                kids,
                timeout=LONG,
            )
            if count:
                yield f"{each.where}: {count}"


async def in_cache(limit: int = 10_000) -> AsyncIterator[str]:
    """Names and text values in the cache that hold personal data; at most `limit` are looked at. Raises CacheDown."""
    client, looked = cache.redis(), 0
    async for key in client.scan_iter(count=500):
        looked += 1
        if looked > limit:
            return
        name = key.decode(errors="replace")
        value = b""
        if await cache.ask(lambda r, key=key: r.type(key)) == b"string":  # type: ignore[misc]
            value = await cache.ask(lambda r, key=key: r.get(key)) or b""  # type: ignore[misc]
        for kind in sorted({*personal(name), *personal(value.decode(errors="replace"))}):
            yield f"cache, under {re.split(r'[:/]', name)[0]}: {kind}"
