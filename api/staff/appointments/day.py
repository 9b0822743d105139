"""A hall's staff see which halls they run, and who comes on a day."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from api import openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import appointments
from backend.appointments import DayOff, StaffAppointmentSummary
from backend.identity import AsStaff
from backend.paging import USUAL
from backend.regions import HallDetail
from models.appointments import AppointmentState

Day = Annotated[date, QueryParameter(description="日期，如2026-03-02")]
OfLine = Annotated[UUID | None, QueryParameter(description="只看这个业务类别", required=False)]
States = Annotated[
    list[AppointmentState] | None,
    QueryParameter(
        name="state", description="只看这些状态，可重复；不给时为已预约、已签到、已办理和爽约", required=False
    ),
]


class DayController(Controller):
    """`/v1/staff/halls`."""

    path = "/halls"
    tags = ["大厅号源"]

    @get(
        summary="我管理的大厅",
        description="职责 `hall:<大厅代号>` 管理一个大厅；`halls.manage` 管理本部门所在地区及下级地区的全部大厅。",
        operation_id="listOwnHalls",
    )
    async def own(self, staff: NamedDependency[AsStaff]) -> list[HallDetail]:
        return await appointments.list_own_halls(staff)

    @get(
        "/{hall_id:uuid}/appointments",
        summary="当日预约名单（姓名已脱敏）",
        operation_id="listHallAppointments",
        responses=answers(appointments.list_day_appointments),
    )
    async def day_list(
        self,
        staff: NamedDependency[AsStaff],
        hall_id: FromPath[UUID],
        day: FromQuery[Day],
        line_id: FromQuery[OfLine] = None,
        states: FromQuery[States] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[StaffAppointmentSummary]:
        wanted = [str(each) for each in states] if states else None
        found = await appointments.list_day_appointments(
            staff, hall_id, day, line_id=line_id, states=wanted, limit=limit, cursor=cursor
        )
        return Page(*found)

    @get(
        "/{hall_id:uuid}/days-off",
        summary="已放号而后定为休息日的日期",
        description="这些日子仍可预约。是否照常办理由大厅决定：不办理的请用“关闭一天”，已预约的人会收到通知并获得其他时段。",
        operation_id="listDaysOff",
        responses=answers(appointments.list_days_off),
    )
    async def days_off(self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID]) -> list[DayOff]:
        return await appointments.list_days_off(staff, hall_id)


openapi.LINKS["listOwnHalls"] = {
    operation: {"operationId": operation, "parameters": {"hall_id": "$response.body#/0/id"}}
    for operation in (
        "listLines",
        "createLine",
        "listWindows",
        "listHallSlots",
        "listHallAppointments",
        "listAppeals",
        "listDaysOff",
        "closeDay",
        "reopenDay",
    )
}
