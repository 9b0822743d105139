"""Staff list the reconciled days of the channels, and work on the differences."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import openapi
from api.auth import duty
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import payments
from backend.identity import AsStaff
from backend.paging import USUAL
from backend.partners import Partners
from backend.payments import BillDaySummary, BillDifferenceDetail
from models.reconciliation import DifferenceState

InState = Annotated[
    DifferenceState | None, QueryParameter(description="只看这种状态：open、repaired、resolved", required=False)
]


class DayIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The day (Asia/Shanghai) that is to be reconciled again, with every channel."""

    day: date


class Queued(Struct, kw_only=True):
    """The number of bills that were enqueued: one per channel and merchant."""

    bills: int


class ResolutionIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The explanation of the difference."""

    words: Annotated[str, Meta(min_length=2, max_length=400)]


class ReconciliationController(Controller):
    """`/v1/staff/bill-days` and `/v1/staff/bill-differences`."""

    path = "/"
    tags = ["对账"]
    guards = [duty(payments.RECONCILE)]

    @get("/bill-days", summary="每日对账结果", operation_id="listBillDays", responses=answers(payments.list_bill_days))
    async def list_bill_days(
        self, staff: NamedDependency[AsStaff], limit: FromQuery[Limit] = USUAL, cursor: FromQuery[Cursor] = None
    ) -> Page[BillDaySummary]:
        return Page(*await payments.list_bill_days(staff, limit=limit, cursor=cursor))

    @post(
        "/bill-days/comparisons",
        summary="重新对账",
        description="重新下载当日账单并比对；历史记录保留，已一致的差异自动关闭，已处理的差异不会无故重新打开。",
        operation_id="compareBillDay",
        status_code=202,
        responses=answers(payments.enqueue_comparison),
    )
    async def compare(self, partners: NamedDependency[Partners], data: JSONBody[DayIn]) -> Queued:
        return Queued(bills=await payments.enqueue_comparison(data.day, channels=partners.channels))

    @get(
        "/bill-differences",
        summary="对账差异",
        operation_id="listBillDifferences",
        responses=answers(payments.list_bill_differences),
    )
    async def list_bill_differences(
        self,
        staff: NamedDependency[AsStaff],
        in_state: FromQuery[InState] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[BillDifferenceDetail]:
        return Page(*await payments.list_bill_differences(staff, state=in_state, limit=limit, cursor=cursor))

    @get(
        "/bill-differences/{difference_id:uuid}",
        summary="一条对账差异",
        operation_id="getBillDifference",
        responses=answers(payments.get_bill_difference),
    )
    async def get_bill_difference(
        self, staff: NamedDependency[AsStaff], difference_id: FromPath[UUID]
    ) -> BillDifferenceDetail:
        return await payments.get_bill_difference(staff, difference_id)

    @post(
        "/bill-differences/{difference_id:uuid}/owner",
        summary="认领对账差异",
        description="由本人跟进；他人已认领的也可以接手。",
        operation_id="takeOverBillDifference",
        status_code=200,
        responses=answers(payments.take_over_bill_difference),
    )
    async def take_over(self, staff: NamedDependency[AsStaff], difference_id: FromPath[UUID]) -> BillDifferenceDetail:
        return await payments.take_over_bill_difference(staff, difference_id)

    @post(
        "/bill-differences/{difference_id:uuid}/resolution",
        summary="处理对账差异",
        description="写明差异的原因和处理结果。不改动任何金额。",
        operation_id="resolveBillDifference",
        status_code=200,
        responses=answers(payments.resolve_bill_difference),
    )
    async def resolve(
        self, staff: NamedDependency[AsStaff], difference_id: FromPath[UUID], data: JSONBody[ResolutionIn]
    ) -> BillDifferenceDetail:
        return await payments.resolve_bill_difference(staff, difference_id, data.words)


openapi.PARAMETERS.setdefault("difference_id", "对账差异的标识")
openapi.LINKS["listBillDifferences"] = {
    name: {"operationId": operation, "parameters": {"difference_id": "$response.body#/items/0/id"}}
    for name, operation in (
        ("one", "getBillDifference"),
        ("owner", "takeOverBillDifference"),
        ("resolution", "resolveBillDifference"),
    )
}
