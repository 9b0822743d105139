"""One version of an item is in force at a time, and what is in force never changes."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from backend import catalogue
from backend.catalogue.errors import (
    GuideInvalid,
    ItemDraftEditConflict,
    ItemDraftSuperseded,
    ItemNotFound,
    ItemVersionNotFound,
    ItemVersionTransitionRefused,
)
from backend.database import execute
from models.catalogue import CatalogueEntry, ItemVersion, VersionState
from models.events import EventRecord
from tests.factories.catalogue import a_content, a_draft, a_published_item, an_editor


async def state_of(code: str, number: int) -> VersionState:
    return (await ItemVersion.get(item__code=code, number=number)).state


async def test_a_draft_becomes_public_when_it_is_published():
    staff = await an_editor()
    code = await a_draft(staff)
    assert (await catalogue.search_items("高龄")).items == []

    await catalogue.publish_version(staff, code, 1, revision=1)

    item = await catalogue.get_published_item(code)
    assert (item.version, item.item.name, item.guide.promised_days) == (1, "高龄津贴", 5)
    assert [card.code for card in (await catalogue.search_items("高龄")).items] == [code]


async def test_each_step_is_recorded_in_the_ledger():
    staff = await an_editor()
    code = await a_published_item(staff)
    await catalogue.begin_version(staff, code)
    await catalogue.edit_version(staff, code, 2, a_content(), revision=1)
    await catalogue.publish_version(staff, code, 2, revision=2)
    await catalogue.withdraw_version(staff, code, 2, because="依据废止")

    names = await EventRecord.filter(name__startswith="item.").order_by("id").values_list("name", flat=True)
    assert names == [
        "item.drafted",
        "item.published",
        "item.drafted",
        "item.edited",
        "item.published",
        "item.withdrawn",
    ]


async def test_a_withdrawn_item_is_gone_from_the_public_pages():
    staff = await an_editor()
    code = await a_published_item(staff)

    await catalogue.withdraw_version(staff, code, 1, because="依据废止")

    with pytest.raises(ItemNotFound):
        await catalogue.get_published_item(code)
    assert (await catalogue.search_items("高龄")).items == []


async def test_a_withdrawn_item_comes_back_with_a_new_version():
    staff = await an_editor()
    code = await a_published_item(staff)
    await catalogue.withdraw_version(staff, code, 1, because="依据废止")

    draft = await catalogue.begin_version(staff, code)
    await catalogue.publish_version(staff, code, draft.number, revision=1)

    assert draft.based_on is None
    assert (await catalogue.get_published_item(code)).version == 2


async def test_a_faulty_guide_is_not_published_and_every_fault_is_pointed_to():
    staff = await an_editor()
    code = await a_draft(staff, promised_days=None, contact="", hall_ids=[str(uuid4())])

    with pytest.raises(GuideInvalid) as refused:
        await catalogue.publish_version(staff, code, 1, revision=1)

    pointers = {fault.pointer for fault in refused.value.fields}
    assert pointers == {"/guide/promised_days", "/guide/contact", "/guide/hall_ids/0"}
    assert await state_of(code, 1) is VersionState.DRAFT


async def test_two_versions_published_at_once_end_with_one_in_force():
    staff = await an_editor()
    code = await a_published_item(staff)
    await catalogue.begin_version(staff, code)
    await catalogue.begin_version(staff, code)

    outcomes = await asyncio.gather(
        *(catalogue.publish_version(staff, code, number, revision=1) for number in (2, 3)), return_exceptions=True
    )

    assert sum(isinstance(outcome, ItemVersion) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ItemDraftSuperseded) for outcome in outcomes) == 1
    assert await ItemVersion.filter(item__code=code, state=VersionState.PUBLISHED).count() == 1
    assert await CatalogueEntry.filter(code=code).count() == 1


async def test_one_draft_published_twice_at_once_is_published_once():
    staff = await an_editor()
    code = await a_draft(staff)

    outcomes = await asyncio.gather(
        *(catalogue.publish_version(staff, code, 1, revision=1) for _ in range(5)), return_exceptions=True
    )

    assert sum(isinstance(outcome, ItemVersion) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ItemVersionTransitionRefused) for outcome in outcomes) == 4
    assert await EventRecord.filter(name="item.published").count() == 1


async def test_the_database_itself_keeps_a_second_version_from_being_in_force():
    staff = await an_editor()
    code = await a_published_item(staff)
    await catalogue.begin_version(staff, code)

    with pytest.raises(asyncpg.UniqueViolationError, match="item_published_once"):
        await execute("UPDATE item_versions SET state = 'published', published_at = now() WHERE number = 2")


async def test_a_superseded_draft_is_published_after_it_was_moved_onto_the_version_in_force():
    staff = await an_editor()
    code = await a_published_item(staff)
    await catalogue.begin_version(staff, code)
    await catalogue.begin_version(staff, code)
    await catalogue.publish_version(staff, code, 2, revision=1)

    with pytest.raises(ItemDraftSuperseded):
        await catalogue.publish_version(staff, code, 3, revision=1)
    await catalogue.edit_version(staff, code, 3, a_content(), revision=1, based_on=2)
    await catalogue.publish_version(staff, code, 3, revision=2)

    assert await state_of(code, 3) is VersionState.PUBLISHED


async def test_what_is_published_is_what_was_looked_at():
    staff = await an_editor()
    code = await a_draft(staff)
    await catalogue.edit_version(staff, code, 1, a_content("改过的名字"), revision=1)

    with pytest.raises(ItemDraftEditConflict):
        await catalogue.publish_version(staff, code, 1, revision=1)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE item_versions SET name = '改了'",
        "UPDATE item_versions SET guide = guide || '{\"promised_days\": 1}'",
        "UPDATE item_versions SET keywords = '{a}'",
        "UPDATE item_versions SET state = 'draft'",
        "DELETE FROM item_versions",
    ],
)
async def test_the_database_itself_keeps_a_published_version_as_it_is(change: str):
    await a_published_item()

    with pytest.raises(asyncpg.RestrictViolationError):
        await execute(change)


async def test_the_database_does_not_bring_a_withdrawn_version_back():
    staff = await an_editor()
    code = await a_published_item(staff)
    await catalogue.withdraw_version(staff, code, 1, because="依据废止")

    with pytest.raises(asyncpg.RestrictViolationError):
        await execute("UPDATE item_versions SET state = 'published', withdrawn_at = NULL")


async def test_a_version_that_does_not_exist_is_unknown():
    staff = await an_editor()
    code = await a_published_item(staff)

    with pytest.raises(ItemVersionNotFound):
        await catalogue.publish_version(staff, code, 9, revision=1)
