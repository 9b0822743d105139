"""Residents book a visit, hold a place while they fill in, move it, give it up, and see what they have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import limits, openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.idempotency import IDEMPOTENCY_ERRORS, idempotent
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import appointments
from backend.appointments import AppointmentDetail, AppointmentSummary, Booking, Visitor
from backend.identity import AsResident
from backend.paging import USUAL
from backend.settings import settings
from models.appointments import AppointmentState

ItemCode = Annotated[str, Meta(min_length=1, max_length=40, description="事项编码")]
PersonId = Annotated[UUID | None, Meta(description="办理人；缺省为本人，只能填写可代办的人")]


class HoldIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A place to be kept while the resident fills in."""

    slot_id: UUID
    item_code: ItemCode
    person_id: PersonId = None


class AppointmentIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A visit to be booked. `visitor` lets the person check in at the kiosk without a phone."""

    slot_id: UUID
    item_code: ItemCode
    person_id: PersonId = None
    visitor: Visitor | None = None


class ConfirmationIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What was filled in while the place was held."""

    visitor: Visitor | None = None


class MoveIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where the appointment goes."""

    slot_id: UUID


States = Annotated[
    list[AppointmentState] | None, QueryParameter(name="state", description="只看这些状态，可重复", required=False)
]
OfPerson = Annotated[UUID | None, QueryParameter(description="只看这位办理人", required=False)]


@asynccontextmanager
async def _admitted(arguments: dict[str, Any]) -> AsyncIterator[None]:
    """Count one more attempt of the resident, and queue for the slot. Raises TooMany and what admission raises."""
    resident: AsResident = arguments["resident"]
    await limits.within("booking", str(resident.id), settings().booking_taps_per_minute, 60, fail_closed=False)
    async with appointments.admitted_to_slot(resident, arguments["data"].slot_id):
        yield


class AppointmentController(Controller):
    """`/v1/resident/appointments`."""

    path = "/appointments"
    tags = ["预约"]

    @post(
        summary="预约一个时段",
        description=(
            "号源以数据库为准，绝不超发；约满回答 409，人数过多回答 429 并带 `Retry-After`。"
            "重复提交请保持 `Idempotency-Key` 不变。"
        ),
        operation_id="bookAppointment",
        responses=answers(*IDEMPOTENCY_ERRORS, appointments.book_place, appointments.admitted_to_slot),
    )
    @idempotent(_admitted)
    async def book(self, resident: NamedDependency[AsResident], data: JSONBody[AppointmentIn]) -> Booking:
        return await appointments.book_place(
            resident, data.slot_id, data.item_code, person_id=data.person_id, visitor=data.visitor
        )

    @post(
        "/holds",
        summary="预留一个号源（填写期间）",
        description="到 `hold_until` 自动释放，以数据库时间为准；之前用“确认预留”变为预约。",
        operation_id="holdAppointment",
        responses=answers(*IDEMPOTENCY_ERRORS, appointments.hold_place, appointments.admitted_to_slot),
    )
    @idempotent(_admitted)
    async def hold(self, resident: NamedDependency[AsResident], data: JSONBody[HoldIn]) -> Booking:
        return await appointments.hold_place(resident, data.slot_id, data.item_code, person_id=data.person_id)

    @post(
        "/{appointment_id:uuid}/confirmation",
        summary="确认预留，或接受候补号源",
        operation_id="confirmAppointment",
        responses=answers(*IDEMPOTENCY_ERRORS, appointments.confirm_booking, appointments.booking_queue),
    )
    @idempotent(lambda _: appointments.booking_queue())
    async def confirm(
        self, resident: NamedDependency[AsResident], appointment_id: FromPath[UUID], data: JSONBody[ConfirmationIn]
    ) -> Booking:
        return await appointments.confirm_booking(resident, appointment_id, visitor=data.visitor)

    @post(
        "/{appointment_id:uuid}/move",
        summary="改约到同一业务类别的其他时段",
        description="要么改约成功，要么原预约不变。",
        operation_id="rescheduleAppointment",
        responses=answers(*IDEMPOTENCY_ERRORS, appointments.reschedule_appointment, appointments.admitted_to_slot),
    )
    @idempotent(_admitted)
    async def move(
        self, resident: NamedDependency[AsResident], appointment_id: FromPath[UUID], data: JSONBody[MoveIn]
    ) -> Booking:
        return await appointments.reschedule_appointment(resident, appointment_id, data.slot_id)

    @post(
        "/{appointment_id:uuid}/cancellation",
        summary="取消预约，或放弃预留、候补号源",
        description="超过 `cancel_until` 取消记一次爽约。腾出的号源按顺序提供给候补的人。",
        operation_id="cancelAppointment",
        responses=answers(*IDEMPOTENCY_ERRORS, appointments.cancel_appointment, appointments.booking_queue),
    )
    @idempotent(lambda _: appointments.booking_queue())
    async def cancel(self, resident: NamedDependency[AsResident], appointment_id: FromPath[UUID]) -> AppointmentDetail:
        await appointments.cancel_appointment(resident, appointment_id)
        return await appointments.get_own_appointment(resident, appointment_id)

    @get(
        summary="我的预约和我代办的预约",
        description="办理日期晚的在前；`person_id` 是办理人，可只看其中一人。",
        operation_id="listAppointments",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(appointments.list_own_appointments) | NOT_MODIFIED,
    )
    async def list_own_appointments(
        self,
        resident: NamedDependency[AsResident],
        person_id: FromQuery[OfPerson] = None,
        states: FromQuery[States] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[AppointmentSummary]:
        found = await appointments.list_own_appointments(
            resident, person_id=person_id, states=states, cursor=cursor, limit=limit
        )
        return Page(*found)

    @get(
        "/{appointment_id:uuid}",
        summary="一个预约：预约号、时间与前往方式",
        description="他人的预约与不存在的预约回答相同。",
        operation_id="getAppointment",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(appointments.get_own_appointment) | NOT_MODIFIED,
    )
    async def get_own_appointment(
        self, resident: NamedDependency[AsResident], appointment_id: FromPath[UUID]
    ) -> AppointmentDetail:
        return await appointments.get_own_appointment(resident, appointment_id)


openapi.LINKS["bookAppointment"] = {
    "appointment": {"operationId": "getAppointment", "parameters": {"appointment_id": "$response.body#/id"}},
    "move": {"operationId": "rescheduleAppointment", "parameters": {"appointment_id": "$response.body#/id"}},
    "cancellation": {"operationId": "cancelAppointment", "parameters": {"appointment_id": "$response.body#/id"}},
}
openapi.LINKS["holdAppointment"] = {
    "confirmation": {"operationId": "confirmAppointment", "parameters": {"appointment_id": "$response.body#/id"}}
}
