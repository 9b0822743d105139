"""A hall's staff set its windows."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, PathParameter
from msgspec import Meta, Struct

from api import openapi
from api.problems import answers
from backend import appointments
from backend.appointments import WindowDetail
from backend.identity import AsStaff

Number = Annotated[
    str, PathParameter(min_length=1, max_length=8, pattern="^[0-9A-Za-z-]+$", description="窗口号，与标牌一致")
]


class WindowIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The lines that the window serves, and whether it is open."""

    line_ids: Annotated[list[UUID], Meta(max_length=50)]
    open: bool = True


class WindowController(Controller):
    """`/v1/staff/halls/{hall_id}/windows`."""

    path = "/halls/{hall_id:uuid}/windows"
    tags = ["大厅号源"]

    @get(summary="大厅的窗口", operation_id="listWindows", responses=answers(appointments.list_windows))
    async def list_windows(self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID]) -> list[WindowDetail]:
        return await appointments.list_windows(staff, hall_id)

    @put(
        "/{number:str}",
        summary="设置窗口",
        description="没有这个窗口时新建。停用的窗口不叫号。",
        operation_id="setWindow",
        responses=answers(appointments.set_window),
    )
    async def set_window(
        self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID], number: Number, data: JSONBody[WindowIn]
    ) -> WindowDetail:
        return await appointments.set_window(staff, hall_id, number, line_ids=data.line_ids, open=data.open)


openapi.LINKS["listWindows"] = {
    "window": {"operationId": "setWindow", "parameters": {"number": "$response.body#/0/number"}}
}
