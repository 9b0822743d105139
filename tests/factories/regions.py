"""Regions, departments and halls for tests, each one new."""

from __future__ import annotations

import itertools
from datetime import date
from typing import Any

from backend.regions.codes import uscc_check_digit
from models.regions import Department, Hall, Region, RegionLevel

_counter = itertools.count(1)


def a_uscc() -> str:
    """A checksum-correct code that no other call gives."""
    body = f"11990100{next(_counter):09d}"
    return body + uscc_check_digit(body)


async def a_region(**changes: Any) -> Region:
    """A county of a city of a province, unless another level is given; the two above it are made once."""
    province, _ = await Region.get_or_create(
        code="980000",
        valid_to=None,
        defaults={"name": "测试省", "level": RegionLevel.PROVINCE, "valid_from": date(2000, 1, 1)},
    )
    city, _ = await Region.get_or_create(
        code="980100",
        valid_to=None,
        defaults={"name": "测试市", "level": RegionLevel.CITY, "valid_from": date(2000, 1, 1), "parent": province},
    )
    number = next(_counter)
    values: dict[str, Any] = {
        "code": f"9801{number % 90 + 10:02d}",
        "name": f"测试{number}县",
        "level": RegionLevel.COUNTY,
        "valid_from": date(2000, 1, 1),
        "parent": city,
        **changes,
    }
    existing = await Region.get_or_none(code=values["code"], valid_to=None)
    return existing or await Region.create(**values)


async def a_department(**changes: Any) -> Department:
    """An authority in a region of its own."""
    values: dict[str, Any] = {"uscc": a_uscc(), "domain": "民政", "phone": "12345", **changes}
    values.setdefault("name", f"测试局{values['uscc'][-4:]}")
    if "region" not in values:
        values["region"] = await a_region()
    return await Department.create(**values)


async def a_hall(**changes: Any) -> Hall:
    """A hall that is open on working days from nine to five."""
    values: dict[str, Any] = {
        "code": f"hall-{next(_counter)}",
        "name": "测试政务大厅",
        "address": "测试路1号",
        "phone": "12345",
        "latitude": "35.1",
        "longitude": "105.1",
        "hours": [{"days": [1, 2, 3, 4, 5], "opens": "09:00", "closes": "17:00"}],
        **changes,
    }
    if "region" not in values:
        values["region"] = await a_region()
    return await Hall.create(**values)
