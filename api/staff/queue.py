"""A hall's windows call numbers, serve, miss, hand over; staff check people in at the desk."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import openapi
from api.problems import answers
from backend import appointments
from backend.appointments import QueueTicket
from backend.identity import AsStaff
from backend.partners import Partners


class HandOverIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where the number goes; with neither it only leaves its window."""

    window_id: Annotated[UUID | None, Meta(description="只由这个窗口叫号")] = None
    line_id: Annotated[UUID | None, Meta(description="转到这个业务类别的窗口")] = None


class QueueController(Controller):
    """`/v1/staff`: windows, tickets and the desk."""

    tags = ["签到叫号"]

    @get(
        "/halls/{hall_id:uuid}/queue",
        summary="当日排队（正在叫、等候、过号）",
        operation_id="listQueue",
        responses=answers(appointments.list_queue),
    )
    async def queue(self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID]) -> list[QueueTicket]:
        return await appointments.list_queue(staff, hall_id)

    @get(
        "/halls/{hall_id:uuid}/poster-code",
        summary="大厅海报的小程序码（图片）",
        description="扫码打开小程序中的大厅排队页面；永久有效。",
        operation_id="getHallPosterCode",
        media_type="image/png",
        responses=answers(appointments.hall_poster)
        | {200: ResponseSpec(bytes, media_type="image/png", description="图片", generate_examples=False)},
    )
    async def poster(
        self, staff: NamedDependency[AsStaff], partners: NamedDependency[Partners], hall_id: FromPath[UUID]
    ) -> Response[bytes]:
        found = await appointments.hall_poster(staff, hall_id, wechat=partners.wechat)
        return Response(found.content, media_type=found.content_type)

    @post(
        "/appointments/{appointment_id:uuid}/check-in",
        summary="服务台签到，取得排队号",
        description="当日时段已过也可以签到。",
        operation_id="checkInAtDesk",
        responses=answers(appointments.check_in),
    )
    async def check_in(self, staff: NamedDependency[AsStaff], appointment_id: FromPath[UUID]) -> QueueTicket:
        return await appointments.check_in(staff, appointment_id)

    @post(
        "/windows/{window_id:uuid}/call",
        summary="叫下一个号",
        description=(
            "按预约时段开始时间（现场取号按到场时间）排序；两个窗口同时叫号不会叫到同一个号。"
            "窗口当前的号须先办结、过号或转出。"
        ),
        operation_id="callNext",
        status_code=200,
        responses=answers(appointments.call_next),
    )
    async def call_next(self, staff: NamedDependency[AsStaff], window_id: FromPath[UUID]) -> QueueTicket:
        return await appointments.call_next(staff, window_id)

    @post(
        "/tickets/{ticket_id:uuid}/call",
        summary="再叫一次",
        operation_id="callAgain",
        status_code=200,
        responses=answers(appointments.call_ticket_again),
    )
    async def call_again(self, staff: NamedDependency[AsStaff], ticket_id: FromPath[UUID]) -> QueueTicket:
        return await appointments.call_ticket_again(staff, ticket_id)

    @post(
        "/tickets/{ticket_id:uuid}/serve",
        summary="办结当前号码",
        operation_id="serveTicket",
        status_code=200,
        responses=answers(appointments.serve_ticket),
    )
    async def serve(self, staff: NamedDependency[AsStaff], ticket_id: FromPath[UUID]) -> QueueTicket:
        return await appointments.serve_ticket(staff, ticket_id)

    @post(
        "/tickets/{ticket_id:uuid}/miss",
        summary="过号",
        operation_id="missTicket",
        status_code=200,
        responses=answers(appointments.miss_ticket),
    )
    async def miss(self, staff: NamedDependency[AsStaff], ticket_id: FromPath[UUID]) -> QueueTicket:
        return await appointments.miss_ticket(staff, ticket_id)

    @post(
        "/tickets/{ticket_id:uuid}/rejoin",
        summary="过号后重新排队",
        description="排到现在等候的人之后。",
        operation_id="rejoinQueue",
        status_code=200,
        responses=answers(appointments.rejoin_queue),
    )
    async def rejoin(self, staff: NamedDependency[AsStaff], ticket_id: FromPath[UUID]) -> QueueTicket:
        return await appointments.rejoin_queue(staff, ticket_id)

    @post(
        "/tickets/{ticket_id:uuid}/hand-over",
        summary="转到其他窗口或业务类别",
        description="号码不变，仍按原来的次序。",
        operation_id="handOverTicket",
        status_code=200,
        responses=answers(appointments.hand_over_ticket),
    )
    async def hand_over(
        self, staff: NamedDependency[AsStaff], ticket_id: FromPath[UUID], data: JSONBody[HandOverIn]
    ) -> QueueTicket:
        return await appointments.hand_over_ticket(staff, ticket_id, window_id=data.window_id, line_id=data.line_id)


openapi.PARAMETERS.setdefault("ticket_id", "排队号的标识")
openapi.PARAMETERS.setdefault("window_id", "窗口的标识")
openapi.PARAMETERS.setdefault("appointment_id", "预约的标识")
_TICKET_IS = {"parameters": {"ticket_id": "$response.body#/id"}}
_HALL = {"parameters": {"hall_id": "$response.body#/0/id"}}
openapi.LINKS["callNext"] = {
    "again": {"operationId": "callAgain", **_TICKET_IS},
    "serve": {"operationId": "serveTicket", **_TICKET_IS},
    "miss": {"operationId": "missTicket", **_TICKET_IS},
    "hand_over": {"operationId": "handOverTicket", **_TICKET_IS},
}
openapi.LINKS["missTicket"] = {"rejoin": {"operationId": "rejoinQueue", **_TICKET_IS}}
openapi.LINKS.setdefault("listOwnHalls", {}).update(
    {
        "queue": {"operationId": "listQueue", **_HALL},
        "poster": {"operationId": "getHallPosterCode", **_HALL},
        "scan": {"operationId": "checkInByCode", **_HALL},
        "check_in": {"operationId": "checkInByIdentity", **_HALL},
        "walk_in": {"operationId": "takeWalkInTicket", **_HALL},
    }
)
openapi.LINKS.setdefault("listWindows", {})["call"] = {
    "operationId": "callNext",
    "parameters": {"window_id": "$response.body#/0/id"},
}
openapi.LINKS.setdefault("listHallAppointments", {})["check_in"] = {
    "operationId": "checkInAtDesk",
    "parameters": {"appointment_id": "$response.body#/items/0/id"},
}
