"""A case remembers its item as the catalogue had it when the case came in."""

from __future__ import annotations

from backend import catalogue
from backend.cases.items import get_item
from models.cases import Case
from tests.factories.cases import ITEM, a_case
from tests.factories.catalogue import a_draft, a_published_item, an_editor


async def test_name_and_limit_come_from_the_published_guide():
    code = await a_published_item(name="高龄津贴申领", promised_days=7)

    case = await a_case(item_code=code.lower(), item_name="部门自己的叫法", promised_days=None)

    assert (case.item_code, case.item_name, case.promised_days) == (code, "高龄津贴申领", 7)


async def test_a_limit_that_the_department_promised_for_this_case_counts():
    code = await a_published_item(promised_days=7)

    case = await a_case(item_code=code, promised_days=3)

    assert case.promised_days == 3


async def test_a_withdrawn_item_is_still_known_to_the_cases_that_were_begun_under_it():
    staff = await an_editor()
    code = await a_published_item(staff, name="高龄津贴申领")
    await catalogue.withdraw_version(staff, code, 1, because="政策调整")

    item = await get_item(code)

    assert (item.name, item.known) == ("高龄津贴申领", True)


async def test_a_draft_is_no_promise():
    code = await a_draft(await an_editor())

    item = await get_item(code)

    assert (item.name, item.promised_days, item.known) == (None, None, False)


async def test_a_case_of_an_item_that_we_do_not_have_is_not_lost():
    case = await a_case(item_code=ITEM, item_name=None, promised_days=None)

    assert (await Case.get(id=case.id)).item_name == "未收录事项"
    assert case.due_on is None
