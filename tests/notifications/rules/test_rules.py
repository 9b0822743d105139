"""Every event has a rule or a stated silence, and the right person hears the right thing."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
from uuid_utils.compat import uuid7

from backend import jobs
from backend.cases.events import CaseCaughtUp, CaseOpened, CaseProgressed
from backend.cases.lifecycle import EDGES
from backend.database import fetch, transaction
from backend.events import Event, kinds, record, subscribers_of
from backend.identity.events import PhoneMovedAway, RefreshReuseFound, ResidentDisabled
from backend.settings import using
from models.cases import Case
from models.cases import CaseState as S
from notifications import delivering, outbox, rules
from notifications.rules import RULES, Silence, Tell, message_for
from notifications.templates import messages
from tests.factories.cases import a_resident_with_phone


def of_the_house(kind: type[Event]) -> bool:
    return kind.__module__.split(".")[0] in {"backend", "notifications", "api"}


def test_every_event_has_a_message_or_a_stated_silence():
    ours = {kind for kind in kinds().values() if of_the_house(kind)}

    assert {kind.__name__ for kind in ours - RULES.keys()} == set()
    assert {kind.__name__ for kind in RULES.keys() - ours} == set()
    assert all(len(rule.why) > 10 for rule in RULES.values() if isinstance(rule, Silence))


def test_every_message_is_told_by_some_rule_and_every_rule_tells_messages_that_exist():
    told = {name for rule in RULES.values() if isinstance(rule, Tell) for name in rule.names}

    assert told == set(messages())


STEPS = sorted((origin, goal) for origin, goals in EDGES.items() for goal in goals)


@pytest.mark.parametrize("edge", STEPS, ids=lambda step: f"{step[0]}-{step[1]}")
@pytest.mark.parametrize("outcome", [None, "approved", "rejected"])
def test_every_step_of_a_case_is_told_by_a_message_of_its_rule(edge: tuple[S, S], outcome: str | None):
    rule = RULES[CaseProgressed]
    assert isinstance(rule, Tell)

    name = message_for(*edge, outcome)

    if edge == (S.REJECTED, S.CLOSED) and outcome == "rejected":
        assert name is None, "the refusal was told already"
    else:
        assert name in rule.names


@pytest.mark.parametrize("origin", list(EDGES))
def test_a_refusal_is_never_told_as_a_happy_end(origin: S):
    assert message_for(origin, S.CLOSED, "rejected") in (None, "case_rejected")
    assert message_for(origin, S.APPROVED, None) == "case_decided"


async def a_case(resident_id: object, **changes: object) -> Case:
    given = {
        "number": "TEST20260302",
        "agency_id": uuid7(),
        "item_code": "X",
        "item_name": "居民身份证换领\n电话13800138000",
        "title": "换领",
        "received_at": datetime(2026, 11, 22, 7, 4, tzinfo=UTC),
        "due": "{}",
        "state": S.SUBMITTED,
        "state_at": datetime(2026, 11, 22, 7, 4, tzinfo=UTC),
        "resident_id": resident_id,
    }
    return await Case.create(**{**given, **changes})


def opened(case: Case, state: S = S.SUBMITTED) -> CaseOpened:
    return CaseOpened(
        case_id=case.id,
        agency_id=case.agency_id,
        item_code="X",
        state=state,
        received_at=case.received_at,
    )


async def told() -> list[tuple[str, str]]:
    rows = await fetch("SELECT name, body FROM messages ORDER BY event_id")
    return [(row["name"], row["body"]) for row in rows]


async def without_sending(patch: pytest.MonkeyPatch) -> None:
    async def nothing(resident_id: object) -> None:
        return None

    patch.setattr("notifications.delivering.bring", nothing)
    await jobs.drain()


def progressed(case: Case, *states: S) -> list[CaseProgressed]:
    return [
        CaseProgressed(
            case_id=case.id, case_event_id=uuid7(), from_state=a, to_state=b, code="x", occurred_at=case.received_at
        )
        for a, b in pairwise(states)
    ]


async def test_the_applicant_is_told_of_each_change_of_state_in_clean_words(monkeypatch: pytest.MonkeyPatch):
    resident = await a_resident_with_phone()
    case = await a_case(resident.id)
    async with transaction():
        await record(opened(case))
        for event in progressed(case, S.SUBMITTED, S.ACCEPTED, S.IN_REVIEW, S.SUSPENDED, S.IN_REVIEW, S.REJECTED):
            await record(event)

    await without_sending(monkeypatch)

    heard = await told()
    assert [name for name, _ in heard] == [
        "case_opened",
        "case_accepted",
        "case_in_review",
        "case_suspended",
        "case_resumed",
        "case_rejected",
    ]
    assert heard[1][1].startswith("您好，办理部门已于2026年11月22日 15:04受理您「居民身份证换领 电话***」的申请")
    assert all("13800138000" not in body for _, body in heard)


async def test_a_case_whose_events_came_before_it_is_told_by_where_it_stands(monkeypatch: pytest.MonkeyPatch):
    resident = await a_resident_with_phone()
    case = await a_case(resident.id, state=S.ACCEPTED)
    async with transaction():
        await record(opened(case, S.ACCEPTED))

    await without_sending(monkeypatch)

    assert [name for name, _ in await told()] == ["case_accepted"]


async def test_a_case_that_nobody_sees_is_told_to_nobody(monkeypatch: pytest.MonkeyPatch):
    case = await a_case(None)
    async with transaction():
        for event in progressed(case, S.SUBMITTED, S.ACCEPTED):
            await record(event)

    await without_sending(monkeypatch)

    assert await told() == []


async def test_what_happened_long_ago_is_not_told(monkeypatch: pytest.MonkeyPatch):
    resident = await a_resident_with_phone()
    case = await a_case(resident.id)
    async with transaction():
        await record(
            CaseCaughtUp(
                case_id=case.id, case_event_id=uuid7(), from_state=S.SUBMITTED, to_state=S.CLOSED, code="closed",
                occurred_at=case.received_at,
            )
        )  # fmt: skip

    await without_sending(monkeypatch)

    assert await told() == []


async def test_the_owner_of_an_account_is_told_what_happened_to_it(monkeypatch: pytest.MonkeyPatch):
    resident = await a_resident_with_phone()
    async with transaction():
        await record(PhoneMovedAway(resident_id=resident.id))
        await record(RefreshReuseFound(session_id=uuid7(), resident_id=resident.id, reason="reused"))
        await record(ResidentDisabled(resident_id=resident.id))

    await without_sending(monkeypatch)

    assert {name for name, _ in await told()} == {"phone_moved", "session_reused", "account_closed"}


async def test_a_message_waits_for_that_of_an_earlier_event_about_the_same_case(monkeypatch: pytest.MonkeyPatch):
    resident = await a_resident_with_phone()
    case = await a_case(resident.id)
    first, second = progressed(case, S.SUBMITTED, S.ACCEPTED, S.IN_REVIEW)
    async with transaction():
        await record(first)
    [elder] = await fetch("SELECT payload FROM pgqueuer")
    async with transaction() as connection:
        await connection.execute("DELETE FROM pgqueuer")
        await record(second)
    monkeypatch.setattr(delivering, "bring", _nothing_to_bring)
    await jobs.drain()

    early = await outbox.take(resident.id, None)
    assert (early.parcel, early.wait) == (None, outbox.ELDER)
    await outbox.give_back(resident.id, early.fence or 0)
    async with transaction():
        await jobs.enqueue("events.dispatch", msgspec.json.decode(elder["payload"]))
    await jobs.drain()
    turn = await outbox.take(resident.id, None)

    assert turn.parcel is not None
    assert turn.parcel.name == "case_accepted"


async def test_a_message_waits_for_an_elder_whose_listener_never_runs_only_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
):
    resident = await a_resident_with_phone()
    case = await a_case(resident.id)
    first, second = progressed(case, S.SUBMITTED, S.ACCEPTED, S.IN_REVIEW)
    async with transaction() as connection:
        await record(first)
        await connection.execute("DELETE FROM pgqueuer")
        await record(second)
    monkeypatch.setattr(delivering, "bring", _nothing_to_bring)
    await jobs.drain()
    with using(notification_order_wait_seconds=600.0):
        waiting = await outbox.take(resident.id, None)
        await outbox.give_back(resident.id, waiting.fence or 0)

    with using(notification_order_wait_seconds=0.0):
        turn = await outbox.take(resident.id, None)

    assert (waiting.parcel, waiting.wait) == (None, outbox.ELDER)
    assert turn.parcel is not None
    assert turn.parcel.name == "case_in_review"


async def _nothing_to_bring(resident_id: object) -> None:
    return None


def test_wiring_twice_is_wiring_once():
    rules.wire()

    assert [each.name for each in subscribers_of(CaseProgressed)].count(outbox.SUBSCRIBER) == 1
