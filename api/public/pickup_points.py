"""Counters at which certificates can be fetched, for everybody."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.params import FromPath, QueryParameter

from api import etag, openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend.deliveries import PickupPointDetail, pickup_points
from backend.paging import USUAL

RegionCode = Annotated[
    str | None,
    QueryParameter(
        name="region", pattern=r"^[0-9]{6}([0-9]{6})?$", required=False, description="行政区划代码，含其下级地区"
    ),
]


class PickupPointController(Controller):
    """`/v1/public/pickup-points`."""

    path = "/pickup-points"
    tags = ["公共"]
    middleware = [etag.Revalidated(public=True, max_age=60)]
    response_headers = etag.HEADERS

    @get(
        summary="领取点：开放时间与地图坐标",
        description="按地区列出开放的领取点，坐标为 GCJ-02（国内地图通用）。",
        operation_id="listPickupPoints",
        responses=etag.NOT_MODIFIED | answers(pickup_points.list_pickup_points),
    )
    async def list_pickup_points(
        self, region: RegionCode = None, limit: Limit = USUAL, cursor: Cursor = None
    ) -> Page[PickupPointDetail]:
        return Page(*await pickup_points.list_pickup_points(region=region, limit=limit, cursor=cursor))

    @get(
        "/{point_id:uuid}",
        summary="一个领取点",
        operation_id="getPickupPoint",
        responses=etag.NOT_MODIFIED | answers(pickup_points.get_pickup_point),
    )
    async def get_pickup_point(self, point_id: FromPath[UUID]) -> PickupPointDetail:
        return await pickup_points.get_pickup_point(point_id)


openapi.PARAMETERS.setdefault("point_id", "领取点的标识")
openapi.LINKS["listPickupPoints"] = {
    "point": {"operationId": "getPickupPoint", "parameters": {"point_id": "$response.body#/items/0/id"}}
}
