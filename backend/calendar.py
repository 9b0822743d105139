"""Working days of mainland China: weekends, holidays, make-up days, and the days an operator has set by hand.

The published arrangement comes with the `chinesecalendar` package and covers certain years; a year that it does not
cover is never guessed. `calendar_days` overrides single days, `calendar_years` vouches for a year entered by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import ClassVar, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import chinese_calendar
from chinese_calendar.constants import Holiday, holidays

from backend.database import execute, fetch, transaction
from backend.errors import Conflict, raises
from backend.events import Event, record

PUBLISHED_FROM, PUBLISHED_TO = min(holidays).year, max(holidays).year
_CHINESE = {holiday.value: holiday.chinese for holiday in Holiday}
CALENDAR = uuid5(NAMESPACE_URL, "zhangban:calendar")
"""The subject of facts about the calendar: there is one."""


class CalendarYearNotCovered(Conflict):
    """The arrangement of the year is not known, so days in it cannot be counted."""

    title = "该年度的节假日安排尚未公布，暂不能推算"


class CalendarChanged(Event, frozen=True, kw_only=True, tag="calendar.changed"):
    """A day or a year of the working calendar was set: due dates that count through it are counted again."""

    about: ClassVar[str] = "calendar_id"
    calendar_id: UUID = CALENDAR
    first: date
    last: date


class Day(NamedTuple):
    """What a day is."""

    working: bool
    name: str | None
    """Why it is out of the ordinary (春节, 国庆节调休上班 …); None for an ordinary working day or weekend."""


class WorkingCalendar:
    """The days as they are known at one moment. Pure once made; make it with `load()`."""

    def __init__(self, overrides: Mapping[date, Day] | None = None, years: frozenset[int] = frozenset()) -> None:
        self._overrides = dict(overrides or {})
        self._years = years

    def covers(self, year: int) -> bool:
        """Whether the arrangement of the year is known."""
        return PUBLISHED_FROM <= year <= PUBLISHED_TO or year in self._years

    def day(self, day: date) -> Day:
        """What this day is. Raises CalendarYearNotCovered, unless the day itself was set by hand."""
        if (override := self._overrides.get(day)) is not None:
            return override
        if PUBLISHED_FROM <= day.year <= PUBLISHED_TO:
            return _published(day)
        if day.year in self._years:
            return Day(day.weekday() < 5, None)
        raise CalendarYearNotCovered(f"{day.year}年的节假日安排尚未收录", year=day.year)

    def is_working(self, day: date) -> bool:
        """Whether halls work on this day. Raises CalendarYearNotCovered."""
        return self.day(day).working

    def first_from(self, day: date) -> date:
        """The day itself if it is a working day, otherwise the next one. Raises CalendarYearNotCovered."""
        while not self.is_working(day):
            day += timedelta(days=1)
        return day

    def after(self, start: date, count: int) -> date:
        """The `count`-th working day after `start`; `start` itself when `count` is 0. Raises CalendarYearNotCovered."""
        if count < 0:
            raise ValueError("working days are counted forward")
        day = start
        for each in self._working_after(start, count):
            day = each
        return day

    def between(self, first: date, last: date) -> int:
        """How many working days lie in the range, both ends included. Raises CalendarYearNotCovered."""
        return sum(self.is_working(first + timedelta(days=n)) for n in range((last - first).days + 1))

    def _working_after(self, start: date, count: int) -> Iterator[date]:
        day, found = start, 0
        while found < count:
            day += timedelta(days=1)
            if self.is_working(day):
                found += 1
                yield day


def _published(day: date) -> Day:
    off, name = chinese_calendar.get_holiday_detail(day)
    if name is None:
        return Day(not off, None)
    chinese = _CHINESE.get(name, name)
    return Day(not off, chinese if off else f"{chinese}调休上班")


PUBLISHED = WorkingCalendar()
"""The published arrangement alone."""


async def load() -> WorkingCalendar:
    """The calendar with everything that was set by hand."""
    days = await fetch("SELECT day, working, name FROM calendar_days")
    years = await fetch("SELECT year FROM calendar_years")
    if not days and not years:
        return PUBLISHED
    return WorkingCalendar(
        {row["day"]: Day(row["working"], row["name"]) for row in days}, frozenset(row["year"] for row in years)
    )


@raises(CalendarYearNotCovered)
async def special_days(year: int) -> list[tuple[date, Day]]:
    """The days of the year that are not what their weekday says."""
    known = await load()
    if not known.covers(year):
        raise CalendarYearNotCovered(f"{year}年的节假日安排尚未收录", year=year)
    first = date(year, 1, 1)
    days = (first + timedelta(days=n) for n in range((date(year, 12, 31) - first).days + 1))
    return [(day, what) for day in days if (what := known.day(day)).working != (day.weekday() < 5)]


async def working_days_after(start: date, count: int) -> date:
    """The `count`-th working day after `start`. Raises CalendarYearNotCovered."""
    return (await load()).after(start, count)


async def set_day(day: date, *, working: bool, name: str) -> None:
    """Declare one day working or off, against the published calendar; the last declaration counts."""
    async with transaction():
        await execute(
            "INSERT INTO calendar_days (day, working, name, set_at) VALUES ($1, $2, $3, now()) "
            "ON CONFLICT (day) DO UPDATE SET working = $2, name = $3, set_at = now()",
            day,
            working,
            name,
        )
        await record(CalendarChanged(first=day, last=day))


async def unset_day(day: date) -> None:
    """Take the word back: the published calendar counts again."""
    async with transaction():
        if await execute("DELETE FROM calendar_days WHERE day = $1", day):
            await record(CalendarChanged(first=day, last=day))


async def vouch_for(year: int, *, source: str) -> None:
    """Declare that the arrangement of the year, all its days off and make-up days, has been entered."""
    async with transaction():
        await execute(
            "INSERT INTO calendar_years (year, source, set_at) VALUES ($1, $2, now()) "
            "ON CONFLICT (year) DO UPDATE SET source = $2, set_at = now()",
            year,
            source,
        )
        await record(CalendarChanged(first=date(year, 1, 1), last=date(year, 12, 31)))
