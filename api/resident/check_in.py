"""Residents show a code to check in, and see their place in the queue."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from api import limits, openapi
from api.problems import answers
from backend import appointments, qr_images
from backend.appointments import CheckInCode, QueuePlace
from backend.identity import AsResident
from backend.partners import Partners

PNG, SVG = "image/png", "image/svg+xml"
_REFUSALS = answers(appointments.issue_check_in_code)


async def tapped(resident: AsResident) -> None:
    """Count one more code for this resident. Raises TooMany."""
    await limits.within("check-in-code", str(resident.id), 60, 60, fail_closed=False)


def picture(kind: str) -> dict[int, ResponseSpec]:
    """What the description says of a picture."""
    return {200: ResponseSpec(bytes, media_type=kind, description="图片", generate_examples=False)}


class CheckInController(Controller):
    """`/v1/resident/appointments/{id}`: the code, as data and as pictures, and the queue."""

    path = "/appointments/{appointment_id:uuid}"
    tags = ["签到叫号"]

    @get(
        "/check-in-code",
        summary="签到码（数据）",
        description=(
            "60 秒内有效，只能使用一次，仅限该预约的大厅和日期。内容不含个人信息，也不是网址；"
            "请在 `refresh_in` 秒后取新码。"
        ),
        operation_id="getCheckInCode",
        responses=_REFUSALS,
    )
    async def code(self, resident: NamedDependency[AsResident], appointment_id: FromPath[UUID]) -> CheckInCode:
        await tapped(resident)
        return await appointments.issue_check_in_code(resident, appointment_id)

    @get(
        "/check-in-code.png",
        summary="签到码（PNG 图片）",
        operation_id="getCheckInCodeAsPng",
        media_type=PNG,
        responses=_REFUSALS | picture(PNG),
    )
    async def png(self, resident: NamedDependency[AsResident], appointment_id: FromPath[UUID]) -> Response[bytes]:
        await tapped(resident)
        found = await appointments.issue_check_in_code(resident, appointment_id)
        return Response(qr_images.png_code(found.code), media_type=PNG)

    @get(
        "/check-in-code.svg",
        summary="签到码（SVG 图片）",
        operation_id="getCheckInCodeAsSvg",
        media_type=SVG,
        responses=_REFUSALS | picture(SVG),
    )
    async def svg(self, resident: NamedDependency[AsResident], appointment_id: FromPath[UUID]) -> Response[bytes]:
        await tapped(resident)
        found = await appointments.issue_check_in_code(resident, appointment_id)
        return Response(qr_images.svg_code(found.code), media_type=SVG)

    @get(
        "/mini-program-code",
        summary="预约的小程序码（图片）",
        description="扫码打开小程序中的这次预约；不是签到码，不会过期。",
        operation_id="getAppointmentMiniProgramCode",
        media_type=PNG,
        responses=answers(appointments.appointment_poster) | picture(PNG),
    )
    async def mini_program_code(
        self, resident: NamedDependency[AsResident], partners: NamedDependency[Partners], appointment_id: FromPath[UUID]
    ) -> Response[bytes]:
        await tapped(resident)
        found = await appointments.appointment_poster(resident, appointment_id, wechat=partners.wechat)
        return Response(found.content, media_type=found.content_type)

    @get(
        "/queue",
        summary="我的排队进度",
        description=(
            "签到后可用。`ahead` 是同一业务类别中排在前面的人数，`minutes` 按当日最近办结的用时估计；"
            "`measured` 为 false 时当日尚无办结，按通常用时估计。实时变化见大厅叫号屏。"
        ),
        operation_id="getQueuePlace",
        responses=answers(appointments.get_queue_place),
    )
    async def queue(self, resident: NamedDependency[AsResident], appointment_id: FromPath[UUID]) -> QueuePlace:
        return await appointments.get_queue_place(resident, appointment_id)


openapi.PARAMETERS.setdefault("appointment_id", "预约的标识")
_THERE = {"parameters": {"appointment_id": "$response.body#/id"}}
openapi.LINKS.setdefault("getAppointment", {}).update(
    {
        "check_in_code": {"operationId": "getCheckInCode", **_THERE},
        "check_in_png": {"operationId": "getCheckInCodeAsPng", **_THERE},
        "check_in_svg": {"operationId": "getCheckInCodeAsSvg", **_THERE},
        "mini_program_code": {"operationId": "getAppointmentMiniProgramCode", **_THERE},
        "queue": {"operationId": "getQueuePlace", **_THERE},
    }
)
openapi.LINKS["getQueuePlace"] = {
    "board": {"operationId": "getHallBoard", "parameters": {"hall_id": "$response.body#/hall_id"}},
    "live": {"operationId": "followHallBoard", "parameters": {"hall_id": "$response.body#/hall_id"}},
}
