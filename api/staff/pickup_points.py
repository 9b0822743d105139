"""A department keeps the counters at which certificates can be fetched."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import openapi
from api.problems import answers
from backend.deliveries import PickupPointDetail, PickupPointForm, pickup_points
from backend.identity import AsStaff
from backend.regions import Hours


class OpeningIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """When it is open: days of the week (1 is Monday) and local times."""

    days: Annotated[list[int], Meta(min_length=1, max_length=7, description="星期，1 为星期一")]
    opens: Annotated[str, Meta(pattern="^[0-2][0-9]:[0-5][0-9]$")]
    closes: Annotated[str, Meta(pattern="^[0-2][0-9]:[0-5][0-9]$")]


class PickupPointIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A counter. In a hall it stands where the hall does, unless coordinates (GCJ-02) are given."""

    code: Annotated[str, Meta(min_length=2, max_length=40, description="编码，小写字母、数字和短横线，不能修改")]
    name: Annotated[str, Meta(min_length=2, max_length=100)]
    region_code: Annotated[str, Meta(pattern="^[1-9][0-9]{5}([0-9]{6})?$", description="行政区划代码")]
    address: Annotated[str, Meta(min_length=4, max_length=200)]
    phone: Annotated[str, Meta(min_length=5, max_length=20)]
    hours: Annotated[list[OpeningIn], Meta(min_length=1, max_length=14)]
    hall_id: UUID | None = None
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None

    def form(self) -> PickupPointForm:
        """What the use case takes."""
        return PickupPointForm(
            code=self.code,
            name=self.name,
            region_code=self.region_code,
            address=self.address,
            phone=self.phone,
            hours=[Hours(days=each.days, opens=each.opens, closes=each.closes) for each in self.hours],
            hall_id=self.hall_id,
            latitude=_degrees(self.latitude),
            longitude=_degrees(self.longitude),
        )


def _degrees(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(round(value, 6)))


class PickupPointController(Controller):
    """`/v1/staff/pickup-points`."""

    path = "/pickup-points"
    tags = ["寄送管理"]

    @get(
        summary="本部门的领取点",
        operation_id="listOwnPickupPoints",
        responses=answers(pickup_points.list_department_pickup_points),
    )
    async def kept(self, staff: NamedDependency[AsStaff]) -> list[PickupPointDetail]:
        return await pickup_points.list_department_pickup_points(staff)

    @post(
        summary="开设领取点",
        operation_id="openPickupPoint",
        responses=answers(pickup_points.open_pickup_point),
    )
    async def open(self, staff: NamedDependency[AsStaff], data: JSONBody[PickupPointIn]) -> PickupPointDetail:
        return await pickup_points.open_pickup_point(staff, data.form())

    @put(
        "/{point_id:uuid}",
        summary="修改领取点",
        operation_id="changePickupPoint",
        responses=answers(pickup_points.change_pickup_point),
    )
    async def change(
        self, staff: NamedDependency[AsStaff], point_id: FromPath[UUID], data: JSONBody[PickupPointIn]
    ) -> PickupPointDetail:
        return await pickup_points.change_pickup_point(staff, point_id, data.form())

    @post(
        "/{point_id:uuid}/closure",
        summary="关闭领取点",
        description="还有待领取或将送达的证照时不能关闭。",
        operation_id="closePickupPoint",
        status_code=200,
        responses=answers(pickup_points.close_pickup_point),
    )
    async def close(self, staff: NamedDependency[AsStaff], point_id: FromPath[UUID]) -> PickupPointDetail:
        return await pickup_points.close_pickup_point(staff, point_id)

    @post(
        "/{point_id:uuid}/reopening",
        summary="重新开放领取点",
        operation_id="reopenPickupPoint",
        status_code=200,
        responses=answers(pickup_points.reopen_pickup_point),
    )
    async def reopen(self, staff: NamedDependency[AsStaff], point_id: FromPath[UUID]) -> PickupPointDetail:
        return await pickup_points.reopen_pickup_point(staff, point_id)


openapi.PARAMETERS.setdefault("point_id", "领取点的标识")
_HERE = {"parameters": {"point_id": "$response.body#/id"}}
openapi.LINKS["openPickupPoint"] = {
    "change": {"operationId": "changePickupPoint", **_HERE},
    "close": {"operationId": "closePickupPoint", **_HERE},
    "reopen": {"operationId": "reopenPickupPoint", **_HERE},
}
