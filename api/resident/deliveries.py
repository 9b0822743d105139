"""A resident's deliveries: where they are, and what can be done with them."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import limits, openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.idempotency import IDEMPOTENCY_ERRORS, idempotent
from api.paging import Cursor, Limit, Page
from api.problems import answers
from api.resident.addresses import OfPerson
from api.resident.case_deliveries import WishIn
from backend.cases import deliveries
from backend.deliveries import (
    DeliveryDetail,
    DeliverySummary,
    acting,
    cancelling,
    receiving,
    resident_views,
    returning,
    tracing,
)
from backend.deliveries.errors import (
    DeliveryNotFound,
    TraceNotOffered,
)
from backend.identity import AsResident
from backend.paging import USUAL
from backend.partners import Partners
from backend.partners.errors import PartnerBusy, PartnerMisconfigured, PartnerRefused, PartnerUnreachable
from models.deliveries import DeliveryState

TRACES_PER_MINUTE = 20
"""How often one resident may ask for WeChat's component in a minute: each try asks WeChat."""
CHANGES_PER_HOUR = 30
"""How often one resident may redirect or cancel in an hour: each may ask a courier."""
States = Annotated[
    list[DeliveryState] | None, QueryParameter(name="state", description="只看这些状态，可重复", required=False)
]


class OwnWaybillIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The number under which the resident's own courier carries it."""

    company: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{1,31}$", description="快递公司编码，如 ems、shunfeng")]
    waybill: Annotated[str, Meta(min_length=6, max_length=40, description="运单号")]


class OwnCourierIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which courier shall fetch it."""

    courier: Annotated[str, Meta(min_length=1, max_length=16, description="快递公司，如 ems、sf")]


class ReportIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is wrong, in the resident's words."""

    text: Annotated[str, Meta(min_length=2, max_length=500, description="问题描述，加密保存")]


class TraceToken(Struct, frozen=True):
    """With this the mini-program opens WeChat's own page of the parcel."""

    waybill_token: str


async def asked(resident: AsResident) -> None:
    """Count one more request of this resident that may ask a courier. Raises TooMany."""
    await limits.within("delivery-changes", str(resident.id), CHANGES_PER_HOUR, 3600, fail_closed=False)


class DeliveryController(Controller):
    """`/v1/resident/deliveries`."""

    path = "/deliveries"
    tags = ["寄送"]

    @get(
        summary="我的寄送",
        description="最近的在前，包括我可代办的人的寄送；`person_id` 只看一个人的。",
        operation_id="listDeliveries",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(resident_views.list_own_deliveries) | NOT_MODIFIED,
    )
    async def list_own_deliveries(
        self,
        resident: NamedDependency[AsResident],
        states: FromQuery[States] = None,
        person_id: FromQuery[OfPerson] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[DeliverySummary]:
        return Page(
            *await resident_views.list_own_deliveries(
                resident, states=states, person_id=person_id, cursor=cursor, limit=limit
            )
        )

    @get(
        "/{number:str}",
        summary="一件寄送：时间线、地图地区、取件码与可以做的事",
        description=(
            "`steps` 按发生时间先后排列，快递节点保留原文；`region` 为省市县名称，可直接用于地图。"
            "派件员电话只给收件人本人；取件码每人不同，委托结束即失效。`actions` 为当前可进行的操作。"
        ),
        operation_id="getDelivery",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(resident_views.get_own_delivery) | NOT_MODIFIED,
    )
    async def get_own_delivery(self, resident: NamedDependency[AsResident], number: FromPath[str]) -> DeliveryDetail:
        return await resident_views.get_own_delivery(resident, number)

    @post(
        "/{number:str}/change",
        summary="修改地址或领取方式（揽收前）",
        description="已下单的，先在快递公司撤回再重新下单；快递公司已揽收的不能再改。",
        operation_id="changeDelivery",
        status_code=200,
        responses=answers(deliveries.change_delivery),
    )
    async def change(
        self,
        resident: NamedDependency[AsResident],
        number: FromPath[str],
        data: JSONBody[WishIn],
        partners: NamedDependency[Partners],
    ) -> DeliveryDetail:
        await asked(resident)
        owner = await acting.owner_of(resident, number)
        await deliveries.change_delivery(owner, number, data.wish(), couriers=partners.couriers)
        return await resident_views.get_own_delivery(resident, number)

    @post(
        "/{number:str}/cancellation",
        summary="取消寄送（揽收前）",
        description="已支付的邮费原路退回。之后可以重新选择领取方式。",
        operation_id="cancelDelivery",
        status_code=200,
        responses=answers(cancelling.cancel_delivery),
    )
    async def cancel(
        self,
        resident: NamedDependency[AsResident],
        number: FromPath[str],
        partners: NamedDependency[Partners],
    ) -> DeliveryDetail:
        await asked(resident)
        await cancelling.cancel_delivery(await acting.owner_of(resident, number), number, couriers=partners.couriers)
        return await resident_views.get_own_delivery(resident, number)

    @post(
        "/{number:str}/receipt",
        summary="确认收到",
        description="快递公司尚未更新时，也可以由本人确认。重复确认没有影响。",
        operation_id="confirmDelivery",
        status_code=200,
        responses=answers(receiving.confirm_receipt),
    )
    async def confirm(self, resident: NamedDependency[AsResident], number: FromPath[str]) -> DeliveryDetail:
        await receiving.confirm_receipt(resident, number)
        return await resident_views.get_own_delivery(resident, number)

    @post(
        "/{number:str}/problems",
        summary="反映问题：没有收到、破损、无人联系……",
        description="办理部门核实后答复，答复见 `problems`。",
        operation_id="reportDelivery",
        responses=answers(*IDEMPOTENCY_ERRORS, receiving.report_problem),
    )
    @idempotent()
    async def report(
        self,
        resident: NamedDependency[AsResident],
        number: FromPath[str],
        data: JSONBody[ReportIn],
    ) -> DeliveryDetail:
        await receiving.report_problem(resident, number, data.text)
        return await resident_views.get_own_delivery(resident, number)

    @post(
        "/{number:str}/waybill",
        summary="填写自行交寄的运单号（寄送材料）",
        operation_id="enterOwnWaybill",
        status_code=200,
        responses=answers(returning.enter_own_waybill),
    )
    async def waybill(
        self,
        resident: NamedDependency[AsResident],
        number: FromPath[str],
        data: JSONBody[OwnWaybillIn],
        partners: NamedDependency[Partners],
    ) -> DeliveryDetail:
        given = {"company": data.company, "waybill": data.waybill}
        await returning.enter_own_waybill(resident, number, **given, trackers=partners.trackers)
        return await resident_views.get_own_delivery(resident, number)

    @post(
        "/{number:str}/courier",
        summary="预约快递上门取件（寄送材料）",
        description="费用由办理部门到付。下单结果稍后出现在时间线中。",
        operation_id="orderOwnCourier",
        status_code=200,
        responses=answers(returning.order_collection),
    )
    async def courier(
        self,
        resident: NamedDependency[AsResident],
        number: FromPath[str],
        data: JSONBody[OwnCourierIn],
        partners: NamedDependency[Partners],
    ) -> DeliveryDetail:
        await asked(resident)
        await returning.order_collection(resident, number, data.courier, couriers=partners.couriers)
        return await resident_views.get_own_delivery(resident, number)

    @post(
        "/{number:str}/trace-token",
        summary="微信物流查询组件的令牌",
        description="仅限通过微信支付付费的寄送；其他寄送请展示本接口的时间线。",
        operation_id="getTraceToken",
        status_code=200,
        responses=answers(
            *(DeliveryNotFound, TraceNotOffered, PartnerRefused),
            *(PartnerBusy, PartnerUnreachable, PartnerMisconfigured),
        ),
    )
    async def trace(
        self, resident: NamedDependency[AsResident], number: FromPath[str], partners: NamedDependency[Partners]
    ) -> TraceToken:
        await limits.within("trace", str(resident.id), TRACES_PER_MINUTE, 60, fail_closed=False)
        return TraceToken(await tracing.get_trace_token(resident, number, wechat=partners.wechat))


openapi.PARAMETERS["number"] = "办件编号、支付单号、退款单号或寄送编号；事项版本地址中为版本号"
_OF_LINE = {"parameters": {"number": "$response.body#/items/0/number"}}
_HERE = {"parameters": {"number": "$response.body#/number"}}
openapi.LINKS |= {
    "listDeliveries": {"delivery": {"operationId": "getDelivery", **_OF_LINE}},
    "getDelivery": {
        name: {"operationId": operation, **_HERE}
        for name, operation in (
            ("change", "changeDelivery"),
            ("cancel", "cancelDelivery"),
            ("confirm", "confirmDelivery"),
            ("report", "reportDelivery"),
            ("trace", "getTraceToken"),
        )
    },
}
