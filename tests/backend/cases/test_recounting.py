"""The calendar changes: due dates that run through it are counted again."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from backend import calendar, clock, jobs
from backend.calendar import PUBLISHED_TO
from backend.cases import recounting
from backend.database import fetch_value, transaction
from models.cases import Case
from tests.factories.cases import a_case, reported

MONDAY = datetime(2026, 3, 2, 9, tzinfo=clock.SHANGHAI)


async def an_accepted_case(moment: datetime = MONDAY, limit: int = 5) -> Case:
    with clock.travel(to=moment + timedelta(hours=1)):
        case = await a_case(received_at=moment, promised_days=limit)
        await reported(case, "受理")
        await jobs.drain(strict=False)
    return await Case.get(id=case.id)


async def test_a_day_off_in_the_middle_moves_the_due_date():
    case, later = await an_accepted_case(), await an_accepted_case(MONDAY + timedelta(days=30))
    assert case.due_on == date(2026, 3, 9)

    await calendar.set_day(date(2026, 3, 4), working=False, name="台风停工")
    await jobs.drain(strict=False)

    moved, untouched = await Case.get(id=case.id), await Case.get(id=later.id)
    assert moved.due_on == date(2026, 3, 10)
    assert "台风停工" in moved.due
    assert (untouched.due_on, untouched.due) == (later.due_on, later.due)


async def test_a_case_that_is_decided_keeps_the_due_date_it_had():
    case = await an_accepted_case()
    with clock.travel(to=MONDAY + timedelta(hours=3)):
        await reported(case, "决定")

    await calendar.set_day(date(2026, 3, 4), working=False, name="台风停工")
    await jobs.drain(strict=False)

    assert (await Case.get(id=case.id)).due_on == date(2026, 3, 9)


async def test_a_year_that_becomes_known_gives_the_date_that_was_missing():
    case = await an_accepted_case(datetime(PUBLISHED_TO, 12, 28, 9, tzinfo=clock.SHANGHAI))
    assert case.due_on is None

    await calendar.set_day(date(PUBLISHED_TO + 1, 1, 1), working=False, name="元旦")
    await calendar.vouch_for(PUBLISHED_TO + 1, source="国务院办公厅通知")
    await jobs.drain(strict=False)

    assert (await Case.get(id=case.id)).due_on == (await calendar.load()).after(date(PUBLISHED_TO, 12, 28), 5)


async def test_the_nightly_look_counts_what_has_no_date_and_leaves_the_rest(monkeypatch: pytest.MonkeyPatch):
    waiting = await an_accepted_case(datetime(PUBLISHED_TO, 12, 28, 9, tzinfo=clock.SHANGHAI))
    dated = await an_accepted_case()
    looked_at: list[str] = []

    async def watched(case: Case) -> bool:
        looked_at.append(case.number)
        return False

    monkeypatch.setattr(recounting, "recount_case", watched)
    await recounting.recount_cases({})

    assert looked_at == [waiting.number]
    assert dated.number not in looked_at


async def test_many_cases_are_counted_in_several_jobs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recounting, "AT_ONCE", 2)
    made = [await an_accepted_case() for _ in range(5)]

    await calendar.set_day(date(2026, 3, 4), working=False, name="台风停工")
    await jobs.drain(strict=False)

    assert [(await Case.get(id=case.id)).due_on for case in made] == [date(2026, 3, 10)] * 5


async def test_counting_again_without_a_reason_changes_nothing():
    case = await an_accepted_case()

    async with transaction():
        changed = await recounting.recount_case(case)

    assert changed is False
    assert await fetch_value("SELECT version FROM cases") == 1
