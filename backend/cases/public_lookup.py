"""Looking a case up without signing in, by its number and the last four characters of the applicant's document.

Four characters are few: tries are counted per number and per address, by a counter that must work. The answer names
no person: no title, no remark, no applicant. A wrong number and wrong characters give the same answer after the same
work.
"""

from __future__ import annotations

from datetime import date, datetime

import msgspec
from msgspec import Struct

from backend import cache, logs
from backend.cases.applicants import normalise_tail, tail_matches
from backend.cases.errors import CaseInvalid, CaseLookupFailed
from backend.cases.lifecycle import STATE_NAMES, TERMINAL
from backend.cases.opening import NUMBER, normalised_number
from backend.cases.vocabulary import NAMES, OUTCOME_NAMES, Kind, Outcome
from backend.crypto import fingerprint
from backend.database import fetch, fetch_row
from backend.errors import Fault, TooMany, raises
from backend.settings import settings
from models.cases import CaseState

_CASE = """
SELECT id, number, item_name, received_at, state, state_at, outcome, due_on, due, applicant_id_tail_fingerprint AS tail
FROM cases WHERE number = $1
"""
_TIMELINE = """
SELECT kind, occurred_at FROM case_events WHERE case_id = $1 AND (flag IS NULL OR path <> '{}')
ORDER BY occurred_at, rank, event_id
"""


class CaseLookupLimitExceeded(TooMany):
    """Too many tries for this number; the right four characters are refused as well for a while."""

    title = "该办件编号查询次数过多，请稍后再试，或登录后查看"


class PublicStep(Struct, frozen=True):
    """One step, without any words of the department."""

    kind: str
    name: str
    occurred_at: datetime


class PublicCaseDetail(Struct, frozen=True):
    """A case for a reader who knows its number and four characters, and no more."""

    number: str
    item_name: str
    received_at: datetime
    state: str
    state_name: str
    state_at: datetime
    ended: bool
    outcome: str | None
    outcome_name: str | None
    due_on: date | None
    due_note: str
    timeline: list[PublicStep]


@raises(CaseInvalid, CaseLookupFailed, CaseLookupLimitExceeded)
async def look_up_case(number: str, id_last_four: str) -> PublicCaseDetail:
    """The case, masked, if the four characters are those of its applicant.

    Raises CaseLookupFailed whichever of the two is wrong, CaseLookupLimitExceeded after too many tries for the
    number, CacheDown when the tries cannot be counted, CaseInvalid for characters that are none.
    """
    spelled = normalised_number(number)
    try:
        tail = normalise_tail(id_last_four)
    except ValueError as error:
        raise CaseInvalid(fields=[Fault("/id_last_four", str(error))]) from error
    await _count(spelled)
    row = await fetch_row(_CASE, spelled) if NUMBER.fullmatch(spelled) else None
    # The timeline is asked for in any case: the duration must not distinguish a right number alone from a wrong one.
    steps = await fetch(_TIMELINE, row["id"] if row else None)
    if not tail_matches(spelled, tail, row["tail"] if row else None) or row is None:
        logs.security.info("case lookup failed", extra={"event": "case-lookup.failed"})
        raise CaseLookupFailed
    state = CaseState(row["state"])
    return PublicCaseDetail(
        number=row["number"],
        item_name=row["item_name"],
        received_at=row["received_at"],
        state=state,
        state_name=STATE_NAMES[state],
        state_at=row["state_at"],
        ended=state in TERMINAL,
        outcome=row["outcome"],
        outcome_name=OUTCOME_NAMES[Outcome(row["outcome"])] if row["outcome"] else None,
        due_on=row["due_on"],
        due_note=msgspec.json.decode(row["due"])["note"],
        timeline=[PublicStep(step["kind"], NAMES[Kind(step["kind"])], step["occurred_at"]) for step in steps],
    )


async def _count(number: str) -> None:
    """Count a try for the number: some in an hour, so that a resident may mistype, and few more in a day."""
    who = fingerprint(number, "limit")
    for times, seconds in ((settings().case_lookups_per_hour, 3600), (settings().case_lookups_per_day, 86_400)):
        verdict = await cache.count_within(f"case-lookup:{seconds}:{who}", times, seconds)
        if not verdict.allowed:
            logs.security.warning("rate limit exceeded", extra={"event": "limit.exceeded", "limit": "case-lookup"})
            raise CaseLookupLimitExceeded(retry_after=verdict.retry_after)
