"""Case numbers: by the rule of the place, never twice, never beyond the last one in silence."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import pytest

from backend import cases, clock
from backend.cases import numbering
from backend.cases.errors import CaseNumbersUsedUp
from backend.cases.numbering import check_rule, format_number, next_number
from backend.database import execute, fetch_value, transaction
from backend.settings import SettingsError, using
from models.cases import Case
from tests.factories.cases import ITEM, an_agency_principal, facts

OTHER_ITEM = ITEM[:-1] + "4"


async def use_up(item: str, used: int) -> None:
    await execute("INSERT INTO case_sequences (item_code, day, used) VALUES ($1, $2, $3)", item, clock.today(), used)


async def test_numbers_count_per_item():
    with clock.travel(to=datetime(2026, 3, 2, 4, tzinfo=UTC)):
        numbers = [await next_number(code) for code in (ITEM, ITEM, OTHER_ITEM)]

    assert numbers == [f"{ITEM}202603020001", f"{ITEM}202603020002", f"{OTHER_ITEM}202603020001"]
    assert len(numbers[0]) == 43


async def test_the_day_of_a_number_changes_at_midnight_in_shanghai():
    with clock.travel(to=datetime(2026, 3, 2, 15, 59, 58, tzinfo=UTC)):
        before = await next_number(ITEM)
    with clock.travel(to=datetime(2026, 3, 2, 16, 0, 0, tzinfo=UTC)):
        after = await next_number(ITEM)

    assert (before[31:], after[31:]) == ("202603020001", "202603030001")


async def test_the_leap_day_has_numbers():
    with clock.travel(to=datetime(2028, 2, 29, 4, tzinfo=UTC)):
        assert (await next_number(ITEM))[31:] == "202802290001"


async def test_sixty_at_once_get_sixty_numbers_without_a_gap():
    numbers = await asyncio.gather(*(next_number(ITEM) for _ in range(60)))

    assert sorted(int(number[-4:]) for number in numbers) == list(range(1, 61))


async def test_a_case_that_fails_takes_no_number():
    with pytest.raises(ZeroDivisionError):
        async with transaction():
            await next_number(ITEM)
            raise ZeroDivisionError

    assert (await next_number(ITEM)).endswith("0001")


async def test_the_number_after_the_last_is_refused_with_an_alarm_and_nothing_is_created():
    await use_up(ITEM, 9999)
    agency = an_agency_principal()

    for reference in ("JZ-1", "JZ-2"):
        with pytest.raises(CaseNumbersUsedUp) as refused:
            await cases.push_unnumbered_case(agency, facts(reference=reference))
        assert refused.value.facts["limit"] == 9999

    assert await Case.all().count() == 0
    assert await fetch_value("SELECT used FROM case_sequences") == 9999
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.numbers-exhausted'") == 1


async def test_the_last_number_is_still_given_and_only_once_among_many():
    await use_up(ITEM, 9998)

    outcomes = await asyncio.gather(*(next_number(ITEM) for _ in range(10)), return_exceptions=True)

    assert [each for each in outcomes if isinstance(each, str)] == [format_number(ITEM, clock.today(), 9999)]
    assert sum(isinstance(each, CaseNumbersUsedUp) for each in outcomes) == 9


async def test_operators_are_warned_before_numbers_run_out():
    await use_up(ITEM, 8997)

    await next_number(ITEM)
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.numbers-running-out'") == 0
    await next_number(ITEM)
    await next_number(ITEM)

    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.numbers-running-out'") == 1


async def test_a_wider_rule_grows_a_digit():
    await use_up(ITEM, 9999)

    with using(case_number_sequence_max=99_999):
        number = await next_number(ITEM)

    assert number == f"{ITEM}{clock.today():%Y%m%d}10000"


async def test_another_place_writes_numbers_its_own_way():
    with using(case_number_format="{date}-{item}-{sequence:06d}"):
        assert format_number(ITEM, date(2026, 3, 2), 7) == f"20260302-{ITEM}-000007"


@pytest.mark.parametrize(
    "template",
    [
        "{item}{date}",
        "{item}{sequence}",
        "{item}{date}{sequence}{town}",
        "{item",
        "{item}{date}{sequence:04q}",
        "{item}{date}{sequence:040d}",
        "no{item}{date}{sequence}",
    ],
)
def test_a_rule_that_could_repeat_or_not_fit_is_refused(template: str):
    with pytest.raises(SettingsError):
        check_rule(template, 9999)


def test_the_rule_of_the_house_is_good():
    check_rule("{item}{date}{sequence:04d}", 9999)
    assert numbering.LONGEST >= 43
