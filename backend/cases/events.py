"""What happens to cases, as the ledger keeps it. Ids and codes only: the ledger is kept for ever."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from backend.events import Event


class CaseOpened(Event, frozen=True, kw_only=True, tag="case.opened"):
    """A department pushed a new case. `state` is where it stood by then: events may have come before the case."""

    about: ClassVar[str] = "case_id"
    case_id: UUID
    agency_id: UUID
    item_code: str
    state: str
    received_at: datetime


class CaseImported(Event, frozen=True, kw_only=True, tag="case.imported"):
    """The same of a case that came in long ago: history was filled in, no resident is notified."""

    about: ClassVar[str] = "case_id"
    case_id: UUID
    agency_id: UUID
    item_code: str
    state: str
    received_at: datetime


class CaseProgressed(Event, frozen=True, kw_only=True, tag="case.progressed"):
    """The state changed. One fact per change of what the resident sees, however many events brought it about.

    A late event that leaves the present state as it is records no such event: no resident reads stale news.
    """

    about: ClassVar[str] = "case_id"
    case_id: UUID
    case_event_id: UUID
    """The event that led to the present state."""
    from_state: str
    to_state: str
    code: str
    """Our word for that event (backend/cases/vocabulary.py)."""
    occurred_at: datetime


class CaseCaughtUp(Event, frozen=True, kw_only=True, tag="case.caught-up"):
    """The state changed by something that happened long ago: history was filled in, no resident is notified."""

    about: ClassVar[str] = "case_id"
    case_id: UUID
    case_event_id: UUID
    from_state: str
    to_state: str
    code: str
    occurred_at: datetime


class CaseNoted(Event, frozen=True, kw_only=True, tag="case.noted"):
    """An event entered the timeline and the state stayed as it was."""

    about: ClassVar[str] = "case_id"
    case_id: UUID
    case_event_id: UUID
    code: str
    flag: str | None


class CaseAmended(Event, frozen=True, kw_only=True, tag="case.amended"):
    """The department corrected what it had said about the case; `changed` names the fields, not their values."""

    about: ClassVar[str] = "case_id"
    case_id: UUID
    changed: list[str]


class CaseLinked(Event, frozen=True, kw_only=True, tag="case.linked"):
    """A resident with the applicant's confirmed phone number sees the case from now on."""

    about: ClassVar[str] = "case_id"
    case_id: UUID
    resident_id: UUID


class CaseUnlinked(Event, frozen=True, kw_only=True, tag="case.unlinked"):
    """The department named another applicant: the resident no longer sees the case."""

    about: ClassVar[str] = "case_id"
    case_id: UUID
    resident_id: UUID


class CaseNumbersRunningOut(Event, frozen=True, kw_only=True, tag="case.numbers-running-out"):
    """Nine tenths of an item's numbers of the day are used. Operators are alarmed."""

    about: ClassVar[str] = "alarm_id"
    alarm_id: UUID
    item_code: str
    day: date
    used: int
    limit: int


class CaseNumbersExhausted(Event, frozen=True, kw_only=True, tag="case.numbers-exhausted"):
    """A case was refused because the item's numbers of the day are used up. Recorded once per item and day."""

    about: ClassVar[str] = "alarm_id"
    alarm_id: UUID
    item_code: str
    day: date
    limit: int
