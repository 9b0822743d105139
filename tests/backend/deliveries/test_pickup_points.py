"""Counters: found by region with hours and a place on the map, kept by their department only."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from backend import catalogue
from backend.deliveries import pickup_points, seeding
from backend.deliveries.errors import PickupPointInUse, PickupPointInvalid, PickupPointNotFound, PickupPointTaken
from backend.deliveries.pickup_points import PickupPointForm
from backend.events import acting_as
from backend.identity.errors import DutyMissing
from backend.identity.principals import AsStaff
from backend.regions import Hours
from backend.regions.errors import RegionNotFound
from models.deliveries import DeliveryState, Method
from models.regions import Hall
from tests.factories.deliveries import a_delivery
from tests.factories.identity import a_department_id
from tests.factories.regions import a_region

HOURS = [Hours(days=[1, 2, 3, 4, 5], opens="09:00", closes="17:00")]


async def a_form(**changes: Any) -> PickupPointForm:
    values: dict[str, Any] = {
        "code": "hall-counter",
        "name": "政务服务中心出件窗口",
        "address": "人民路1号一楼",
        "phone": "0431-88880000",
        "hours": HOURS,
        **changes,
    }
    if "region_code" not in values:
        values["region_code"] = (await a_region()).code
    return PickupPointForm(**values)


async def a_keeper(department: UUID | None = None) -> AsStaff:
    return AsStaff(uuid7(), department or await a_department_id(), frozenset({pickup_points.MANAGE_PICKUP_POINTS}))


async def a_hall() -> Hall:
    return await Hall.create(
        code="h1", name="大厅", region=await a_region(), address="人民路1号", phone="12345", hours=[],
        latitude=Decimal("35.1"), longitude=Decimal("105.1"),
    )  # fmt: skip


async def test_a_counter_in_a_hall_stands_where_the_hall_does_unless_it_says_otherwise():
    keeper, hall = await a_keeper(), await a_hall()

    inside = await pickup_points.open_pickup_point(keeper, await a_form(hall_id=hall.id))
    beside = await pickup_points.open_pickup_point(
        keeper, await a_form(code="beside", hall_id=hall.id, latitude=Decimal("35.2"), longitude=Decimal("105.2"))
    )
    somewhere = await pickup_points.open_pickup_point(keeper, await a_form(code="somewhere"))

    assert (inside.latitude, inside.longitude) == (Decimal("35.100000"), Decimal("105.100000"))
    assert (beside.latitude, beside.longitude) == (Decimal("35.200000"), Decimal("105.200000"))
    assert (somewhere.latitude, somewhere.longitude) == (None, None)
    assert inside.hours == HOURS
    assert inside.department == "某局"
    assert inside.region[0] == "测试省"


async def test_the_list_of_a_region_holds_what_lies_in_it_and_pages_on():
    keeper, region, other = await a_keeper(), await a_region(code="980111"), await a_region(code="980112")
    for number in range(3):
        await pickup_points.open_pickup_point(keeper, await a_form(code=f"point-{number}", region_code=region.code))
    far = await pickup_points.open_pickup_point(keeper, await a_form(code="far", region_code=other.code))
    await pickup_points.close_pickup_point(keeper, far.id)

    first, cursor = await pickup_points.list_pickup_points(region="980111", limit=2)
    rest, end = await pickup_points.list_pickup_points(region="980111", limit=2, cursor=cursor)

    assert [each.code for each in (*first, *rest)] == ["point-0", "point-1", "point-2"]
    assert end is None
    assert len((await pickup_points.list_pickup_points(region="980100"))[0]) == 3
    assert (await pickup_points.list_pickup_points(region="980112"))[0] == []
    with pytest.raises(RegionNotFound):
        await pickup_points.list_pickup_points(region="999999")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"code": "Große Halle"}, "/code"),
        ({"phone": "call us"}, "/phone"),
        ({"hours": []}, "/hours"),
        ({"hours": [Hours(days=[8], opens="09:00", closes="17:00")]}, "/hours"),
        ({"hours": [Hours(days=[1, 1], opens="09:00", closes="17:00")]}, "/hours"),
        ({"hours": [Hours(days=[1], opens="17:00", closes="09:00")]}, "/hours"),
        ({"hours": [Hours(days=[1], opens="9", closes="24:00")]}, "/hours"),
        ({"latitude": Decimal("35")}, "/latitude"),
        ({"latitude": Decimal("51.5"), "longitude": Decimal("0.1")}, "/latitude"),
        ({"hall_id": uuid7()}, "/hall_id"),
        ({"region_code": "999998"}, "/region_code"),
    ],
)
async def test_a_counter_that_cannot_be_found_is_refused(changes: dict[str, Any], pointer: str):
    keeper = await a_keeper()

    with pytest.raises(PickupPointInvalid) as caught:
        await pickup_points.open_pickup_point(keeper, await a_form(**changes))

    assert [fault.pointer for fault in caught.value.fields] == [pointer]


async def test_a_code_belongs_to_one_counter_and_stays():
    keeper = await a_keeper()
    made = await pickup_points.open_pickup_point(keeper, await a_form())

    with pytest.raises(PickupPointTaken):
        await pickup_points.open_pickup_point(await a_keeper(), await a_form())
    with pytest.raises(PickupPointInvalid):
        await pickup_points.change_pickup_point(keeper, made.id, await a_form(code="another"))
    changed = await pickup_points.change_pickup_point(keeper, made.id, await a_form(name="二楼出件窗口"))
    assert changed.name == "二楼出件窗口"


async def test_a_counter_is_not_closed_over_what_lies_there():
    keeper = await a_keeper()
    made = await pickup_points.open_pickup_point(keeper, await a_form())
    delivery = await a_delivery(method=Method.PICKUP, pickup_point=None, pickup_point_id=made.id)

    with pytest.raises(PickupPointInUse):
        await pickup_points.close_pickup_point(keeper, made.id)
    delivery.state = DeliveryState.HANDED_OVER
    await delivery.save()
    assert not (await pickup_points.close_pickup_point(keeper, made.id)).open
    assert not (await pickup_points.close_pickup_point(keeper, made.id)).open
    assert (await pickup_points.reopen_pickup_point(keeper, made.id)).open
    assert [each.id for each in await pickup_points.list_department_pickup_points(keeper)] == [made.id]


async def test_another_department_and_staff_without_the_duty_keep_nothing():
    made = await pickup_points.open_pickup_point(await a_keeper(), await a_form())
    stranger = await a_keeper()

    for act in (pickup_points.close_pickup_point, pickup_points.reopen_pickup_point):
        with pytest.raises(PickupPointNotFound):
            await act(stranger, made.id)
    with pytest.raises(PickupPointNotFound):
        await pickup_points.change_pickup_point(stranger, made.id, await a_form())
    assert await pickup_points.list_department_pickup_points(stranger) == []
    with pytest.raises(DutyMissing):
        await pickup_points.list_department_pickup_points(AsStaff(uuid7(), uuid7(), frozenset()))


async def test_the_sample_counters_are_the_same_everywhere_and_stand_in_their_halls():
    with acting_as("operator", "seed"):
        await catalogue.seed()
        assert (await seeding.seed(), await seeding.seed()) == (4, 0)

    found, _ = await pickup_points.list_pickup_points(region="990100")
    assert [each.code for each in found] == sorted(f"{code}-counter" for code in seeding.COUNTERS)
    assert all(each.latitude and each.hours and each.department for each in found)
