"""Regions, departments and halls, for everybody."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.params import FromPath, QueryParameter

from api import etag, openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import regions
from backend.paging import USUAL
from backend.regions import DepartmentDetail, HallDetail, RegionDetail

RegionCode = Annotated[
    str | None,
    QueryParameter(pattern=r"^[0-9]{6}([0-9]{6})?$", required=False, description="行政区划代码，6 位；乡镇和村 12 位"),
]
Domain = Annotated[str | None, QueryParameter(max_length=20, required=False, description="部门领域，如 公安、医保")]


class RegionController(Controller):
    """`/v1/public/regions`, `/departments`, `/halls`."""

    tags = ["公共"]
    middleware = [etag.Revalidated(public=True, max_age=300)]
    response_headers = etag.HEADERS

    @get(
        "/regions",
        summary="行政区划",
        description="列出某日（默认今天）有效的区划；停用的代码给出接续它的代码。",
        operation_id="listRegions",
        responses=etag.NOT_MODIFIED | answers(regions.list_regions),
    )
    async def list_regions(
        self,
        parent: RegionCode = None,
        on: Annotated[date | None, QueryParameter(required=False, description="哪一天有效")] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> Page[RegionDetail]:
        return Page(*await regions.list_regions(parent=parent, on=on, limit=limit, cursor=cursor))

    @get(
        "/departments",
        summary="部门",
        description="按地区查时，列出本级和上级部门。",
        operation_id="listDepartments",
        responses=etag.NOT_MODIFIED | answers(regions.list_departments),
    )
    async def list_departments(
        self, region: RegionCode = None, domain: Domain = None, limit: Limit = USUAL, cursor: Cursor = None
    ) -> Page[DepartmentDetail]:
        return Page(*await regions.list_departments(region=region, domain=domain, limit=limit, cursor=cursor))

    @get(
        "/halls",
        summary="办事大厅",
        description="按地区查时，列出本地区及其下级地区的大厅。",
        operation_id="listHalls",
        responses=etag.NOT_MODIFIED | answers(regions.list_halls),
    )
    async def list_halls(
        self, region: RegionCode = None, limit: Limit = USUAL, cursor: Cursor = None
    ) -> Page[HallDetail]:
        return Page(*await regions.list_halls(region=region, limit=limit, cursor=cursor))

    @get(
        "/halls/{hall_id:uuid}",
        summary="一个办事大厅",
        operation_id="getHall",
        responses=etag.NOT_MODIFIED | answers(regions.get_hall),
    )
    async def get_hall(self, hall_id: FromPath[UUID]) -> HallDetail:
        return await regions.get_hall(hall_id)


openapi.LINKS["listHalls"] = {
    "hall": {"operationId": "getHall", "parameters": {"hall_id": "$response.body#/items/0/id"}}
}
