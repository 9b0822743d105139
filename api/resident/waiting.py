"""Residents wait for a place on a full day, and take part in draws."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.idempotency import IDEMPOTENCY_ERRORS, idempotent
from api.problems import answers
from api.resident.appointments import ItemCode, PersonId
from backend import appointments
from backend.appointments import DrawEntryReceipt, DrawEntrySummary, WaitingEntryDetail
from backend.identity import AsResident


class WaitingIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A full day on which a place is wanted."""

    line_id: UUID
    day: date
    item_code: ItemCode
    person_id: PersonId = None


class DrawEntryIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Taking part in a draw; the slots in the order in which they are wanted."""

    line_id: UUID
    day: date
    item_code: ItemCode
    slot_ids: Annotated[list[UUID], Meta(min_length=1, max_length=appointments.MOST_DRAW_SLOTS)]
    person_id: PersonId = None


class WaitingController(Controller):
    """`/v1/resident/waiting-entries`."""

    path = "/waiting-entries"
    tags = ["预约"]

    @post(
        summary="候补：约满时排队等候号源",
        description=(
            "有号源腾出时依次提供给候补的人，在 `offer_until` 之前为其保留；用“确认预留”接受，用“取消预约”放弃。"
        ),
        operation_id="joinWaitingList",
        responses=answers(*IDEMPOTENCY_ERRORS, appointments.join_waiting_list, appointments.booking_queue),
    )
    @idempotent(lambda _: appointments.booking_queue())
    async def join(self, resident: NamedDependency[AsResident], data: JSONBody[WaitingIn]) -> WaitingEntryDetail:
        return await appointments.join_waiting_list(
            resident, data.line_id, data.day, data.item_code, person_id=data.person_id
        )

    @get(
        summary="我的候补",
        operation_id="listWaitingEntries",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=NOT_MODIFIED,
    )
    async def list_own_waiting_entries(self, resident: NamedDependency[AsResident]) -> list[WaitingEntryDetail]:
        return await appointments.list_own_waiting_entries(resident)

    @delete(
        "/{entry_id:uuid}",
        summary="退出候补",
        operation_id="leaveWaitingList",
        responses=answers(appointments.leave_waiting_list),
    )
    async def leave(self, resident: NamedDependency[AsResident], entry_id: FromPath[UUID]) -> None:
        await appointments.leave_waiting_list(resident, entry_id)


class DrawEntryController(Controller):
    """`/v1/resident/draw-entries`."""

    path = "/draw-entries"
    tags = ["预约"]

    @post(
        summary="报名摇号",
        description="报名时间内先后不影响机会。请保存返回的 `id`，摇号后可在公示名单中找到。",
        operation_id="enterDraw",
        responses=answers(*IDEMPOTENCY_ERRORS, appointments.enter_draw, appointments.booking_queue),
    )
    @idempotent(lambda _: appointments.booking_queue())
    async def enter(self, resident: NamedDependency[AsResident], data: JSONBody[DrawEntryIn]) -> DrawEntryReceipt:
        return await appointments.enter_draw(
            resident, data.line_id, data.day, data.item_code, data.slot_ids, person_id=data.person_id
        )

    @get(
        summary="我的摇号报名与结果",
        description=(
            "`state`：entered 未摇号，won 中签，lost 未中签。用 `id` 可在 `proof` 的公示名单中找到自己并验证。"
            "最多 100 条，办理日期晚的在前。"
        ),
        operation_id="listDrawEntries",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=NOT_MODIFIED,
    )
    async def list_own_draw_entries(self, resident: NamedDependency[AsResident]) -> list[DrawEntrySummary]:
        return await appointments.list_own_draw_entries(resident)


openapi.LINKS["listDrawEntries"] = {
    "proof": {
        "operationId": "getDrawProof",
        "parameters": {"line_id": "$response.body#/0/line_id", "day": "$response.body#/0/day"},
    },
    "appointment": {
        "operationId": "getAppointment",
        "parameters": {"appointment_id": "$response.body#/0/appointment_id"},
    },
}
openapi.LINKS["joinWaitingList"] = {
    "leave": {"operationId": "leaveWaitingList", "parameters": {"entry_id": "$response.body#/id"}}
}
