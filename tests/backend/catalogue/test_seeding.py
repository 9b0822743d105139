"""The sample catalogue is complete, true to its own rules, and the same every time."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from backend import catalogue
from backend.catalogue import codes, seeding
from backend.catalogue.guide import Guide, Need
from backend.catalogue.linting import lint
from backend.database import fetch
from backend.regions.codes import check_uscc
from models.catalogue import CatalogueEntry, ItemVersion, ServiceItem, VersionState
from models.events import EventRecord
from models.regions import Department, Hall, Region, RegionLevel

ENTRIES = [(name, entry, seeding.read(name)) for name in seeding.item_files() for entry in seeding.read(name)["items"]]
DOMAINS = {"公安", "人社", "医保", "民政", "市场监管", "不动产", "公积金", "卫健", "教育", "税务"}


@pytest.mark.parametrize(("file", "entry", "data"), ENTRIES, ids=[entry["name"] for _, entry, _ in ENTRIES])
def test_a_seeded_guide_has_no_fault(file: str, entry: dict, data: dict):
    assert lint(seeding.expand(entry, data)) == []


def test_a_seeded_guide_explains_every_conditional_material():
    guides = [seeding.expand(entry, data) for _, entry, data in ENTRIES]

    conditional = [each for guide in guides for each in guide.materials if each.need is Need.CONDITIONAL]

    assert len(conditional) > 10
    assert all("时" in each.when for each in conditional)


def test_fees_known_to_everybody_are_right():
    fees = {
        entry["name"]: [charge.amount_fen for charge in fee.charges]
        for _, entry, data in ENTRIES
        if (fee := seeding.expand(entry, data).fee) is not None
    }

    assert fees["居民身份证首次申领"] == []
    assert fees["居民身份证到期换领"] == [2000]
    assert fees["居民身份证丢失补领"] == [4000]
    assert fees["普通护照首次申请"] == [12000]
    assert fees["存量房转移登记（二手房过户）"] == [8000, 55000]


async def test_the_seed_has_at_least_forty_items_of_ten_domains_six_halls_and_three_levels_of_regions():
    gained = await catalogue.seed()

    departments = {each.id: each for each in await Department.all()}
    per_domain = Counter(departments[each.department_id].domain for each in await ServiceItem.all())
    assert gained == await CatalogueEntry.all().count() == sum(per_domain.values()) >= 40
    assert per_domain.keys() == DOMAINS
    assert await Hall.all().count() >= 6
    levels = {each.level for each in await Region.all()}
    assert levels >= {RegionLevel.PROVINCE, RegionLevel.CITY, RegionLevel.COUNTY}


async def test_seeding_twice_changes_nothing():
    await catalogue.seed()
    before = await _everything()

    gained = await catalogue.seed()

    assert gained == 0
    assert await _everything() == before


async def _everything() -> list[tuple[object, ...]]:
    tables = ("regions", "departments", "halls", "service_items", "item_versions", "catalogue_entries", "events")
    return [
        (table, str(row["everything"]))
        for table in tables
        for row in await fetch(f"SELECT to_jsonb(t)::text AS everything FROM {table} t ORDER BY id")
    ]


async def test_ids_do_not_depend_on_the_machine():
    await catalogue.seed()

    item = await ServiceItem.get(code="11990100009900013U3990001003000")

    assert str(item.id) == str(seeding.stable_id("item", item.code))
    assert str(seeding.stable_id("hall", "city-hall")) == "c8302872-7262-5fef-befe-00e351416a1c"


async def test_every_seeded_code_passes_the_checker():
    await catalogue.seed()

    for item in await ServiceItem.all().prefetch_related("department"):
        parts = codes.parse_item_code(item.code)
        assert parts.department == check_uscc(item.department.uscc)
        assert (parts.level, parts.basic) == (item.level, item.basic_code)


async def test_a_seeded_item_is_published_through_the_ledger():
    await catalogue.seed()

    assert await ItemVersion.filter(state=VersionState.PUBLISHED).count() == await ServiceItem.all().count()
    assert await EventRecord.filter(name="item.published").count() == await ServiceItem.all().count()


async def test_a_stored_guide_reads_back_as_the_guide_it_was():
    await catalogue.seed()
    version = await ItemVersion.get(name="居民身份证丢失补领")

    guide = msgspec.convert(version.guide, Guide)

    assert guide.hall_ids == (seeding.stable_id("hall", "city-hall"),)
    assert guide.material("form") is not None
    assert guide.forms[0].fields[0].sample == "张小明"


async def test_the_county_that_became_a_district_names_its_successor():
    await catalogue.seed()

    old = await Region.get(code="990122").select_related("successor")

    assert old.valid_to is not None
    assert old.successor.code == "990103"
