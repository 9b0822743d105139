"""A department writes versions of its own items, and of no others."""

from __future__ import annotations

import asyncio

import pytest

from backend import catalogue
from backend.catalogue.errors import (
    ItemCodeInvalid,
    ItemDraftEditConflict,
    ItemExists,
    ItemNotFound,
    ItemVersionTransitionRefused,
)
from backend.errors import Fault
from backend.identity.errors import DutyMissing
from models.catalogue import CatalogueEntry, ItemVersion, VersionState
from tests.factories.catalogue import a_content, a_draft, a_published_item, a_spec, an_editor
from tests.factories.identity import a_staff


async def state_of(code: str, number: int) -> VersionState:
    return (await ItemVersion.get(item__code=code, number=number)).state


async def test_the_code_of_a_new_item_is_made_of_the_departments_own():
    staff = await an_editor()

    code, version = await catalogue.begin_item(staff, a_spec(basic_code="990004001000", level="4"), a_content())

    assert code[18:] == "4990004001000"
    assert (version.number, version.state, version.revision) == (1, VersionState.DRAFT, 1)


async def test_the_same_item_is_not_made_twice():
    staff = await an_editor()
    spec = a_spec()
    await catalogue.begin_item(staff, spec, a_content())

    with pytest.raises(ItemExists):
        await catalogue.begin_item(staff, spec, a_content("另一个名字"))

    assert await ItemVersion.all().count() == 1


async def test_a_basic_code_of_another_form_is_refused():
    with pytest.raises(ItemCodeInvalid):
        await catalogue.begin_item(await an_editor(), a_spec(basic_code="12"), a_content())


async def test_a_new_version_begins_as_a_copy_of_the_one_in_force_and_takes_its_place():
    staff = await an_editor()
    code = await a_published_item(staff)

    draft = await catalogue.begin_version(staff, code)
    assert (draft.number, draft.based_on, draft.name) == (2, 1, "高龄津贴")
    await catalogue.edit_version(staff, code, 2, a_content("高龄老人津贴"), revision=1)
    await catalogue.publish_version(staff, code, 2, revision=2)

    assert await state_of(code, 1) is VersionState.WITHDRAWN
    assert (await catalogue.get_published_item(code)).item.name == "高龄老人津贴"
    assert await CatalogueEntry.all().count() == 1


async def test_the_check_before_publishing_says_the_same():
    staff = await an_editor()
    code = await a_draft(staff, fee=None)

    assert await catalogue.check_version(staff, code, 1) == [Fault("/guide/fee", "请写明是否收费")]


async def test_two_editors_do_not_overwrite_each_other():
    staff = await an_editor()
    code = await a_draft(staff)

    outcomes = await asyncio.gather(
        *(catalogue.edit_version(staff, code, 1, a_content(name), revision=1) for name in ("甲", "乙", "丙")),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, ItemVersion) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ItemDraftEditConflict) for outcome in outcomes) == 2
    assert (await ItemVersion.get(item__code=code)).revision == 2


async def test_a_published_version_is_not_edited():
    staff = await an_editor()
    code = await a_published_item(staff)

    with pytest.raises(ItemVersionTransitionRefused):
        await catalogue.edit_version(staff, code, 1, a_content("改了"), revision=1)


async def test_another_departments_item_does_not_exist():
    code = await a_published_item()
    stranger = await an_editor()
    nowhere = code[:-3] + "999"

    for attempt in (
        lambda item: catalogue.begin_version(stranger, item),
        lambda item: catalogue.edit_version(stranger, item, 1, a_content(), revision=1),
        lambda item: catalogue.check_version(stranger, item, 1),
        lambda item: catalogue.publish_version(stranger, item, 1, revision=1),
        lambda item: catalogue.withdraw_version(stranger, item, 1, because="x"),
        lambda item: catalogue.list_versions(stranger, item),
        lambda item: catalogue.get_version_detail(stranger, item, 1),
    ):
        refusals = []
        for item in (code, nowhere):
            with pytest.raises(ItemNotFound) as refused:
                await attempt(item)
            refusals.append((type(refused.value), refused.value.facts, refused.value.detail))
        assert refusals[0] == refusals[1]
    assert await state_of(code, 1) is VersionState.PUBLISHED


@pytest.mark.parametrize("duty", ["catalogue.edit", "catalogue.publish"])
async def test_each_step_needs_its_duty(duty: str):
    owner = await an_editor()
    code = await a_published_item(owner)
    staff = await a_staff(department_id=owner.department_id, duties=[duty])
    steps = {
        "catalogue.edit": (
            lambda: catalogue.begin_item(staff, a_spec(), a_content()),
            lambda: catalogue.begin_version(staff, code),
            lambda: catalogue.edit_version(staff, code, 2, a_content(), revision=1),
            lambda: catalogue.check_version(staff, code, 2),
        ),
        "catalogue.publish": (
            lambda: catalogue.publish_version(staff, code, 2, revision=1),
            lambda: catalogue.withdraw_version(staff, code, 2, because="x"),
        ),
    }

    for needed, attempts in steps.items():
        for attempt in attempts:
            (outcome,) = await asyncio.gather(attempt(), return_exceptions=True)
            assert isinstance(outcome, DutyMissing) == (needed != duty)


async def test_a_department_sees_all_of_its_own_items_page_by_page():
    staff = await an_editor()
    codes = sorted([await a_published_item(staff), await a_draft(staff), await a_draft(staff)])
    await a_published_item()

    first, cursor = await catalogue.list_own_items(staff, limit=2)
    rest, end = await catalogue.list_own_items(staff, limit=2, cursor=cursor)

    assert [item.code for item in (*first, *rest)] == codes
    assert end is None
    assert sorted(str(item.published) for item in (*first, *rest)) == ["1", "None", "None"]
