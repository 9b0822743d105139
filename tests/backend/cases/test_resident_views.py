"""What a resident sees: their own cases, in pages that hold still, and one case in one statement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend import cases, clock
from backend.cases import Applicant, CaseDetail, IdKind, Missing
from backend.cases.errors import CaseNotFound
from backend.cases.vocabulary import WORDS
from backend.database import execute
from backend.identity.principals import AsAgency, AsResident
from backend.paging import CursorInvalid
from models.cases import Case, CaseState
from tests.factories.cases import PHONE, a_case, a_number, a_report, a_resident_with_phone, reported

CODES = [word.name for word in WORDS] + ["未知环节", "准予许可"]


async def opened(resident: AsResident, number: str) -> CaseDetail:
    """The case as the statement gives it."""
    return msgspec.json.decode(await cases.get_own_case_json(resident, number), type=CaseDetail, strict=True)


async def test_a_resident_opens_their_case_with_its_timeline():
    resident, case = await a_resident_with_phone(), await a_case()
    await reported(case, "补正", materials=[Missing("户口簿原件", "hukou")], public_remark="请五日内补齐")
    await reported(case, "受理")

    seen = await opened(resident, case.number)

    assert (seen.state, seen.state_name, seen.ended) == ("accepted", "已受理", False)
    assert [(line.name, line.state, line.remark) for line in seen.timeline] == [
        ("补正", "correction", "请五日内补齐"),
        ("受理", "accepted", None),
    ]
    assert seen.timeline[0].materials == [Missing("户口簿原件", "hukou")]
    assert seen.due.working_days == 5


async def test_the_departments_own_words_are_not_shown():
    resident, case = await a_resident_with_phone(), await a_case()
    await reported(case, "受理", text="内部意见：转科长")

    assert "内部意见" not in (await cases.get_own_case_json(resident, case.number)).decode()


async def test_the_number_may_be_written_carelessly():
    resident, case = await a_resident_with_phone(), await a_case()

    assert (await opened(resident, f" {case.number.lower()} ")).number == case.number


@pytest.mark.parametrize("number", ["", "x", "\x00\x00\x00\x00", "'; DROP TABLE cases --", "办件编号", "1" * 200])
async def test_a_number_that_is_none_is_not_found(number: str):
    resident = await a_resident_with_phone()

    with pytest.raises(CaseNotFound):
        await cases.get_own_case_json(resident, number)


async def test_no_other_residents_case_is_found():
    await a_resident_with_phone()
    case, stranger = await a_case(), await a_resident_with_phone("13900139000")
    unseen = await a_case(applicant=Applicant("李四", None, None, "13700137000"))

    for number in (case.number, unseen.number, a_number()):
        with pytest.raises(CaseNotFound):
            await cases.get_own_case_json(stranger, number)
        with pytest.raises(CaseNotFound):
            await cases.get_own_case(stranger, number)


async def test_days_that_lie_behind_us_are_counted_as_of_today():
    accepted = datetime(2026, 3, 2, 9, tzinfo=clock.SHANGHAI)
    with clock.travel(to=accepted + timedelta(minutes=5)):
        resident = await a_resident_with_phone()
        case = await a_case(received_at=accepted)
        await reported(case, "受理")

    counted = []
    for day in (2, 3, 8, 9, 20):
        with clock.travel(to=datetime(2026, 3, day, 0, 0, 1, tzinfo=clock.SHANGHAI)):
            counted.append((await opened(resident, case.number)).due.counted)

    assert counted == [0, 1, 4, 5, 5]


steps = st.tuples(
    st.sampled_from(CODES),
    st.integers(0, 30 * 24 * 60),
    st.sampled_from([None, "approved", "rejected"]),
    st.none() | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40),
    st.booleans(),
)


@given(st.lists(steps, max_size=8), st.one_of(st.none(), st.integers(0, 30)), st.integers(0, 60))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_statement_says_what_the_models_say(
    story: list[tuple[str, int, str | None, str | None, bool]], limit: int | None, later: int
):
    began = datetime(2026, 2, 3, 1, 30, tzinfo=UTC)
    await execute("DELETE FROM residents")
    resident = await a_resident_with_phone()
    with clock.travel(to=began):
        case = await a_case(received_at=began, promised_days=limit)
    agency = AsAgency(case.agency_id, case.department_id or case.agency_id)
    reports = [
        a_report(
            code,
            f"{n}",
            began + timedelta(minutes=m),
            outcome=outcome,
            public_remark=remark,
            materials=[Missing("户口簿", None, remark)] if asks else [],
        )
        for n, (code, m, outcome, remark, asks) in enumerate(story)
    ]
    with clock.travel(to=began + timedelta(days=30)):
        await cases.ingest_reports(agency, [(case.number, each) for each in reports])

    with clock.travel(to=began + timedelta(days=later)):
        assert await opened(resident, case.number) == await cases.get_own_case(resident, case.number)


# -- the list -------------------------------------------------------------------------------------------


async def pages(resident: AsResident, limit: int, states: list[CaseState] | None = None) -> list[list[str]]:
    found: list[list[str]] = []
    cursor = None
    while True:
        lines, cursor = await cases.list_own_cases(resident, states=states, cursor=cursor, limit=limit)
        found.append([line.number for line in lines])
        if cursor is None:
            return found


async def test_the_list_shows_own_cases_the_newest_first():
    resident = await a_resident_with_phone()
    old = await a_case(received_at=clock.now() - timedelta(days=3))
    new = await a_case(received_at=clock.now() - timedelta(days=1))
    await a_case(applicant=Applicant("李四", IdKind.RESIDENT_ID, None, "13900139000"))

    assert await pages(resident, 10) == [[new.number, old.number]]


async def test_every_case_is_on_one_page_even_when_all_came_at_once():
    resident, moment = await a_resident_with_phone(), clock.now() - timedelta(days=1)
    made = [(await a_case(received_at=moment)).number for _ in range(7)]

    found = await pages(resident, 3)

    assert [len(page) for page in found] == [3, 3, 1]
    assert sorted(number for page in found for number in page) == sorted(made)


async def test_a_case_that_comes_in_meanwhile_shifts_nothing():
    resident = await a_resident_with_phone()
    made = [(await a_case(received_at=clock.now() - timedelta(days=n))).number for n in range(1, 5)]
    first, cursor = await cases.list_own_cases(resident, states=None, cursor=None, limit=2)
    await a_case()

    rest, end = await cases.list_own_cases(resident, states=None, cursor=cursor, limit=2)

    assert [line.number for line in first + rest] == made
    assert end is None


async def test_the_list_can_be_narrowed_to_states():
    resident = await a_resident_with_phone()
    await a_case()
    accepted, withdrawn = await a_case(), await a_case()
    await reported(accepted, "受理")
    await reported(withdrawn, "撤回")

    assert await pages(resident, 10, [CaseState.ACCEPTED]) == [[accepted.number]]
    both = await pages(resident, 10, [CaseState.ACCEPTED, CaseState.WITHDRAWN])
    assert sorted(both[0]) == sorted([accepted.number, withdrawn.number])


async def test_a_cursor_of_ones_own_making_is_refused():
    resident = await a_resident_with_phone()

    with pytest.raises(CursorInvalid):
        await cases.list_own_cases(resident, states=None, cursor="AAAA", limit=2)


async def test_the_list_finds_its_rows_by_the_index():
    resident = await a_resident_with_phone(PHONE)
    case = await a_case()

    lines, _ = await cases.list_own_cases(resident, states=None, cursor=None, limit=1)

    assert lines[0].due_on == (await Case.get(id=case.id)).due_on
