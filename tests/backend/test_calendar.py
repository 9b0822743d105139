"""The working calendar: what is published, what is set by hand, and nothing guessed."""

from __future__ import annotations

from datetime import date, timedelta

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend import calendar
from backend.calendar import PUBLISHED, PUBLISHED_FROM, PUBLISHED_TO, CalendarYearNotCovered, Day, WorkingCalendar
from backend.database import fetch_value

covered = st.dates(date(PUBLISHED_FROM, 1, 1), date(PUBLISHED_TO, 8, 31))


@given(covered)
def test_the_published_days_are_those_of_the_package(day: date):
    assert PUBLISHED.is_working(day) is chinese_calendar.is_workday(day)


@given(covered, st.integers(0, 60))
def test_counting_forward_agrees_with_going_day_by_day(start: date, count: int):
    day, left = start, count
    while left:
        day += timedelta(days=1)
        left -= chinese_calendar.is_workday(day)

    assert PUBLISHED.after(start, count) == day


@given(covered, st.integers(0, 120))
def test_days_between_add_up(first: date, length: int):
    last = first + timedelta(days=length)

    assert PUBLISHED.between(first, last) == sum(
        chinese_calendar.is_workday(first + timedelta(days=n)) for n in range(length + 1)
    )


@given(covered, st.integers(1, 40), st.sets(st.integers(0, 80), max_size=10), st.booleans())
def test_days_set_by_hand_win(start: date, count: int, which: set[int], working: bool):
    overrides = {start + timedelta(days=n): Day(working, "试") for n in which}
    mine = WorkingCalendar(overrides)

    day, left = start, count
    while left:
        day += timedelta(days=1)
        left -= overrides[day].working if day in overrides else chinese_calendar.is_workday(day)

    assert mine.after(start, count) == day


def test_holidays_and_make_up_days_have_their_chinese_names():
    assert PUBLISHED.day(date(2026, 10, 1)) == Day(False, "国庆节")
    assert PUBLISHED.day(date(2026, 10, 10)) == Day(True, "国庆节调休上班")
    assert PUBLISHED.day(date(2026, 10, 11)) == Day(False, None)
    assert PUBLISHED.day(date(2026, 10, 12)) == Day(True, None)


def test_the_leap_day_is_a_day_like_any_other():
    assert PUBLISHED.day(date(2024, 2, 29)) == Day(True, None)
    assert PUBLISHED.after(date(2024, 2, 28), 1) == date(2024, 2, 29)
    assert PUBLISHED.after(date(2024, 2, 28), 2) == date(2024, 3, 1)


@pytest.mark.parametrize("day", [date(PUBLISHED_FROM - 1, 12, 31), date(PUBLISHED_TO + 1, 1, 1)])
def test_a_year_that_is_not_published_is_not_guessed(day: date):
    with pytest.raises(CalendarYearNotCovered) as refused:
        PUBLISHED.day(day)

    assert refused.value.facts == {"year": day.year}


def test_counting_into_a_year_that_is_not_published_is_refused():
    with pytest.raises(CalendarYearNotCovered):
        PUBLISHED.after(date(PUBLISHED_TO, 12, 30), 10)


def test_days_are_only_counted_forward():
    with pytest.raises(ValueError, match="forward"):
        PUBLISHED.after(date(2026, 1, 1), -1)


async def test_an_operator_enters_a_year_before_the_package_knows_it():
    year = PUBLISHED_TO + 1
    new_year = date(year, 1, 1)
    await calendar.set_day(new_year, working=False, name="元旦")
    await calendar.vouch_for(year, source="国办发明电")

    first = await calendar.working_days_after(date(PUBLISHED_TO, 12, 31), 1)

    assert first > new_year
    assert first.weekday() < 5
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'calendar.changed'") == 2


async def test_the_last_word_about_a_day_counts_and_can_be_taken_back():
    storm = date(2026, 7, 1)
    await calendar.set_day(storm, working=True, name="试")
    await calendar.set_day(storm, working=False, name="台风停工")
    assert (await calendar.load()).day(storm) == Day(False, "台风停工")

    await calendar.unset_day(storm)
    await calendar.unset_day(storm)

    assert (await calendar.load()).day(storm) == Day(True, None)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'calendar.changed'") == 3
