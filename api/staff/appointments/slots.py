"""A hall's staff open slots, change their places, close and reopen them."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import openapi
from api.problems import answers
from backend import appointments
from backend.appointments import DayClosure, GeneratedSlots, Places, SlotCapacity, SlotClosure, SlotSummary
from backend.identity import AsStaff

Day = Annotated[date, QueryParameter(description="日期，如2026-03-02")]
OfLine = Annotated[UUID | None, QueryParameter(description="只看这个业务类别", required=False)]
Reason = Annotated[str, Meta(min_length=1, max_length=200)]


class RangeIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A range of days, both included."""

    first: date
    last: date


class CapacityIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """How many may book the slot; and, if given, how many may come without an appointment."""

    capacity: Places
    walk_in_quota: Places | None = None


class CloseIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why the slot is closed: residents read it."""

    because: Reason


class CloseDayIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which day is closed, and why; one line only, if it is given."""

    day: date
    because: Reason
    line_id: UUID | None = None


class ReopenDayIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which day is reopened; one line only, if it is given."""

    day: date
    line_id: UUID | None = None


class Reopened(Struct, kw_only=True):
    """How many slots can be booked again."""

    slots: int


class SlotController(Controller):
    """`/v1/staff/lines/{line_id}/slots`, `/v1/staff/halls/{hall_id}/slots` and `/v1/staff/slots`."""

    path = "/"
    tags = ["大厅号源"]

    @post(
        "/lines/{line_id:uuid}/slots",
        summary="按模板生成时段",
        description="可以重复提交：已有的时段不变，只补上没有的。节假日安排尚未公布的年度不能生成。",
        operation_id="generateSlots",
        status_code=200,
        responses=answers(appointments.generate_slots),
    )
    async def generate(
        self, staff: NamedDependency[AsStaff], line_id: FromPath[UUID], data: JSONBody[RangeIn]
    ) -> GeneratedSlots:
        return await appointments.generate_slots(staff, line_id, data.first, data.last)

    @get(
        "/halls/{hall_id:uuid}/slots",
        summary="一天的时段与数字",
        operation_id="listHallSlots",
        responses=answers(appointments.list_slot_summaries),
    )
    async def figures(
        self,
        staff: NamedDependency[AsStaff],
        hall_id: FromPath[UUID],
        day: FromQuery[Day],
        line_id: FromQuery[OfLine] = None,
    ) -> list[SlotSummary]:
        return await appointments.list_slot_summaries(staff, hall_id, day, line_id=line_id)

    @put(
        "/slots/{slot_id:uuid}/capacity",
        summary="增减号源",
        description="不能少于已被约走的数量。增加的号源先给候补名单。",
        operation_id="setSlotCapacity",
        responses=answers(appointments.set_slot_capacity),
    )
    async def set_capacity(
        self, staff: NamedDependency[AsStaff], slot_id: FromPath[UUID], data: JSONBody[CapacityIn]
    ) -> SlotCapacity:
        return await appointments.set_slot_capacity(staff, slot_id, data.capacity, data.walk_in_quota)

    @post(
        "/slots/{slot_id:uuid}/close",
        summary="停止一个时段",
        description="已预约的人会收到通知，并为其预留同一业务类别中时间最近的空闲时段，限时确认。已签到的人照常办理。",
        operation_id="closeSlot",
        status_code=200,
        responses=answers(appointments.close_slot),
    )
    async def close(
        self, staff: NamedDependency[AsStaff], slot_id: FromPath[UUID], data: JSONBody[CloseIn]
    ) -> SlotClosure:
        return await appointments.close_slot(staff, slot_id, data.because)

    @post(
        "/slots/{slot_id:uuid}/reopen",
        summary="恢复一个时段",
        operation_id="reopenSlot",
        status_code=204,
        responses=answers(appointments.reopen_slot),
    )
    async def reopen(self, staff: NamedDependency[AsStaff], slot_id: FromPath[UUID]) -> None:
        await appointments.reopen_slot(staff, slot_id)

    @post(
        "/halls/{hall_id:uuid}/closures",
        summary="停止一天的全部时段",
        description="返回时已不能再预约；逐个时段通知已预约的人，并在其他日子为其预留时段。中断后可以重复提交。",
        operation_id="closeDay",
        status_code=200,
        responses=answers(appointments.close_day),
    )
    async def close_day(
        self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID], data: JSONBody[CloseDayIn]
    ) -> DayClosure:
        return await appointments.close_day(staff, hall_id, data.day, data.because, line_id=data.line_id)

    @post(
        "/halls/{hall_id:uuid}/reopenings",
        summary="恢复一天的时段",
        operation_id="reopenDay",
        status_code=200,
        responses=answers(appointments.reopen_day),
    )
    async def reopen_day(
        self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID], data: JSONBody[ReopenDayIn]
    ) -> Reopened:
        return Reopened(slots=await appointments.reopen_day(staff, hall_id, data.day, line_id=data.line_id))


openapi.LINKS["listHallSlots"] = {
    "capacity": {"operationId": "setSlotCapacity", "parameters": {"slot_id": "$response.body#/0/id"}},
    "close": {"operationId": "closeSlot", "parameters": {"slot_id": "$response.body#/0/id"}},
    "reopen": {"operationId": "reopenSlot", "parameters": {"slot_id": "$response.body#/0/id"}},
}
