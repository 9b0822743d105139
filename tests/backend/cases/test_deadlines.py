"""Due dates: counted day by day, every day explained, nothing guessed."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.calendar import PUBLISHED, PUBLISHED_TO, WorkingCalendar
from backend.cases.deadlines import Clock, Convention, Reason, clock_of, count_deadline
from backend.cases.lifecycle import fold, folded_event
from backend.cases.vocabulary import Kind
from backend.clock import SHANGHAI

USUAL = Convention(cutoff_hour=17, same_day=False)


def at(text: str) -> datetime:
    """An instant, given as the clock on the wall of a hall shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def due_on(accepted: str, limit: int, how: Convention = USUAL, *pauses: tuple[str, str | None]) -> date | None:
    stretches = tuple((at(since), at(until) if until else None) for since, until in pauses)
    return count_deadline(Clock(at(accepted), stretches, None), limit, PUBLISHED, how).due.on


def test_the_day_after_acceptance_is_day_one():
    # Monday, accepted in the morning: Tuesday is day one, Friday day four, Monday day five.
    assert due_on("2026-03-02T09:00", 5) == date(2026, 3, 9)


def test_where_the_day_of_acceptance_counts_it_is_day_one():
    assert due_on("2026-03-02T09:00", 5, Convention(17, same_day=True)) == date(2026, 3, 6)


def test_the_last_minute_before_the_cutoff_is_today_and_the_cutoff_is_tomorrow():
    assert due_on("2026-03-02T16:59:59", 1) == date(2026, 3, 3)
    assert due_on("2026-03-02T17:00:00", 1) == date(2026, 3, 4)
    assert due_on("2026-03-02T23:59:59", 1, Convention(24, same_day=False)) == date(2026, 3, 3)


def test_a_day_begins_at_midnight_in_shanghai_and_not_in_greenwich():
    # 15:59:59 UTC on the 2nd is the last second of the 2nd in Shanghai; a second later it is the 3rd.
    never = Convention(24, same_day=False)
    assert due_on("2026-03-02T23:59:59", 1, never) == date(2026, 3, 3)
    assert due_on("2026-03-03T00:00:00", 1, never) == date(2026, 3, 4)


def test_accepted_on_a_day_off_counts_as_the_next_working_day():
    assert due_on("2026-03-07T10:00", 1) == date(2026, 3, 10)


def test_holidays_are_skipped_and_make_up_days_counted():
    # National holiday 1 to 7 October; Saturday the 10th is worked.
    assert due_on("2026-09-30T09:00", 1) == date(2026, 10, 8)
    assert due_on("2026-09-30T09:00", 3) == date(2026, 10, 10)
    assert due_on("2026-09-30T09:00", 4) == date(2026, 10, 12)


def test_the_leap_day_counts():
    assert due_on("2024-02-28T09:00", 1) == date(2024, 2, 29)


def test_an_item_decided_on_the_spot_is_due_on_the_day_that_counts_as_acceptance():
    assert due_on("2026-03-02T09:00", 0) == date(2026, 3, 2)
    assert due_on("2026-03-07T09:00", 0) == date(2026, 3, 9)


def test_a_pause_moves_the_due_date_by_its_working_days():
    # Five days would end on Monday the 9th; Wednesday and Thursday do not count.
    assert due_on("2026-03-02T09:00", 5, USUAL, ("2026-03-04T10:00", "2026-03-06T10:00")) == date(2026, 3, 11)


def test_a_pause_that_ends_on_its_day_moves_nothing():
    assert due_on("2026-03-02T09:00", 5, USUAL, ("2026-03-04T09:00", "2026-03-04T16:00")) == date(2026, 3, 9)


def test_while_it_stands_still_there_is_no_date_but_what_was_counted_stays():
    counted = count_deadline(
        Clock(at("2026-03-02T09:00"), ((at("2026-03-05T10:00"), None),), None), 5, PUBLISHED, USUAL
    )

    assert counted.due.on is None
    assert counted.due.reason == Reason.PAUSED
    assert counted.counted == [date(2026, 3, 3), date(2026, 3, 4)]


def test_a_year_whose_holidays_are_unknown_gives_a_reason_and_no_date():
    counted = count_deadline(Clock(at(f"{PUBLISHED_TO}-12-28T09:00"), (), None), 20, PUBLISHED, USUAL)

    assert counted.due.on is None
    assert counted.due.reason == Reason.YEAR_NOT_COVERED
    assert counted.due.explanation[-1].last == date(PUBLISHED_TO, 12, 31)
    assert counted.due.explanation[-1].total == len(counted.counted)


def test_accepted_in_an_unknown_year_gives_a_reason_and_no_date():
    counted = count_deadline(Clock(at(f"{PUBLISHED_TO + 1}-03-02T09:00"), (), None), 5, PUBLISHED, USUAL)

    assert (counted.due.on, counted.due.reason, counted.counted) == (None, Reason.YEAR_NOT_COVERED, [])


@pytest.mark.parametrize(
    "clock,limit,reason",
    [
        (Clock(at("2026-03-02T09:00"), (), None), None, Reason.NO_LIMIT),
        (Clock(None, (), None), 5, Reason.NOT_STARTED),
        (Clock(None, (), at("2026-03-02T09:00")), 5, Reason.NEVER_STARTED),
    ],
)
def test_without_a_limit_or_an_acceptance_there_is_a_reason(clock: Clock, limit: int | None, reason: str):
    counted = count_deadline(clock, limit, PUBLISHED, USUAL)

    assert (counted.due.on, counted.due.reason, counted.due.explanation) == (None, reason, [])


def test_every_day_from_acceptance_to_due_date_is_explained():
    due = count_deadline(Clock(at("2026-09-29T18:00"), (), None), 5, PUBLISHED, USUAL).due

    assert [(s.first.day, s.last.day, s.what, s.name, s.total) for s in due.explanation] == [
        (29, 30, "start", "受理日不计", 0),
        (1, 7, "day_off", "国庆节", 0),
        (8, 9, "counted", "工作日", 2),
        (10, 10, "counted", "国庆节调休上班", 3),
        (11, 11, "day_off", "周末", 3),
        (12, 13, "counted", "工作日", 5),
    ]
    assert due.note == "17:00后受理，视为下一工作日受理；自受理次日起按工作日计算"


def test_days_after_the_decision_no_longer_count():
    counted = count_deadline(Clock(at("2026-03-02T09:00"), (), at("2026-03-04T11:00")), 5, PUBLISHED, USUAL)

    assert counted.counted == [date(2026, 3, 3), date(2026, 3, 4)]
    assert counted.due.on == date(2026, 3, 9)


# -- against a reference that counts one day at a time ----------------------------------------------


def by_hand(
    calendar: WorkingCalendar, accepted: datetime, limit: int, how: Convention, pauses: list[tuple[date, date]]
) -> date:
    """The due date, as a clerk with a wall calendar finds it."""
    day = accepted.astimezone(SHANGHAI).date()
    if accepted.astimezone(SHANGHAI).hour >= how.cutoff_hour:
        day += timedelta(days=1)
    while not calendar.is_working(day):
        day += timedelta(days=1)
    if limit == 0:
        return day
    if not how.same_day:
        day += timedelta(days=1)
    left = limit
    while True:
        if calendar.is_working(day) and not any(since <= day < until for since, until in pauses):
            left -= 1
            if left == 0:
                return day
        day += timedelta(days=1)


moments = st.builds(
    lambda day, time: datetime.combine(day, time, SHANGHAI), st.dates(date(2020, 1, 1), date(2025, 12, 31)), st.times()
)
pause_lists = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 15)), max_size=3)


@given(moments, st.integers(0, 45), st.builds(Convention, st.integers(9, 24), st.booleans()), pause_lists)
def test_due_dates_agree_with_counting_by_hand(
    accepted: datetime, limit: int, how: Convention, gaps: list[tuple[int, int]]
):
    pauses: list[tuple[datetime, datetime]] = []
    edge = accepted
    for gap, length in gaps:
        since = edge + timedelta(days=gap)
        edge = since + timedelta(days=length)
        pauses.append((since, edge))

    counted = count_deadline(Clock(accepted, tuple(pauses), None), limit, PUBLISHED, how)

    assert counted.due.on == by_hand(PUBLISHED, accepted, limit, how, [(a.date(), b.date()) for a, b in pauses])
    assert len(counted.counted) == limit
    assert counted.counted == sorted(set(counted.counted))


@given(moments, st.integers(1, 45))
def test_the_stretches_cover_every_day_once_and_their_totals_add_up(accepted: datetime, limit: int):
    due = count_deadline(Clock(accepted, (), None), limit, PUBLISHED, USUAL).due

    assert due.explanation[0].first == due.accepted_on == accepted.date()
    assert due.explanation[-1].last == due.on
    for one, other in zip(due.explanation, due.explanation[1:], strict=False):
        assert other.first == one.last + timedelta(days=1)
        assert (one.what, one.name) != (other.what, other.name)
    assert sum(s.days for s in due.explanation if s.what == "counted") == limit == due.explanation[-1].total


# -- when the clock runs -----------------------------------------------------------------------------


def test_the_clock_runs_from_acceptance_to_decision_and_stands_still_while_suspended():
    kinds = [Kind.CORRECTION, Kind.ACCEPTED, Kind.SUSPENDED, Kind.RESUMED, Kind.SUSPENDED, Kind.RESUMED, Kind.APPROVED]
    moments = [at(f"2026-03-0{n + 2}T09:00") for n in range(len(kinds))]

    clock = clock_of(fold(folded_event(m, k, f"{n}") for n, (m, k) in enumerate(zip(moments, kinds, strict=True))))

    assert clock.accepted_at == moments[1]
    assert clock.pauses == ((moments[2], moments[3]), (moments[4], moments[5]))
    assert clock.ended_at == moments[6]


def test_a_pause_that_a_decision_ends_is_over_at_the_decision():
    moments = [at("2026-03-02T09:00"), at("2026-03-04T09:00"), at("2026-03-06T09:00")]
    kinds = [Kind.ACCEPTED, Kind.SUSPENDED, Kind.APPROVED]

    clock = clock_of(fold(folded_event(m, k, f"{n}") for n, (m, k) in enumerate(zip(moments, kinds, strict=True))))

    assert clock.pauses == ((moments[1], moments[2]),)
    assert clock.ended_at == moments[2]
