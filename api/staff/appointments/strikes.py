"""A hall's staff list appeals against strikes and decide on them."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from api import openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import appointments
from backend.appointments import AppealDetail
from backend.identity import AsStaff
from backend.paging import USUAL


class DecisionIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Whether the strike is taken back."""

    waive: bool


class StrikeController(Controller):
    """`/v1/staff/halls/{hall_id}/appeals` and `/v1/staff/strikes`."""

    path = "/"
    tags = ["大厅号源"]

    @get(
        "/halls/{hall_id:uuid}/appeals",
        summary="待处理的爽约申诉",
        operation_id="listAppeals",
        responses=answers(appointments.list_appeals),
    )
    async def appeals(
        self,
        staff: NamedDependency[AsStaff],
        hall_id: FromPath[UUID],
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[AppealDetail]:
        return Page(*await appointments.list_appeals(staff, hall_id, limit=limit, cursor=cursor))

    @post(
        "/strikes/{strike_id:uuid}/decision",
        summary="处理爽约申诉",
        description="`waive` 为 true 时撤销爽约记录，没有申诉也可以撤销；登记爽约的人不能处理。",
        operation_id="decideStrike",
        status_code=204,
        responses=answers(appointments.decide_appeal),
    )
    async def decide(
        self, staff: NamedDependency[AsStaff], strike_id: FromPath[UUID], data: JSONBody[DecisionIn]
    ) -> None:
        await appointments.decide_appeal(staff, strike_id, waive=data.waive)


openapi.LINKS["listAppeals"] = {
    "decide": {"operationId": "decideStrike", "parameters": {"strike_id": "$response.body#/items/0/id"}}
}
