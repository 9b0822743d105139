"""The rules for cases hold, and a violation by hand is found; the view shows what happened."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from backend import database
from backend.cases.checking import list_inconsistencies
from backend.cases.lifecycle import EDGES
from backend.settings import settings
from models.cases import Case, CaseState
from tests.factories.cases import a_case, reported


@pytest.fixture
async def owner() -> AsyncIterator[asyncpg.Connection]:
    """The owner of the tables, who may do anything."""
    connection = await asyncpg.connect(**database.credentials(settings().database_url))
    yield connection
    await connection.close()


async def some_cases() -> Case:
    case = await a_case()
    await reported(case, "补正", "受理", "中止", "补正", "恢复", "不予受理", "办结", "送达")
    await reported(await a_case(), "受理", "不予许可", "办结", "撤回")
    await a_case()
    return case


async def test_what_was_reported_breaks_no_rule():
    await some_cases()

    assert await list_inconsistencies() == []


@pytest.mark.parametrize(
    "harm,rules",
    [
        ("UPDATE case_events SET path = '{submitted,closed}' WHERE case_id = $1 AND code = '补正'", 3),
        ("UPDATE case_events SET path = '{accepted,in_review}' WHERE case_id = $1 AND code = '中止'", 1),
        ("UPDATE cases SET state = 'accepted' WHERE id = $1", 1),
        ("UPDATE case_events SET path = '{in_review,suspended}' WHERE case_id = $1 AND code = '补正'", 2),
        ("UPDATE case_events SET case_id = NULL WHERE case_id = $1 AND code = '送达'", 1),
    ],
)
async def test_a_change_by_hand_is_found(owner: asyncpg.Connection, harm: str, rules: int):
    case = await some_cases()

    await owner.execute(harm, case.id)

    found = await list_inconsistencies()
    assert {each.case_id for each in found} == {case.id}
    assert len({each.rule for each in found}) >= rules


async def test_the_view_shows_every_step_in_its_order(owner: asyncpg.Connection):
    case = await a_case()
    await reported(case, "受理", "未知", "办结")

    rows = await owner.fetch("SELECT * FROM acceptance.v_transition WHERE id = $1 ORDER BY step", case.id)

    assert [(row["from"], row["to"]) for row in rows] == [
        ("SUBMITTED", "ACCEPTED"),
        ("ACCEPTED", "IN_REVIEW"),
        ("IN_REVIEW", "APPROVED"),
        ("APPROVED", "ISSUED"),
        ("ISSUED", "DELIVERED"),
        ("DELIVERED", "CLOSED"),
    ]
    assert {(row["entity"], row["actor"]) for row in rows} == {("case", f"agency:{case.agency_id}")}


async def test_the_view_only_shows_listed_steps(owner: asyncpg.Connection):
    await some_cases()

    rows = await owner.fetch('SELECT "from", "to" FROM acceptance.v_transition')

    assert rows
    assert all(CaseState(row["to"].lower()) in EDGES[CaseState(row["from"].lower())] for row in rows)
