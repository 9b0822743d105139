"""Departments push cases: once or ten times, with their own number or one of ours."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from backend import cases, clock
from backend.cases import Applicant, IdKind, PushedCase
from backend.cases.errors import CaseInvalid, CaseItemFixed, CaseNumberTaken, CaseReferenceReused
from backend.database import fetch, fetch_row, fetch_value
from models.cases import Case, CaseState
from tests.factories.cases import (
    ID_NUMBER,
    ITEM,
    PHONE,
    a_case,
    a_number,
    a_report,
    a_resident_with_phone,
    an_agency_principal,
    facts,
)


async def facts_in_ledger(case: Case) -> list[str]:
    rows = await fetch("SELECT name FROM events WHERE subject_id = $1 ORDER BY id", case.id)
    return [row["name"] for row in rows]


async def test_a_pushed_case_is_open_and_recorded():
    pushed = await cases.push_case(an_agency_principal(), a_number(), facts())

    assert pushed.created
    assert pushed.case.state is CaseState.SUBMITTED
    assert await facts_in_ledger(pushed.case) == ["case.opened"]


async def test_the_same_push_again_changes_nothing():
    agency, number, said = an_agency_principal(), a_number(), facts()
    first = await cases.push_case(agency, number, said)

    again = await cases.push_case(agency, f" {number.lower()} ", said)

    assert (again.created, again.changed, again.case.id) == (False, [], first.case.id)
    assert await facts_in_ledger(first.case) == ["case.opened"]
    assert (await Case.get(id=first.case.id)).version == 1


async def test_twenty_pushes_at_once_open_one_case():
    agency, number, said = an_agency_principal(), a_number(), facts()

    pushes = await asyncio.gather(*(cases.push_case(agency, number, said) for _ in range(20)))

    assert sum(pushed.created for pushed in pushes) == 1
    assert {pushed.case.id for pushed in pushes} == {pushes[0].case.id}
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.opened'") == 1


async def test_a_correction_changes_what_it_names_and_keeps_the_rest():
    agency, number = an_agency_principal(), a_number()
    opened = await cases.push_case(agency, number, facts(promised_days=5))

    said = facts(title="换领居民身份证（加急）", received_at=None, promised_days=None)
    amended = await cases.push_case(agency, number, said)

    assert (amended.created, amended.changed) == (False, ["title"])
    case = await Case.get(id=opened.case.id)
    assert (case.title, case.promised_days, case.version) == ("换领居民身份证（加急）", 5, 2)
    assert case.received_at == opened.case.received_at
    assert await facts_in_ledger(case) == ["case.opened", "case.amended"]


async def test_a_case_keeps_its_item():
    agency, number = an_agency_principal(), a_number()
    await cases.push_case(agency, number, facts())

    with pytest.raises(CaseItemFixed):
        await cases.push_case(agency, number, facts(item_code=ITEM[:-1] + "4"))


async def test_another_agency_cannot_take_a_number():
    number = a_number()
    await cases.push_case(an_agency_principal(), number, facts())

    with pytest.raises(CaseNumberTaken):
        await cases.push_case(an_agency_principal(), number, facts())


@pytest.mark.parametrize("number", ["", "abc", "A" * 65, "办件-2026", "-12345", "12345\n6$"])
async def test_a_number_that_is_none_is_refused(number: str):
    with pytest.raises(CaseInvalid) as refused:
        await cases.push_case(an_agency_principal(), number, facts())

    assert refused.value.fields[0].pointer == "/number"


@pytest.mark.parametrize("code", ["", "123", ITEM[:-1], ITEM[:17] + "0" + ITEM[18:]])
async def test_an_item_code_that_cannot_be_is_refused(code: str):
    with pytest.raises(CaseInvalid) as refused:
        await cases.push_case(an_agency_principal(), a_number(), facts(item_code=code))

    assert refused.value.fields[0].pointer == "/item_code"


async def test_a_time_far_ahead_is_refused_and_a_clock_that_is_a_little_fast_is_not():
    await a_case(received_at=clock.now() + timedelta(hours=47))

    for wrong in (clock.now() + timedelta(hours=49), datetime(1970, 1, 1, tzinfo=UTC)):
        with pytest.raises(CaseInvalid) as refused:
            await a_case(received_at=wrong)
        assert refused.value.fields[0].pointer == "/received_at"


async def test_nothing_personal_is_stored_in_clear():
    case = await a_case(title=f"张三丰（{ID_NUMBER}）换领")

    row = await fetch_row("SELECT to_jsonb(c)::text AS everything FROM cases c WHERE id = $1", case.id)
    ledger = await fetch("SELECT payload FROM events WHERE subject_id = $1", case.id)

    assert row is not None
    everything = row["everything"] + "".join(entry["payload"] for entry in ledger)
    assert ID_NUMBER not in everything
    assert PHONE not in everything
    assert case.title == "张三丰（1****************X）换领"


async def test_events_that_came_first_count_when_the_case_arrives():
    agency, number = an_agency_principal(), a_number()
    await cases.ingest_reports(agency, [(number, a_report("受理", "a")), (number, a_report("审查", "b"))])

    pushed = await cases.push_case(agency, number, facts())

    assert pushed.case.state is CaseState.IN_REVIEW
    assert await facts_in_ledger(pushed.case) == ["case.noted", "case.noted", "case.opened"]


async def test_events_that_another_agency_sent_for_the_number_do_not_count():
    number = a_number()
    await cases.ingest_reports(an_agency_principal(), [(number, a_report("办结"))])

    pushed = await cases.push_case(an_agency_principal(), number, facts())

    assert pushed.case.state is CaseState.SUBMITTED


async def test_an_event_and_its_case_arriving_at_the_same_instant_find_each_other():
    for _ in range(10):
        agency, number = an_agency_principal(), a_number()
        await asyncio.gather(
            cases.ingest_reports(agency, [(number, a_report("受理"))]), cases.push_case(agency, number, facts())
        )
        assert (await Case.get(number=number)).state is CaseState.ACCEPTED


async def test_history_that_is_filled_in_is_no_news():
    case = await a_case(received_at=clock.now() - timedelta(days=400))

    assert await facts_in_ledger(case) == ["case.imported"]


# -- numbers of ours ------------------------------------------------------------------------------------


async def test_a_case_without_a_number_gets_one_of_ours():
    pushed = await cases.push_unnumbered_case(an_agency_principal(), facts(reference="JZ-1"))

    assert pushed.case.number == f"{ITEM}{clock.today():%Y%m%d}0001"


async def test_the_same_reference_is_the_same_case_even_twenty_times_at_once():
    agency, said = an_agency_principal(), facts(reference="JZ-1")

    pushes: list[PushedCase] = await asyncio.gather(*(cases.push_unnumbered_case(agency, said) for _ in range(20)))

    assert sum(pushed.created for pushed in pushes) == 1
    assert len({pushed.case.number for pushed in pushes}) == 1
    assert await fetch_value("SELECT used FROM case_sequences") == 1


async def test_a_reference_with_another_content_is_refused_and_pointed_at():
    agency = an_agency_principal()
    await cases.push_unnumbered_case(agency, facts(reference="JZ-1"))

    with pytest.raises(CaseReferenceReused) as refused:
        await cases.push_unnumbered_case(agency, facts(reference="JZ-1", title="另一件事", received_at=None))

    assert [fault.pointer for fault in refused.value.fields] == ["/title"]


async def test_a_reference_belongs_to_one_number():
    agency = an_agency_principal()
    await cases.push_case(agency, a_number(), facts(reference="JZ-1"))

    with pytest.raises(CaseReferenceReused):
        await cases.push_case(agency, a_number(), facts(reference="JZ-1"))


async def test_a_number_that_a_department_used_by_itself_is_passed_over():
    today = f"{ITEM}{clock.today():%Y%m%d}"
    for number in ("0001", "0002"):
        await a_case(number=today + number)

    pushed = await cases.push_unnumbered_case(an_agency_principal(), facts(reference="JZ-1"))

    assert pushed.case.number == f"{today}0003"


async def test_two_agencies_may_use_the_same_reference():
    one = await cases.push_unnumbered_case(an_agency_principal(), facts(reference="JZ-1"))
    other = await cases.push_unnumbered_case(an_agency_principal(), facts(reference="JZ-1"))

    assert one.case.number != other.case.number


async def test_asking_for_a_number_without_a_reference_is_refused():
    with pytest.raises(CaseInvalid):
        await cases.push_unnumbered_case(an_agency_principal(), facts())


# -- who sees it ----------------------------------------------------------------------------------------


async def test_the_resident_with_the_applicants_phone_sees_the_case():
    resident = await a_resident_with_phone()

    case = await a_case()

    assert case.resident_id == resident.id
    assert await facts_in_ledger(case) == ["case.linked", "case.opened"]


async def test_a_corrected_phone_takes_the_case_from_one_resident_and_gives_it_to_another():
    wrong, right = await a_resident_with_phone("13900139000"), await a_resident_with_phone(PHONE)
    agency, number = an_agency_principal(), a_number()
    mistaken = Applicant("张三丰", IdKind.RESIDENT_ID, ID_NUMBER, "13900139000")
    opened = await cases.push_case(agency, number, facts(applicant=mistaken))
    assert opened.case.resident_id == wrong.id

    await cases.push_case(agency, number, facts(received_at=None))

    case = await Case.get(id=opened.case.id)
    assert case.resident_id == right.id
    assert (await facts_in_ledger(case))[-3:] == ["case.unlinked", "case.linked", "case.amended"]
