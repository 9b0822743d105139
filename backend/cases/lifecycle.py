"""The life of a case: which states there are, what leads from one to the next, and what a set of events comes to.

Pure: no time is asked, nothing is read or written. `EDGES` are the only steps a case ever takes. Departments report
with very different care: some send 受理 and then 办结 with nothing between. Such an event leads over several edges at
once: it implies the steps that were not reported, and never one that is not in the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from backend.cases.vocabulary import RANKS, WORDS, Kind
from models.cases import CaseState as S

EDGES: Mapping[S, frozenset[S]] = MappingProxyType(
    {
        S.DRAFT: frozenset({S.SUBMITTED, S.WITHDRAWN}),
        S.SUBMITTED: frozenset({S.CORRECTION, S.ACCEPTED, S.NOT_ACCEPTED, S.WITHDRAWN}),
        S.CORRECTION: frozenset({S.SUBMITTED, S.LAPSED, S.WITHDRAWN}),
        S.ACCEPTED: frozenset({S.IN_REVIEW, S.WITHDRAWN}),
        S.IN_REVIEW: frozenset({S.SUSPENDED, S.APPROVED, S.REJECTED, S.WITHDRAWN}),
        S.SUSPENDED: frozenset({S.IN_REVIEW, S.WITHDRAWN}),
        S.APPROVED: frozenset({S.ISSUED}),
        S.ISSUED: frozenset({S.DELIVERED}),
        S.DELIVERED: frozenset({S.CLOSED}),
        S.REJECTED: frozenset({S.CLOSED}),
        S.NOT_ACCEPTED: frozenset(),
        S.LAPSED: frozenset(),
        S.CLOSED: frozenset(),
        S.WITHDRAWN: frozenset(),
    }
)
TERMINAL = frozenset(state for state, following in EDGES.items() if not following)

STATE_NAMES: Mapping[S, str] = MappingProxyType(
    {
        S.DRAFT: "草稿",
        S.SUBMITTED: "已提交，待受理",
        S.CORRECTION: "待补正材料",
        S.ACCEPTED: "已受理",
        S.NOT_ACCEPTED: "不予受理",
        S.LAPSED: "逾期未补正，已失效",
        S.IN_REVIEW: "审查中",
        S.SUSPENDED: "办理暂停",
        S.APPROVED: "已作出决定",
        S.REJECTED: "不予许可",
        S.ISSUED: "已制证",
        S.DELIVERED: "已送达",
        S.CLOSED: "已办结",
        S.WITHDRAWN: "已撤回",
    }
)
"""What residents read. 已作出决定 and 已办结 say nothing about the outcome: it is shown only when it was reported."""

CLOCK: Mapping[S, str] = MappingProxyType(
    {
        **dict.fromkeys((S.DRAFT, S.SUBMITTED), "not_started"),
        **dict.fromkeys((S.CORRECTION, S.SUSPENDED), "stopped"),
        **dict.fromkeys((S.ACCEPTED, S.IN_REVIEW), "running"),
        **dict.fromkeys((S.APPROVED, S.REJECTED, S.ISSUED, S.DELIVERED), "ended"),
        **dict.fromkeys((S.NOT_ACCEPTED, S.LAPSED, S.CLOSED, S.WITHDRAWN), "ended"),
    }
)
"""What the department's limit does in each state."""

_MAIN = (S.SUBMITTED, S.ACCEPTED, S.IN_REVIEW, S.APPROVED, S.ISSUED, S.DELIVERED, S.CLOSED)
_UNDECIDED = (S.SUBMITTED, S.CORRECTION, S.ACCEPTED, S.IN_REVIEW, S.SUSPENDED)
_ONWARD = {
    Kind.ACCEPTED: S.ACCEPTED,
    Kind.REVIEWING: S.IN_REVIEW,
    Kind.APPROVED: S.APPROVED,
    Kind.ISSUED: S.ISSUED,
    Kind.DELIVERED: S.DELIVERED,
    Kind.CLOSED: S.CLOSED,
}


def _along(origin: S, goal: S) -> tuple[S, ...]:
    """The steps from one state onward to a later one of the main line; empty when it is not later."""
    if origin is S.CORRECTION:
        return (S.SUBMITTED, *_along(S.SUBMITTED, goal))
    if origin is S.SUSPENDED:
        return (S.IN_REVIEW, *_along(S.IN_REVIEW, goal)) if goal is not S.ACCEPTED else ()
    here, there = _MAIN.index(origin), _MAIN.index(goal)
    return _MAIN[here + 1 : there + 1]


def _table() -> dict[tuple[S, Kind], tuple[S, ...]]:
    moves: dict[tuple[S, Kind], tuple[S, ...]] = {(S.DRAFT, Kind.SUBMITTED): (S.SUBMITTED,)}
    for kind, goal in _ONWARD.items():
        for state in (*_UNDECIDED, S.APPROVED, S.ISSUED, S.DELIVERED):
            moves[state, kind] = _along(state, goal)
    for state in _UNDECIDED:
        reviewed = _along(state, S.IN_REVIEW)
        moves[state, Kind.REJECTED] = (*reviewed, S.REJECTED)
        moves[state, Kind.CLOSED_REJECTED] = (*reviewed, S.REJECTED, S.CLOSED)
        moves[state, Kind.TERMINATED] = (*reviewed, S.REJECTED, S.CLOSED)
        moves[state, Kind.WITHDRAWN] = (S.WITHDRAWN,)
    moves |= {
        (S.DRAFT, Kind.WITHDRAWN): (S.WITHDRAWN,),
        (S.SUBMITTED, Kind.CORRECTION): (S.CORRECTION,),
        # After acceptance the law knows no 补正 any more; the department is waiting all the same, so its clock stops.
        (S.ACCEPTED, Kind.CORRECTION): (S.IN_REVIEW, S.SUSPENDED),
        (S.IN_REVIEW, Kind.CORRECTION): (S.SUSPENDED,),
        (S.CORRECTION, Kind.CORRECTED): (S.SUBMITTED,),
        (S.CORRECTION, Kind.SUBMITTED): (S.SUBMITTED,),
        (S.SUSPENDED, Kind.CORRECTED): (S.IN_REVIEW,),
        (S.SUBMITTED, Kind.NOT_ACCEPTED): (S.NOT_ACCEPTED,),
        (S.CORRECTION, Kind.NOT_ACCEPTED): (S.SUBMITTED, S.NOT_ACCEPTED),
        (S.CORRECTION, Kind.LAPSED): (S.LAPSED,),
        (S.CORRECTION, Kind.TERMINATED): (S.LAPSED,),
        (S.ACCEPTED, Kind.SUSPENDED): (S.IN_REVIEW, S.SUSPENDED),
        (S.IN_REVIEW, Kind.SUSPENDED): (S.SUSPENDED,),
        (S.SUSPENDED, Kind.RESUMED): (S.IN_REVIEW,),
        (S.REJECTED, Kind.CLOSED): (S.CLOSED,),
        (S.REJECTED, Kind.CLOSED_REJECTED): (S.CLOSED,),
    }
    # Said again, or said of a step already behind us: true, and nothing moves.
    for state in EDGES:
        for kind in (Kind.RECEIVED, Kind.OTHER):
            moves[state, kind] = ()
    for state in (S.SUBMITTED, S.ACCEPTED, S.IN_REVIEW, S.SUSPENDED):
        moves[state, Kind.SUBMITTED] = ()
    moves |= {
        (S.SUBMITTED, Kind.CORRECTED): (),
        (S.ACCEPTED, Kind.CORRECTED): (),
        (S.IN_REVIEW, Kind.CORRECTED): (),
        (S.SUSPENDED, Kind.SUSPENDED): (),
        (S.NOT_ACCEPTED, Kind.NOT_ACCEPTED): (),
        (S.NOT_ACCEPTED, Kind.DELIVERED): (),
        (S.REJECTED, Kind.REJECTED): (),
        (S.REJECTED, Kind.DELIVERED): (),
        (S.LAPSED, Kind.LAPSED): (),
        (S.LAPSED, Kind.TERMINATED): (),
        (S.WITHDRAWN, Kind.WITHDRAWN): (),
        (S.CLOSED, Kind.CLOSED): (),
        (S.CLOSED, Kind.ISSUED): (),
        (S.CLOSED, Kind.DELIVERED): (),
    }
    return moves


TRANSITIONS: Mapping[tuple[S, Kind], tuple[S, ...]] = MappingProxyType(_table())
"""(state, kind of event) → the steps it leads over; none: the event is true and moves nothing. Not in the table: it
cannot be, and is kept with a flag."""


class Flag:
    """Why an event did not count, or what was irregular about one that did. Stable codes, kept with the event."""

    NOT_POSSIBLE = "not-possible"
    AFTER_END = "after-end"
    SECOND_CORRECTION = "second-correction"
    LATE_CORRECTION = "correction-after-acceptance"


FLAG_NAMES: Mapping[str, str] = MappingProxyType(
    {
        Flag.NOT_POSSIBLE: "与当时的办理状态不符，未改变状态",
        Flag.AFTER_END: "办理已结束，未改变状态",
        Flag.SECOND_CORRECTION: "补正只能一次性告知，重复的补正未改变状态",
        Flag.LATE_CORRECTION: "受理后要求补正，计时已暂停",
    }
)


class FoldedEvent(NamedTuple):
    """One event as the fold sees it. The order of the fields is the order of events: by time, then rank, then id."""

    at: datetime
    rank: int
    id: str
    kind: Kind


def folded_event(at: datetime, kind: Kind, event_id: str) -> FoldedEvent:
    """An event with the rank of its kind."""
    return FoldedEvent(at, RANKS[kind], event_id, kind)


class Step(NamedTuple):
    """What one event came to: the states it led through (the one before it first; empty: none), and its flag."""

    event: FoldedEvent
    path: tuple[S, ...]
    flag: str | None


class Folded(NamedTuple):
    """What all events together come to."""

    state: S
    since: datetime | None
    """When the present state began; None while nothing has moved."""
    by: Kind | None
    """The kind of the event that led to the present state."""
    steps: tuple[Step, ...]


def step_of(state: S, kind: Kind, *, corrected_before: bool = False) -> tuple[tuple[S, ...] | None, str | None]:
    """The steps that an event leads over, and its flag. None: it cannot be in this state.

    A case is sent back for correction once (一次性告知); a second notice does not move it.
    """
    steps = TRANSITIONS.get((state, kind))
    if kind is Kind.CORRECTION and corrected_before and state not in TERMINAL:
        return None, Flag.SECOND_CORRECTION
    if steps is None:
        return None, Flag.AFTER_END if state in TERMINAL else Flag.NOT_POSSIBLE
    late = kind is Kind.CORRECTION and state is not S.SUBMITTED
    return steps, Flag.LATE_CORRECTION if late else None


def fold(events: Iterable[FoldedEvent], start: S = S.SUBMITTED) -> Folded:
    """Fold the events, in any order of arrival and any number of repeats.

    They count in the order in which they happened; of several with the same instant, in the order of their rank. Two
    events with one id are the same event. An event that cannot be is kept as a step with a flag and moves nothing.
    """
    state, since, by, corrected = start, None, None, False
    steps: list[Step] = []
    for event in sorted(set(events)):
        path, flag = step_of(state, event.kind, corrected_before=corrected)
        corrected = corrected or (event.kind is Kind.CORRECTION and path is not None)
        steps.append(Step(event, (state, *path) if path else (), flag))
        if path:
            state, since, by = path[-1], event.at, event.kind
    return Folded(state, since, by, tuple(steps))


def as_data() -> dict[str, object]:
    """The state machine as data, for front ends."""
    return {
        "start": S.SUBMITTED,
        "states": [
            {"code": state, "name": STATE_NAMES[state], "terminal": state in TERMINAL, "clock": CLOCK[state]}
            for state in EDGES
        ],
        "edges": [{"from": origin, "to": goal} for origin, goals in EDGES.items() for goal in sorted(goals)],
        "kinds": [
            {"code": word.kind, "name": word.name, "rank": word.rank, "spellings": list(word.spellings)}
            for word in WORDS
        ],
        "transitions": [
            {"state": state, "kind": kind, "path": list(path)} for (state, kind), path in sorted(TRANSITIONS.items())
        ],
        "flags": [{"code": code, "name": name} for code, name in FLAG_NAMES.items()],
    }
