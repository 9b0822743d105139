"""What a resident sees of their cases: the list, and one case with its timeline.

Opening a case is the read that the whole service lives by. It is one statement that finds the case, checks whose it is
and gives back the finished JSON; `Followed` is the same answer by way of the models, as its oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from backend import clock
from backend.cases.deadlines import Stretch
from backend.cases.errors import CaseNotFound
from backend.cases.lifecycle import FLAG_NAMES, STATE_NAMES, TERMINAL
from backend.cases.opening import NUMBER, normalised_number
from backend.cases.reporting import Missing
from backend.cases.vocabulary import NAMES, OUTCOME_NAMES, Kind, Outcome
from backend.database import fetch_value
from backend.errors import raises
from backend.identity import AsResident
from backend.paging import CursorInvalid, paged
from models.cases import Case, CaseEvent, CaseState

_PURPOSE = "resident-cases"


class DueDetail(Struct, rename={"on": "date"}):
    """The due date and how it came about. It is null for a `reason`; `note` says it in Chinese."""

    on: date | None
    working_days: int | None
    counted: int
    """Working days that lie behind us, today included."""
    accepted_on: date | None
    reason: str | None
    note: str
    explanation: list[Stretch]


class TimelineEntry(Struct):
    """One line of the timeline. `state` is where the event led; null when it moved nothing, `flag` then says why."""

    id: UUID
    kind: str
    name: str
    code: str
    occurred_at: datetime
    state: str | None
    state_name: str | None
    remark: str | None
    materials: list[Missing]
    flag: str | None
    flag_name: str | None


class CaseDetail(Struct):
    """One case as its resident sees it."""

    number: str
    title: str
    item_code: str
    item_name: str
    received_at: datetime
    state: str
    state_name: str
    state_at: datetime
    ended: bool
    outcome: str | None
    outcome_name: str | None
    due: DueDetail
    timeline: list[TimelineEntry]


class CaseSummary(Struct):
    """One case in the resident's list."""

    number: str
    title: str
    item_code: str
    item_name: str
    received_at: datetime
    state: str
    state_name: str
    state_at: datetime
    ended: bool
    outcome: str | None
    due_on: date | None


def _names(table: Mapping[Any, str]) -> str:
    """A table of names as an SQL literal; PostgreSQL looks a name up in it without reading a row."""
    text = msgspec.json.encode({str(key): name for key, name in table.items()}).decode()
    return "'" + text.replace("'", "''") + "'::jsonb"


_ENDED = ", ".join(f"'{state}'" for state in sorted(TERMINAL))

CASE_STATEMENT = f"""
SELECT convert_to(json_build_object(
    'number', c.number, 'title', c.title, 'item_code', c.item_code, 'item_name', c.item_name,
    'received_at', c.received_at, 'state', c.state, 'state_name', {_names(STATE_NAMES)} ->> c.state,
    'state_at', c.state_at, 'ended', c.state IN ({_ENDED}),
    'outcome', c.outcome, 'outcome_name', {_names(OUTCOME_NAMES)} ->> c.outcome,
    'due', (left(c.due, -1) || ',"counted":' || width_bucket($3::date, c.counted_days) || '}}')::json,
    'timeline', coalesce((SELECT json_agg(json_build_object(
        'id', e.id, 'kind', e.kind, 'name', {_names(NAMES)} ->> e.kind, 'code', e.code, 'occurred_at', e.occurred_at,
        'state', e.path[cardinality(e.path)], 'state_name', {_names(STATE_NAMES)} ->> e.path[cardinality(e.path)],
        'remark', e.public_remark, 'materials', coalesce(e.materials, '[]')::json,
        'flag', e.flag, 'flag_name', {_names(FLAG_NAMES)} ->> e.flag))
      FROM (SELECT * FROM case_events WHERE case_id = c.id ORDER BY occurred_at, rank, event_id) e), '[]'::json)
    )::text, 'UTF8')
FROM cases c WHERE c.number = $1 AND c.resident_id = $2
"""

_LIST = """
SELECT number, title, item_code, item_name, received_at, state, state_at, outcome, due_on, id FROM cases
WHERE resident_id = $1 AND ($2::text[] IS NULL OR state = ANY($2))
  AND ($3::timestamptz IS NULL OR (received_at, id) < ($3, $4))
ORDER BY received_at DESC, id DESC LIMIT $5
"""


@raises(CaseNotFound)
async def get_own_case_json(resident: AsResident, number: str) -> bytes:
    """The resident's case with its timeline, as finished JSON.

    Raises CaseNotFound for a number that does not exist and, in the same words, for another person's.
    """
    spelled = number if NUMBER.fullmatch(number) else normalised_number(number)
    if NUMBER.fullmatch(spelled):
        body: bytes | None = await fetch_value(CASE_STATEMENT, spelled, resident.id, clock.today())
        if body is not None:
            return body
    raise CaseNotFound


async def get_own_case(resident: AsResident, number: str) -> CaseDetail:
    """The same by way of the models: what the statement must say, slowly. Raises CaseNotFound."""
    case = await Case.get_or_none(number=normalised_number(number), resident_id=resident.id)
    if case is None:
        raise CaseNotFound
    events = await CaseEvent.filter(case_id=case.id).order_by("occurred_at", "rank", "event_id")
    today = clock.today()
    behind = sum(day <= today for day in case.counted_days)
    return CaseDetail(
        number=case.number,
        title=case.title,
        item_code=case.item_code,
        item_name=case.item_name,
        received_at=case.received_at,
        state=case.state,
        state_name=STATE_NAMES[case.state],
        state_at=case.state_at,
        ended=case.state in TERMINAL,
        outcome=case.outcome,
        outcome_name=OUTCOME_NAMES[Outcome(case.outcome)] if case.outcome else None,
        due=msgspec.convert({**msgspec.json.decode(case.due), "counted": behind}, DueDetail),
        timeline=[_happening(event) for event in events],
    )


def _happening(event: CaseEvent) -> TimelineEntry:
    led_to = CaseState(event.path[-1]) if event.path else None
    return TimelineEntry(
        id=event.id,
        kind=event.kind,
        name=NAMES[Kind(event.kind)],
        code=event.code,
        occurred_at=event.occurred_at,
        state=led_to,
        state_name=STATE_NAMES[led_to] if led_to else None,
        remark=event.public_remark,
        materials=msgspec.json.decode(event.materials or "[]", type=list[Missing]),
        flag=event.flag,
        flag_name=FLAG_NAMES[event.flag] if event.flag else None,
    )


@raises(CursorInvalid)
async def list_own_cases(
    resident: AsResident, *, states: Sequence[CaseState] | None, cursor: str | None, limit: int
) -> tuple[list[CaseSummary], str | None]:
    """The resident's cases, the one received last first, and the cursor of the next page. Raises CursorInvalid.

    A page begins behind the last case of the one before, so a case that comes in meanwhile shifts nothing.
    """
    return await paged(
        _LIST, resident.id, list(states) if states else None,
        by={"received_at": datetime.fromisoformat, "id": UUID}, make=_line, purpose=_PURPOSE,
        cursor=cursor, limit=limit,
    )  # fmt: skip


def _line(row: Mapping[str, Any]) -> CaseSummary:
    state = CaseState(row["state"])
    return CaseSummary(
        number=row["number"],
        title=row["title"],
        item_code=row["item_code"],
        item_name=row["item_name"],
        received_at=row["received_at"],
        state=state,
        state_name=STATE_NAMES[state],
        state_at=row["state_at"],
        ended=state in TERMINAL,
        outcome=row["outcome"],
        due_on=row["due_on"],
    )
