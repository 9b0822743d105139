"""The office sends: one parcel or a morning's batch; labels, taking back, sending again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from api import openapi
from api.paging import Limit
from api.problems import answers
from backend.deliveries import BatchDetail, BatchSummary, StaffDeliveryDetail, batching, dispatching, staff_views
from backend.identity import AsStaff
from backend.paging import USUAL
from backend.partners import Partners
from models.shipments import TrackStatus

Courier = Annotated[str, Meta(min_length=1, max_length=16, description="快递公司，如 ems、sf")]


class OrderIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """With whom it is sent."""

    courier: Courier


class BatchIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A morning's parcels: all that lie ready, those of one hall, or these."""

    courier: Courier
    numbers: Annotated[list[str], Meta(max_length=500, description="寄送编号；缺省为全部待寄出")] | None = None
    hall_id: Annotated[UUID | None, Meta(description="只寄出在该大厅出件的；缺省不限大厅")] = None


class WaybillIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """A waybill that was bought elsewhere."""

    company: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{1,31}$", description="快递公司编码，如 ems、shunfeng")]
    waybill: Annotated[str, Meta(min_length=6, max_length=40, description="运单号")]


class DeclarationIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the courier has reported to the office by phone: `delivered`, `returned` or `lost`."""

    status: Annotated[TrackStatus, Meta(description="delivered 已签收、returned 已退回、lost 丢失")]
    at: Annotated[datetime, Meta(tz=True, description="发生时间，缺省为现在")] | None = None


class Label(Struct, frozen=True):
    """What is to be stuck on the parcel, data or an address; null where the courier prints it."""

    label: str | None


class DispatchController(Controller):
    """`/v1/staff/deliveries/{number}/…` and `/v1/staff/delivery-batches`."""

    path = "/"
    tags = ["寄送管理"]

    @post(
        "/deliveries/{number:str}/order",
        summary="下单寄出一件",
        description="下单随即在后台进行，结果见时间线；同一单号重复下单只有一张运单。",
        operation_id="sendDelivery",
        status_code=200,
        responses=answers(dispatching.send_delivery),
    )
    async def send(
        self,
        staff: NamedDependency[AsStaff],
        number: FromPath[str],
        data: JSONBody[OrderIn],
        partners: NamedDependency[Partners],
    ) -> StaffDeliveryDetail:
        await dispatching.send_delivery(staff, number, data.courier, couriers=partners.couriers)
        return await staff_views.get_department_delivery(staff, number)

    @post(
        "/deliveries/{number:str}/waybill",
        summary="登记在别处购买的运单",
        operation_id="enterWaybill",
        status_code=200,
        responses=answers(dispatching.enter_department_waybill),
    )
    async def waybill(
        self,
        staff: NamedDependency[AsStaff],
        number: FromPath[str],
        data: JSONBody[WaybillIn],
        partners: NamedDependency[Partners],
    ) -> StaffDeliveryDetail:
        given = {"company": data.company, "waybill": data.waybill}
        await dispatching.enter_department_waybill(staff, number, **given, trackers=partners.trackers)
        return await staff_views.get_department_delivery(staff, number)

    @get(
        "/deliveries/{number:str}/label",
        summary="电子面单",
        description="面单含完整的收件人信息，每次获取都记入审计。",
        operation_id="getLabel",
        responses=answers(dispatching.get_label),
    )
    async def label(
        self, staff: NamedDependency[AsStaff], number: FromPath[str], partners: NamedDependency[Partners]
    ) -> Label:
        return Label(await dispatching.get_label(staff, number, couriers=partners.couriers))

    @post(
        "/deliveries/{number:str}/order-withdrawal",
        summary="撤回订单（揽收前）",
        description="快递公司尚未答复的订单随即放弃，可另选快递公司。",
        operation_id="undoOrder",
        status_code=200,
        responses=answers(dispatching.undo_order),
    )
    async def undo(
        self, staff: NamedDependency[AsStaff], number: FromPath[str], partners: NamedDependency[Partners]
    ) -> StaffDeliveryDetail:
        await dispatching.undo_order(staff, number, couriers=partners.couriers)
        return await staff_views.get_department_delivery(staff, number)

    @post(
        "/deliveries/{number:str}/resending",
        summary="退回或丢失后重新寄送",
        description="回到待寄出；居民可以先修改地址。",
        operation_id="resendDelivery",
        status_code=200,
        responses=answers(dispatching.resend_delivery),
    )
    async def resend(self, staff: NamedDependency[AsStaff], number: FromPath[str]) -> StaffDeliveryDetail:
        await dispatching.resend_delivery(staff, number)
        return await staff_views.get_department_delivery(staff, number)

    @post(
        "/deliveries/{number:str}/declaration",
        summary="登记快递公司电话告知的结果",
        operation_id="declareDelivery",
        status_code=200,
        responses=answers(dispatching.declare_outcome),
    )
    async def declare(
        self, staff: NamedDependency[AsStaff], number: FromPath[str], data: JSONBody[DeclarationIn]
    ) -> StaffDeliveryDetail:
        await dispatching.declare_outcome(staff, number, data.status, data.at)
        return await staff_views.get_department_delivery(staff, number)

    @post(
        "/delivery-batches",
        summary="批量寄出",
        description="最早就绪的在前，可限于一个大厅；未付邮费或正在下单的不在其中。",
        operation_id="sendBatch",
        responses=answers(batching.send_batch),
    )
    async def send_batch(
        self, staff: NamedDependency[AsStaff], data: JSONBody[BatchIn], partners: NamedDependency[Partners]
    ) -> BatchDetail:
        which = {"numbers": data.numbers, "hall_id": data.hall_id}
        return await batching.send_batch(staff, data.courier, couriers=partners.couriers, **which)  # type: ignore[arg-type]

    @get(
        "/delivery-batches",
        summary="最近的批次",
        operation_id="listBatches",
        responses=answers(staff_views.list_batches),
    )
    async def batches(self, staff: NamedDependency[AsStaff], limit: FromQuery[Limit] = USUAL) -> list[BatchSummary]:
        return await staff_views.list_batches(staff, limit=limit)

    @get(
        "/delivery-batches/{batch_id:uuid}",
        summary="一个批次：每件的运单或失败原因",
        operation_id="getBatch",
        responses=answers(staff_views.get_batch),
    )
    async def batch(self, staff: NamedDependency[AsStaff], batch_id: FromPath[UUID]) -> BatchDetail:
        return await staff_views.get_batch(staff, batch_id)


openapi.PARAMETERS.setdefault("batch_id", "批次的标识")
_BATCH_ID = {"parameters": {"batch_id": "$response.body#/id"}}
openapi.LINKS["sendBatch"] = {"batch": {"operationId": "getBatch", **_BATCH_ID}}
