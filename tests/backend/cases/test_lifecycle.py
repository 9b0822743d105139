"""The table of the case's life, and the fold: order and repetition of reports make no difference."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases.lifecycle import (
    CLOCK,
    EDGES,
    FLAG_NAMES,
    STATE_NAMES,
    TERMINAL,
    TRANSITIONS,
    Flag,
    Folded,
    FoldedEvent,
    as_data,
    fold,
    folded_event,
    step_of,
)
from backend.cases.vocabulary import NAMES, RANKS, WORDS, Kind, Outcome, get_outcome, kind_of
from models.cases import CaseState as S

DAY = datetime(2026, 3, 2, 1, tzinfo=UTC)


def folded_from(*kinds: Kind, apart: timedelta = timedelta(days=1)) -> Folded:
    """The events in this order, `apart` from each other, folded."""
    return fold(folded_event(DAY + n * apart, kind, f"e{n}") for n, kind in enumerate(kinds))


def states_of(folded: Folded) -> list[S]:
    return [folded.steps[0].path[0] if folded.steps and folded.steps[0].path else S.SUBMITTED] + [
        state for step in folded.steps for state in step.path[1:]
    ]


def test_every_state_has_edges_a_name_and_a_clock():
    assert set(EDGES) == set(STATE_NAMES) == set(CLOCK) == set(S)


def test_the_edges_are_those_of_the_model_and_no_others():
    line = {
        S.DRAFT: {S.SUBMITTED, S.WITHDRAWN},
        S.SUBMITTED: {S.CORRECTION, S.ACCEPTED, S.NOT_ACCEPTED, S.WITHDRAWN},
        S.CORRECTION: {S.SUBMITTED, S.LAPSED, S.WITHDRAWN},
        S.ACCEPTED: {S.IN_REVIEW, S.WITHDRAWN},
        S.IN_REVIEW: {S.SUSPENDED, S.APPROVED, S.REJECTED, S.WITHDRAWN},
        S.SUSPENDED: {S.IN_REVIEW, S.WITHDRAWN},
        S.APPROVED: {S.ISSUED},
        S.ISSUED: {S.DELIVERED},
        S.DELIVERED: {S.CLOSED},
        S.REJECTED: {S.CLOSED},
    }
    assert {state: set(goals) for state, goals in EDGES.items() if goals} == line
    assert set(TERMINAL) == {S.NOT_ACCEPTED, S.LAPSED, S.CLOSED, S.WITHDRAWN}


@pytest.mark.parametrize("state,kind", sorted(TRANSITIONS))
def test_every_move_leads_along_edges(state: S, kind: Kind):
    path = (state, *TRANSITIONS[state, kind])

    assert all(goal in EDGES[origin] for origin, goal in itertools.pairwise(path))


def test_terminal_states_absorb():
    assert all(not path for (state, _), path in TRANSITIONS.items() if state in TERMINAL)


def test_a_careful_department_leads_the_case_through_every_state():
    folded = folded_from(
        Kind.RECEIVED,
        Kind.CORRECTION,
        Kind.CORRECTED,
        Kind.ACCEPTED,
        Kind.REVIEWING,
        Kind.SUSPENDED,
        Kind.RESUMED,
        Kind.APPROVED,
        Kind.ISSUED,
        Kind.DELIVERED,
        Kind.CLOSED,
    )

    assert folded.state is S.CLOSED
    assert [step.flag for step in folded.steps] == [None] * 11
    assert states_of(folded) == [
        S.SUBMITTED,
        S.CORRECTION,
        S.SUBMITTED,
        S.ACCEPTED,
        S.IN_REVIEW,
        S.SUSPENDED,
        S.IN_REVIEW,
        S.APPROVED,
        S.ISSUED,
        S.DELIVERED,
        S.CLOSED,
    ]


def test_a_terse_department_is_understood_without_leaving_the_edges():
    folded = folded_from(Kind.ACCEPTED, Kind.CLOSED)

    assert folded.state is S.CLOSED
    assert folded.steps[1].path == (S.ACCEPTED, S.IN_REVIEW, S.APPROVED, S.ISSUED, S.DELIVERED, S.CLOSED)
    assert folded.since == DAY + timedelta(days=1)


def test_a_refusal_ends_rejected_and_closes():
    assert folded_from(Kind.ACCEPTED, Kind.REJECTED).state is S.REJECTED
    assert folded_from(Kind.ACCEPTED, Kind.REJECTED, Kind.DELIVERED, Kind.CLOSED).state is S.CLOSED
    assert folded_from(Kind.ACCEPTED, Kind.CLOSED_REJECTED).steps[1].path == (
        S.ACCEPTED,
        S.IN_REVIEW,
        S.REJECTED,
        S.CLOSED,
    )


def test_a_second_correction_notice_does_not_move_the_case():
    folded = folded_from(Kind.CORRECTION, Kind.CORRECTED, Kind.CORRECTION)

    assert folded.state is S.SUBMITTED
    assert [step.flag for step in folded.steps] == [None, None, Flag.SECOND_CORRECTION]


def test_a_correction_after_acceptance_stops_the_clock_and_is_flagged():
    folded = folded_from(Kind.ACCEPTED, Kind.CORRECTION)

    assert folded.state is S.SUSPENDED
    assert folded.steps[1].flag == Flag.LATE_CORRECTION


@pytest.mark.parametrize("kind", [Kind.NOT_ACCEPTED, Kind.RESUMED, Kind.LAPSED])
def test_what_cannot_be_is_kept_and_flagged_and_moves_nothing(kind: Kind):
    folded = folded_from(Kind.ACCEPTED, kind)

    assert folded.state is S.ACCEPTED
    assert folded.steps[1].path == ()
    assert folded.steps[1].flag == Flag.NOT_POSSIBLE


def test_nothing_moves_a_case_after_its_end_but_what_belongs_to_the_end_is_no_fault():
    folded = folded_from(Kind.WITHDRAWN, Kind.ACCEPTED, Kind.OTHER)
    closed = folded_from(Kind.ACCEPTED, Kind.CLOSED, Kind.DELIVERED, Kind.REVIEWING)

    assert [step.flag for step in folded.steps] == [None, Flag.AFTER_END, None]
    assert [step.flag for step in closed.steps] == [None, None, None, Flag.AFTER_END]
    assert closed.state is S.CLOSED


def test_withdrawal_is_possible_until_the_decision_and_not_after_it():
    before = {state for (state, kind), path in TRANSITIONS.items() if kind is Kind.WITHDRAWN and path}

    assert before == {S.DRAFT, S.SUBMITTED, S.CORRECTION, S.ACCEPTED, S.IN_REVIEW, S.SUSPENDED}
    assert step_of(S.APPROVED, Kind.WITHDRAWN) == (None, Flag.NOT_POSSIBLE)


def test_events_of_one_day_without_a_time_are_put_in_their_natural_order():
    kinds = [Kind.CLOSED, Kind.APPROVED, Kind.ACCEPTED, Kind.REVIEWING, Kind.RECEIVED]
    folded = folded_from(*kinds, apart=timedelta(0))

    assert folded.state is S.CLOSED
    assert [step.flag for step in folded.steps] == [None] * 5


events = st.builds(
    lambda minute, kind, number: folded_event(DAY + timedelta(minutes=minute), kind, f"e{number}"),
    st.integers(0, 5),
    st.sampled_from(Kind),
    st.integers(0, 10_000),
)
stories = st.lists(events, max_size=12, unique_by=lambda event: event.id)


@given(stories, st.randoms(use_true_random=False), st.data())
def test_any_order_with_any_repetition_comes_to_the_same(
    story: list[FoldedEvent], chance: random.Random, data: st.DataObject
):
    again = story + (data.draw(st.lists(st.sampled_from(story), max_size=6)) if story else [])
    chance.shuffle(again)

    assert fold(again) == fold(story)


@given(stories)
def test_a_story_only_takes_edges_and_never_leaves_an_end(story: list[FoldedEvent]):
    folded = fold(story)

    here = S.SUBMITTED
    for step in folded.steps:
        if step.path:
            assert step.path[0] is here
            assert here not in TERMINAL
            assert all(b in EDGES[a] for a, b in itertools.pairwise(step.path))
            here = step.path[-1]
    assert folded.state is here
    assert sum(S.CORRECTION in step.path[1:] for step in folded.steps) <= 1
    assert len(folded.steps) == len(story)


@given(stories, events)
def test_an_event_that_comes_later_is_only_added_at_the_end(story: list[FoldedEvent], last: FoldedEvent):
    late = last._replace(at=DAY + timedelta(days=1), id="last")

    assert fold([*story, late]).steps[:-1] == fold(story).steps


# -- the words ---------------------------------------------------------------------------------------


def test_every_kind_has_one_line_and_no_spelling_stands_for_two():
    spellings = [spelling for word in WORDS for spelling in (word.kind.value, word.name, *word.spellings)]

    assert {word.kind for word in WORDS} == set(Kind)
    assert len(spellings) == len(set(spellings))
    assert len(set(RANKS.values())) == len(WORDS)
    assert NAMES[Kind.OTHER] == "其他"


@pytest.mark.parametrize(
    "code,outcome,kind",
    [
        ("受理", None, Kind.ACCEPTED),
        (" 受理 ", None, Kind.ACCEPTED),
        ("ACCEPTED", None, Kind.ACCEPTED),
        ("not-accepted", None, Kind.NOT_ACCEPTED),
        ("决定", None, Kind.APPROVED),
        ("决定", "rejected", Kind.REJECTED),
        ("办结", "rejected", Kind.CLOSED_REJECTED),
        ("受理", "rejected", Kind.ACCEPTED),
        ("09-转外省", None, Kind.OTHER),
    ],
)
def test_codes_are_understood_in_the_spellings_of_departments(code: str, outcome: str | None, kind: Kind):
    assert kind_of(code, outcome) is kind


def test_an_outcome_is_never_guessed():
    assert get_outcome("决定", None) is None
    assert get_outcome("办结", None) is None
    assert get_outcome("决定", "approved") is Outcome.APPROVED
    assert get_outcome("准予许可", None) is Outcome.APPROVED
    assert get_outcome("不予许可", None) is Outcome.REJECTED
    assert get_outcome("终止", None) is Outcome.TERMINATED
    assert get_outcome("受理", "approved") is None


def test_the_table_is_served_whole():
    data = as_data()

    assert {state["code"] for state in data["states"]} == set(S)  # type: ignore[attr-defined]
    assert {(e["from"], e["to"]) for e in data["edges"]} == {(a, b) for a in EDGES for b in EDGES[a]}  # type: ignore[attr-defined]
    assert len(data["transitions"]) == len(TRANSITIONS)  # type: ignore[arg-type]
    assert {flag["code"] for flag in data["flags"]} == set(FLAG_NAMES)  # type: ignore[attr-defined]
