"""A hall's staff say what residents queue for: lines, their items and their hours."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import openapi
from api.problems import answers
from backend import appointments
from backend.appointments import LineDetail, LineRules, Opening
from backend.identity import AsStaff

Code = Annotated[str, Meta(min_length=1, max_length=40)]


class ItemsIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Codes of every item that the line handles."""

    item_codes: Annotated[list[Code], Meta(max_length=1000)]


class HoursBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole template: ISO weekdays 1 to 7, and 0 for make-up working days."""

    hours: Annotated[list[Opening], Meta(max_length=100)]


class LineController(Controller):
    """`/v1/staff/halls/{hall_id}/lines` and `/v1/staff/lines`."""

    path = "/"
    tags = ["大厅号源"]

    @get(
        "/halls/{hall_id:uuid}/lines",
        summary="大厅的业务类别",
        operation_id="listLines",
        responses=answers(appointments.list_lines),
    )
    async def list_lines(self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID]) -> list[LineDetail]:
        return await appointments.list_lines(staff, hall_id)

    @post(
        "/halls/{hall_id:uuid}/lines",
        summary="新建业务类别",
        operation_id="createLine",
        responses=answers(appointments.define_line),
    )
    async def define(
        self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID], data: JSONBody[LineRules]
    ) -> LineDetail:
        return await appointments.define_line(staff, hall_id, data)

    @get(
        "/lines/{line_id:uuid}",
        summary="一个业务类别",
        operation_id="getLine",
        responses=answers(appointments.get_line),
    )
    async def get_line(self, staff: NamedDependency[AsStaff], line_id: FromPath[UUID]) -> LineDetail:
        return await appointments.get_line(staff, line_id)

    @put(
        "/lines/{line_id:uuid}",
        summary="修改业务类别的规则",
        description="逐项给出全部规则，没有给出的取默认值。已经生成的时段不变。",
        operation_id="updateLine",
        responses=answers(appointments.update_line),
    )
    async def update(
        self, staff: NamedDependency[AsStaff], line_id: FromPath[UUID], data: JSONBody[LineRules]
    ) -> LineDetail:
        return await appointments.update_line(staff, line_id, data)

    @put(
        "/lines/{line_id:uuid}/items",
        summary="业务类别受理的事项",
        description="给出全部事项。同一大厅内，一个事项只归一个业务类别。",
        operation_id="setLineItems",
        responses=answers(appointments.set_line_items),
    )
    async def set_items(
        self, staff: NamedDependency[AsStaff], line_id: FromPath[UUID], data: JSONBody[ItemsIn]
    ) -> LineDetail:
        return await appointments.set_line_items(staff, line_id, data.item_codes)

    @get(
        "/lines/{line_id:uuid}/hours",
        summary="受理时间模板",
        operation_id="getLineHours",
        responses=answers(appointments.list_line_hours),
    )
    async def get_hours(self, staff: NamedDependency[AsStaff], line_id: FromPath[UUID]) -> HoursBody:
        return HoursBody(hours=await appointments.list_line_hours(staff, line_id))

    @put(
        "/lines/{line_id:uuid}/hours",
        summary="修改受理时间模板",
        description=(
            "`weekday` 1至7为周一至周日，0为调休上班日。法定节假日不开放；普通周末只有列出6、7时才开放。"
            "只影响以后生成的时段。"
        ),
        operation_id="setLineHours",
        responses=answers(appointments.set_line_hours),
    )
    async def set_hours(
        self, staff: NamedDependency[AsStaff], line_id: FromPath[UUID], data: JSONBody[HoursBody]
    ) -> HoursBody:
        return HoursBody(hours=await appointments.set_line_hours(staff, line_id, data.hours))


openapi.LINKS["createLine"] = {
    operation: {"operationId": operation, "parameters": {"line_id": "$response.body#/id"}}
    for operation in ("getLine", "updateLine", "setLineItems", "getLineHours", "setLineHours", "generateSlots")
}
