"""Residents see their strikes and appeal against them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from api import openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import appointments
from backend.appointments import StrikeDetail
from backend.identity import AsResident
from backend.paging import USUAL


class AppealIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why the strike should not count."""

    words: Annotated[str, Meta(min_length=1, max_length=300)]


class StrikeController(Controller):
    """`/v1/resident/strikes`."""

    path = "/strikes"
    tags = ["预约"]

    @get(
        summary="我的爽约记录",
        description="最近的在前。`standing`：counting 计入，appealed 申诉中，upheld 维持，waived 已撤销。",
        operation_id="listStrikes",
        responses=answers(appointments.list_own_strikes),
    )
    async def list_own_strikes(
        self, resident: NamedDependency[AsResident], limit: FromQuery[Limit] = USUAL, cursor: FromQuery[Cursor] = None
    ) -> Page[StrikeDetail]:
        return Page(*await appointments.list_own_strikes(resident, limit=limit, cursor=cursor))

    @post(
        "/{strike_id:uuid}/appeal",
        summary="申诉一条爽约记录",
        description="每条记录可以申诉一次，由大厅其他工作人员处理。",
        operation_id="appealStrike",
        status_code=204,
        responses=answers(appointments.appeal_strike),
    )
    async def appeal(
        self, resident: NamedDependency[AsResident], strike_id: FromPath[UUID], data: JSONBody[AppealIn]
    ) -> None:
        await appointments.appeal_strike(resident, strike_id, data.words)


openapi.LINKS["listStrikes"] = {
    "appeal": {"operationId": "appealStrike", "parameters": {"strike_id": "$response.body#/items/0/id"}}
}
