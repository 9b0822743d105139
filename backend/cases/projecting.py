"""A case is what its events come to: fold them, write down where it stands, and record what changed.

Runs inside the transaction that brought the events, with the case locked: the projection, the paths of the events and
the facts in the ledger live or die together.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from backend import calendar, clock
from backend.cases.deadlines import Clock, Deadline, clock_of, convention, count_deadline
from backend.cases.events import CaseCaughtUp, CaseNoted, CaseProgressed
from backend.cases.lifecycle import Folded, Step, fold, folded_event
from backend.cases.vocabulary import Kind, get_outcome, kind_of
from backend.database import transaction
from backend.events import record
from backend.settings import settings
from models.cases import Case, CaseEvent, CaseState

_MARK = """
UPDATE case_events e SET kind = m.kind, rank = m.rank, path = string_to_array(m.path, ','), flag = m.flag
FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::text[]) AS kind, unnest($3::int[]) AS rank,
             unnest($4::text[]) AS path, unnest($5::text[]) AS flag) m
WHERE e.id = m.id
"""


async def project_case(case: Case, fresh: Sequence[UUID], *, announce: bool = True) -> None:
    """Bring the case up to its events; `fresh` are the rows that came just now.

    Records one CaseProgressed when the state is another than before (CaseCaughtUp when that happened long ago), and
    CaseNoted for every other fresh event. `announce` False says nothing of the state: the case itself is the news.
    """
    rows = {row.event_id: row for row in await CaseEvent.filter(case_id=case.id)}
    for row in rows.values():
        row.kind = kind_of(row.code, row.outcome)
    folded = fold(folded_event(row.occurred_at, Kind(row.kind), row.event_id) for row in rows.values())
    await _mark(rows, folded)
    before = case.state
    await _write(case, folded, rows)
    led = next((step for step in reversed(folded.steps) if step.path), None)
    news = announce and led is not None and case.state is not before
    if news and led is not None:
        await _announce(case, before, led, rows[led.event.id])
    for row in rows.values():
        if row.id in fresh and not (news and led is not None and row.event_id == led.event.id):
            await record(CaseNoted(case_id=case.id, case_event_id=row.id, code=row.kind, flag=row.flag))


async def recount_case(case: Case) -> bool:
    """Count the case's due date again, because the calendar or its limit changed; whether it came out different."""
    events = await CaseEvent.filter(case_id=case.id)
    folded = fold(folded_event(row.occurred_at, Kind(row.kind), row.event_id) for row in events)
    counted = await _deadline(case, clock_of(folded))
    due = msgspec.json.encode(counted.due).decode()
    if (due, counted.counted) == (case.due, case.counted_days):
        return False
    case.due, case.due_on, case.counted_days = due, counted.due.on, counted.counted
    await case.save(update_fields=["due", "due_on", "counted_days"])
    return True


async def _deadline(case: Case, when: Clock) -> Deadline:
    return count_deadline(when, case.promised_days, await calendar.load(), convention())


async def _write(case: Case, folded: Folded, rows: dict[str, CaseEvent]) -> None:
    when = clock_of(folded)
    counted = await _deadline(case, when)
    changes: dict[str, Any] = {
        "state": folded.state,
        "state_at": folded.since or case.received_at,
        "outcome": _outcome(folded, rows),
        "last_event_at": max((row.occurred_at for row in rows.values()), default=None),
        "accepted_at": when.accepted_at,
        "ended_at": when.ended_at,
        "due": msgspec.json.encode(counted.due).decode(),
        "due_on": counted.due.on,
        "counted_days": counted.counted,
    }
    for name, value in changes.items():
        setattr(case, name, value)
    await case.save(update_fields=list(changes))


def _outcome(folded: Folded, rows: dict[str, CaseEvent]) -> str | None:
    """What was decided, as far as the department said so; the last word counts."""
    said = [get_outcome(rows[step.event.id].code, rows[step.event.id].outcome) for step in folded.steps if step.path]
    return next((outcome for outcome in reversed(said) if outcome), None)


async def _mark(rows: dict[str, CaseEvent], folded: Folded) -> None:
    """Write path and flag of the events for which they are not what they were."""
    changed: list[tuple[UUID, str, int, str, str | None]] = []
    for step in folded.steps:
        row = rows[step.event.id]
        path = [state.value for state in step.path]
        kept = (row.path, row.flag, row.rank)
        if (path, step.flag, step.event.rank) != kept:
            row.path, row.flag, row.rank = path, step.flag, step.event.rank
            changed.append((row.id, row.kind, row.rank, ",".join(path), row.flag))
    if changed:
        async with transaction() as connection:
            await connection.execute(_MARK, *map(list, zip(*changed, strict=True)))


async def _announce(case: Case, before: CaseState, led: Step, row: CaseEvent) -> None:
    old = led.event.at < clock.now() - timedelta(days=settings().case_news_days)
    kind = CaseCaughtUp if old else CaseProgressed
    await record(
        kind(
            case_id=case.id,
            case_event_id=row.id,
            from_state=before,
            to_state=case.state,
            code=led.event.kind,
            occurred_at=led.event.at,
        )
    )
