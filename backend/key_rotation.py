"""Key rotation at rest: every value that is not sealed with the current key is sealed anew, row by row, while the
service runs.

A new key is put first on the ring (`data_keys`, `fingerprint_keys`); everything old can still be opened and found. Then
`zhangban rotate-keys` walks the rows; it can be killed at any moment and goes on where it was. When it reports that no
row needs an old key any more, that key may leave the ring of the service (keep it with the backups it opens).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from backend import crypto
from backend.cases.applicants import tail_fingerprint
from backend.database import fetch, transaction
from backend.deliveries import nodes
from backend.settings import settings

BATCH = 200
"""Rows per transaction: locks are short and the service hardly notices."""

Index = Callable[[str, Mapping[str, Any]], str]
"""The blind index of an opened value, given the row that it stands in."""


def _plain(domain: str) -> Index:
    return lambda value, _: crypto.fingerprint(value, domain)


@dataclass(frozen=True)
class SealedColumn:
    """One sealed column and the blind indexes that are made from its value."""

    table: str
    column: str
    indexes: Mapping[str, Index] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    """Further columns that an index needs."""

    @property
    def where(self) -> str:
        """What the values are bound to."""
        return f"{self.table}.{self.column}"


SEALED: tuple[SealedColumn, ...] = (
    SealedColumn("residents", "phone", {"phone_fingerprint": _plain("phone")}),
    SealedColumn("wechat_accounts", "openid", {"openid_fingerprint": _plain("openid")}),
    SealedColumn("wechat_accounts", "unionid", {"unionid_fingerprint": _plain("unionid")}),
    SealedColumn("wechat_accounts", "session_key"),
    SealedColumn("delegations", "principal_name"),
    SealedColumn("delegations", "delegate_name"),
    SealedColumn("signing_keys", "private_key"),
    SealedColumn("staff_members", "name"),
    SealedColumn("staff_members", "totp_secret"),
    SealedColumn("agency_keys", "secret"),
    SealedColumn("inbound_messages", "body"),
    SealedColumn("cases", "applicant_name"),
    SealedColumn(
        "cases",
        "applicant_id_number",
        {
            "applicant_id_fingerprint": _plain("id-number"),
            "applicant_id_tail_fingerprint": lambda value, row: tail_fingerprint(row["number"], value),
        },
        also=("number",),
    ),
    SealedColumn("cases", "applicant_phone", {"applicant_phone_fingerprint": _plain("phone")}),
    SealedColumn("appointments", "visitor_name"),
    SealedColumn("strikes", "appeal"),
    SealedColumn("addresses", "name"),
    SealedColumn("addresses", "phone"),
    SealedColumn("addresses", "street"),
    SealedColumn("delivery_problems", "text"),
    SealedColumn("hand_overs", "taken_by"),
    SealedColumn("hand_overs", "signature"),
    SealedColumn("deliveries", "name"),
    SealedColumn("deliveries", "phone"),
    SealedColumn("deliveries", "street"),
    SealedColumn("shipments", "label"),
    SealedColumn(
        "shipment_nodes",
        "raw_text",
        {"digest": lambda value, row: nodes.digest(row["event_at"], row["raw_code"], value)},
        also=("event_at", "raw_code"),
    ),
    SealedColumn("payments", "payer", {"payer_fingerprint": _plain("openid")}),
)
"""Every sealed column there is; a test compares the list with what the tables hold."""


async def reseal() -> dict[str, int]:
    """Seal anew what an old key or cipher sealed, and make its blind indexes with the current key.

    Rows that are locked at this moment are left for the next run. Returns how many values were sealed anew,
    by column. Raises crypto.SealBroken at a value that no key of the ring opens: that one was tampered with.
    """
    done: dict[str, int] = {}
    for each in SEALED:
        count = 0
        while batch := await _batch(each):
            count += batch
        if count:
            done[each.where] = count
    return done


async def _batch(each: SealedColumn) -> int:
    current = f"v1.{settings().data_cipher}.{next(iter(crypto.data_ring()))}."
    wanted = ", ".join(("id", each.column, *each.also))
    async with transaction() as connection:
        rows = await connection.fetch(
            f"SELECT {wanted} FROM {each.table} WHERE {each.column} <> '' "
            f"AND NOT starts_with({each.column}, $1) ORDER BY id LIMIT {BATCH} FOR UPDATE SKIP LOCKED",
            current,
        )
        for row in rows:
            await _write(connection, each, row)
    return len(rows)


async def _write(connection: asyncpg.Connection[Any], each: SealedColumn, row: asyncpg.Record) -> None:
    value = crypto.open_sealed(row[each.column], where=each.where, row=row["id"])
    values = {each.column: crypto.seal(value, where=each.where, row=row["id"])}
    values |= {name: index(value, row) for name, index in each.indexes.items()}
    changes = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, start=2))
    await connection.execute(
        f"UPDATE {each.table} SET {changes} WHERE id = $1",
        row["id"],
        *values.values(),
    )


_ANSWERS = """
SELECT split_part(convert_from(body, 'UTF8'), '.', 3) AS kid, count(*) AS n FROM idempotency_keys GROUP BY 1
"""
# Not sealed anew: they are forgotten after `idempotency_hours`.


async def keys_in_use() -> dict[str, int]:
    """How many values each key of the data ring still seals; a key that is not named may leave the ring."""
    used: Counter[str] = Counter({row["kid"]: row["n"] for row in await fetch(_ANSWERS)})
    for each in SEALED:
        for row in await fetch(
            f"SELECT split_part({each.column}, '.', 3) AS kid, count(*) AS n "
            f"FROM {each.table} WHERE {each.column} <> '' GROUP BY 1"
        ):
            used[row["kid"]] += row["n"]
    return dict(used)
