"""When a case is due, and why: every day from acceptance on is counted or skipped for a stated reason.

Pure: the calendar and the conventions are handed in. Sources: 行政许可法 art. 82 (working days, holidays not counted);
whether the day of acceptance counts and from which hour a day counts as the next one are local conventions, hence
settings. The limit stops while the case is suspended and starts again on the day it is resumed.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple

import msgspec

from backend.calendar import CalendarYearNotCovered, WorkingCalendar
from backend.cases.lifecycle import CLOCK, Folded
from backend.clock import SHANGHAI, day_of
from backend.settings import settings
from models.cases import CaseState as S


class Reason:
    """Why there is no due date. Stable codes, shown with their Chinese sentence."""

    NO_LIMIT = "no-limit"
    NOT_STARTED = "not-started"
    NEVER_STARTED = "never-started"
    PAUSED = "paused"
    YEAR_NOT_COVERED = "calendar-year-not-covered"


REASON_NAMES = {
    Reason.NO_LIMIT: "该事项没有公布以工作日计算的承诺时限",
    Reason.NOT_STARTED: "受理后开始计时",
    Reason.NEVER_STARTED: "该办件未受理，不计时限",
    Reason.PAUSED: "计时已暂停，恢复办理后继续计算",
    Reason.YEAR_NOT_COVERED: "后续年度的节假日安排尚未公布，公布后补算",
}


class Convention(NamedTuple):
    """How days are counted here. [local]"""

    cutoff_hour: int
    """Accepted at or after this hour of Asia/Shanghai counts as the next working day; 24: never."""
    same_day: bool
    """Whether the day of acceptance is day one; usually the next working day is."""


def convention() -> Convention:
    """The convention in force."""
    return Convention(settings().cutoff_hour, settings().deadline_starts == "same-day")


class Clock(NamedTuple):
    """When the limit of a case started, stood still and ended. `until` None: it still stands still."""

    accepted_at: datetime | None
    pauses: tuple[tuple[datetime, datetime | None], ...]
    ended_at: datetime | None


class Stretch(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Consecutive days that are treated alike. `total` is how many working days have counted by its end."""

    first: date
    last: date
    days: int
    what: str
    """counted, start (the day of acceptance, not counted), day_off or paused."""
    name: str
    total: int


class DueDate(msgspec.Struct, frozen=True, rename={"on": "date"}):
    """The due date as it is shown. `on` is None for a `reason`, said in Chinese in `note`."""

    on: date | None
    working_days: int | None
    accepted_on: date | None
    reason: str | None
    note: str
    explanation: list[Stretch]


class Deadline(NamedTuple):
    """The due date, and the working days that have counted towards it in order (none after the limit ended)."""

    due: DueDate
    counted: list[date]


def clock_of(folded: Folded) -> Clock:
    """When the limit started, stood still and ended, according to what happened to the case."""
    accepted: datetime | None = None
    ended: datetime | None = None
    pauses: list[tuple[datetime, datetime | None]] = []
    for step in folded.steps:
        for state in step.path[1:]:
            if state is S.ACCEPTED and accepted is None:
                accepted = step.event.at
            if pauses and pauses[-1][1] is None and state is not S.SUSPENDED:
                pauses[-1] = (pauses[-1][0], step.event.at)
            if state is S.SUSPENDED:
                pauses.append((step.event.at, None))
            if CLOCK[state] == "ended" and ended is None:
                ended = step.event.at
    return Clock(accepted, tuple(pauses), ended)


def count_deadline(clock: Clock, limit: int | None, calendar: WorkingCalendar, how: Convention) -> Deadline:
    """The due date of a limit in working days, with every day explained from acceptance to due date."""
    if limit is None:
        return _without(Reason.NO_LIMIT, limit)
    if clock.accepted_at is None:
        return _without(Reason.NEVER_STARTED if clock.ended_at else Reason.NOT_STARTED, limit)
    count = _Count(clock, limit, calendar, how)
    try:
        reason = count.run()
    except CalendarYearNotCovered:
        reason = Reason.YEAR_NOT_COVERED
    ended_on = day_of(clock.ended_at) if clock.ended_at else None
    due = DueDate(
        on=count.due_on if reason is None else None,
        working_days=limit,
        accepted_on=count.accepted_on,
        reason=reason,
        note=REASON_NAMES[reason] if reason else count.note,
        explanation=count.stretches,
    )
    return Deadline(due, [day for day in count.counted if ended_on is None or day <= ended_on])


def _without(reason: str, limit: int | None) -> Deadline:
    return Deadline(DueDate(None, limit, None, reason, REASON_NAMES[reason], []), [])


class _Count:
    """One walk along the calendar."""

    def __init__(self, clock: Clock, limit: int, calendar: WorkingCalendar, how: Convention) -> None:
        assert clock.accepted_at is not None
        self.limit, self.calendar, self.how = limit, calendar, how
        self.accepted_at = clock.accepted_at.astimezone(SHANGHAI)
        self.accepted_on = self.accepted_at.date()
        self.pauses = [(day_of(since), day_of(until) if until else None) for since, until in clock.pauses]
        self.due_on: date | None = None
        self.note = "自受理次日起按工作日计算" if not how.same_day else "自受理当日起按工作日计算"
        self.stretches: list[Stretch] = []
        self.counted: list[date] = []

    def run(self) -> str | None:
        """Walk to the due date. A reason, when the walk cannot reach it."""
        start = self._day_of_acceptance()
        day = self.accepted_on
        while self.due_on is None:
            if self._stands_still_for_good(day, start):
                return Reason.PAUSED
            self._step(day, start)
            day += timedelta(days=1)
        return None

    def _day_of_acceptance(self) -> date:
        """The working day that counts as the day of acceptance."""
        late = self.accepted_at.hour >= self.how.cutoff_hour
        if late:
            self.note = f"{self.how.cutoff_hour}:00后受理，视为下一工作日受理；{self.note}"
        elif not self.calendar.is_working(self.accepted_on):
            self.note = f"非工作日受理，视为下一工作日受理；{self.note}"
        return self.calendar.first_from(self.accepted_on + timedelta(days=late))

    def _stands_still_for_good(self, day: date, start: date) -> bool:
        return day >= start and any(until is None and since <= day for since, until in self.pauses)

    def _step(self, day: date, start: date) -> None:
        working, name = self.calendar.day(day)
        if not working:
            self._explain(day, "day_off", name or "周末")
        elif day < start or (day == start and not self.how.same_day):
            self._explain(day, "start", "受理日不计")
        elif any(since <= day and (until is None or day < until) for since, until in self.pauses):
            self._explain(day, "paused", "暂停期间不计")
        elif len(self.counted) < self.limit:
            self.counted.append(day)
            self._explain(day, "counted", name or "工作日")
        if day >= start and len(self.counted) >= self.limit:
            self.due_on = day

    def _explain(self, day: date, what: str, name: str) -> None:
        last = self.stretches[-1] if self.stretches else None
        first = last.first if last and (last.what, last.name) == (what, name) else day
        stretch = Stretch(first, day, (day - first).days + 1, what, name, len(self.counted))
        if first == day:
            self.stretches.append(stretch)
        else:
            self.stretches[-1] = stretch
