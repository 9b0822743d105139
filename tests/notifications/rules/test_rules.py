"""Every event has messages or a stated reason for none, and the right resident gets the right message."""

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
from notifications.rules import RULES, NoNotification, Notify
from notifications.rules.cases import message_for
from notifications.templates import messages
from tests.factories.cases import a_resident_with_phone


def of_the_house(kind: type[Event]) -> bool:
    return kind.__module__.split(".")[0] in {"backend", "notifications", "api"}


def test_every_event_has_a_message_or_a_stated_reason_for_none():
    ours = {kind for kind in kinds().values() if of_the_house(kind)}

    assert {kind.__name__ for kind in ours - RULES.keys()} == set()
    assert {kind.__name__ for kind in RULES.keys() - ours} == set()
    assert all(len(rule.reason) > 10 for rule in RULES.values() if isinstance(rule, NoNotification))


def test_every_message_belongs_to_a_rule_and_every_rule_names_messages_that_exist():
    names = {name for rule in RULES.values() if isinstance(rule, Notify) for name in rule.names}

    assert names == set(messages())


STEPS = sorted((origin, goal) for origin, goals in EDGES.items() for goal in goals)


@pytest.mark.parametrize("edge", STEPS, ids=lambda step: f"{step[0]}-{step[1]}")
@pytest.mark.parametrize("outcome", [None, "approved", "rejected"])
def test_every_step_of_a_case_has_a_message_of_its_rule(edge: tuple[S, S], outcome: str | None):
    rule = RULES[CaseProgressed]
    assert isinstance(rule, Notify)

    name = message_for(*edge, outcome)

    if edge == (S.REJECTED, S.CLOSED) and outcome == "rejected":
        assert name is None, "the message about the refusal went out already"
    else:
        assert name in rule.names


@pytest.mark.parametrize("origin", list(EDGES))
def test_a_refusal_never_reads_as_a_happy_end(origin: S):
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


async def written() -> list[tuple[str, str]]:
    rows = await fetch("SELECT name, body FROM messages ORDER BY event_id")
    return [(row["name"], row["body"]) for row in rows]


async def without_sending(patch: pytest.MonkeyPatch) -> None:
    async def nothing(resident_id: object) -> None:
        return None

    patch.setattr("notifications.delivering.deliver", nothing)
    await jobs.drain()


def progressed(case: Case, *states: S) -> list[CaseProgressed]:
    return [
        CaseProgressed(
            case_id=case.id, case_event_id=uuid7(), from_state=a, to_state=b, code="x", occurred_at=case.received_at
        )
        for a, b in pairwise(states)
    ]


async def test_the_applicant_is_notified_of_each_change_of_state_in_clean_words(monkeypatch: pytest.MonkeyPatch):
    resident = await a_resident_with_phone()
    case = await a_case(resident.id)
    async with transaction():
        await record(opened(case))
        for event in progressed(case, S.SUBMITTED, S.ACCEPTED, S.IN_REVIEW, S.SUSPENDED, S.IN_REVIEW, S.REJECTED):
            await record(event)

    await without_sending(monkeypatch)

    found = await written()
    assert [name for name, _ in found] == [
        "case_opened",
        "case_accepted",
        "case_in_review",
        "case_suspended",
        "case_resumed",
        "case_rejected",
    ]
    assert found[1][1].startswith("您好，办理部门已于2026年11月22日 15:04受理您「居民身份证换领 电话***」的申请")
    assert all("13800138000" not in body for _, body in found)


async def test_a_case_whose_events_came_before_it_is_notified_by_its_present_state(monkeypatch: pytest.MonkeyPatch):
    resident = await a_resident_with_phone()
    case = await a_case(resident.id, state=S.ACCEPTED)
    async with transaction():
        await record(opened(case, S.ACCEPTED))

    await without_sending(monkeypatch)

    assert [name for name, _ in await written()] == ["case_accepted"]


async def test_a_case_without_an_account_notifies_no_resident(monkeypatch: pytest.MonkeyPatch):
    case = await a_case(None)
    async with transaction():
        for event in progressed(case, S.SUBMITTED, S.ACCEPTED):
            await record(event)

    await without_sending(monkeypatch)

    assert await written() == []


async def test_history_that_is_filled_in_notifies_no_resident(monkeypatch: pytest.MonkeyPatch):
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

    assert await written() == []


async def test_the_owner_of_an_account_is_notified_of_what_happened_to_it(monkeypatch: pytest.MonkeyPatch):
    resident = await a_resident_with_phone()
    async with transaction():
        await record(PhoneMovedAway(resident_id=resident.id))
        await record(RefreshReuseFound(session_id=uuid7(), resident_id=resident.id, reason="reused"))
        await record(ResidentDisabled(resident_id=resident.id))

    await without_sending(monkeypatch)

    assert {name for name, _ in await written()} == {"phone_moved", "session_reused", "account_closed"}


async def test_a_message_waits_for_that_of_an_earlier_event_about_the_same_case(monkeypatch: pytest.MonkeyPatch):
    resident = await a_resident_with_phone()
    case = await a_case(resident.id)
    first, second = progressed(case, S.SUBMITTED, S.ACCEPTED, S.IN_REVIEW)
    async with transaction():
        await record(first)
    [earlier] = await fetch("SELECT payload FROM pgqueuer")
    async with transaction() as connection:
        await connection.execute("DELETE FROM pgqueuer")
        await record(second)
    monkeypatch.setattr(delivering, "deliver", _nothing_to_deliver)
    await jobs.drain()

    early = await outbox.lease_next(resident.id, None)
    assert (early.message, early.wait) == (None, outbox.EARLIER_EVENT)
    await outbox.release(resident.id, early.fence or 0)
    async with transaction():
        await jobs.enqueue("events.dispatch", msgspec.json.decode(earlier["payload"]))
    await jobs.drain()
    lease = await outbox.lease_next(resident.id, None)

    assert lease.message is not None
    assert lease.message.name == "case_accepted"


async def test_a_message_waits_for_an_earlier_event_whose_subscriber_never_runs_only_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
):
    resident = await a_resident_with_phone()
    case = await a_case(resident.id)
    first, second = progressed(case, S.SUBMITTED, S.ACCEPTED, S.IN_REVIEW)
    async with transaction() as connection:
        await record(first)
        await connection.execute("DELETE FROM pgqueuer")
        await record(second)
    monkeypatch.setattr(delivering, "deliver", _nothing_to_deliver)
    await jobs.drain()
    with using(notification_order_wait_seconds=600.0):
        waiting = await outbox.lease_next(resident.id, None)
        await outbox.release(resident.id, waiting.fence or 0)

    with using(notification_order_wait_seconds=0.0):
        lease = await outbox.lease_next(resident.id, None)

    assert (waiting.message, waiting.wait) == (None, outbox.EARLIER_EVENT)
    assert lease.message is not None
    assert lease.message.name == "case_in_review"


async def _nothing_to_deliver(resident_id: object) -> None:
    return None


def test_wiring_twice_is_wiring_once():
    rules.wire()

    assert [each.name for each in subscribers_of(CaseProgressed)].count(outbox.SUBSCRIBER) == 1
