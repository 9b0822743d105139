"""People find what they need, best first, through an index."""

from __future__ import annotations

from uuid import uuid4

import pytest

from backend import catalogue, clock
from backend.catalogue import wording
from backend.catalogue.finding import Filters, Match, find_items, statement
from backend.catalogue.guide import Subject
from backend.catalogue.indexing import searchable
from backend.database import execute, fetch, transaction
from backend.paging import CursorInvalid
from models.catalogue import CatalogueEntry
from models.regions import Department
from tests.factories.catalogue import a_published_item, an_editor


@pytest.fixture
async def sample() -> None:
    await catalogue.seed()


BODY = "在常住户口所在地提出，提交登记表、户口簿和照片，窗口核对后受理，审核签发并制证，通知领取或者交邮寄，不收费。"


async def names(query: str, **changes: object) -> list[str]:
    return [card.name for card in (await find_items(query, **changes)).items]  # type: ignore[arg-type]


LEADS_TO = (
    ("丢失补领", "居民身份证丢失补领"),
    ("份证丢", "居民身份证丢失补领"),
    ("身份证 补领", "居民身份证丢失补领"),
    ("补领 身份证", "居民身份证丢失补领"),
    ("补办身份证", "居民身份证丢失补领"),
    ("我的身份证丢了怎么补办", "居民身份证丢失补领"),
    ("ＪＭＳＦＺＤＳ", "居民身份证丢失补领"),
    ("jmsfzds", "居民身份证丢失补领"),
    ("diushibuling", "居民身份证丢失补领"),
    ("diushi shenfen", "居民身份证丢失补领"),
    ("入户 夫妻", "夫妻投靠户口迁入"),
    ("新生儿入户", "新生儿出生登记"),
    ("迁户口", "夫妻投靠户口迁入"),
    ("驾照到期", "机动车驾驶证期满换证"),
    ("怎么办理护照", "普通护照首次申请"),
    ("开饭店要什么证", "食品经营许可核发"),
    ("生孩子报销", "生育津贴支付"),
    ("孩子上学", "义务教育入学报名"),
    ("老人补贴", "高龄津贴申领"),
    ("二手房过户", "存量房转移登记（二手房过户）"),
    ("公积金租房", "租房提取住房公积金"),
    ("gjjdk", "住房公积金个人住房贷款申请"),
    ("低保怎么申请", "最低生活保障申请"),
    ("失业金", "失业保险金申领"),
    ("跨省看病", "异地就医备案"),
    ("买车交税", "车辆购置税申报"),
    ("领证", "内地居民结婚登记"),
)


@pytest.mark.usefixtures("sample")
async def test_what_people_type_leads_to_the_item():
    for typed, wanted in LEADS_TO:
        assert wanted in (await names(typed, limit=5))[:2], typed


@pytest.mark.usefixtures("sample")
async def test_what_is_nowhere_is_not_found():
    for typed in ("%", "_", "' OR 1=1 --", "\x00", "zzzzzz", "龘龘龘", "级"):
        assert "居民身份证丢失补领" not in await names(typed), typed


@pytest.mark.usefixtures("sample")
async def test_every_item_is_found_by_its_name_by_its_initials_and_by_each_keyword():
    for entry in await CatalogueEntry.all():
        assert entry.name in await names(entry.name[:50], limit=3)
        assert entry.name in await names(wording.initials(entry.name)[:50], limit=3)
        for keyword in entry.keyword_text.split("\n"):
            assert entry.name in await names(keyword, limit=20), keyword


@pytest.mark.usefixtures("sample")
async def test_every_item_is_found_by_any_three_neighbouring_characters_of_its_name():
    for entry in await CatalogueEntry.all().limit(20):
        text = entry.name_text
        for start in range(len(text) - 2):
            found = await find_items(text[start : start + 3], limit=50)
            assert found.match is Match.EXACT
            assert entry.name in [card.name for card in found.items]


async def test_a_name_that_begins_with_it_stands_before_one_that_holds_it_before_keyword_before_text():
    staff = await an_editor()
    await a_published_item(staff, "补贴四", summary="本事项与护照有关。")
    await a_published_item(staff, "补换护照三")
    await a_published_item(staff, "护照一")
    code = await a_published_item(staff, "补贴五")
    await execute(
        "UPDATE catalogue_entries SET keyword_text = $2, grams = grams || $3::text[] WHERE code = $1",
        code,
        "出国护照",
        sorted(wording.text_grams("出国护照")),
    )

    assert await names("护照") == ["护照一", "补换护照三", "补贴五", "补贴四"]


@pytest.mark.usefixtures("sample")
async def test_the_word_itself_stands_before_one_that_means_the_same():
    staff = await an_editor()
    await a_published_item(staff, "企业入户走访登记")

    assert (await names("入户登记"))[0] == "企业入户走访登记" or (await names("入户"))[0] == "企业入户走访登记"
    assert "夫妻投靠户口迁入" in await names("入户")


@pytest.mark.usefixtures("sample")
async def test_pages_together_are_the_whole_list_each_item_once():
    for typed in ("", "证", "登记 申请", "a"):
        await _pages_are_whole(typed)


async def _pages_are_whole(typed: str) -> None:
    whole = [card.code for card in (await find_items(typed, limit=100)).items]
    seen: list[str] = []
    cursor = None

    while True:
        page = await find_items(typed, limit=7, cursor=cursor)
        seen += [card.code for card in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == whole
    assert len(set(seen)) == len(seen)


@pytest.mark.usefixtures("sample")
async def test_a_cursor_belongs_to_its_query():
    cursor = (await find_items("证", limit=3)).next_cursor
    assert cursor is not None

    with pytest.raises(CursorInvalid):
        await find_items("登记", limit=3, cursor=cursor)
    with pytest.raises(CursorInvalid):
        await find_items("证", filters=Filters(domain="公安"), limit=3, cursor=cursor)


@pytest.mark.usefixtures("sample")
async def test_filters_narrow_the_list():
    police = await Department.get(domain="公安")

    by_department = await find_items(filters=Filters(department_id=police.id), limit=100)
    by_domain = await find_items(filters=Filters(domain="公安"), limit=100)
    by_theme = await find_items(filters=Filters(theme="出生"), limit=100)
    by_subject = await find_items(filters=Filters(subject=Subject.ENTERPRISE), limit=100)
    nobody = await find_items(filters=Filters(department_id=uuid4()))

    assert {card.domain for card in by_department.items} == {"公安"}
    assert by_department.items == by_domain.items
    assert {"新生儿出生登记", "出生医学证明首次签发"} <= {card.name for card in by_theme.items}
    assert all("出生" in card.themes for card in by_theme.items)
    assert all("enterprise" in card.subjects for card in by_subject.items)
    assert nobody.items == []


@pytest.mark.usefixtures("sample")
async def test_a_region_offers_its_own_items_and_those_of_the_regions_around_it():
    in_town = {card.name for card in (await catalogue.search_items(region="990121100000", limit=100)).items}
    in_city = {card.name for card in (await catalogue.search_items(region="990100", limit=100)).items}

    assert "高龄津贴申领" in in_town
    assert "居民身份证丢失补领" in in_town
    assert "高龄津贴申领" not in in_city
    assert "义务教育入学报名" not in in_town | in_city


async def test_a_search_among_five_thousand_items_goes_through_the_index():
    await _five_thousand()

    for typed in ("补办身份证", "sfz", "juminshenfen", "公积金 提取", "出生证明", "丢失补领的身份证件"):
        for way in (Match.EXACT, Match.REWORDED, Match.SIMILAR):
            sql, parameters = statement(way, wording.terms(typed), Filters(), 21, None)
            (row,) = await fetch(f"EXPLAIN (FORMAT JSON) {sql}", *parameters)
            assert "catalogue_entries_grams" in row[0], (typed, way, row[0])
            assert "Seq Scan" not in row[0], (typed, way, row[0])


async def _five_thousand() -> None:
    """As many items as a province has, of names that share their words."""
    heads = ["居民", "企业", "农村", "城镇", "职工", "学生", "老年人", "残疾人", "个体", "单位"]
    things = ["身份证", "公积金", "医疗保险", "营业执照", "护照", "养老保险", "出生证明", "驾驶证", "不动产", "许可证"]
    acts = ["申领", "换领", "补领", "变更", "注销", "提取", "登记", "备案", "查询", "转移"]
    rows = []
    for number in range(5000):
        name = (
            f"{heads[number % 10]}{things[number // 10 % 10]}{acts[number // 100 % 10]}第{number // 1000}类{number}号"
        )
        text = searchable(name, [f"{things[number // 10 % 10]}办理"], [f"{number}号事项：{BODY}"])
        columns = (text.name_text, text.keyword_text, text.body_text, text.initials, text.pinyin, text.grams)
        rows.append(
            (uuid4(), clock.now(), uuid4(), f"{number:031d}", name, "民政", uuid4(), "990100", [], [], "{}", *columns)
        )
    async with transaction() as connection:
        await connection.execute("SET LOCAL role NONE")
        index = await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = 'catalogue_entries_grams'")
        await connection.execute("DROP INDEX catalogue_entries_grams")
        await connection.copy_records_to_table("catalogue_entries", records=rows, columns=COLUMNS)
        await connection.execute(index)
        await connection.execute("ANALYZE catalogue_entries")


COLUMNS = (
    *("id", "created_at", "version_id", "code", "name", "domain", "department_id", "region_code", "themes", "subjects"),
    *("card", "name_text", "keyword_text", "body_text", "initials", "pinyin", "grams"),
)
