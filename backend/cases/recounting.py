"""Counting due dates again when the calendar changes: a holiday set by hand, a year that is known at last."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from backend.calendar import CalendarChanged
from backend.cases.locks import lock_number
from backend.cases.projecting import recount_case
from backend.database import fetch, transaction
from backend.events import EventMeta
from backend.jobs import enqueue, job
from models.cases import Case

AT_ONCE = 200
JOB = "cases.recount"

# A case whose limit runs through the days that changed, or that waits for a year to become known.
_TOUCHED = """
SELECT id, number FROM cases
WHERE ended_at IS NULL AND accepted_at IS NOT NULL AND promised_days IS NOT NULL AND id > $1
  AND (due_on IS NULL OR due_on >= $2) AND accepted_at < $3
ORDER BY id LIMIT $4
"""
_NOBODY = UUID(int=0)


async def recount_on_calendar(event: CalendarChanged, meta: EventMeta) -> None:
    """Have the due dates counted again that run through the days that changed."""
    await enqueue(JOB, {"first": event.first.isoformat(), "last": event.last.isoformat()})


@job(JOB)
async def recount_cases(payload: dict[str, Any]) -> None:
    """Count a few hundred due dates again and leave the rest to the next job.

    Without days in the payload only those that have no date yet: a new release of the published calendar may have
    brought the year they wait for.
    """
    first = date.fromisoformat(payload["first"]) if "first" in payload else date.max
    last = date.fromisoformat(payload["last"]) if "last" in payload else date.max - timedelta(days=2)
    begin = UUID(payload["behind"]) if "behind" in payload else _NOBODY
    rows = await fetch(_TOUCHED, begin, first, last + timedelta(days=2), AT_ONCE)
    for row in rows:
        async with transaction():
            await lock_number(row["number"])
            case = await Case.filter(id=row["id"]).select_for_update().first()
            if case is not None:
                await recount_case(case)
    if len(rows) == AT_ONCE:
        async with transaction():
            await enqueue(JOB, {**payload, "behind": str(rows[-1]["id"])})
