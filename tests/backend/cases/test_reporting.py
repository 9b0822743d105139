"""Departments report what happened: twice, late, out of order, in words we do not know. Nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta

import pytest

from backend import cases, clock
from backend.cases import Missing
from backend.cases.errors import CaseEventsFull, CaseInvalid, CaseNotFound, EventIdReused
from backend.cases.lifecycle import EDGES, Flag, fold, folded_event
from backend.cases.reporting import MOST_PER_CASE
from backend.cases.vocabulary import kind_of
from backend.database import fetch, fetch_value
from backend.identity.principals import AsAgency
from backend.settings import using
from models.cases import Case, CaseEvent, CaseState
from tests.factories.cases import ID_NUMBER, a_case, a_number, a_report, an_agency_principal, reported


def agency_of(case: Case) -> AsAgency:
    assert case.department_id is not None
    return AsAgency(case.agency_id, case.department_id)


async def progress_of(case: Case) -> list[tuple[str, str]]:
    """Every change of state in the ledger: (from, to)."""
    rows = await fetch(
        "SELECT payload::json->>'from_state' AS a, payload::json->>'to_state' AS b FROM events "
        "WHERE subject_id = $1 AND name = 'case.progressed' ORDER BY id",
        case.id,
    )
    return [(row["a"], row["b"]) for row in rows]


async def test_each_change_of_state_is_recorded_once():
    case = await a_case()

    await reported(case, "受理", "审查", "决定", "办结")

    assert (await Case.get(id=case.id)).state is CaseState.CLOSED
    assert await progress_of(case) == [
        ("submitted", "accepted"),
        ("accepted", "in_review"),
        ("in_review", "approved"),
        ("approved", "closed"),
    ]


async def test_several_events_at_once_are_one_change_for_the_resident():
    case, began = await a_case(), clock.now() - timedelta(hours=1)
    batch = [a_report(code, at=began + timedelta(minutes=n)) for n, code in enumerate(["受理", "审查", "中止"])]

    await cases.ingest_reports(agency_of(case), [(case.number, each) for each in batch])

    assert await progress_of(case) == [("submitted", "suspended")]
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.noted'") == 2


async def test_the_same_event_twenty_times_at_once_is_one_event():
    case = await a_case()
    same = a_report("受理", "e-1")

    answers = await asyncio.gather(*(cases.ingest_reports(agency_of(case), [(case.number, same)]) for _ in range(20)))

    assert sum(not kept.repeated for (kept,) in answers) == 1
    assert {kept.event.id for (kept,) in answers} == {answers[0][0].event.id}
    assert await CaseEvent.all().count() == 1
    assert await progress_of(case) == [("submitted", "accepted")]


async def test_the_same_event_written_in_another_time_zone_is_the_same():
    case, moment = await a_case(), clock.now().replace(microsecond=0) - timedelta(hours=1)
    await cases.ingest_reports(agency_of(case), [(case.number, a_report("受理", "e-1", moment))])

    elsewhere = moment.astimezone(clock.SHANGHAI)
    (again,) = await cases.ingest_reports(agency_of(case), [(case.number, a_report("受理", "e-1", elsewhere))])

    assert again.repeated


async def test_another_content_under_the_same_id_is_refused_with_a_pointer_and_loses_nothing():
    case, moment = await a_case(), clock.now() - timedelta(hours=1)
    await cases.ingest_reports(agency_of(case), [(case.number, a_report("受理", "e-1", moment))])

    batch = [(case.number, a_report("审查", "e-2")), (case.number, a_report("不予受理", "e-1", moment))]
    with pytest.raises(EventIdReused) as refused:
        await cases.ingest_reports(agency_of(case), batch)

    assert [fault.pointer for fault in refused.value.fields] == ["/events/1/event_id"]
    assert [event.code for event in await CaseEvent.all()] == ["受理"]
    assert (await Case.get(id=case.id)).state is CaseState.ACCEPTED


async def test_two_agencies_may_use_the_same_event_id():
    one, other = await a_case(), await a_case()

    await cases.ingest_reports(agency_of(one), [(one.number, a_report("受理", "1"))])
    await cases.ingest_reports(agency_of(other), [(other.number, a_report("不予受理", "1"))])

    assert await CaseEvent.all().count() == 2


async def test_a_case_of_another_agency_is_not_there():
    case = await a_case()

    with pytest.raises(CaseNotFound):
        await cases.ingest_reports(an_agency_principal(), [(case.number, a_report("办结"))])

    assert await CaseEvent.all().count() == 0


async def test_an_unknown_code_is_kept_and_shown_and_moves_nothing():
    case = await a_case()

    (kept,) = await reported(case, "Z99-专网流转")

    assert (kept.event.code, kept.event.kind, kept.event.flag, kept.event.path) == ("Z99-专网流转", "other", None, [])
    assert (await Case.get(id=case.id)).state is CaseState.SUBMITTED
    assert await progress_of(case) == []


async def test_what_cannot_be_is_kept_with_a_flag():
    case = await a_case()

    kept = await reported(case, "受理", "不予受理")

    assert [each.event.flag for each in kept] == [None, Flag.NOT_POSSIBLE]
    assert await progress_of(case) == [("submitted", "accepted")]


async def test_a_second_correction_is_kept_with_a_flag_and_sends_no_second_notice():
    case = await a_case()

    kept = await reported(case, "补正", "补齐", "补正", materials=[Missing("户口簿")])

    assert kept[2].event.flag == Flag.SECOND_CORRECTION
    assert await progress_of(case) == [("submitted", "correction"), ("correction", "submitted")]


async def test_a_late_event_that_changes_nothing_now_enters_the_timeline_without_news():
    case, began = await a_case(), clock.now() - timedelta(hours=1)
    await cases.ingest_reports(agency_of(case), [(case.number, a_report("审查", "b", began + timedelta(minutes=9)))])

    await cases.ingest_reports(agency_of(case), [(case.number, a_report("受理", "a", began))])

    events = await CaseEvent.filter(case_id=case.id).order_by("occurred_at")
    assert [(event.code, event.path) for event in events] == [
        ("受理", ["submitted", "accepted"]),
        ("审查", ["accepted", "in_review"]),
    ]
    assert await progress_of(case) == [("submitted", "in_review")]
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.noted'") == 1


async def test_a_late_event_that_changes_where_the_case_stands_is_news():
    case, began = await a_case(), clock.now() - timedelta(hours=1)
    await cases.ingest_reports(agency_of(case), [(case.number, a_report("受理", "b", began + timedelta(minutes=9)))])

    await cases.ingest_reports(agency_of(case), [(case.number, a_report("撤回", "a", began))])

    case = await Case.get(id=case.id)
    assert case.state is CaseState.WITHDRAWN
    assert await progress_of(case) == [("submitted", "accepted"), ("accepted", "withdrawn")]
    late = await CaseEvent.get(event_id="b")
    assert (late.path, late.flag) == ([], Flag.AFTER_END)


async def test_history_that_is_filled_in_changes_the_state_without_news():
    long_ago = clock.now() - timedelta(days=500)
    case = await a_case(received_at=long_ago)

    await cases.ingest_reports(agency_of(case), [(case.number, a_report("受理", at=long_ago + timedelta(days=1)))])

    assert (await Case.get(id=case.id)).state is CaseState.ACCEPTED
    assert await progress_of(case) == []
    assert await fetch_value("SELECT count(*) FROM events WHERE name = 'case.caught-up'") == 1


async def test_events_before_their_case_are_kept_and_repeated_without_effect():
    agency, number, early = an_agency_principal(), a_number(), a_report("受理")

    (first,) = await cases.ingest_reports(agency, [(number, early)])
    (again,) = await cases.ingest_reports(agency, [(number, early)])

    assert (first.case, first.repeated, again.repeated) == (None, False, True)
    assert first.event.id == again.event.id


async def test_a_batch_may_be_about_several_cases_and_is_answered_in_its_order():
    agency = an_agency_principal()
    one, other = await a_case(agency), await a_case(agency)
    batch = [
        (other.number, a_report("受理", "x")),
        (one.number, a_report("不予受理", "y")),
        (other.number, a_report("Z", "z")),
    ]

    kept = await cases.ingest_reports(agency, batch)

    assert [each.event.event_id for each in kept] == ["x", "y", "z"]
    assert (await Case.get(id=one.id)).state is CaseState.NOT_ACCEPTED
    assert (await Case.get(id=other.id)).state is CaseState.ACCEPTED


async def test_batches_over_the_same_cases_in_opposite_order_do_not_wait_for_each_other():
    agency = an_agency_principal()
    numbers = [(await a_case(agency)).number for _ in range(6)]

    async def batch(order: list[str], word: str) -> None:
        await cases.ingest_reports(agency, [(number, a_report("审查", f"{word}-{number}")) for number in order])

    await asyncio.gather(*(batch(numbers if n % 2 else numbers[::-1], f"{n}") for n in range(8)))

    assert await CaseEvent.all().count() == 48


async def test_one_impossible_time_refuses_the_whole_batch_and_says_which():
    case = await a_case()

    with pytest.raises(CaseInvalid) as refused:
        await cases.ingest_reports(
            agency_of(case),
            [(case.number, a_report("受理")), (case.number, a_report("审查", at=clock.now() + timedelta(hours=49)))],
        )

    assert refused.value.fields[0].pointer == "/events/1/occurred_at"
    assert await CaseEvent.all().count() == 0


async def test_identity_numbers_in_remarks_are_masked_before_they_are_kept():
    case = await a_case()

    (kept,) = await reported(case, "补正", public_remark=f"请{ID_NUMBER}本人到场", text=f"证号{ID_NUMBER.lower()}")

    assert kept.event.public_remark == "请1****************X本人到场"
    assert ID_NUMBER.lower() not in (kept.event.text or "")


async def test_a_case_does_not_take_events_without_end():
    case = await a_case()
    agency = agency_of(case)
    for start in range(0, MOST_PER_CASE, 100):
        await cases.ingest_reports(agency, [(case.number, a_report("其他", f"{start + n}")) for n in range(100)])

    with pytest.raises(CaseEventsFull):
        await cases.ingest_reports(agency, [(case.number, a_report("受理", "one too many"))])

    assert await CaseEvent.all().count() == MOST_PER_CASE


async def test_every_order_of_arrival_ends_the_same():
    began = clock.now() - timedelta(days=1)
    story = [
        a_report(code, f"{n}", began + timedelta(minutes=n)) for n, code in enumerate(["补正", "受理", "撤回", "决定"])
    ]
    expected = fold(folded_event(each.occurred_at, kind_of(each.code), each.event_id) for each in story)

    for order in itertools.permutations(story):
        case = await a_case(received_at=began)
        for each in (*order, order[0]):
            await cases.ingest_reports(agency_of(case), [(case.number, each)])
        now = await Case.get(id=case.id)
        events = await CaseEvent.filter(case_id=case.id).order_by("occurred_at")
        assert (now.state, now.state_at) == (expected.state, expected.since)
        assert [tuple(event.path) for event in events] == [step.path for step in expected.steps]
        assert [event.flag for event in events] == [step.flag for step in expected.steps]


async def test_recorded_paths_only_take_edges():
    case = await a_case()
    await reported(case, "受理", "办结", "撤回", "送达")

    rows = await fetch("SELECT path FROM case_events WHERE cardinality(path) > 0")

    hops = [(a, b) for row in rows for a, b in itertools.pairwise(row["path"])]
    assert hops
    assert all(CaseState(b) in EDGES[CaseState(a)] for a, b in hops)


async def test_an_outcome_is_shown_only_when_it_was_said():
    open_ended, refused = await a_case(), await a_case()

    await reported(open_ended, "受理", "决定", "办结")
    await reported(refused, "受理", "不予许可", "办结")

    assert (await Case.get(id=open_ended.id)).outcome is None
    assert (await Case.get(id=refused.id)).outcome == "rejected"


async def test_the_due_date_is_counted_from_acceptance_and_stands_still_while_suspended():
    accepted = datetime(2026, 3, 2, 9, tzinfo=clock.SHANGHAI)
    case = await a_case(received_at=accepted, promised_days=5)
    assert (await Case.get(id=case.id)).due_on is None

    with using(case_news_days=3650):
        await cases.ingest_reports(agency_of(case), [(case.number, a_report("受理", "1", accepted))])
        running = await Case.get(id=case.id)
        await cases.ingest_reports(
            agency_of(case), [(case.number, a_report("中止", "2", accepted + timedelta(days=2)))]
        )
        stopped = await Case.get(id=case.id)
        await cases.ingest_reports(
            agency_of(case), [(case.number, a_report("恢复", "3", accepted + timedelta(days=4)))]
        )
        again = await Case.get(id=case.id)

    assert [f"{each.due_on}" for each in (running, stopped, again)] == ["2026-03-09", "None", "2026-03-11"]
    assert len(stopped.counted_days) == 1
