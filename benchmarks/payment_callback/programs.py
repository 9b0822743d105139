"""The three programs: that they put the same into the books, and how many notices they take."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.databases import owner
from benchmarks.payment_callback.stage import MERCHANT, Order, Stage
from benchmarks.servers import Servers

PROGRAMS = {
    "bare": "benchmarks.payment_callback.bare:application",
    "ours": "api.app:application",
    "usual": "benchmarks.payment_callback.usual:application",
}
TITLES = {
    "bare": "bare ASGI + asyncpg, the same statements (the limit)",
    "ours": "Zhangban",
    "usual": "FastAPI + SQLAlchemy 2 + pydantic",
}
_BOOKS = """
SELECT p.state || '/' || f.state || '/' || p.paid_fen || '/' || (f.paid_by_id = p.id) AS order_and_fee,
    (SELECT count(*) FROM inbound_messages m WHERE m.partner = 'wechat-pay' AND m.partner_id = 'EV-' || p.number
        AND m.state = 'handled') AS notices,
    (SELECT string_agg(x.account || ' ' || x.amount_fen, ', ' ORDER BY x.amount_fen)
        FROM ledger_groups g JOIN ledger_postings x ON x.group_id = g.id WHERE g.ref = p.number) AS postings,
    (SELECT string_agg(from_state || '>' || to_state || ' ' || cause || ' ' || actor, ', ')
        FROM payment_transitions WHERE entity_id = p.id) AS moves,
    (SELECT string_agg(e.name, ', ' ORDER BY e.name) FROM events e JOIN unsealed_events u ON u.event_id = e.id
        WHERE e.subject_id IN (p.id, f.id)) AS events,
    (SELECT count(*) FROM events e JOIN pgqueuer q
        ON convert_from(q.payload, 'UTF8')::json ->> 'event_id' = e.id::text
        WHERE e.subject_id IN (p.id, f.id)) AS jobs
FROM payments p JOIN fees f ON f.id = p.fee_id WHERE p.number = $1
"""


def agree(servers: Servers, stage: Stage) -> None:
    """Check that every program puts the same into the books, once, and refuses what is forged or unknown.

    Raises AssertionError when one does not: figures of different work compare nothing.
    """
    said = {name: asyncio.run(_tried(servers, stage, name)) for name in servers.names}
    first = next(iter(said.values()))
    assert first["answers"] == {"new": {"204": 1}, "again": {"204": 1}}, first
    assert first["refused"] == {"forged": True, "unknown": True}, first
    assert first["books"]["order_and_fee"] == "paid/paid/2000/true", first
    assert first["books"]["jobs"] == 2, first
    assert first["books"]["notices"] == 1, first
    assert MERCHANT in str(first["books"]["postings"]), first
    assert all(each == first for each in said.values()), said


async def _tried(servers: Servers, stage: Stage, name: str) -> dict[str, Any]:
    (order, other) = await stage.orders(2)
    unknown = Order("P20261122UNKNOWN0", "4200000000000000000000009999")
    tries = {
        "forged": stage.request(other, flaw="AAAA"),
        "unknown": stage.request(unknown),
        "new": stage.request(order),
        "again": stage.request(order),
    }
    answers = {what: servers.send(name, [request], 1)["answers"] for what, request in tries.items()}
    refused = {what: int(next(iter(answers[what]))) >= 400 for what in ("forged", "unknown")}
    async with owner(stage.urls) as connection:
        books = dict(await connection.fetchrow(_BOOKS, order.number))
        untouched = await connection.fetchval("SELECT state FROM payments WHERE number = $1", other.number)
    return {"answers": {w: answers[w] for w in ("new", "again")}, "refused": refused, "books": books,
            "untouched": untouched}  # fmt: skip
