"""The kiosk at the entrance: check-in by code or by what one knows, and numbers for people without an appointment.

A kiosk signs in as staff with the one duty `kiosk:<hall code>`; staff who run the hall may do the same at the desk.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import openapi
from api.limits import limit
from api.problems import answers
from backend import appointments
from backend.appointments import QueueTicket
from backend.identity import AsStaff


class ScannedIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the scanner read."""

    code: Annotated[str, Meta(min_length=1, max_length=200, description="扫到的签到码原文")]


class KnownIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a visitor without a phone types in."""

    id_last_four: Annotated[str, Meta(pattern=r"^\d{3}[\dXx]$", description="证件号码后四位")]
    phone: Annotated[str, Meta(pattern=r"^1\d{10}$", description="预约时填写的手机号")]


class WalkInIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The item of a visitor without an appointment."""

    line_id: Annotated[UUID, Meta(description="业务类别")]


class KioskController(Controller):
    """`/v1/staff/halls/{id}/kiosk`."""

    path = "/halls/{hall_id:uuid}/kiosk"
    tags = ["签到叫号"]
    guards = [limit("kiosk", 240, 60, fail_closed=True)]

    @post(
        "/scans",
        summary="扫码签到，取得排队号",
        description="伪造、过期、已使用、其他大厅或日期的码，回答都相同；时段未到或已过时另有说明，码不作废。",
        operation_id="checkInByCode",
        responses=answers(appointments.check_in_by_code),
    )
    async def scan(
        self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID], data: JSONBody[ScannedIn]
    ) -> QueueTicket:
        return await appointments.check_in_by_code(staff, hall_id, data.code)

    @post(
        "/check-ins",
        summary="凭证件后四位和手机号签到，取得排队号",
        description="须与预约时填写的一致；哪一项不对，回答都相同。按手机号和大厅限制次数，计数失效时不受理。",
        operation_id="checkInByIdentity",
        responses=answers(appointments.check_in_by_identity),
    )
    async def known(
        self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID], data: JSONBody[KnownIn]
    ) -> QueueTicket:
        return await appointments.check_in_by_identity(staff, hall_id, data.id_last_four, data.phone)

    @post(
        "/walk-ins",
        summary="现场取号（无预约）",
        description="使用单独保留的现场号；从当前或最近一个有余号的时段开始排队，不会排到预约更早的人前面。",
        operation_id="takeWalkInTicket",
        responses=answers(appointments.walk_in),
    )
    async def walk_in(
        self, staff: NamedDependency[AsStaff], hall_id: FromPath[UUID], data: JSONBody[WalkInIn]
    ) -> QueueTicket:
        return await appointments.walk_in(staff, hall_id, data.line_id)


openapi.LINKS["takeWalkInTicket"] = openapi.LINKS["checkInByCode"] = {
    "board": {"operationId": "getHallBoard", "parameters": {"hall_id": "$response.body#/hall_id"}}
}
