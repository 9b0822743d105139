"""What must always hold of deliveries, as far as the database can prove it (`zhangban check-invariants`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg

from backend.deliveries.lifecycle import DELIVERIES, LEADS_TO, RANK
from backend.deliveries.receiving import CONFIRMED
from backend.deliveries.returning import RECEIVED
from models.deliveries import DeliveryState as D

Rows = Callable[..., Awaitable[list[asyncpg.Record]]]
"""Runs one read-only statement without a time limit."""

_STEPS = """
SELECT DISTINCT ON (from_state, to_state) from_state, to_state, delivery_id FROM delivery_transitions
WHERE from_state IS NOT NULL
"""
_BROKEN = """
SELECT delivery_id, from_state, before FROM (
    SELECT delivery_id, from_state, lag(to_state) OVER (PARTITION BY delivery_id ORDER BY id) AS before
    FROM delivery_transitions
) m WHERE from_state IS DISTINCT FROM before LIMIT 1000
"""
_ELSEWHERE = """
SELECT d.number, d.state, m.to_state FROM deliveries d LEFT JOIN LATERAL (
    SELECT to_state FROM delivery_transitions WHERE delivery_id = d.id ORDER BY id DESC LIMIT 1
) m ON true WHERE d.state IS DISTINCT FROM m.to_state LIMIT 1000
"""
_UNAUDITED = """
SELECT delivery_id, from_state, to_state, sum(n) AS n FROM (
    SELECT delivery_id, from_state, to_state, 1 AS n FROM delivery_transitions WHERE from_state IS NOT NULL
    UNION ALL
    SELECT subject_id, payload::jsonb ->> 'from_state', payload::jsonb ->> 'to_state', -1 FROM events
    WHERE name = 'delivery.state-changed'
) both_sides GROUP BY 1, 2, 3 HAVING sum(n) <> 0 LIMIT 1000
"""
# A resident or the office confirmed some deliveries: those are signed for, regardless of their couriers.
_BY_PEOPLE = "SELECT m.delivery_id FROM delivery_transitions m WHERE m.cause = ANY($1)"
_UNFOLDED = f"""
WITH means AS (SELECT * FROM unnest($2::text[], $3::int[]) AS m (status, rank)),
     ranks AS (SELECT * FROM unnest($4::text[], $5::int[]) AS r (state, rank)),
     folds AS (SELECT n.shipment_id, max(m.rank) AS rank FROM shipment_nodes n JOIN means m USING (status)
               WHERE n.verified GROUP BY n.shipment_id)
SELECT s.number, s.state, led.state AS fold FROM shipments s LEFT JOIN folds f ON f.shipment_id = s.id
JOIN ranks led ON led.rank = greatest(coalesce(f.rank, $6), $6)
WHERE s.waybill IS NOT NULL AND s.state <> led.state AND NOT (s.state = 'signed' AND s.delivery_id IN ({_BY_PEOPLE}))
LIMIT 1000
"""
_WITHOUT_SHIPMENT = f"""
SELECT d.number, d.state, s.state AS shipment FROM deliveries d LEFT JOIN LATERAL (
    SELECT state, waybill FROM shipments WHERE delivery_id = d.id ORDER BY attempt DESC LIMIT 1
) s ON true
WHERE d.state = ANY($2) AND (s.waybill IS NULL OR s.state <> d.state)
  AND NOT (d.state = 'signed' AND d.id IN ({_BY_PEOPLE})) LIMIT 1000
"""
_UNSIGNED = """
SELECT d.number, d.state FROM deliveries d LEFT JOIN hand_overs h ON h.delivery_id = d.id
WHERE (d.state = 'handed_over') <> (h.id IS NOT NULL) LIMIT 1000
"""


def _legal() -> set[tuple[str, str]]:
    """The steps of the machine, and every step forward that a courier's nodes may lead to."""
    people = {(origin.value, goal.value) for (origin, _), goal in DELIVERIES.transitions.items() if origin is not goal}
    couriers = {(a.value, b.value) for a in RANK for b in RANK if RANK[D.ORDERED] <= RANK[a] < RANK[b]}
    return people | couriers


async def illegal(rows: Rows) -> list[str]:
    """I-9: only steps of the machine, one after the other, and the delivery is in the state the last one led to."""
    edges = _legal()
    found = [
        f"delivery {row['delivery_id']} went from {row['from_state']} to {row['to_state']}"
        for row in await rows(_STEPS)
        if (row["from_state"], row["to_state"]) not in edges
    ]
    found += [
        f"delivery {row['delivery_id']}: a step begins at {row['from_state']}, the one before ended at {row['before']}"
        for row in await rows(_BROKEN)
    ]
    return found + [
        f"delivery {row['number']} is {row['state']}, its steps lead to {row['to_state']}"
        for row in await rows(_ELSEWHERE)
    ]


async def unaudited(rows: Rows) -> list[str]:
    """I-10: every step is in the ledger, once."""
    return [
        f"delivery {row['delivery_id']}: the ledger and its steps differ by {row['n']:+d} "
        f"at {row['from_state']} to {row['to_state']}"
        for row in await rows(_UNAUDITED)
    ]


async def misplaced(rows: Rows) -> list[str]:
    """D-5: a shipment is where its verified nodes lead, a delivery is where its last shipment is, and a hand-over has
    a signature."""
    means = {status.value: RANK[state] for status, state in LEADS_TO.items() if state is not None}
    ranks = {state.value: rank for state, rank in RANK.items()}
    by_people, under_way = [CONFIRMED, RECEIVED], [state.value for state in RANK if RANK[state] >= RANK[D.ORDERED]]
    fold = [[*means], [*means.values()], [*ranks], [*ranks.values()], RANK[D.ORDERED]]
    found = [
        f"shipment {row['number']} is {row['state']}, its nodes lead to {row['fold']}"
        for row in await rows(_UNFOLDED, by_people, *fold)
    ]
    found += [
        f"delivery {row['number']} is {row['state']}, its last shipment {row['shipment'] or 'is missing'}"
        for row in await rows(_WITHOUT_SHIPMENT, by_people, under_way)
    ]
    return found + [
        f"delivery {row['number']} is {row['state']} and its hand-over contradicts it" for row in await rows(_UNSIGNED)
    ]
