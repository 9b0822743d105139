"""Residents list their fees, pay them, and list their payments."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromHeader, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import limits, openapi
from api.etag import HEADERS, NOT_MODIFIED, Revalidated
from api.idempotency import IDEMPOTENCY_ERRORS, IdempotencyKeyHeader, once
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import payments
from backend.identity import AsResident
from backend.paging import USUAL
from backend.partners import Partners
from backend.payments import FeeDetail, PaymentAttempt, PaymentSummary
from models.payments import FeeState

TAPS_PER_MINUTE = 30
"""Attempts to pay per resident and minute; each attempt calls a channel that counts our requests."""


class PaymentIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The fee to be paid, and the channel. The fee fixes the amount."""

    fee_id: UUID
    channel: Annotated[str, Meta(min_length=1, max_length=16, description="支付渠道")] = "wechat_pay"


class _Reserved(Struct):
    number: str


States = Annotated[
    list[FeeState] | None, QueryParameter(name="state", description="只看这些状态，可重复", required=False)
]


class FeeController(Controller):
    """`/v1/resident/fees`."""

    path = "/fees"
    tags = ["缴费"]

    @get(
        summary="我的费用，以及我可代缴的费用",
        description="最近登记的在前。收费项目、标准和依据取自已公布的办事指南。",
        operation_id="listFees",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(payments.list_own_fees) | NOT_MODIFIED,
    )
    async def list_own_fees(
        self,
        resident: NamedDependency[AsResident],
        states: FromQuery[States] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[FeeDetail]:
        return Page(*await payments.list_own_fees(resident, states=states, cursor=cursor, limit=limit))


class PaymentController(Controller):
    """`/v1/resident/payments`."""

    path = "/payments"
    tags = ["缴费"]

    @post(
        summary="发起支付，或继续未完成的支付",
        description=(
            "`parameters` 原样交给 `wx.requestPayment`；每次重新签名，订单号不变。为空且有 `retry_after` 时，"
            "支付平台尚未答复，请稍后以同一 `Idempotency-Key` 再次提交。金额以费用为准，不能由客户端指定。"
            "支付结果以支付详情为准，前端返回的结果不作为凭证。"
        ),
        operation_id="pay",
        responses=answers(*IDEMPOTENCY_ERRORS, payments.charge),
    )
    async def pay(
        self,
        request: Request[Any, Any, Any],
        resident: NamedDependency[AsResident],
        data: JSONBody[PaymentIn],
        partners: NamedDependency[Partners],
        idempotency_key: FromHeader[IdempotencyKeyHeader] = None,
    ) -> Response[PaymentAttempt]:
        async def reserve() -> _Reserved:
            return _Reserved(
                await payments.reserve_order(resident, data.fee_id, data.channel, channels=partners.channels)
            )

        await limits.within("pay", str(resident.id), TAPS_PER_MINUTE, 60, fail_closed=False)
        await payments.close_stale_order(resident, data.fee_id, data.channel, channels=partners.channels)
        reserved = await once(request, resident.id, idempotency_key, reserve)
        number = msgspec.json.decode(reserved.content, type=_Reserved).number
        attempt = await payments.start_payment(resident, number, channels=partners.channels)
        return Response(attempt, status_code=201, headers=dict(reserved.headers))

    @get(
        summary="我的支付",
        description="最近发起的在前。",
        operation_id="listPayments",
        middleware=[Revalidated()],
        response_headers=HEADERS,
        responses=answers(payments.list_own_payments) | NOT_MODIFIED,
    )
    async def list_own_payments(
        self,
        resident: NamedDependency[AsResident],
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[PaymentSummary]:
        return Page(*await payments.list_own_payments(resident, cursor=cursor, limit=limit))


openapi.LINKS["listFees"] = {"pay": {"operationId": "pay", "requestBody": {"fee_id": "$response.body#/items/0/id"}}}
