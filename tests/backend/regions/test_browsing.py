"""Regions by day, lineage over renamed codes, departments and halls around and inside a region."""

from __future__ import annotations

from datetime import date
from uuid import uuid4

import asyncpg
import pytest
from tortoise.exceptions import IntegrityError

from backend import catalogue, regions
from backend.database import execute
from backend.paging import CursorInvalid
from backend.regions.errors import HallNotFound, RegionNotFound
from models.regions import Hall, Region
from tests.factories.regions import a_department, a_hall, a_region

CITY, COUNTY, TOWN = "990100", "990121", "990121100000"


@pytest.fixture(autouse=True)
async def sample() -> None:
    await catalogue.seed()


async def test_a_day_shows_the_regions_of_that_day():
    today, _ = await regions.list_regions(parent=CITY)
    before, _ = await regions.list_regions(parent=CITY, on=date(2021, 5, 31))

    assert [each.code for each in today] == ["990102", "990103", "990121"]
    assert [each.code for each in before] == ["990102", "990121", "990122"]
    assert before[-1].successor_code == "990103"


async def test_the_last_day_of_a_code_is_the_day_before_its_end():
    on_the_day, _ = await regions.list_regions(parent=CITY, on=date(2021, 6, 1))

    assert "990122" not in [each.code for each in on_the_day]
    assert "990103" in [each.code for each in on_the_day]


async def test_pages_of_regions_together_are_the_whole_list():
    whole, _ = await regions.list_regions(limit=100)
    seen, cursor = [], None

    while True:
        page, cursor = await regions.list_regions(limit=2, cursor=cursor)
        seen += page
        if cursor is None:
            break

    assert seen == whole
    assert len(seen) == 7


async def test_a_cursor_of_another_list_is_refused():
    _, cursor = await regions.list_regions(limit=1)

    with pytest.raises(CursorInvalid):
        await regions.list_halls(cursor=cursor)


async def test_a_region_knows_what_is_around_it_nearest_first():
    assert await regions.get_lineage(TOWN) == (TOWN, COUNTY, CITY, "990000")


async def test_a_code_that_ended_leads_to_its_successor():
    assert await regions.get_lineage("990122") == ("990103", CITY, "990000")


async def test_a_code_that_never_was_is_unknown():
    with pytest.raises(RegionNotFound):
        await regions.get_lineage("123456")


async def test_departments_of_a_region_are_its_own_and_those_above():
    in_county, _ = await regions.list_departments(region=COUNTY, limit=100)
    in_city, _ = await regions.list_departments(region=CITY, limit=100)

    assert "云山县民政局" in {each.name for each in in_county}
    assert {each.name for each in in_city} < {each.name for each in in_county}
    assert "城中区教育局" not in {each.name for each in in_county}


async def test_departments_are_narrowed_by_domain():
    found, _ = await regions.list_departments(domain="医保")

    assert [each.name for each in found] == ["示例市医疗保障局"]


async def test_halls_of_a_region_are_those_inside_it():
    in_county, _ = await regions.list_halls(region=COUNTY)
    in_city, _ = await regions.list_halls(region=CITY)

    assert [each.code for each in in_county] == ["shiqiao-point", "yunshan-hall"]
    assert len(in_city) == await Hall.all().count()


async def test_a_hall_shows_where_and_when():
    stored = await Hall.get(code="city-hall")

    hall = await regions.get_hall(stored.id)

    assert hall.hours[0] == regions.Hours(days=[1, 2, 3, 4, 5], opens="09:00", closes="17:00")
    assert (str(hall.latitude), hall.region_name) == ("35.000100", "示例市")


async def test_halls_come_in_the_order_asked_for_and_unknown_ones_are_left_out():
    one, two = await a_hall(), await a_hall()

    found = await regions.get_halls((two.id, uuid4(), one.id))

    assert [each.id for each in found] == [two.id, one.id]


async def test_a_hall_that_does_not_exist_is_unknown():
    with pytest.raises(HallNotFound):
        await regions.get_hall(uuid4())


async def test_a_code_is_in_use_once():
    with pytest.raises(IntegrityError):
        await Region.create(
            code=COUNTY,
            name="另一个县",
            level="county",
            valid_from=date(2024, 1, 1),
            parent=await Region.get(code=CITY),
        )


CANNOT_BE = (
    "UPDATE regions SET code = '099999' WHERE code = '990121'",
    "UPDATE regions SET valid_to = valid_from WHERE code = '990121'",
    "UPDATE regions SET successor_id = id WHERE code = '990121'",
    "UPDATE regions SET parent_id = NULL WHERE code = '990121'",
)


async def test_the_database_refuses_a_region_that_cannot_be():
    for change in CANNOT_BE:
        with pytest.raises(asyncpg.CheckViolationError):
            await execute(change)


async def test_a_department_has_its_own_code():
    first = await a_department(region=await a_region())

    with pytest.raises(IntegrityError):
        await a_department(uscc=first.uscc)
