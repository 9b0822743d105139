"""What must always hold for cases, asked of the whole database at once: for `check-invariants` and the tests.

Read-only, and one statement per rule, so that millions of cases can be looked through.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from backend.cases.lifecycle import EDGES
from backend.database import fetch

MOST = 100
"""Findings that are named one by one; a database with more is broken throughout."""


class Inconsistency(NamedTuple):
    """One case that breaks a rule, and how."""

    rule: str
    case_id: UUID
    what: str


_OFF_THE_EDGES = """
SELECT e.case_id, e.path[n] || ' > ' || e.path[n + 1] AS what
FROM case_events e CROSS JOIN LATERAL generate_series(1, cardinality(e.path) - 1) AS n
WHERE e.case_id IS NOT NULL AND NOT (e.path[n] || '>' || e.path[n + 1]) = ANY($1) LIMIT $2
"""
# Each path begins where the one before it ended, the first one at the beginning.
_TORN = """
SELECT case_id, reported || ' instead of ' || expected AS what FROM (
    SELECT case_id, path[1] AS reported,
           coalesce(lag(path[cardinality(path)]) OVER (PARTITION BY case_id ORDER BY occurred_at, rank, event_id),
                    'submitted') AS expected
    FROM case_events WHERE case_id IS NOT NULL AND path <> '{}') steps
WHERE reported <> expected LIMIT $1
"""
_MISPLACED = """
SELECT c.id AS case_id, c.state || ' instead of ' || coalesce(e.path[cardinality(e.path)], 'submitted') AS what
FROM cases c LEFT JOIN LATERAL (
    SELECT path FROM case_events WHERE case_id = c.id AND path <> '{}'
    ORDER BY occurred_at DESC, rank DESC, event_id DESC LIMIT 1) e ON true
WHERE c.state <> coalesce(e.path[cardinality(e.path)], 'submitted') LIMIT $1
"""
_CORRECTED_TWICE = """
SELECT case_id, count(*) || ' notices' AS what
FROM case_events WHERE case_id IS NOT NULL AND kind = 'correction' AND path <> '{}'
GROUP BY case_id HAVING count(*) > 1 LIMIT $1
"""
_ORPHANED = """
SELECT c.id AS case_id, 'event ' || e.event_id AS what
FROM case_events e JOIN cases c ON c.number = e.case_number AND c.agency_id = e.agency_id
WHERE e.case_id IS DISTINCT FROM c.id LIMIT $1
"""


async def list_inconsistencies() -> list[Inconsistency]:
    """Every case that breaks a rule, none when all is well; at most MOST per rule."""
    edges = [f"{origin}>{goal}" for origin, goals in EDGES.items() for goal in goals]
    asked = (
        ("only listed steps", _OFF_THE_EDGES, (edges, MOST)),
        ("each step begins where the last one ended", _TORN, (MOST,)),
        ("a case stands where its events led", _MISPLACED, (MOST,)),
        ("one correction notice per case", _CORRECTED_TWICE, (MOST,)),
        ("no event lost its case", _ORPHANED, (MOST,)),
    )
    return [
        Inconsistency(rule, row["case_id"], row["what"])
        for rule, statement, arguments in asked
        for row in await fetch(statement, *arguments)
    ]
