"""What the office sees of its deliveries; the counter makes ready, hands over and keeps; documents are received."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import openapi
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend.cases import is_applicant
from backend.deliveries import (
    Desk,
    IdentityProof,
    Receiver,
    StaffDeliveryDetail,
    StaffDeliverySummary,
    handing_over,
    returning,
    staff_views,
)
from backend.identity import AsStaff
from backend.paging import USUAL
from models.deliveries import DeliveryState, Direction, Method

States = Annotated[
    list[DeliveryState] | None, QueryParameter(name="state", description="只看这些状态，可重复", required=False)
]
ByMethod = Annotated[Method | None, QueryParameter(name="method", description="邮寄或窗口领取", required=False)]
ByDirection = Annotated[
    Direction | None, QueryParameter(name="direction", description="寄给居民或居民寄来", required=False)
]
ByHall = Annotated[UUID | None, QueryParameter(name="hall_id", description="只看在该大厅出件的", required=False)]
Overdue = Annotated[bool | None, QueryParameter(name="overdue", description="已超过窗口保管期限", required=False)]


class ReadyIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """It lies at the counter."""

    kept_days: (
        Annotated[int, Meta(ge=1, le=handing_over.LONGEST_DAYS, description="保管天数，缺省按系统设置")] | None
    ) = None


class KeptIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Until when it is kept."""

    until: date


class HandOverIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Who stands at the counter, what they show, and their signature. Either the code or the last four characters."""

    name: Annotated[str, Meta(min_length=2, max_length=60, description="领取人证件上的姓名")]
    code: Annotated[str, Meta(min_length=8, max_length=12, description="领取人出示的取件码")] | None = None
    id_last_four: Annotated[str, Meta(min_length=4, max_length=8, description="办件人身份证件后四位")] | None = None
    signature: Annotated[str, Meta(min_length=100, max_length=210_000, description="签名图片，PNG，base64")]


class DeliveryController(Controller):
    """`/v1/staff/deliveries`."""

    path = "/deliveries"
    tags = ["寄送管理"]

    @get(
        summary="本部门的寄送",
        description="最近的在前。`state=to_send` 为待寄出，`overdue=true` 为超过保管期限。",
        operation_id="listDepartmentDeliveries",
        responses=answers(staff_views.list_department_deliveries),
    )
    async def list_deliveries(
        self,
        staff: NamedDependency[AsStaff],
        states: FromQuery[States] = None,
        method: FromQuery[ByMethod] = None,
        direction: FromQuery[ByDirection] = None,
        overdue: FromQuery[Overdue] = None,
        hall_id: FromQuery[ByHall] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[StaffDeliverySummary]:
        which = {"states": states, "method": method, "direction": direction, "overdue": overdue, "hall_id": hall_id}
        return Page(*await staff_views.list_department_deliveries(staff, **which, cursor=cursor, limit=limit))  # type: ignore[arg-type]

    @get(
        "/desk",
        summary="各状态的数量与待处理问题",
        operation_id="getDeliveryDesk",
        responses=answers(staff_views.get_desk),
    )
    async def desk(self, staff: NamedDependency[AsStaff]) -> Desk:
        return await staff_views.get_desk(staff)

    @get(
        "/{number:str}",
        summary="一件寄送与其时间线",
        description="收件人和电话号码已脱敏。",
        operation_id="getDepartmentDelivery",
        responses=answers(staff_views.get_department_delivery),
    )
    async def get_delivery(self, staff: NamedDependency[AsStaff], number: FromPath[str]) -> StaffDeliveryDetail:
        return await staff_views.get_department_delivery(staff, number)

    @get(
        "/{number:str}/receiver",
        summary="查看完整的收件人信息",
        description="用于手工填写面单；每次查看都记入审计。",
        operation_id="getDeliveryReceiver",
        responses=answers(staff_views.reveal_receiver),
    )
    async def receiver(self, staff: NamedDependency[AsStaff], number: FromPath[str]) -> Receiver:
        return await staff_views.reveal_receiver(staff, number)

    @post(
        "/{number:str}/readiness",
        summary="登记到件：可以领取",
        description="随即通知居民领取，并生成取件码。",
        operation_id="makeReady",
        status_code=200,
        responses=answers(handing_over.make_ready),
    )
    async def ready(
        self, staff: NamedDependency[AsStaff], number: FromPath[str], data: JSONBody[ReadyIn]
    ) -> StaffDeliveryDetail:
        await handing_over.make_ready(staff, number, data.kept_days)
        return await staff_views.get_department_delivery(staff, number)

    @put(
        "/{number:str}/kept-until",
        summary="调整保管期限",
        operation_id="keepUntil",
        responses=answers(handing_over.keep_until),
    )
    async def keep(
        self, staff: NamedDependency[AsStaff], number: FromPath[str], data: JSONBody[KeptIn]
    ) -> StaffDeliveryDetail:
        await handing_over.keep_until(staff, number, data.until)
        return await staff_views.get_department_delivery(staff, number)

    @post(
        "/{number:str}/hand-over",
        summary="核验领取人并交付",
        description=(
            "凭取件码（本人或受托人，各不相同），或凭办件人证件的姓名和后四位。核验失败会记入审计，连续失败暂停核验。"
        ),
        operation_id="handOver",
        status_code=200,
        responses=answers(handing_over.hand_over),
    )
    async def hand_over(
        self, staff: NamedDependency[AsStaff], number: FromPath[str], data: JSONBody[HandOverIn]
    ) -> StaffDeliveryDetail:
        shown = IdentityProof(name=data.name, code=data.code, id_last_four=data.id_last_four)
        await handing_over.hand_over(staff, number, shown, data.signature, identity_check=is_applicant)
        return await staff_views.get_department_delivery(staff, number)

    @post(
        "/{number:str}/reception",
        summary="确认收到居民寄来的材料",
        description="重复确认没有影响。",
        operation_id="receiveDocuments",
        status_code=200,
        responses=answers(returning.receive_documents),
    )
    async def receive(self, staff: NamedDependency[AsStaff], number: FromPath[str]) -> StaffDeliveryDetail:
        await returning.receive_documents(staff, number)
        return await staff_views.get_department_delivery(staff, number)


_HERE = {"parameters": {"number": "$response.body#/number"}}
openapi.LINKS |= {
    "listDepartmentDeliveries": {
        "delivery": {
            "operationId": "getDepartmentDelivery",
            "parameters": {"number": "$response.body#/items/0/number"},
        }
    },
    "getDepartmentDelivery": {
        name: {"operationId": operation, **_HERE}
        for name, operation in (
            ("receiver", "getDeliveryReceiver"),
            ("ready", "makeReady"),
            ("keep", "keepUntil"),
            ("handOver", "handOver"),
            ("receive", "receiveDocuments"),
            ("send", "sendDelivery"),
            ("waybill", "enterWaybill"),
            ("label", "getLabel"),
            ("undo", "undoOrder"),
            ("resend", "resendDelivery"),
            ("declare", "declareDelivery"),
        )
    },
}
