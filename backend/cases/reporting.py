"""What happens to cases, as departments report it: late, twice, out of order, and sometimes before the case itself.

Everything that can be read is kept. The same event id with the same content is the same event; with another content it
is refused, because one of the two would be lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct
from uuid_utils.compat import uuid7

from backend import clock
from backend.cases.applicants import without_id_numbers
from backend.cases.errors import CaseEventsFull, CaseInvalid, CaseNotFound, EventIdReused
from backend.cases.locks import lock_number
from backend.cases.opening import check_moment, checked_number
from backend.cases.projecting import project_case
from backend.cases.vocabulary import RANKS, Outcome, kind_of
from backend.database import fetch_value, transaction
from backend.errors import Fault, raises
from backend.identity import AsAgency
from backend.sql import named
from models.cases import Case, CaseEvent

MOST_AT_ONCE = 200
MOST_PER_CASE = 500
"""Events of one case; a system that reports more is broken, and every page of the case would carry them."""

_ADD = """
INSERT INTO case_events (id, created_at, agency_id, case_number, case_id, event_id, code, kind, outcome, occurred_at,
                         rank, text, public_remark, materials, digest, path, flag)
VALUES (:id, :now, :agency_id, :case_number, :case_id, :event_id, :code, :kind, :outcome, :occurred_at, :rank, :text,
        :public_remark, :materials, :digest, '{}', NULL)
ON CONFLICT (agency_id, case_number, event_id) DO NOTHING RETURNING id
"""
_DIGEST = "SELECT digest FROM case_events WHERE agency_id = $1 AND case_number = $2 AND event_id = $3"
_COUNT = "SELECT count(*) FROM case_events WHERE agency_id = $1 AND case_number = $2"


class Missing(Struct, frozen=True):
    """One thing that a 补正 asks for; `ref` names it in the guide."""

    name: str
    ref: str | None = None
    note: str | None = None


class Report(Struct, frozen=True, kw_only=True):
    """One thing that happened, as a department reports it."""

    event_id: str
    code: str
    occurred_at: datetime
    outcome: Outcome | None = None
    text: str | None = None
    public_remark: str | None = None
    materials: list[Missing] = []


class ReportResult(Struct, frozen=True):
    """The event as it stands now. `repeated`: we had it already. `case` is None while the case is unknown."""

    event: CaseEvent
    case: Case | None
    repeated: bool


@raises(CaseInvalid, CaseNotFound, EventIdReused, CaseEventsFull)
async def ingest_reports(
    agency: AsAgency, reports: Sequence[tuple[str, Report]], *, pointer: str = "/events/{}"
) -> list[ReportResult]:
    """Keep what happened to the cases with these numbers; all of it or nothing. In the order it was given.

    Raises CaseInvalid, CaseNotFound for a case of another agency, EventIdReused, CaseEventsFull; `pointer` is where in
    the request the n-th report stands.
    """
    reports = [
        (checked_number(number, f"{pointer.format(n)}/number"), _clean(each, pointer.format(n)))
        for n, (number, each) in enumerate(reports)
    ]
    by_number: dict[str, list[int]] = {}
    for position, (number, _) in enumerate(reports):
        by_number.setdefault(number, []).append(position)
    repeated: dict[int, bool] = {}
    cases: dict[str, Case | None] = {}
    async with transaction():
        # In one order for everybody, so that two batches cannot wait for each other.
        for number in sorted(by_number):
            positions = by_number[number]
            found = await _keep(agency, number, [(pointer.format(p), reports[p][1]) for p in positions])
            cases[number], fresh = found
            repeated |= dict(zip(positions, (not new for new in fresh), strict=True))
        rows = await _rows(agency, by_number)
    return [
        ReportResult(rows[number, each.event_id], cases[number], repeated[position])
        for position, (number, each) in enumerate(reports)
    ]


def _clean(each: Report, pointer: str) -> Report:
    check_moment(each.occurred_at, f"{pointer}/occurred_at")
    if not each.event_id.strip() or not each.code.strip():
        raise CaseInvalid(fields=[Fault(f"{pointer}/event_id", "事件编号和代码不能为空")])
    return msgspec.structs.replace(
        each,
        text=without_id_numbers(each.text) if each.text else None,
        public_remark=without_id_numbers(each.public_remark) if each.public_remark else None,
    )


def digest_of(each: Report) -> str:
    """What makes two reports the same: their whole content, the moment as an instant."""
    instant = each.occurred_at.timestamp()
    plain = [each.code, instant, each.outcome, each.text, each.public_remark, each.materials]
    return hashlib.sha256(msgspec.json.encode(plain)).hexdigest()


async def _keep(agency: AsAgency, number: str, reports: list[tuple[str, Report]]) -> tuple[Case | None, list[bool]]:
    """Write down the events of one case and bring it up to them; which of them were new."""
    await lock_number(number)
    case = await Case.filter(number=number).select_for_update().first()
    if case is not None and case.agency_id != agency.id:
        raise CaseNotFound
    fresh: list[UUID | None] = [await _add(agency, number, case, each, pointer) for pointer, each in reports]
    new = [row for row in fresh if row is not None]
    if new and await fetch_value(_COUNT, agency.id, number) > MOST_PER_CASE:
        raise CaseEventsFull(limit=MOST_PER_CASE)
    if case is not None and new:
        await project_case(case, new)
    return case, [row is not None for row in fresh]


async def _add(agency: AsAgency, number: str, case: Case | None, each: Report, pointer: str) -> UUID | None:
    """The row of a new event; None when we have it already. Raises EventIdReused when we have another."""
    kind, digest = kind_of(each.code, each.outcome), digest_of(each)
    materials = msgspec.json.encode(each.materials).decode() if each.materials else None
    row: UUID | None = await fetch_value(
        *named(
            _ADD,
            {
                "id": uuid7(),
                "now": clock.now(),
                "agency_id": agency.id,
                "case_number": number,
                "case_id": case.id if case else None,
                "event_id": each.event_id,
                "code": each.code,
                "kind": kind,
                "outcome": each.outcome,
                "occurred_at": each.occurred_at,
                "rank": RANKS[kind],
                "text": each.text,
                "public_remark": each.public_remark,
                "materials": materials,
                "digest": digest,
            },
        )
    )
    if row is None and await fetch_value(_DIGEST, agency.id, number, each.event_id) != digest:
        raise EventIdReused(fields=[Fault(f"{pointer}/event_id", "该事件编号已用于内容不同的事件")])
    return row


async def _rows(agency: AsAgency, numbers: dict[str, list[int]]) -> dict[tuple[str, str], CaseEvent]:
    found = await CaseEvent.filter(agency_id=agency.id, case_number__in=list(numbers))
    return {(row.case_number, row.event_id): row for row in found}
