"""Staff list their department's payments and request refunds."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api import openapi
from api.idempotency import IDEMPOTENCY_ERRORS, idempotent
from api.paging import Cursor, Limit, Page
from api.problems import answers
from backend import payments
from backend.identity import AsStaff
from backend.paging import USUAL
from backend.payments import StaffPaymentDetail, StaffPaymentSummary, StaffRefundDetail
from models.payments import PaymentState

States = Annotated[
    list[PaymentState] | None, QueryParameter(name="state", description="只看这些状态，可重复", required=False)
]


class RefundIn(Struct, forbid_unknown_fields=True, kw_only=True):
    """The amount of the refund and its reason, which the payer reads."""

    amount_fen: Annotated[int, Meta(ge=1, le=10**12)]
    reason: Annotated[str, Meta(min_length=2, max_length=80)]


class StaffPaymentController(Controller):
    """`/v1/staff/payments`."""

    path = "/payments"
    tags = ["收费"]

    @get(
        summary="本部门的支付",
        description="最近下单的在前。需要退款申请或退款复核职责；不显示付款人账户。",
        operation_id="listStaffPayments",
        responses=answers(payments.list_department_payments),
    )
    async def list_department_payments(
        self,
        staff: NamedDependency[AsStaff],
        states: FromQuery[States] = None,
        limit: FromQuery[Limit] = USUAL,
        cursor: FromQuery[Cursor] = None,
    ) -> Page[StaffPaymentSummary]:
        return Page(*await payments.list_department_payments(staff, states=states, limit=limit, cursor=cursor))

    @get(
        "/{number:str}",
        summary="一笔支付及其退款和每一步",
        operation_id="getStaffPayment",
        responses=answers(payments.get_department_payment),
    )
    async def get_department_payment(
        self, staff: NamedDependency[AsStaff], number: FromPath[str]
    ) -> StaffPaymentDetail:
        return await payments.get_department_payment(staff, number)

    @post(
        "/{number:str}/refunds",
        summary="申请退款",
        description=(
            "金额在限额以内立即提交（`approved`），该笔支付未经复核的退款累计超过限额时等待另一名工作人员复核"
            "（`requested`）；金额随申请即被占用，合计不超过已付金额。重复提交请保持 `Idempotency-Key` 不变。"
        ),
        operation_id="requestRefund",
        responses=answers(*IDEMPOTENCY_ERRORS, payments.request_refund),
    )
    @idempotent()
    async def request_refund(
        self,
        staff: NamedDependency[AsStaff],
        number: FromPath[str],
        data: JSONBody[RefundIn],
    ) -> StaffRefundDetail:
        decision = await payments.request_refund(staff, number, data.amount_fen, data.reason)
        return await payments.get_department_refund(staff, decision.number)


openapi.LINKS |= {
    "listStaffPayments": {
        "payment": {"operationId": "getStaffPayment", "parameters": {"number": "$response.body#/items/0/number"}}
    },
    "getStaffPayment": {"refund": {"operationId": "requestRefund", "parameters": {"number": "$response.body#/number"}}},
    "requestRefund": {"refund": {"operationId": "getRefund", "parameters": {"number": "$response.body#/number"}}},
}
